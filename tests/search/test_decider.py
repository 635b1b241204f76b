"""Decisions that rest on rows of the ledger."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

from benchmarks.simulated_run import SimulatedRun, source
from runner.scoring.best_script import best_of

GAINS = [source(2.0 - 0.05 * step, f"step = {step}\n") for step in (1, 2, 3)]


def noisy(folder: Path, sources: list[str]) -> SimulatedRun:
    rng = random.Random(5)
    return SimulatedRun(folder, sources, noise=lambda _: rng.gauss(0.0, 0.003))


def test_a_run_that_an_older_version_began_goes_on_from_its_best_script(tmp_path: Path) -> None:
    """Its rows do not say what was expected: what was kept counts as what it scored."""
    first = noisy(tmp_path, GAINS)
    first.loop().go()
    assert best_of(first.ledger, "simulated") is not None
    first.ledger.close()
    with sqlite3.connect(tmp_path / ".autoresearch" / "ledger.db") as db:
        db.execute("UPDATE experiments SET expected_delta = NULL, expected_error = NULL, delta_error = NULL")
        db.execute("DELETE FROM confirmations")
        db.execute("DELETE FROM attempts WHERE confirmation IS NOT NULL")
    worse_than_the_best = [source(1.95, f"later = {n}\n") for n in range(4)]
    later = noisy(tmp_path, [*GAINS, "none", *worse_than_the_best])
    later.loop().go()
    statuses = [e.status for e in later.ledger.experiments("simulated")]
    assert statuses[:4] == ["keep"] * 4
    assert set(statuses[5:9]) == {"discard"}, "better than the baseline, worse than the best"
