"""What a workspace no longer needs: weights of scripts that were not kept, what judging left, images nobody refers to.

Only while nothing is at work here (the caller holds the lock). A kept row needs the files of its first attempt that counts
and the losses per document of all; those stay, and so does everything of an open experiment. An image goes only when the
ledger has the script it was made of and no other name than ours points to it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.evaluation.pipeline import JUDGING_FOLDERS, MODEL, PARAMS, POSITIONS
from runner.results.snapshot import PREFIX
from runner.store.copied_workspace import other_home
from runner.store.ledger import Ledger
from runner.store.records import Attempt, Experiment
from runner.store.temporary_folder import abandoned
from sandbox.engine import LABEL, Engine, Image

WEIGHTS = (PARAMS, MODEL, "clock.f64", POSITIONS)


@dataclass(frozen=True, slots=True)
class Freed:
    """`kind` is weights, scratch or image; `bytes` is 0 for an image, which shares most of its own."""

    kind: str
    name: str
    bytes: int


def remove_unneeded_files(ledger: Ledger, *, dry_run: bool) -> list[Freed]:
    """Of every run of the ledger."""
    freed = []
    for run in ledger.runs():
        for experiment in ledger.experiments(run.id):
            for kind, path in _unwanted(experiment):
                freed.append(Freed(kind, str(path), _size(path)))
                if not dry_run:
                    shutil.rmtree(path) if kind == "scratch" else path.unlink()
    return freed


def remove_unneeded_images(ledger: Ledger, engine: Engine, *, dry_run: bool) -> list[Freed]:
    """Raises SandboxError."""
    freed = []
    for run in ledger.runs():
        if other_home(ledger.path, run.id, run.settings) is not None:
            continue  # a copy's: what the run has kept since is written down there
        experiments = ledger.experiments(run.id)
        for image in engine.images({f"{LABEL}.image": "snapshot", f"{PREFIX}.run": run.id}):
            if _unneeded(image, run.id, experiments):
                freed.append(Freed("image", image.tags[0] if image.tags else image.id, 0))
                if not dry_run:
                    engine.remove_image(image.id)
    return freed


def remove_abandoned_folders(*, dry_run: bool) -> list[Freed]:
    """What killed verbs of this user left outside of any workspace."""
    freed = []
    for folder in abandoned():
        freed.append(Freed("scratch", str(folder), _size(folder)))
        if not dry_run:
            shutil.rmtree(folder, ignore_errors=True)
    return freed


def remove_unneeded_weights(experiment: Experiment) -> None:
    """Remove the weights that nobody will ask for: all of a script that failed or was discarded, and of any other those of
    all attempts but the first that counts, which the snapshot, `export` and `reproduce` are made of."""
    for attempt in _without_need_of_weights(experiment):
        for name in WEIGHTS:
            (attempt.folder / name).unlink(missing_ok=True)


def _without_need_of_weights(experiment: Experiment) -> list[Attempt]:
    needed = experiment.counted[:1] if experiment.kept or experiment.status == "open" else ()
    return [a for a in experiment.attempts if a.outcome is not None and a not in needed]


def _unwanted(experiment: Experiment) -> Iterator[tuple[str, Path]]:
    for attempt in experiment.attempts:
        for name in JUDGING_FOLDERS:
            if (path := attempt.folder / name).is_dir() and not path.is_symlink():
                yield "scratch", path
    for attempt in _without_need_of_weights(experiment):
        for name in WEIGHTS:
            if (path := attempt.folder / name).is_file() and not path.is_symlink():
                yield "weights", path


def _unneeded(image: Image, run: str, experiments: list[Experiment]) -> bool:
    kept = [e for e in experiments if e.kept]
    if image.id in {e.image for e in kept} or any(
        not e.image for e in kept
    ):  # one that is not yet written down
        return False
    scripts = {(str(e.number), e.source_sha256) for e in experiments}
    facts = (image.labels.get(f"{PREFIX}.experiment"), image.labels.get(f"{PREFIX}.train-sha256"))
    return facts in scripts and all(tag.startswith(f"autoresearch/{run}:") for tag in image.tags)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.lstat().st_size for file in files if file.is_file())
