# EXPECT: outcome=timeout_no_artifact
import os

while True:
    try:
        os.fork()
    except OSError:
        pass
