"""A kept experiment, taken home: found by number, tag or as the best, its files checked, its script put in place.

Everything comes from the attempt that was frozen (its first that counts) and is compared with the ledger before it is
handed over.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import lineage
from runner.errors import NothingEvaluated, PrerequisiteMissing, UsageError
from runner.ledger import Experiment, Ledger
from runner.measured import scores
from runner.road import MODEL, PARAMS
from runner.snapshot import MANIFEST, SCRIPT, VERDICT


@dataclass(frozen=True, slots=True)
class Applied:
    """`backup` holds what was there, where that could be found nowhere else."""

    file: Path
    changed: bool
    backup: Path | None


def find(ledger: Ledger, name: str, run: str | None = None) -> Experiment:
    """The kept experiment that `name` means: a number of the run, a tag of any run, or "best". Raises UsageError,
    NothingEvaluated."""
    if ":" in name:
        every = [e for item in ledger.runs() for e in ledger.experiments(item.id)]
        found = [e for e in every if e.tag == name and e.status == "keep"]
        if not found:
            raise UsageError(
                f"no kept experiment of this workspace has the tag {name}; `autoresearch ls --json` shows tags"
            )
        return found[-1]
    current = ledger.run(run)
    if name == "best":
        kept = [e for e in ledger.experiments(current.id) if e.status == "keep"]
        if not kept:
            raise NothingEvaluated(f"run {current.id} has kept nothing yet")
        return kept[-1]
    if not (name.isascii() and name.isdigit()):
        raise UsageError(f"{name!r} is neither an experiment's number, nor a tag, nor best")
    experiment = ledger.experiment(current.id, int(name))
    if experiment.status != "keep":
        raise UsageError(f"experiment {name} was not kept ({experiment.status}); `autoresearch ls` lists all")
    return experiment


def export(experiment: Experiment, folder: Path, data: Path, data_sha256: str | None) -> dict[str, str]:
    """Write the script, the weights, the graph, the verdict and the manifest of the data set in `data` into the new
    `folder`: SHA-256 by name. `data_sha256` is what the ledger says of that manifest, None where it says nothing. Raises
    UsageError where something is there already, PrerequisiteMissing where a file is not what the ledger says or not there."""
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already; name a new folder")
    first = experiment.measured[0]
    expected = {
        SCRIPT: hashlib.sha256(experiment.source.encode()).hexdigest(),
        PARAMS: first.params_sha256,
        MODEL: None,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as made:
        hashes: dict[str, str] = {}
        for name, known in expected.items():
            hashes[name] = _copy(first.folder / name, Path(made) / name)
            if known is not None and hashes[name] != known:
                raise PrerequisiteMissing(
                    f"{first.folder / name} is not the file that was judged (its SHA-256 differs); nothing was exported"
                )
        hashes[MANIFEST] = _copy(data / MANIFEST, Path(made) / MANIFEST)
        if data_sha256 is not None and hashes[MANIFEST] != data_sha256:
            raise PrerequisiteMissing(
                f"{data} is not the data set of this run (its manifest's SHA-256 differs); nothing was exported"
            )
        verdict = json.dumps(_verdict(experiment, hashes), indent=1) + "\n"
        (Path(made) / VERDICT).write_text(verdict)
        hashes[VERDICT] = hashlib.sha256(verdict.encode()).hexdigest()
        try:
            folder.mkdir()  # fails where somebody was quicker
            for path in sorted(Path(made).iterdir()):
                path.rename(folder / path.name)
        except OSError as error:
            raise UsageError(f"{folder} cannot be made: {error.strerror}") from error
    return hashes


def apply(experiment: Experiment, file: Path, ledger: Ledger, *, force: bool) -> Applied:
    """Make `file` the script of a kept experiment. What is only there is not lost: raises UsageError, or with `force`
    keeps a copy beside it."""
    target, new = file.resolve(), experiment.source.encode()
    if target.is_relative_to(ledger.path.parent.resolve()):
        raise UsageError(f"{file} lies in the folder of the ledger; name a training script")
    if target.exists() and not target.is_file():  # a pipe would be waited for, for ever
        raise UsageError(f"{file} is no regular file; name a training script")
    try:
        old = target.read_bytes() if target.exists() else None
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    if old == new:
        return Applied(target, False, None)
    backup = None
    if old is not None and not _is_elsewhere(old, target, ledger):
        if not force:
            raise UsageError(
                f"{file} holds changes that are neither committed nor in the ledger; commit them, or --force keeps a copy"
            )
        backup = _backup(target, old)
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}-", delete=False) as made:
            made.write(new)
        Path(made.name).chmod(target.stat().st_mode & 0o777 if old is not None else 0o644)
        Path(made.name).replace(target)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error
    return Applied(target, True, backup)


def _copy(source: Path, target: Path) -> str:
    """Copy and hash the same bytes; SHA-256 as hex."""
    digest = hashlib.sha256()
    try:
        with source.open("rb") as read, target.open("wb") as write:
            while block := read.read(1 << 20):
                digest.update(block)
                write.write(block)
    except FileNotFoundError as error:
        raise PrerequisiteMissing(f"{source} is gone; nothing was exported") from error
    return digest.hexdigest()


def _verdict(experiment: Experiment, hashes: dict[str, str]) -> dict[str, Any]:
    return {
        "schema": "autoresearch/export/1",
        "run": experiment.run,
        "experiment": experiment.number,
        "title": experiment.title,
        "val_bpb": experiment.val_bpb,
        "scores": scores(experiment),
        "seeds": [a.seed for a in experiment.measured],
        "delta": experiment.delta,
        "margin": experiment.margin,
        "test_bpb": experiment.test_bpb,
        "tag": experiment.tag,
        "image": experiment.image,
        "commit": experiment.git_commit,
        "sha256": hashes,
    }


def _is_elsewhere(content: bytes, file: Path, ledger: Ledger) -> bool:
    """Whether it is git's HEAD, or the script of some experiment."""
    known = (e.source.encode() for run in ledger.runs() for e in ledger.experiments(run.id))
    return content in known or lineage.committed(file, content)


def _backup(file: Path, content: bytes) -> Path:
    for number in range(1, 10_000):
        copy = file.with_name(f"{file.name}.before-{number}")
        try:
            with copy.open("xb") as made:
                made.write(content)
        except FileExistsError:
            continue
        shutil.copymode(file, copy)
        return copy
    raise UsageError(f"there are too many copies of {file}; move some away")
