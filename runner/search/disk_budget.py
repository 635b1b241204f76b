"""Disk as a budget: how much a run may store, and how much of the disk it must leave free.

Counted are the attempts' folders and what the run's snapshots add to their base image, as far as the engine reports it.
When the run has reached its limit, or a disk has less free space than the floor, no proposal (which may cost money) and no
training starts. The run then ends with a sentence and exit code 3, as on a full disk, and can be resumed when there is space.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner.errors import PrerequisiteMissing
from runner.results.snapshot import PREFIX
from runner.store.free_space import GB, GO_ON, least_free, refuse_below_floor
from sandbox.engine import LABEL, Engine, SandboxError


@dataclass(frozen=True, slots=True)
class DiskBudget:
    """Of one run. `attempts` is the folder of its attempts, `base` the bytes of the image its snapshots are built on."""

    engine: Engine
    run: str
    attempts: Path
    base: int
    folders: Sequence[Path]
    cap_gb: float
    floor_gb: float

    def held(self) -> float:
        """Bytes. Images count as 0 while the engine does not answer."""
        total = float(_size(self.attempts))
        with suppress(SandboxError):
            labels = {f"{LABEL}.image": "snapshot", f"{PREFIX}.run": self.run}
            total += sum(max(image.bytes - self.base, 0) for image in self.engine.images(labels))
        return total

    def check(self) -> None:
        """Raises PrerequisiteMissing when a limit is reached."""
        refuse_below_floor(self.floor_gb, self.folders)
        held = self.held()
        if held >= self.cap_gb * GB:
            raise PrerequisiteMissing(
                f"the run holds {held / GB:.1f} GB, which is all it may (disk_gb = {self.cap_gb:g} in autoresearch.toml): "
                f"raise that, {GO_ON}"
            )

    def facts(self) -> dict[str, float]:
        """For the launch: gigabytes."""
        return {
            "disk_gb": self.cap_gb,
            "disk_floor_gb": self.floor_gb,
            "disk_free_gb": round(least_free(self.folders)[0] / GB, 1),
        }


def _size(folder: Path) -> int:
    """Bytes allocated for its files. A file that is removed meanwhile is not counted."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(where) / name).lstat().st_blocks * 512
    return total
