"""The run's closing sentence, from the ledgers of simulated runs."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks.simulated_run import SimulatedRun, source
from runner.scoring.claim_text import closing_sentence


def closing(folder: Path, sources: list[str]) -> str:
    rng = random.Random(7)
    simulated = SimulatedRun(folder, sources, noise=lambda _: rng.gauss(0.0, 0.002))
    simulated.loop().go()
    ledger = simulated.ledger
    confirmations = ledger.confirmations("simulated")
    said = closing_sentence(ledger.experiments("simulated"), confirmations)
    as_best_reads_it = closing_sentence(
        ledger.kept("simulated"), confirmations, read_repeated=lambda: ledger.repeated("simulated")
    )
    assert as_best_reads_it == said
    return said


def test_a_confirmed_run_says_from_what_to_what_with_interval_and_sealed_test(tmp_path: Path) -> None:
    said = closing(tmp_path, [source(2.0 - 0.05 * step, f"step = {step}\n") for step in (1, 2, 3)])
    assert said.startswith("Experiment 3 against the baseline is confirmed: from ")
    assert "95 % interval" in said
    assert "Sealed test: " in said
    assert "not confirmed" not in said


def test_a_run_without_a_gain_says_that_nothing_is_confirmed(tmp_path: Path) -> None:
    said = closing(tmp_path, [source(2.5, f"worse = {step}\n") for step in range(3)])
    assert said.startswith("Nothing is confirmed.")
    assert "adopted" not in said
