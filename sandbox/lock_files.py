"""Files in a folder of all users that are locked (flock) and never written."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from sandbox.engine import SandboxError


def open_lock(path: Path) -> int:
    """An open descriptor. Raises SandboxError.

    Opened for reading and without O_CREAT first: `fs.protected_regular` forbids O_CREAT on another user's file in
    a sticky folder, and flock needs no right to write.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            lock = os.open(path, flags | os.O_CREAT, 0o666)
            with suppress(PermissionError):  # another user has created it meanwhile
                os.fchmod(lock, 0o666)  # whatever the umask, other users need access
            return lock
    except OSError as error:
        raise SandboxError(
            f"the lock {path} cannot be opened ({error.strerror}); remove it if it is stale"
        ) from error


def try_lock(path: Path) -> int | None:
    """An open descriptor that holds the lock; None if another process holds it."""
    lock = open_lock(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
