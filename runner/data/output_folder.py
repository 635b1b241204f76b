"""The folder that a data set is made in: put there whole or not at all, and never in place of somebody's files."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.data.dataset_lock import exclusive
from runner.data.errors import DataError
from runner.data.manifest import load_manifest

_MARK = ".autoresearch-partial"
_OURS = {"manifest.json", "croissant.json"}


def refuse_foreign_folder(folder: Path, source: Path | None) -> None:
    """Raises DataError when `folder` holds anything that `data prepare` did not put there, or holds or lies in `source`."""
    if source is not None:
        here, there = folder.resolve(), source.resolve()
        if here == there or here in there.parents or (there.is_dir() and there in here.parents):
            raise DataError(
                f"{folder} and its own source {source} lie in one another; name another folder with --out"
            )
    elsewhere = "name another folder with --out"
    if folder.is_symlink() and not folder.exists():
        raise DataError(f"{folder} is a link to nothing; {elsewhere}")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; {elsewhere}")
    if not any(folder.iterdir()):
        return
    try:
        ours = _put_there(folder)
    except DataError:
        raise DataError(
            f"{folder} is not empty, and no data set that `autoresearch data prepare` made; {elsewhere}"
        ) from None
    if (path := _foreign(folder, ours)) is not None:
        raise DataError(
            f"{folder / path} was not put there by `autoresearch data prepare`; move it, or {elsewhere}"
        )


def _put_there(folder: Path) -> set[str]:
    """The files of the data set in `folder`; none in an empty folder. Raises DataError where there is something else."""
    return {*load_manifest(folder).files, *_OURS} if any(folder.iterdir()) else set()


def _foreign(folder: Path, ours: set[str]) -> Path | None:
    """Something in `folder`, from there on, that is none of `ours`."""
    for path in folder.rglob("*"):
        if (path.is_symlink() or not path.is_dir()) and str(path.relative_to(folder)) not in ours:
            return path.relative_to(folder)
    return None


@contextmanager
def turn(folder: Path, progress: Callable[[str], None]) -> Iterator[None]:
    """One `data prepare` at a time for one folder; a second one waits."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(
            folder.parent / f".{folder.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        raise DataError(
            f"{folder.parent} cannot be written ({error.strerror}); name another folder with --out"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            progress(f"another `autoresearch data prepare` is at work on {folder}: waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def partial(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`. It goes when the block ends; what a killed process left goes, too. To be entered in turn."""
    left = re.compile(
        rf"\.{re.escape(folder.name)}\.[a-z0-9_]+\.partial"
    )  # not those of NAME.v2, which may be under way
    for path in folder.parent.iterdir():
        if left.fullmatch(path.name) and (path / _MARK).is_file() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        (made / _MARK).touch()
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def put(made: Path, folder: Path) -> None:
    """Let `made` take the place of `folder`. Modes are set, so that a container's user can read it whatever the umask was.
    Raises DataError when the data in `folder` is in use, or when somebody has put files of their own there meanwhile."""
    for path in [made, *made.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    if not folder.exists():
        (made / _MARK).unlink()
        try:
            made.rename(folder)
        except OSError as error:
            raise DataError(f"{folder} was made by somebody else meanwhile ({error.strerror})") from error
        return
    descriptor = exclusive(folder)
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        (old / _MARK).touch()
        (made / _MARK).unlink()
        folder.rename(old / "replaced")
        try:
            ours = _put_there(old / "replaced")
        except DataError:  # it was empty
            ours = set()
        if (found := _foreign(old / "replaced", ours)) is not None:
            raise DataError(
                f"{folder / found} was put there while the data was being made; move it, or name another folder with --out"
            )
        made.rename(folder)
    finally:
        if not folder.exists() and (old / "replaced").exists():
            (old / "replaced").rename(folder)
        shutil.rmtree(old, ignore_errors=True)
        os.close(descriptor)
