# EXPECT: outcome=no_artifact says=held
import os
import time

try:
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
except OSError as error:
    print("refused:", error.strerror)
allowed = os.sched_getaffinity(0)
workers = []
for _ in range(8):
    if (child := os.fork()) == 0:
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            pass
        os._exit(0)
    workers.append(child)
for child in workers:
    os.waitpid(child, 0)
used = os.times()
seconds = used.children_user + used.children_system
print("ESCAPED" if len(allowed) > 1 or seconds > 1.5 else "held", sorted(allowed), round(seconds, 2))
