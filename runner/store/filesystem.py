"""Where things lie: paths that survive a move, and file systems that keep no promises."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path

from runner.errors import PrerequisiteMissing

NETWORK_FILE_SYSTEMS = frozenset(
    """
    nfs nfs4 cifs smb3 smbfs lustre 9p ceph beegfs gpfs afs panfs wekafs pvfs2 orangefs gfs2 ocfs2 ncpfs coda davfs
    vboxsf vmhgfs prl_fs fuse.sshfs fuse.glusterfs fuse.ceph fuse.s3fs fuse.gcsfuse fuse.rclone fuse.juicefs fuse.mfs
    fuse.vmhgfs-fuse fuse.davfs2
    """.split()
)
"""As /proc/mounts names them. Locks on them are not ours alone, and SQLite's WAL does not work there."""


_MAX_SQLITE_PATH = 512
"""Bytes: MAX_PATHNAME of SQLite's os_unix.c, which ends in "unable to open database file"."""


def refuse_unopened(path: Path, error: sqlite3.DatabaseError) -> None:
    """Raises PrerequisiteMissing where a database is not damaged but cannot be opened."""
    if len(os.fsencode(path)) + len("-journal") >= _MAX_SQLITE_PATH:
        raise PrerequisiteMissing(
            f"the path of the ledger is {len(os.fsencode(path))} bytes long, and SQLite opens none beyond {_MAX_SQLITE_PATH - 10}: "
            "move the workspace to a shorter one"
        ) from error
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
    }:
        raise PrerequisiteMissing(
            f"the ledger {path} cannot be opened ({error}): only its owner, on a disk that can be written, can use it"
        ) from error


def relative(path: Path, root: Path) -> str:
    """`path` from `root` on where it is inside, else as it is."""
    return str(path.relative_to(root)) if path.is_absolute() and path.is_relative_to(root) else str(path)


def file_system(folder: Path) -> str:
    """The type of the file system `folder` is on, as /proc/mounts has it ("" if unknown)."""
    best, kind = "", ""
    place = str(folder.resolve())
    for line in Path("/proc/mounts").read_text(errors="surrogateescape").splitlines():
        _, mount, name, *_ = line.split(" ")
        mount = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), mount)  # proc(5): blanks as \040
        inside = f"{place}/".startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, name
    return kind
