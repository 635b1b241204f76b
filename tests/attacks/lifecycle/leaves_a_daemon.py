# EXPECT: outcome=no_artifact
# A daemon in a session of its own, while the script says that it is done.
import os
import signal
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        open("/tmp/alive", "x").close()
        for _ in range(600):
            time.sleep(1)
    os._exit(0)
while not os.path.exists("/tmp/alive"):
    time.sleep(0.01)
print("done")
