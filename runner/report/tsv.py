"""results.tsv in upstream's five columns, so that its notebook works unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.ledger import Experiment
from sandbox.text import one_line

HEADER = ("commit", "val_bpb", "memory_gb", "status", "description")


def write_tsv(path: Path, experiments: Sequence[Experiment]) -> None:
    """A row per decided experiment; what could not be scored is a crash with zeros, as upstream writes it."""
    lines = ["\t".join(HEADER), *("\t".join(_row(e)) for e in experiments if e.status != "open")]
    path.write_text("\n".join(lines) + "\n")


def _row(experiment: Experiment) -> tuple[str, ...]:
    commit = (experiment.git_commit or experiment.fingerprint or "0" * 7)[:7]
    title = one_line(experiment.title).replace("\t", " ")
    if experiment.status not in {"keep", "discard"} or experiment.val_bpb is None:
        return commit, "0.000000", "0.0", "crash", f"{title} ({experiment.reason or experiment.status})"
    memory = max((a.memory_bytes or 0 for a in experiment.attempts), default=0) / 1e9
    return commit, f"{experiment.val_bpb:.6f}", f"{memory:.1f}", experiment.status, title
