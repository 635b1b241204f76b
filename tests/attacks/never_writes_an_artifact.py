# EXPECT: outcome=timeout_no_artifact
import time

while True:
    time.sleep(1)
