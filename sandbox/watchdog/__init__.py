"""The watchdog: a small process that enforces the wall clock of a runner's containers and removes them when the runner dies.

It does nothing else, so a runner that is busy, stopped (SIGSTOP), swapped out or dead delays no deadline. `client` is the
runner's half. `process`, `container`, `api` and `endpoint` run in the watchdog and import nothing but the standard library, each other and `sandbox.cgroup`:
about 15 MB of memory. The two halves share one clock, CLOCK_MONOTONIC, which neither a clock that is set nor a time zone
changes. It stands still while the machine is suspended, and so does a training: time asleep counts for neither.
"""
