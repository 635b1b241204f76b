"""A data set while something trains on it: nobody replaces it, and its files stay what they were.

Whoever trains holds a shared lock (flock) on the folder, whoever prepares it anew an exclusive one; the kernel lets go of
both when their holder dies. A file system without such locks is no hindrance: what was hashed before the first training is
known by device, inode, size and times, and looked at again before every later one.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from runner.data.errors import DataError, missing
from runner.data.manifest import load_manifest, require_no_file

Identity = tuple[int, ...]
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL}
_TRIES, _PAUSE_S = 20, 0.1


class DatasetLock:
    """The training split of the data set in `folder`, verified. Raises DataError when it is not what was prepared."""

    _descriptor = -1  # until there is one: what fails to be made is closed, too

    def __init__(self, folder: Path, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.folder = folder.resolve()
        require_no_file(self.folder)
        self._descriptor = _shared(self.folder, sleep)
        try:
            self._seen = self._verified()
        except BaseException:
            self.close()
            raise

    def require_unchanged(self) -> None:
        """Raises DataError when the training split is no longer what it was."""
        for name, identity in self._seen.items():
            try:
                now = _identity((self.folder / name).lstat())
            except OSError:
                now = ()
            if now != identity:
                raise DataError(
                    f"{self.folder / name} was changed while it was in use, so its scores would not compare; "
                    "run `autoresearch data verify`, prepare the data again if it is damaged, and resume"
                )
        self._require_no_more(set(self._seen))

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()

    def _verified(self) -> dict[str, Identity]:
        """The identity of every file of the training split, after its bytes were compared with the manifest."""
        files = {
            name: entry
            for name, entry in load_manifest(self.folder).files.items()
            if name.startswith("train/")
        }
        self._require_no_more(set(files))
        seen = {}
        for name, entry in files.items():
            path = self.folder / name
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
                with open(descriptor, "rb") as file:
                    seen[name] = _identity(os.fstat(descriptor))
                    regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
                    digest = hashlib.file_digest(file, "sha256").hexdigest() if regular else ""
            except OSError:
                digest = ""
            if digest != entry["sha256"]:
                raise DataError(
                    f"{path} is not what was prepared; run `autoresearch data prepare` again before anything is trained on it"
                )
        return seen

    def _require_no_more(self, names: set[str]) -> None:
        found = {f"train/{entry.name}" for entry in os.scandir(self.folder / "train")}
        if more := sorted(found - names):
            raise DataError(
                f"{self.folder / more[0]} is not of this data set, and every candidate could read it: remove it"
            )


def exclusive(folder: Path) -> int:
    """A descriptor that keeps everybody from using `folder` until it is closed. Raises DataError when somebody does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return descriptor
        os.close(descriptor)
        raise DataError(
            f"a run is using the data in {folder}, and it would train on one text and be judged on another: "
            "wait for its end, or prepare to another folder with --out"
        ) from error
    return descriptor


def _shared(folder: Path, sleep: Callable[[float], None]) -> int:
    for tries_left in reversed(range(_TRIES)):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise DataError(missing(folder)) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if _same(descriptor, folder):  # else it was replaced between opening and locking
                return descriptor
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return descriptor
        os.close(descriptor)
        if tries_left:
            sleep(_PAUSE_S)
    raise DataError(f"the data in {folder} is being prepared just now; try again when that is done")


def _same(descriptor: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except OSError:
        return False


def _identity(found: os.stat_result) -> Identity:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
