"""results.tsv in upstream's five columns, so that its notebook works unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.store.records import Experiment
from sandbox.sanitise import one_line

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are their full-width forms, which some spreadsheets read alike."""
HEADER = ("commit", "val_bpb", "memory_gb", "status", "description")


def write_tsv(path: Path, experiments: Sequence[Experiment]) -> None:
    """A row per decided experiment; what could not be scored is a crash with zeros, as upstream writes it."""
    rows = (_row(e) for e in experiments if e.status != "open")
    lines = ["\t".join(HEADER), *("\t".join(map(harmless, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def harmless(cell: str) -> str:
    """A cell that no spreadsheet reads as a formula: an apostrophe before what could begin one (OWASP, "CSV injection")."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _row(experiment: Experiment) -> tuple[str, ...]:
    commit = (experiment.git_commit or experiment.fingerprint or "0" * 7)[:7]
    title = one_line(experiment.title).replace("\t", " ")
    if experiment.status not in {"keep", "discard"} or experiment.val_bpb is None:
        return commit, "0.000000", "0.0", "crash", f"{title} ({experiment.reason or experiment.status})"
    memory = max((a.memory_bytes or 0 for a in experiment.attempts), default=0) / 1e9
    return commit, f"{experiment.val_bpb:.6f}", f"{memory:.1f}", experiment.status, title
