"""Whole runs without containers in which hopeless trainings are ended early."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.display.lines import sentence
from runner.evaluation.compile_check import checked
from runner.protocols import Context, Event, Proposal
from runner.report.write_report import write
from runner.scoring.comparability import comparable_runs
from runner.scoring.early_stopping import far_behind, in_sample
from runner.scoring.stopping_summary import stopping_summary
from runner.search.finished_trainings import FinishedTrainings
from runner.store.experiment_index import ExperimentIndex
from runner.store.ledger import Ledger
from runner.store.records import Experiment
from runner.store.schema import MIGRATIONS
from sandbox.spec import Lease

BASELINE = "SCORE = 2.0\nLOSS = 4.0\na = [1, 2, 3]\n"
SCORES = [2.02, 2.2, 2.1, 2.15, 2.04]
FINISHED = len(SCORES)
"""So many trainings from which something is learned."""


def honest(score: float, extra: str = "") -> str:
    """A script whose reported loss is twice its score."""
    return f"SCORE = {score}\nLOSS = {2 * score}\na = [1, 2, 3]\n{extra}"


LEARNING = [honest(score) for score in SCORES]
HOPELESS = honest(3.0)


class Run(SimulatedRun):
    def __init__(self, folder: Path, sources: list[str], **options: Any) -> None:
        super().__init__(folder, sources, **options)
        self.workspace.script.write_text(BASELINE)
        (self.data / "train" / "meta.json").write_text(json.dumps({"vocab_size": 2000}))

    def experiments(self) -> list[Experiment]:
        return self.ledger.experiments("simulated")


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Run]:
    """Five trainings to learn from, and what a test adds."""
    made = Run(tmp_path / "w", LEARNING)
    yield made
    made.ledger.close()


def go(run: Run, *more: str, **settings: Any) -> list[Experiment]:
    """The experiments after the five."""
    run.proposals.sources = [*LEARNING, *more]
    run.loop(**settings).go()
    return [e for e in run.experiments() if e.number > FINISHED and e.status != "proposer_failed"]


def not_sampled(run: Run, *numbers: int) -> None:
    """The simulated run's seed is 1."""
    assert not any(in_sample(1, number) for number in numbers), "the test needs other numbers"


def test_a_hopeless_training_is_ended_is_not_judged_and_costs_less(night: Run) -> None:
    not_sampled(night, FINISHED + 1)
    (stopped,) = go(night, HOPELESS)
    (attempt,) = stopped.attempts
    assert (stopped.status, stopped.state, stopped.val_bpb) == ("stopped_early", "decided", None)
    assert stopped.reason == attempt.reason == attempt.early_stop == far_behind(0.25)
    assert (attempt.outcome, attempt.val_bpb) == ("stopped_early", None)
    assert attempt.seconds == pytest.approx(60 * 6 / 21)
    assert night.judge.references is not None
    trained = sum(len(e.counted) for e in night.experiments())
    assert len(night.judge.references) == trained + 1, (
        "every training but the stopped, and the baseline's test score"
    )
    spent = night.ledger.run("simulated").spent_s
    assert spent == pytest.approx(60 * trained + attempt.seconds, abs=1.0)
    assert not (attempt.folder / "params.safetensors").exists()
    assert (attempt.folder / "telemetry.jsonl").exists(), "what it reported can be looked at"


def test_what_is_a_little_worse_runs_to_its_end(night: Run) -> None:
    (worse,) = go(night, honest(2.001))
    assert (worse.status, worse.attempts[0].early_stop) == ("discard", "")


def test_nothing_is_ended_before_enough_are_finished(tmp_path: Path) -> None:
    run = Run(tmp_path / "w", [*LEARNING[:4], honest(3.0), honest(3.1), honest(3.2)])
    run.loop().go()
    not_sampled(run, 6, 7)
    assert [e.status for e in run.experiments()][5:8] == ["discard", "stopped_early", "stopped_early"]


