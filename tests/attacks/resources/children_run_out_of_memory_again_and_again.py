# EXPECT: outcome=no_artifact says=the_end
# The kernel kills a child for memory, and the next one: the engine is told of each.
import os
import signal
import time

end, kills = time.monotonic() + 3, 0
while time.monotonic() < end:
    child = os.fork()
    if child == 0:
        open("/proc/self/oom_score_adj", "w").write("1000")
        hoard = []
        while True:
            hoard.append(bytearray(b"x" * (64 << 20)))
    kills += os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
print("killed" if kills else "none was killed", "the end")
