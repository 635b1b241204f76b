"""Seconds of CPU that the container has had so far, all of its processes and threads together.

The container's own cgroup tells it (v1: cpuacct.usage in ns; v2: usage_usec in cpu.stat), without a live child process being left
out. Where that file is missing or cannot be the container's, the process's own clock and that of its ended children count.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
_FILES = (("cpuacct/cpuacct.usage", 1e-9), ("cpu.stat", 1e-6))
_SLACK_S = 1.0


def source(age: float, root: Path = CGROUP) -> Callable[[], float]:
    """What to ask for the seconds of CPU. `age` is how long the container has existed, in seconds: no CPU gives more than
    that, so a file that says more counts the whole machine."""
    most = (age + _SLACK_S) * len(os.sched_getaffinity(0))
    for name, unit in _FILES:
        try:
            found = _reader(os.open(root / name, os.O_RDONLY | os.O_CLOEXEC), unit)
            if of_process() - _SLACK_S <= found() <= most:
                return found
        except (OSError, ValueError, IndexError):
            continue
    return of_process


def of_process() -> float:
    """Of this process with all its threads, and of its children that have ended."""
    children = os.times()
    return time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID) + children[2] + children[3]


def _reader(file: int, unit: float) -> Callable[[], float]:
    """cpu.stat's first line is "usage_usec N" (cgroup-v2.rst); cpuacct.usage holds the number alone."""
    return lambda: int(os.pread(file, 64, 0).splitlines()[0].split()[-1]) * unit
