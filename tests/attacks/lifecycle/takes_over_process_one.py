# EXPECT: outcome=timeout_no_artifact wall=3 says=held
# Stops, kills and traces process 1, whose clock would be the clock of a sandbox that keeps it inside.
import ctypes
import os
import platform
import signal
import time

libc = ctypes.CDLL(None, use_errno=True)
trace = 117 if platform.machine() == "aarch64" else 101
print("ESCAPED: ptrace" if libc.syscall(trace, 16, 1, 0, 0) == 0 else "held: ptrace")
for number in (
    signal.SIGSTOP,
    signal.SIGKILL,
    signal.SIGTSTP,
):  # an init process hands the last one on: to us
    try:
        os.kill(1, number)
    except OSError as error:
        print("refused:", error.strerror)
while True:
    time.sleep(1)
