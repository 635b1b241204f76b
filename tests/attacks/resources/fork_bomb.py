# EXPECT: outcome=timeout_no_artifact wall=4 says=held
# Doubles itself twelve times: 4096 processes where nothing stops it.
import os
import time

for _ in range(12):
    try:
        os.fork()
    except OSError:
        os.write(1, b"held: no more processes\n")
time.sleep(60)
