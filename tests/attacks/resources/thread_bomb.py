# EXPECT: outcome=no_artifact says=held
import threading
import time

count = 0
try:
    for count in range(4000):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    print("ESCAPED: 4000 threads")
except RuntimeError:
    print("held: threads end at", count)
