# EXPECT: outcome=no_artifact says=the_end
# Twenty processes write to both streams for three seconds, one of them a line without an end.
import os
import time

end = time.monotonic() + 3
children = []
for number in range(20):
    child = os.fork()
    if child == 0:
        block = (b"x" if number == 0 else b"e\n") * 65536
        while time.monotonic() < end:
            os.write(1 + number % 2, block[:65536])
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
print("\nthe end")
