"""Who a container belongs to: a process that can be told apart from a later one with the same number."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """A user and one of its processes. `start_time` is in clock ticks since boot (proc(5), stat field 22), so
    that a recycled process number is not mistaken for the owner."""

    uid: int
    boot_id: str
    pid: int
    start_time: int

    def __str__(self) -> str:
        return f"{self.uid}:{self.boot_id}:{self.pid}:{self.start_time}"

    @property
    def alive(self) -> bool:
        return self.boot_id == _boot_id() and _start_time(self.pid) == self.start_time


def this_process() -> Owner:
    pid = os.getpid()
    return Owner(os.getuid(), _boot_id(), pid, _start_time(pid) or 0)


def parse_owner(label: str) -> Owner | None:
    """The owner a label names, or None for a label that is not one."""
    parts = label.split(":")
    if len(parts) != 4 or not all(part.isdigit() for part in (parts[0], parts[2], parts[3])):
        return None
    return Owner(int(parts[0]), parts[1], int(parts[2]), int(parts[3]))


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_time(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])  # the command name may hold spaces and parentheses
