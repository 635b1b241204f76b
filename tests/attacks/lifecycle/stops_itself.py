# EXPECT: outcome=timeout_no_artifact wall=3
# Stopped, and with it every process of its group: nobody is left to be waited for.
import os
import signal

os.fork()
os.killpg(0, signal.SIGSTOP)
