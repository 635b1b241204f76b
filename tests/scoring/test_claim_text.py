"""The run's closing sentence, from the ledgers of simulated runs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.scoring.claim_text import closing_sentence, few_repeats
from runner.scoring.repeat_noise import Noise


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


@pytest.mark.parametrize(
    ("freedom", "says"),
    [
        (1, "32 times the variation, because only 1 repeat says so far how large it is"),
        (2, "13 times the variation, because only 2 repeats say so far how large it is"),
        (11, "4 times the variation, because only 11 repeats say so far"),
    ],
)
def test_a_smallest_gain_that_is_many_times_the_noise_says_why(freedom: int, says: str) -> None:
    said = few_repeats(Noise(0.018, freedom))
    assert says in said
    assert said.endswith("with 12 repeats a gain of 0.0777 would do.")


def test_where_enough_runs_were_repeated_nothing_needs_to_be_said() -> None:
    assert few_repeats(Noise(0.018, 12)) == ""
    assert few_repeats(Noise(0.0, 1)) == ""


def test_the_reason_follows_the_smallest_gain_in_the_closing_sentence(tmp_path: Path) -> None:
    said = closing(tmp_path, [source(2.5, f"worse = {step}\n") for step in range(3)])
    assert "so two pairs confirm a gain of" in said
    assert "repeats say so far how large it is" in said
