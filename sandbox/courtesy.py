"""Between two trainings a courteous run offers its device to whoever waits for it.

Whoever waits marks the device with a shared lock (flock) on a file beside the device's own lock, which the kernel drops when its holder
dies. All users may do that, so a mark gives no right: it is worth one offer of some seconds, in which this process does not take back what
it has just given back. An offer that nobody took is not repeated for half an hour, so a process that waits and never takes anything
(stopped, or hostile) costs less than a hundredth of the time.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from sandbox.lock_files import open_lock

OFFER_S = 15.0
"""Three times as long as the longest pause between two looks of one that waits."""
UNBELIEVED_S = 1800.0


class Courtesy:
    """Of one process, whose threads share it. `offers`: whether it is courteous; it marks what it waits for in any case."""

    def __init__(
        self, folder: Path, *, offers: bool = False, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder, self._offers, self._monotonic = folder, offers, monotonic
        self._marks: dict[str, int] = {}
        """Open descriptors."""
        self._marking = threading.Lock()
        self._given_back: dict[str, float] = {}
        self._believes_from = float("-inf")

    def wait_for(self, devices: Iterable[str]) -> None:
        """Mark them. Called at every look, since a mark may be lost while another process looks for marks."""
        with self._marking:
            for device in devices:
                if device not in self._marks:
                    self._marks[device] = open_lock(self._folder / f"{device}.wanted")
                with suppress(OSError):
                    fcntl.flock(self._marks[device], fcntl.LOCK_SH | fcntl.LOCK_NB)

    def wait_no_more(self) -> None:
        with self._marking:
            while self._marks:
                os.close(self._marks.popitem()[1])

    def given_back(self, device: str) -> None:
        if self._offers and self._monotonic() >= self._believes_from:
            self._given_back[device] = self._monotonic()

    def may_take(self, device: str) -> bool:
        """False while it is on offer."""
        since = self._given_back.get(device)
        return since is None or self._monotonic() - since >= OFFER_S or not self._wanted(device)

    def taken_by_others(self, device: str) -> None:
        self._given_back.pop(device, None)

    def taken(self, device: str) -> None:
        """By this process."""
        if self._given_back.pop(device, None) is not None and self._wanted(device):  # nobody took it
            self._believes_from = self._monotonic() + UNBELIEVED_S

    def _wanted(self, device: str) -> bool:
        """Whether another process has marked it."""
        with self._marking:
            mine = self._marks.get(device)
            mark = open_lock(self._folder / f"{device}.wanted") if mine is None else mine
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
            finally:
                if mine is None:
                    os.close(mark)
                else:
                    with suppress(OSError):
                        fcntl.flock(mine, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