def test_the_option_turns_it_off(night: Run) -> None:
    (worse,) = go(night, HOPELESS, early_stopping=False)
    assert worse.status == "discard"
    assert all(job.monitor is None for job in night.engine.jobs)


def test_a_script_that_reports_nothing_runs_to_its_end(night: Run) -> None:
    (silent,) = go(night, "SCORE = 3.0\na = [1, 2, 3]\n")
    assert silent.status == "discard"


def test_a_script_that_lies_is_not_ended_and_gains_nothing(night: Run) -> None:
    (liar,) = go(night, "SCORE = 3.0\nLOSS = 1.0\na = [1, 2, 3]\n")
    assert (liar.status, liar.val_bpb) == ("discard", pytest.approx(3.0, abs=0.01))


def test_a_script_that_reports_another_loss_is_not_ended(night: Run) -> None:
    (winner,) = go(night, "SCORE = 1.5\nLOSS = 30.0\nSTART = 60.0\na = [1, 2, 3]\n")
    assert winner.status == "keep"


def test_other_code_is_compared_with_other_code_alone(night: Run) -> None:
    """What smooths its labels reports a higher loss for the same score; nothing is known of that yet."""
    other = ["SCORE = 1.9\nLOSS = 6.0\na = [1, 2, 3]\ndef smooth(): pass\n"]
    assert [e.status for e in go(night, *other)] == ["keep"]


def test_a_loss_that_is_not_finite_ends_the_first_proposal(tmp_path: Path) -> None:
    reports = [7.6, 7.0, math.nan, math.nan, *[7.0] * 17]
    text = f"nan = float('nan')\nSCORE = 1.0\nREPORTS = {reports}\n"
    run = Run(tmp_path / "w", [text])
    run.loop().go()
    not_sampled(run, 1)
    (attempt,) = run.experiments()[1].attempts
    assert (attempt.outcome, attempt.reason) == ("stopped_early", "its loss is not a finite number")
    assert attempt.seconds == pytest.approx(60 * 4 / 21)


def test_baseline_and_best_script_are_read_along_and_never_ended(tmp_path: Path) -> None:
    """Both report nonsense; the best one is trained again beside what would be kept."""
    nonsense = "a = [1, 2, 3]\nREPORTS = [float('nan')] * 20\n"
    run = Run(tmp_path / "w", [f"SCORE = 1.5\n{nonsense.replace('nan', '1')}", honest(1.0)])
    run.workspace.script.write_text(f"SCORE = 2.0\n{nonsense}")
    run.loop().go()
    assert [e.status for e in run.experiments()[:3]] == ["keep", "keep", "keep"]
    assert len(run.experiments()[0].counted) == 4
    assert all(job.monitor is not None for job in run.engine.jobs if job.role == "train")


def test_a_script_that_has_a_score_is_not_ended_when_it_is_tried_again(night: Run) -> None:
    """Its second training goes wrong, by its own reports."""
    (tried,) = go(night, honest(1.95))
    trainings = FinishedTrainings(1, 60.0, night.data / "train", list)
    gone_wrong = (
        b'{"loss": 7.0, "progress": 0.1}\n{"loss": NaN, "progress": 0.2}\n{"loss": NaN, "progress": 0.3}\n'
    )
    for attempts, ended in (((), True), (tried.attempts, False)):
        again = replace(tried, status="open", attempts=attempts)
        index = ExperimentIndex([*night.experiments()[: FINISHED + 1], again])
        assert bool(trainings.monitor(again, index).see(gone_wrong)) == ended


