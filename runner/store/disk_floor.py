"""Free space on the disks that verbs write to, and the floor below which nothing begins."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from runner.errors import PrerequisiteMissing
from sandbox.engine import Engine, SandboxError

GB = 1e9
GO_ON = "then `autoresearch run --resume` goes on"


def written_folders(engine: Engine, *others: Path) -> list[Path]:
    """The folders that verbs write to: of the machine's temporary files, of the engine's images where those are on this
    machine, and `others`."""
    found = [*others, Path(tempfile.gettempdir())]
    with suppress(SandboxError):
        if (storage := engine.storage()) is not None:
            found.append(storage)
    return found


def least_free(folders: Sequence[Path]) -> tuple[float, Path]:
    """The bytes that are free for this user where there are fewest, and where that is."""
    return min((float(shutil.disk_usage(folder).free), folder) for folder in folders)


def refuse_below_floor(floor_gb: float, folders: Sequence[Path]) -> None:
    """Raises PrerequisiteMissing where a disk has less than `floor_gb` left."""
    free, place = least_free(folders)
    if free < floor_gb * GB:
        raise PrerequisiteMissing(
            f"{free / GB:.1f} GB are free on the disk of {place}, and nothing begins below {floor_gb:g} GB (disk_floor_gb in "
            f"autoresearch.toml): free some space, for example with `autoresearch gc`, {GO_ON}"
        )
