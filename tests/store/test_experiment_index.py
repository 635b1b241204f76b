"""The index that a step of the search asks says what going through all experiments would say."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from runner.protocols import Evaluation, EvaluationOutcome
from runner.scoring.repeat_noise import RememberedNoise, claim_noise, noise_floor
from runner.search.recent_experiments import BLOCK, recent
from runner.store.experiment_index import ExperimentIndex
from runner.store.ledger import Ledger

STATUSES = ("open", "keep", "discard", "stopped_early", "failed", "rejected")
OUTCOMES = ("ok", "ok", "ok", "crash", "stopped_early", "infrastructure")


def write(ledger: Ledger, rng: random.Random, folder: Path) -> None:
    """One write of any kind."""
    count = len(ledger.experiments("a"))
    number = rng.randrange(count)
    open_attempts = [
        (e.number, a.attempt) for e in ledger.experiments("a") for a in e.attempts if a.outcome is None
    ]
    kind = rng.choice(["add", "set", "set", "start", "finish", "finish", "confirm", "lose", "event"])
    if kind == "add":
        fingerprint = rng.choice(["", "x", f"{count}"])
        ledger.add_experiment(
            "a", count, now=1.0, title="", hypothesis="", category="", fingerprint=fingerprint
        )
    elif kind == "set":
        status = rng.choice(STATUSES)
        write_status = ledger.decide if status in {"keep", "discard"} else ledger.set_experiment
        write_status("a", number, status=status)
        ledger.set_experiment(
            "a", number, delta=rng.choice([None, rng.gauss(0, 1)]), delta_error=rng.choice([0.1, 0.0])
        )
    elif kind == "start":
        confirmation = rng.choice([None, None, 1])
        ledger.start_attempt(
            "a", number, seed=rng.randrange(4), folder=folder, now=2.0, confirmation=confirmation
        )
    elif kind == "finish" and open_attempts:
        number, attempt = rng.choice(open_attempts)
        outcome = rng.choice(OUTCOMES)
        score = rng.choice([2.0, rng.gauss(2.0, 0.1)]) if outcome == "ok" else None
        evaluation = Evaluation(
            EvaluationOutcome(outcome),
            None,
            score,
            seconds=1.0,
            seed=1,
            train_sha256="",
            params_sha256=None,
            log_tail="",
            folder=folder,
            contended=rng.random() < 0.1,
        )
        ledger.finish_attempt("a", number, attempt, evaluation, now=3.0)
    elif kind == "confirm":
        ledger.start_confirmation("a", candidate=number, reference=0, first_seed=9, most_pairs=2, now=1.0)
        ledger.finish_confirmation(
            "a", len(ledger.confirmations("a")), now=2.0, verdict=rng.choice(["confirmed", "not_confirmed"])
        )
    elif kind == "lose" and rng.random() < 0.3:
        ledger.lose_open_attempts("a", now=4.0)
    elif kind == "event":
        ledger.add_event("a", "x", {}, now=1.0)


@pytest.mark.parametrize("seed", range(5))
def test_it_says_what_an_index_made_afresh_says(seed: int, tmp_path: Path) -> None:
    """Whoever wrote: the runner's own connection, or another one."""
    rng = random.Random(seed)
    ledger, other = Ledger(tmp_path / "ledger.db"), Ledger(tmp_path / "ledger.db")
    ledger.start_run("a", now=1.0, seed=1, settings={})
    ledger.add_experiment("a", 0, now=1.0, title="", hypothesis="", category="")
    remembered = RememberedNoise()
    for _ in range(120):
        for _ in range(rng.randrange(1, 4)):
            write(other if rng.random() < 0.1 else ledger, rng, tmp_path)
        index, all_of_them = ledger.index("a"), Ledger(tmp_path / "ledger.db").experiments("a")
        assert index == ExperimentIndex(all_of_them)
        assert index.all() == ledger.experiments("a") == all_of_them
        assert ledger.confirmations("a") == Ledger(tmp_path / "ledger.db").confirmations("a")
        assert index.open == [e for e in all_of_them if e.status == "open"]
        kept = [e for e in all_of_them if e.status == "keep"]
        assert index.kept == sorted(kept, key=lambda e: e.decision)
        attempts = [a for e in all_of_them for a in e.attempts]
        used = [a for a in attempts if not a.lost or a.confirmation is not None]
        assert (index.attempts, set(index.seeds)) == (len(attempts), {a.seed for a in used})
        assert set(index.finished_seeds) == {a.seed for a in used if a.outcome is not None}
        assert index.confirming == sum(a.confirmation is not None for a in attempts)
        assert index.trained == sum(bool(e.attempts) for e in all_of_them[1:])
        assert set(index.fingerprints) == {e.fingerprint for e in all_of_them if e.fingerprint}
        assert remembered.floor(index.repeated) == noise_floor(all_of_them)
        assert remembered.of_claims(index[0], index.repeated) == claim_noise(all_of_them)
    assert noise_floor(ledger.experiments("a")) is not None, "else nothing was compared"


def test_what_has_changed_is_what_was_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.start_run("a", now=1.0, seed=1, settings={})
    for number in range(3):
        ledger.add_experiment("a", number, now=1.0, title="", hypothesis="", category="")
    before = len(ledger.index("a").changes)
    ledger.set_experiment("a", 1, status="keep")
    ledger.add_experiment("a", 3, now=1.0, title="", hypothesis="", category="")
    assert ledger.index("a").changes[before:] == [1, 3]


def test_decisions_rest_on_all_of_a_run_and_on_a_part_of_a_very_long_one(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.start_run("a", now=1.0, seed=1, settings={})
    lengths = []
    for number in range(3 * BLOCK + 5):
        status = "keep" if number in {0, 40, BLOCK - 3, BLOCK + 2, 2 * BLOCK + 9} else "discard"
        ledger.add_experiment("a", number, now=1.0, title="", hypothesis="", category="")
        ledger.decide("a", number, status=status)
        index = ledger.index("a")
        found = [experiment.number for experiment in recent(index)]
        if number < 2 * BLOCK - 1:
            assert found == [*range(number + 1)]
        else:
            lengths.append(len(found))
            first = found[1]
            assert first % BLOCK == 0
            assert found == [max(e.number for e in index.kept if e.number < first), *range(first, number + 1)]
    assert BLOCK < min(lengths) < max(lengths) == 2 * BLOCK
