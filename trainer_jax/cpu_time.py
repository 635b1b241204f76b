"""CPU seconds used by the container so far: all of its processes and threads together.

The source is the container's cgroup (v1: cpuacct.usage, ns; v2: usage_usec in cpu.stat, us), which includes live child processes.
If that file is missing or is not the container's, the CPU time of this process and of its ended children is used.
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
    """A function that returns the CPU seconds used. `age` is the age of the container (s): a file that shows more than `age` times
    the number of CPUs counts the whole machine and is not used."""
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
    """CPU seconds of this process with all its threads, and of its ended children."""
    children = os.times()
    return time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID) + children[2] + children[3]


def _reader(file: int, unit: float) -> Callable[[], float]:
    """The first line of cpu.stat is "usage_usec N" (cgroup-v2.rst); cpuacct.usage holds the number only."""
    return lambda: int(os.pread(file, 64, 0).splitlines()[0].split()[-1]) * unit
