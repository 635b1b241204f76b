# EXPECT: outcome=no_artifact says=the_end
# Three seconds of empty lines: a ring buffer that counts the bytes of lines holds any number of them.
import os
import time

end = time.monotonic() + 3
while time.monotonic() < end:
    os.write(1, b"\n" * 65536)
    os.write(2, b"\n" * 65536)
print("the end")