def test_one_in_ten_runs_to_its_end_and_the_report_says_what_was_missed(night: Run) -> None:
    """The reports of these are wrong: they would have been the best."""
    count = 30
    numbers = range(FINISHED + 1, FINISHED + 1 + count)
    misjudged = [f"SCORE = {1.9 - n / 1000}\nLOSS = {6.0 + n / 100}\na = [1, 2, 3]\n" for n in range(count)]
    found = go(night, *misjudged)
    sampled = [e.number for e in found if e.attempts[0].outcome == "ok"]
    assert sampled[0] == next(number for number in numbers if in_sample(1, number))
    first = night.experiments()[sampled[0]]
    assert (first.status, first.attempts[0].early_stop) == ("keep", far_behind(0.25))
    summary = stopping_summary(night.experiments())
    assert summary.stopped == sum(e.status == "stopped_early" for e in found)
    assert summary.saved_s == pytest.approx(summary.stopped * 60 * 15 / 21)
    assert summary.sampled >= summary.sampled_better >= summary.sampled_kept >= 1
    page = write(night.workspace, night.ledger, "simulated")["report"].read_text()
    assert summary.sentence in page
    assert f"{summary.trainings} trainings, " in page


def test_the_report_of_a_run_that_stopped_nothing_says_only_how_many_an_hour(tmp_path: Path) -> None:
    run = Run(tmp_path / "w", [source(1.9)])
    run.loop().go()
    page = write(run.workspace, run.ledger, "simulated")["report"].read_text()
    assert "6 trainings, 60.0 an hour" in page
    assert "ended early" not in page


def settings(**changes: Any) -> dict[str, Any]:
    config = {"wall_clock": "60s", "variant": "cpu", **changes}
    return {"config": config, "measured_with": {"data": "d", "judge": "3", "device": "cpu"}}


@pytest.mark.parametrize(
    ("before", "now", "learned"),
    [
        (settings(), settings(), True),
        (settings(), settings(wall_clock="5m"), False),
        (
            settings(),
            {**settings(), "measured_with": {**settings()["measured_with"], "device": "H100"}},
            False,
        ),
        ({}, {}, False),
        (
            settings(),
            {**settings(), "measured_with": {**settings()["measured_with"], "data": "other"}},
            False,
        ),
    ],
    ids=["the same", "another wall clock", "another device", "unknown", "other data"],
)
def test_a_run_learns_from_earlier_ones_under_the_same_conditions(
    night: Run, before: dict[str, Any], now: dict[str, Any], learned: bool
) -> None:
    night.ledger.change_settings("simulated", before)
    night.loop().go()
    night.ledger.start_run("later", now=night.clock.time(), seed=1, settings=now)
    runs = comparable_runs(night.ledger, "later")
    assert [len(found) for found in runs] == ([len(night.experiments())] if learned else [])
    assert comparable_runs(night.ledger, "simulated") == []
    later = FinishedTrainings(1, 60.0, night.data / "train", lambda: runs)
    new = replace(night.experiments()[FINISHED], number=1, status="open", attempts=())
    monitor = later.monitor(new, ExperimentIndex([night.experiments()[0], new]))
    said = night.experiments()[0].attempts[0].folder / "telemetry.jsonl"
    hopeless = said.read_bytes().splitlines(keepends=True)[0]
    hopeless += b"".join(b'{"loss": 7.6, "progress": %.2f}\n' % (step / 20) for step in range(1, 10))
    assert bool(monitor.see(hopeless)) == learned


def test_a_compile_check_is_not_read_along(night: Run) -> None:
    """Two steps say nothing of a training."""
    loop = night.loop(max_experiments=1)
    loop.attempts.pipeline = checked(loop.attempts.pipeline, 20.0)
    loop.go()
    jobs = [job for job in night.engine.jobs if job.role == "train"]
    checks = [job for job in jobs if "AUTORESEARCH_COMPILE_CHECK" in job.environment]
    assert checks
    assert all((job.monitor is None) == (job in checks) for job in jobs)


class Killed(BaseException):
    """As kill -9: nothing after it runs."""


ENDS = ["stopped_early", "keep", "stopped_early"]


