# EXPECT: outcome=timeout_no_artifact wall=3
# No stream is left to be read to its end.
import os
import time

os.closerange(0, 256)
while True:
    time.sleep(1)
