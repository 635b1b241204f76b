# EXPECT: outcome=timeout_no_artifact wall=3
import time

while True:
    time.sleep(1)