@pytest.mark.parametrize("moment", range(14))
def test_a_runner_killed_at_any_event_comes_to_the_same_end(moment: int, tmp_path: Path) -> None:
    more = [HOPELESS, honest(1.9), honest(3.5)]
    run = Run(tmp_path / "w", LEARNING)
    run.loop().go()
    run.proposals.sources = ["", *LEARNING, *more]  # the proposer was asked once more, in vain
    seen = 0

    def die(_: Event) -> None:
        nonlocal seen
        seen += 1
        if seen == moment + 1:
            raise Killed

    with pytest.raises(Killed):
        run.loop(emit=die).go()
    run.loop().go()
    found = run.experiments()[FINISHED + 2 :]
    assert [e.status for e in found][:3] == ENDS
    assert all(a.outcome is not None for e in found for a in e.attempts)


def test_a_training_ended_beside_a_stranger_is_made_again(night: Run) -> None:
    """Somebody else's process on the GPU slowed it down: its reports say nothing of the script."""

    class Contended:
        trainings = 0

        def with_contention(self, lease: Lease) -> Lease:
            self.trainings += 1
            return Lease(lease.cpus, lease.gpu_uuid, contended=self.trainings == 1)

    night.loop().go()
    night.proposals.sources = ["", *LEARNING, HOPELESS]
    loop = night.loop()
    stranger = Contended()
    leases = loop.attempts.pipeline.leases
    leases.with_contention = stranger.with_contention  # type: ignore[method-assign]
    loop.go()
    stopped = night.experiments()[FINISHED + 2]
    assert [a.contended for a in stopped.attempts] == [True, False]
    assert stopped.status == "stopped_early"


def test_a_proposer_is_told_that_and_no_number(night: Run) -> None:
    seen: list[Context] = []
    ask = night.proposals.propose

    def propose(context: Context) -> Proposal:
        seen.append(context)
        return ask(context)

    night.proposals.propose = propose  # type: ignore[method-assign]
    go(night, HOPELESS)
    told = seen[-1].history[FINISHED + 1]
    assert (told.status, told.val_bpb, told.delta, told.error) == ("stopped_early", None, None, None)
    assert told.reason == far_behind(0.25)
    assert told.log_tail == ""
    event = next(e for e in night.events if e.kind == "stopped_early")
    assert sentence(event) == f"experiment {FINISHED + 1}: ended early, {far_behind(0.25)}"


def test_an_older_ledger_keeps_its_attempts_and_their_order(tmp_path: Path) -> None:
    path = tmp_path / "w" / ".autoresearch"
    path.mkdir(parents=True)
    db = sqlite3.connect(path / "ledger.sqlite", isolation_level=None)
    before = next(n for n, text in enumerate(MIGRATIONS) if "stopped_early" in text)
    for text in MIGRATIONS[:before]:
        db.executescript(text)
    db.executescript(f"PRAGMA user_version = {before};")
    db.execute("INSERT INTO runs (id, created_at, seed, settings) VALUES ('r', 0, 1, '{}')")
    for number in (0, 1):
        db.execute(
            "INSERT INTO experiments (run, number, title, hypothesis, category, state, created_at)"
            " VALUES ('r', ?, 't', 'h', 'c', 'checked', 0)",
            (number,),
        )
    for number, attempt in ((0, 1), (1, 1), (0, 2)):
        db.execute(
            "INSERT INTO attempts (run, number, attempt, seed, folder, started_at, outcome, val_bpb, log_tail)"
            " VALUES ('r', ?, ?, 5, 'f', 0, 'ok', 1.5, 'said')",
            (number, attempt),
        )
    db.close()
    ledger = Ledger(path / "ledger.sqlite")
    attempts = [(e.number, a) for e in ledger.experiments("r") for a in e.attempts]
    ordered = sorted(attempts, key=lambda item: item[1].order)
    assert [(number, a.attempt) for number, a in ordered] == [(0, 1), (1, 1), (0, 2)]
    assert {(a.outcome, a.val_bpb, a.log_tail, a.early_stop) for _, a in attempts} == {
        ("ok", 1.5, "said", "")
    }
    ledger.close()
