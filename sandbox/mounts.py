"""Creates what is mounted into containers with the right modes, and checks it before the mount.

A container's user does not exist on the host, so its inputs must be readable by others, independent of the caller's umask. (A
umask of 077 while data were prepared once looked like a crashing script, 027 in a run like an invalid model.) What other users of
the machine must not see is in a folder that is closed to them: the engine mounts by path and needs no access there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from sandbox.spec import Mount

_MAX_ENTRIES = 10_000
"""Largest number of files checked per mount. Ours have some dozens; a folder of a million files would delay every training."""


def make_folder(path: Path) -> None:
    """Create a folder that a container may enter and list, whatever the umask."""
    path.mkdir()
    path.chmod(0o755)


def write_file(path: Path, content: bytes) -> None:
    """Write a file that a container may read, whatever the umask."""
    path.write_bytes(content)
    path.chmod(0o644)


def unreadable(mounts: Iterable[Mount]) -> str:
    """Why a container cannot read a mount, in one sentence; empty if it can."""
    for mount in mounts:
        try:
            str(mount.source.resolve()).encode()
        except UnicodeEncodeError:
            return f"the path {str(mount.source)!r} is not UTF-8, and an engine accepts no other: move it to one that is"
        for count, path in enumerate(_entries(mount.source)):
            if count >= _MAX_ENTRIES:
                break
            if path.is_symlink() and path != mount.source:  # a link is resolved inside the container
                continue
            try:
                mode = path.stat().st_mode
            except OSError as error:
                return f"{path}, which a container is to read, cannot be found: {error.strerror}"
            needed = 0o005 if stat.S_ISDIR(mode) else 0o004
            if mode & needed != needed and not _has_acl(path):
                return (
                    f"a container cannot read {path} (mode {stat.S_IMODE(mode):04o}, its user is none of this machine): "
                    f"`chmod -R a+rX {mount.source}` opens it"
                )
    return ""


def _entries(source: Path) -> Iterator[Path]:
    yield source
    if source.is_dir():
        for folder, folders, files in os.walk(source):
            yield from (Path(folder) / name for name in (*folders, *files))


def _has_acl(path: Path) -> bool:
    """Whether it has an ACL with more entries than the mode shows (acl(5)); then the mode is not conclusive."""
    try:
        return "system.posix_acl_access" in os.listxattr(path)
    except OSError:
        return False
