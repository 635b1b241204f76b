"""The watchdog: a small process that enforces the wall clock of a runner's containers and removes them when the runner dies.

So a runner that is busy, stopped (SIGSTOP), swapped out or dead delays no deadline. `client` is the runner's half. `watchdog`,
`kill_at_deadline`, `api` and `endpoint` run in the watchdog. They import only the standard library, each other and `sandbox.cgroup`, and need about 15 MB
of memory. Both halves use CLOCK_MONOTONIC, which does not change when the clock or the time zone is set. It stands still while the
machine is suspended, and so does a training.
"""
