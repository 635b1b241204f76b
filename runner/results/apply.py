"""Puts the script of a kept experiment into a file, without losing what the file held."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runner.errors import UsageError
from runner.results import git_lineage
from runner.store.ledger import Ledger
from runner.store.records import Experiment


@dataclass(frozen=True, slots=True)
class Applied:
    """`backup` holds what was there, where that could be found nowhere else."""

    file: Path
    changed: bool
    backup: Path | None


def apply(experiment: Experiment, file: Path, ledger: Ledger, *, force: bool) -> Applied:
    """Make `file` the script of a kept experiment. What is only there is not lost: raises UsageError, or with `force`
    keeps a copy next to it."""
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


def _is_elsewhere(content: bytes, file: Path, ledger: Ledger) -> bool:
    """Whether it is git's HEAD, or the script of some experiment."""
    return ledger.has_script(hashlib.sha256(content).hexdigest()) or git_lineage.committed(file, content)


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
