"""What runs on the host."""

from __future__ import annotations

import os
import time
from pathlib import Path


def living_with(marker: str) -> list[int]:
    """Host processes whose command line holds `marker` (a process of this test's own does not)."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if marker.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def watchdog_of(runner: int) -> int:
    """The number of the process that keeps the wall clock of process `runner`."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"sandbox/watchdog/__main__.py" not in (folder / "cmdline").read_bytes():
                continue
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == runner:
            return int(folder.name)
    raise AssertionError(f"process {runner} has no watchdog")


def gone(pid: int, *, within: float) -> bool:
    """Whether there is no such process, or nothing of it but a zombie, after at most `within` seconds."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            if (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}:
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False
