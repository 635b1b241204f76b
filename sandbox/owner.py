"""The owner of a container: a process, distinguished from a later one with the same number."""

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

    def dead(self, *, engine_is_local: bool) -> bool:
        """Whether the process is certainly gone. Another boot id means that this machine was restarted or, with an engine on another
        machine, that the owner is not on this one; then only the deadline decides."""
        if self.boot_id != _boot_id():
            return engine_is_local
        return _start_time(self.pid) != self.start_time


def this_process() -> Owner:
    pid = os.getpid()
    return Owner(os.getuid(), _boot_id(), pid, _start_time(pid) or 0)


def parse_owner(label: str) -> Owner | None:
    """The owner that a label names; None if the label is malformed."""
    parts = label.split(":")
    if len(parts) != 4 or not all(
        part.isascii() and part.isdigit() for part in (parts[0], parts[2], parts[3])
    ):
        return None
    return Owner(int(parts[0]), parts[1], int(parts[2]), int(parts[3]))


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_time(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None if there is none or only a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the command name may contain spaces and parentheses
    return None if fields[0] in {"Z", "X"} else int(fields[19])
