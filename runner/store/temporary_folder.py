"""A folder for the files of one verb. It goes when the verb ends; what a killed one left goes when the next one begins, or
with `autoresearch gc`: what a script was judged on may be among it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.owner import parse_owner, this_process

_PREFIX = "autoresearch-"
_OWNER = "owner"


@contextmanager
def scratch(verb: str) -> Iterator[Path]:
    """A new folder below the machine's folder for temporary files, which containers may enter."""
    for folder in abandoned():
        shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{verb}-") as name:
        folder = Path(name)
        (folder / _OWNER).write_text(f"{this_process()}\n")
        folder.chmod(0o755)
        yield folder


def abandoned() -> list[Path]:
    """Folders of our user's whose process is gone for certain."""
    return [path for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/") if _is_abandoned(path)]


def _is_abandoned(folder: Path) -> bool:
    try:
        if folder.is_symlink() or folder.lstat().st_uid != os.getuid():
            return False
        owner = parse_owner((folder / _OWNER).read_text().strip())
    except (OSError, UnicodeDecodeError):
        return False
    return owner is not None and owner.uid == os.getuid() and owner.dead(engine_is_local=True)
