"""One verb at work per workspace, and which process that is.

The lock is the kernel's (flock), which releases it when its holder dies. In a second file the holder records its process
number, start time and boot id, so that another process can ask it to stop and never signals a later process with the same
number.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.errors import UsageError
from sandbox.owner import Owner, parse_owner, this_process

_FILE = "run.lock"
_TRIES, _PAUSE_S = 5, 0.05
"""Whoever looks whether the lock is held holds it for an instant; a runner that starts just then tries again."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who is at work in a workspace, and with which verb."""

    owner: Owner
    verb: str


@contextmanager
def lock(folder: Path, verb: str = "run", *, sleep: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Hold the workspace whose state is in `folder`. Raises UsageError when somebody else does."""
    descriptor = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for tries_left in reversed(range(_TRIES)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if not tries_left:
                    other = holder(folder)
                    raise UsageError(
                        f"another `autoresearch {other.verb if other else 'run'}` is at work in this workspace"
                    ) from None
                sleep(_PAUSE_S)
        _write(descriptor, f"{this_process()} {verb}\n")
        try:
            yield
        finally:
            _write(descriptor, "")
    finally:
        os.close(descriptor)


def locked(folder: Path) -> bool:
    """Whether somebody is at work in this workspace."""
    try:
        descriptor = os.open(folder / _FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def holder(folder: Path) -> Holder | None:
    """Who that is: None when nobody is, or when the process cannot be identified for certain. Does not lock."""
    try:
        owner_label, _, verb = (folder / _FILE).read_text().strip().partition(" ")
    except (OSError, UnicodeDecodeError):
        return None
    owner = parse_owner(owner_label)
    if owner is None or owner.dead(engine_is_local=True):
        return None
    return Holder(owner, verb)


def at_work(folder: Path, *, sleep: Callable[[float], None] = time.sleep) -> Holder | None:
    """Who holds the lock, None when nobody does. Raises UsageError when the holder cannot be identified."""
    for _ in range(_TRIES):  # between taking the lock and writing the name down is a moment
        if not locked(folder):
            return None
        if (found := holder(folder)) is not None:
            return found
        sleep(_PAUSE_S)
    raise UsageError(
        "somebody is at work in this workspace, but the process cannot be identified (an older version, or one in another "
        "container); end it where it was started"
    )


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
