"""Disk as a budget: how much a run may store, and how much of the disk it must leave free.

Counted are the attempts' folders and what the run's snapshots add to their base image, as far as the engine reports it.
When the run has reached its limit, or a disk has less free space than the floor, no proposal (which may cost money) and no
training starts. The run then ends with a sentence and exit code 3, as on a full disk, and can be resumed when there is space.

A step looks again at the folders of the experiments whose rows have changed, and at the images when another script was kept. Before
a run is ended everything is looked at.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from runner.errors import PrerequisiteMissing
from runner.results.snapshot import PREFIX
from runner.store.disk_floor import GB, GO_ON, least_free, refuse_below_floor
from runner.store.experiment_index import ExperimentIndex
from sandbox.engine import LABEL, Engine, SandboxError


@dataclass(slots=True)
class DiskBudget:
    """Of one run. `attempts` is the folder of its attempts, `base` the bytes of the image its snapshots are built on, `index` asks
    for its experiments as they are now."""

    engine: Engine
    run: str
    attempts: Path
    base: int
    folders: Sequence[Path]
    cap_gb: float
    floor_gb: float
    index: Callable[[], ExperimentIndex]
    _seen: ExperimentIndex | None = field(default=None, init=False)
    _changes: int = field(default=0, init=False)
    _bytes: dict[str, int] = field(default_factory=dict, init=False)
    """By the folder's name."""
    _stored: int = field(default=0, init=False)
    """Their sum."""
    _kept: list[int] | None = field(default=None, init=False)
    _images: float = field(default=0.0, init=False)

    def held(self) -> float:
        """Bytes. Images count as 0 while the engine does not answer."""
        self._seen = self._kept = None
        return self._held()

    def _held(self) -> float:
        """The same, but what has not changed as far as the ledger says is not looked at again."""
        index = self.index()
        if index is not self._seen:
            self._bytes, self._stored = {}, 0
            changed = {folder.name for folder in self.attempts.glob("*")}
        else:
            changed = {f"{number:04d}" for number in index.changes[self._changes :]}
        for name in changed:
            size = _size(self.attempts / name)
            self._stored += size - self._bytes.get(name, 0)
            self._bytes[name] = size
        self._seen, self._changes = index, len(index.changes)
        kept = [experiment.number for experiment in index.kept]
        if kept != self._kept:
            self._images, self._kept = 0.0, None
            with suppress(SandboxError):
                labels = {f"{LABEL}.image": "snapshot", f"{PREFIX}.run": self.run}
                self._images = sum(max(image.bytes - self.base, 0) for image in self.engine.images(labels))
                self._kept = kept
        return self._stored + self._images

    def check(self) -> None:
        """Raises PrerequisiteMissing when a limit is reached."""
        refuse_below_floor(self.floor_gb, self.folders)
        most = self.cap_gb * GB
        if self._held() >= most and (held := self.held()) >= most:
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
