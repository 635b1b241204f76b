"""How one process asks the runner of a workspace to stop: at once, by a signal, or after the present experiment, by a file.

Both mean one process and no other. A signal goes through a pidfd that was opened before the process was recognised, so a
number that is given to somebody else in between is never signalled (pidfd_open(2)). The file names the process it is meant
for, so a later runner does not obey what was left behind.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Self

from runner.errors import UsageError
from sandbox.owner import Owner

_FILE = "end-after-experiment"


class StopResult(StrEnum):
    """What became of asking."""

    SIGNALLED = "signalled"
    STOPPING_ALREADY = "stopping_already"
    AFTER_EXPERIMENT = "after_experiment"
    NOT_RUNNING = "not_running"


class StopRequest:
    """What `end_after_experiment` of another process leaves for the runner `owner`. Cleared when it begins and ends."""

    def __init__(self, state: Path, owner: Owner) -> None:
        self._path, self._owner = state / _FILE, owner

    def is_made(self) -> bool:
        try:
            return self._path.read_text().strip() == str(self._owner)
        except (OSError, UnicodeDecodeError):
            return False

    def __enter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


class Process:
    """A process that cannot be mistaken for another, to be signalled and waited for. Use as a context manager."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        with suppress(ProcessLookupError):
            self._descriptor = os.pidfd_open(self._owner.pid)
        if self._descriptor is not None and self._owner.dead(engine_is_local=True):
            self.__exit__()  # its number belongs to somebody else
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def interrupt(self) -> StopResult:
        """One SIGINT, unless it has had a signal that ends it: a second one would not let it clear up. Raises
        UsageError for somebody else's process."""
        if self._descriptor is None:
            return StopResult.NOT_RUNNING
        if not _ends_cleanly(self._owner.pid):
            return StopResult.STOPPING_ALREADY
        try:
            signal.pidfd_send_signal(self._descriptor, signal.SIGINT)
        except ProcessLookupError:
            return StopResult.NOT_RUNNING
        except PermissionError as error:
            raise UsageError(
                f"the runner, process {self._owner.pid}, belongs to another user; only that user may stop it"
            ) from error
        return StopResult.SIGNALLED

    def has_ended(self, within_s: float) -> bool:
        """Whether it has ended, at the latest after `within_s` seconds."""
        if self._descriptor is None:
            return True
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLIN)
        return bool(waiting.poll(within_s * 1000))


def end_after_experiment(state: Path, owner: Owner) -> StopResult:
    """Let the runner `owner` finish its present experiment and then end. It looks before it begins another one."""
    temporary = state / f"{_FILE}.new"
    temporary.write_text(f"{owner}\n")
    temporary.replace(state / _FILE)
    return StopResult.AFTER_EXPERIMENT


def _ends_cleanly(pid: int) -> bool:
    """Whether the process still catches SIGINT and SIGTERM: a runner gives a signal's handler back when it has had it
    (runner/cli/signals.py). See SigCgt in proc(5)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt:")), 0)
    return all(caught >> (number - 1) & 1 for number in (signal.SIGINT, signal.SIGTERM))
