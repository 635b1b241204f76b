"""Exports a kept experiment (a number, a tag or the best): its files are checked and copied into a new folder.

Everything comes from the attempt that was frozen (its first that counts) and is compared with the ledger before it is
handed over.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from runner.errors import PrerequisiteMissing, UsageError
from runner.evaluation.pipeline import MODEL, PARAMS
from runner.results.snapshot import MANIFEST, SCRIPT, VERDICT
from runner.scoring.scores import scores
from runner.store.records import Experiment


def export(experiment: Experiment, folder: Path, data: Path, data_sha256: str | None) -> dict[str, str]:
    """Write the script, the weights, the graph, the verdict and the manifest of the data set in `data` into the new
    `folder`: SHA-256 by name. `data_sha256` is what the ledger says of that manifest, None where it says nothing. Raises
    UsageError where something is there already, PrerequisiteMissing where a file is not what the ledger says or not there."""
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already; name a new folder")
    first = experiment.counted[0]
    expected = {
        SCRIPT: hashlib.sha256(experiment.source.encode()).hexdigest(),
        PARAMS: first.params_sha256,
        MODEL: None,
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-")
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}") from error
    with temporary as made:
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
        "seeds": [a.seed for a in experiment.counted],
        "delta": experiment.delta,
        "delta_error": experiment.delta_error,
        "expected_delta": experiment.expected_delta,
        "test_bpb": experiment.test_bpb,
        "tag": experiment.tag,
        "image": experiment.image,
        "commit": experiment.git_commit,
        "sha256": hashes,
    }
