from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.display.lines import sentence
from runner.errors import NothingEvaluated, PrerequisiteMissing
from runner.evaluation.pipeline import POSITIONS
from runner.protocols import REASON_NOISE_TOO_LARGE, Event
from runner.search.loop import NOTHING_MORE
from sandbox.engine import ImageMissing
from sandbox.fake_engine import Point, Script
from sandbox.outcome import Ending
from sandbox.spec import Job, Role

IDEAS = [
    source(1.9, "better = 1\n"),
    source(2.1, "worse = 1\n"),
    "def broken(:\n",
    source(1.9, "CRASH = True\n"),
    source(1.9, "better = 1  # again\n"),
    source(1.8, "best = 1\n"),
]
STATUSES = ["keep", "keep", "discard", "rejected", "failed", "rejected", "keep", "proposer_failed"]


def invariants(simulated: SimulatedRun) -> None:
    """What must hold whatever happened."""
    experiments = simulated.ledger.experiments("simulated")
    assert [e.number for e in experiments] == list(range(len(experiments)))
    kept = [e for e in experiments if e.status == "keep"]
    for experiment in kept:
        assert experiment.image is not None
        assert simulated.engine.image(experiment.image).id == experiment.image
        assert (experiment.counted[0].folder / "params.safetensors").exists()
        assert experiment.git_commit
    scores = [e.val_bpb for e in kept if e.val_bpb is not None]
    assert scores == sorted(scores, reverse=True)
    assert simulated.engine.remnants() == []
    for experiment in experiments:
        assert all(a.outcome is not None for a in experiment.attempts)
        assert len({a.seed for a in experiment.counted}) == len(experiment.counted)


def test_a_night_gives_every_idea_its_verdict(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS)
    reason = simulated.loop().go()
    experiments = simulated.ledger.experiments("simulated")
    assert [e.status for e in experiments] == STATUSES
    assert "nothing more to propose" in reason
    assert experiments[3].reason == "syntax_error"
    assert experiments[5].reason == "duplicate"
    invariants(simulated)


