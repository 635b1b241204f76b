# EXPECT: outcome=timeout_no_artifact wall=4 says=held
# Sets the clock, patches every clock that Python has, and says that no time has passed.
import time

from trainer_jax import harness

for name in ("CLOCK_REALTIME", "CLOCK_MONOTONIC"):
    try:
        time.clock_settime(getattr(time, name), 0.0)
        print("ESCAPED:", name)
    except OSError as error:
        print("held:", name, error.strerror)
sleep = time.sleep
for name in ("time", "monotonic", "perf_counter", "process_time", "clock_gettime"):
    setattr(time, name, lambda *_: 0.0)
harness.clock.progress = lambda: 0.0
harness.log(step=1, loss=1e-9, tokens=10**12)
while harness.clock.progress() < 1.0:
    sleep(0.1)