def test_the_lineage_is_on_a_branch_and_the_users_files_are_untouched(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS)
    simulated.loop().go()
    log = subprocess.run(
        ["git", "-C", str(tmp_path), "log", "--format=%s", "autoresearch/simulated"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert log.stdout.split("\n")[:3] == ["idea 5", "idea 0", "baseline"]
    assert "SCORE = 2.0" in simulated.workspace.script.read_text()


class Killed(BaseException):
    """As kill -9: nothing after it runs."""


@pytest.mark.parametrize("moment", range(0, 60, 1))
def test_a_runner_killed_at_any_event_goes_on_and_comes_to_the_same_end(moment: int, tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS)
    seen = 0

    def die(_: Event) -> None:
        nonlocal seen
        seen += 1
        if seen == moment + 1:
            raise Killed

    try:
        simulated.loop(emit=die).go()
    except Killed:
        simulated.loop().go()
    else:
        assert seen <= moment, "the moment was never reached"
    statuses = [e.status for e in simulated.ledger.experiments("simulated")]
    while statuses[-2:] == ["proposer_failed"] * 2:  # asked once more after the end
        statuses.pop()
    assert statuses == STATUSES
    invariants(simulated)


def test_an_attempt_of_a_dead_runner_is_charged_and_not_counted(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS[:1])

    def die(event: Event) -> None:
        if event.kind == "state" and event.data["number"] == 1 and event.data["state"] == "trained":
            raise Killed

    with pytest.raises(Killed):
        simulated.loop(emit=die).go()
    before = simulated.ledger.run("simulated").spent_s
    simulated.loop().go()
    first = simulated.ledger.experiment("simulated", 1)
    assert [a.outcome for a in first.attempts] == ["infrastructure", "ok", "ok"]
    assert len(first.counted) == 2  # a winner has to win twice
    assert simulated.ledger.run("simulated").spent_s >= before + 60 + 60


def test_what_would_be_kept_is_compared_with_the_best_as_it_scores_now(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS)
    simulated.loop().go()
    experiments = simulated.ledger.experiments("simulated")
    for best, winner in ((experiments[0], experiments[1]), (experiments[1], experiments[6])):
        again = best.counted[-1]
        assert winner.counted[1].order < again.order, "not asked for before the winner won twice"
        assert (best.status, best.state) == ("keep", "decided")
    assert len(experiments[0].counted) == 3 + 1, "losers ask for nothing"


def test_a_machine_that_grew_quieter_is_no_gain(tmp_path: Path) -> None:
    """The baseline met a busy hour; afterwards everything is better by ten standard deviations, whatever is tried."""
    trained: list[int] = []

    def noise(seed: int) -> float:
        trained.append(seed)
        return (seed % 7 - 3) * 1e-4 + (2e-3 if len(trained) <= 3 else 0.0)

    simulated = SimulatedRun(
        tmp_path, [source(2.0, f"a = [1, 2, 3]\nname{number} = 1\n") for number in range(20)], noise=noise
    )
    simulated.loop().go()
    assert [e.number for e in simulated.ledger.experiments("simulated") if e.status == "keep"] == [0]


def test_without_budget_for_the_comparison_nothing_is_kept_and_a_resumed_run_makes_it(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS[:1])
    simulated.loop(budget_s=5 * 70.0).go()
    assert simulated.ledger.experiment("simulated", 1).status == "open"
    assert len(simulated.ledger.experiment("simulated", 1).counted) == 2
    simulated.loop().go()
    assert simulated.ledger.experiment("simulated", 1).status == "keep"
    invariants(simulated)


def test_an_engine_failure_is_retried_and_never_charged_to_the_idea(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS[:1])
    simulated.engine.inject(Point.RUNNING, Ending.ENGINE_FAILED)
    simulated.loop().go()
    assert [e.status for e in simulated.ledger.experiments("simulated")] == [
        "keep",
        "keep",
        "proposer_failed",
    ]
    assert simulated.ledger.experiment("simulated", 0).attempts[0].outcome == "infrastructure"
    assert len(simulated.ledger.experiment("simulated", 0).counted) == 3 + 1  # once more beside the winner


def test_an_engine_that_stays_down_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS)
    for _ in range(3):
        simulated.engine.inject(Point.START, Ending.ENGINE_FAILED)
    with pytest.raises(PrerequisiteMissing, match="--resume"):
        simulated.loop().go()


def test_a_pruned_image_is_built_again(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS[:1])
    simulated.loop().go()
    image = simulated.ledger.experiment("simulated", 1).image
    assert image is not None
    simulated.engine.remove_image(image)
    with pytest.raises(ImageMissing):
        simulated.engine.image(image)
    simulated.loop().go()
    invariants(simulated)


def test_no_experiment_starts_that_cannot_finish(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [source(2.0 - i / 10, f"x{i} = 1\n") for i in range(1, 20)])
    assert simulated.loop(budget_s=400.0).go() == "budget"
    assert simulated.ledger.run("simulated").spent_s <= 400.0
    assert len(simulated.ledger.experiments("simulated")) < 8


def test_max_experiments_does_not_count_the_baseline(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS)
    assert simulated.loop(max_experiments=2).go() == "all experiments done"
    assert len(simulated.ledger.experiments("simulated")) == 3


def test_a_baseline_that_cannot_be_scored_ends_the_run(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS)
    simulated.workspace.script.write_text("CRASH = True\nSCORE = 1.0\n")
    for _ in range(2):  # at once, and when it is resumed
        with pytest.raises(NothingEvaluated, match="crash"):
            simulated.loop().go()
    assert len(simulated.ledger.experiment("simulated", 0).attempts) == 1


def test_within_the_noise_is_retested_with_fresh_seeds_and_not_kept(tmp_path: Path) -> None:
    simulated = SimulatedRun(
        tmp_path, [source(1.9999, "tiny = [1, 2, 4]\n")], noise=lambda seed: (seed % 101 - 50) * 1e-4
    )
    simulated.loop().go()
    experiment = simulated.ledger.experiment("simulated", 1)
    assert experiment.status == "discard"
    assert len({a.seed for a in experiment.attempts}) == len(experiment.attempts)


def test_a_script_is_judged_beside_the_losses_of_the_best_one(tmp_path: Path) -> None:
    simulated = SimulatedRun(
        tmp_path, [source(1.9, "better = 1\n"), source(2.1, "worse = 1\n")], noise=lambda _: 0.0
    )
    simulated.loop().go()
    baseline, better, worse = (simulated.ledger.experiments("simulated")[n] for n in (0, 1, 2))

    seen = simulated.judge.references
    assert seen is not None
    assert seen[:3] == [None] * 3, "the baseline has nothing beside it"
    assert {round(nats, 3) for nats in seen if nats is not None} == {2.0, 1.9}
    for attempt in (baseline.counted[0], better.counted[0]):
        assert (attempt.folder / POSITIONS).stat().st_mode & 0o777 == 0o600
    assert not any((attempt.folder / POSITIONS).exists() for attempt in worse.attempts)


def test_a_run_does_not_end_with_an_experiment_left_open_without_saying_so(tmp_path: Path) -> None:
    """Room for the baseline and one training of an idea that needs a second."""
    simulated = SimulatedRun(tmp_path, [source(1.9, "tiny = 1\n")])
    assert simulated.loop(budget_s=4 * 70.0).go() == "budget"
    assert simulated.ledger.experiment("simulated", 1).status == "open"
    assert [e.data["number"] for e in simulated.events if e.kind == "left_open"] == [1]
    assert "left open" in sentence(simulated.events[-1])


class CutShort(SimulatedRun):
    """The nth trainings in `busy` end at the wall clock with nothing to judge."""

    busy: tuple[int, ...] = ()
    trained = 0

    def train(self, job: Job) -> Script:
        if job.role is Role.TRAIN:
            self.trained += 1
            if self.trained in self.busy:
                return Script(ending=Ending.TIMED_OUT, exit_code=137)
        return super().train(job)


def test_one_baseline_training_that_a_busy_machine_cut_short_does_not_end_the_run(tmp_path: Path) -> None:
    simulated = CutShort(tmp_path, IDEAS[:1])
    simulated.busy = (1, 3)
    assert simulated.loop().go() == NOTHING_MORE
    baseline = simulated.ledger.experiment("simulated", 0)
    assert [a.outcome for a in baseline.attempts][:5] == [
        "timeout_no_artifact",
        "ok",
        "timeout_no_artifact",
        "ok",
        "ok",
    ]
    assert [e.data["left"] for e in simulated.events if e.kind == "cut_short"] == [1, 0]


def test_a_baseline_that_never_fits_into_its_wall_clock_does(tmp_path: Path) -> None:
    simulated = CutShort(tmp_path, IDEAS[:1])
    simulated.busy = (1, 2, 3)
    with pytest.raises(NothingEvaluated, match="timeout_no_artifact"):
        simulated.loop().go()
    assert len(simulated.ledger.experiment("simulated", 0).attempts) == 3


def test_where_the_noise_is_larger_than_the_score_nothing_is_decided_and_no_margin_is_shown(
    tmp_path: Path,
) -> None:
    """Three baselines 0.5 apart ask for more than ten bits per byte: neither a gain nor a simplification can be judged."""
    shorter = "SCORE = 2.0\n"
    simulated = SimulatedRun(tmp_path, [shorter], noise=lambda seed: (seed % 7 - 3) / 4)
    simulated.loop().go()
    experiment = simulated.ledger.experiment("simulated", 1)
    assert (experiment.status, experiment.reason) == ("discard", REASON_NOISE_TOO_LARGE)
    decided = next(e for e in simulated.events if e.kind == "decided")
    assert REASON_NOISE_TOO_LARGE in sentence(decided)
    assert "beyond" not in sentence(decided)
