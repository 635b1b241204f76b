from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.display.lines import sentence
from runner.errors import NothingEvaluated, PrerequisiteMissing
from runner.evaluation.pipeline import POSITIONS
from runner.protocols import REASON_NOISE_TOO_LARGE, Event
from runner.search.endings import NOTHING_MORE
from runner.search.seeds import common_seed
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
    deciding = [a.outcome for a in first.attempts if a.confirmation is None]
    assert deciding == ["infrastructure", "ok"]
    assert simulated.ledger.run("simulated").spent_s >= before + 60 + 60


def test_every_script_meets_the_same_seeds_in_the_same_order(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS)
    simulated.loop().go()
    experiments = simulated.ledger.experiments("simulated")
    baseline = [a.seed for a in experiments[0].attempts]
    assert [common_seed(1, index) for index in range(3)] == baseline[:3]
    assert experiments[1].attempts[0].seed == baseline[2], "the newest that the best script ran with"
    assert experiments[2].attempts[0].seed in {a.seed for a in experiments[1].attempts}


def test_a_machine_that_grew_quieter_is_no_claim(tmp_path: Path) -> None:
    """The baseline met a busy hour; afterwards everything is better by ten standard deviations, whatever is tried."""
    trained: list[int] = []

    def noise(seed: int) -> float:
        trained.append(seed)
        return (seed % 7 - 3) * 1e-4 + (2e-3 if len(trained) <= 3 else 0.0)

    simulated = SimulatedRun(
        tmp_path, [source(2.0, f"a = [1, 2, 3]\nname{number} = 1\n") for number in range(20)], noise=noise
    )
    simulated.loop().go()
    claims = simulated.ledger.confirmations("simulated")
    assert claims, "what looks like a gain is put to the test"
    assert {c.verdict for c in claims} == {"not_confirmed"}


def test_where_the_budget_allows_no_other_run_an_idea_is_decided_by_those_it_had(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, IDEAS[:1])
    assert simulated.loop(budget_s=4 * 70.0).go() == "budget"
    experiment = simulated.ledger.experiment("simulated", 1)
    assert (experiment.status, len(experiment.counted)) == ("keep", 1)
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
    baseline = simulated.ledger.experiment("simulated", 0)
    assert len([a for a in baseline.counted if a.confirmation is None]) == 3


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


def test_what_is_believed_of_a_gain_is_less_than_what_was_measured(tmp_path: Path) -> None:
    rng = random.Random(1)
    simulated = SimulatedRun(
        tmp_path, [source(1.9995, "tiny = [1, 2, 4]\n")], noise=lambda _: rng.gauss(0.0, 5e-4)
    )
    simulated.loop(max_experiments=1).go()
    experiment = simulated.ledger.experiment("simulated", 1)
    assert experiment.expected_delta is not None
    assert experiment.delta is not None
    assert experiment.delta < experiment.expected_delta < 0, "the best of many is partly lucky"
    assert experiment.better is not None
    assert 0.5 < experiment.better < 1


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
    """Room for the baseline and one training of an idea, in which the engine fails."""
    simulated = SimulatedRun(tmp_path, [source(1.9, "tiny = 1\n")])

    def fail(event: Event) -> None:
        simulated.events.append(event)
        if event.kind == "proposed":
            simulated.engine.inject(Point.RUNNING, Ending.ENGINE_FAILED)

    assert simulated.loop(budget_s=4 * 70.0, emit=fail).go() == "budget"
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


def test_where_the_noise_is_larger_than_the_score_nothing_is_decided(
    tmp_path: Path,
) -> None:
    """Baselines half a bit per byte apart: neither a gain nor a simplification can be judged."""
    shorter, rng = "SCORE = 2.0\n", random.Random(3)
    simulated = SimulatedRun(tmp_path, [shorter], noise=lambda _: rng.gauss(0.0, 0.6))
    simulated.loop().go()
    experiment = simulated.ledger.experiment("simulated", 1)
    assert (experiment.status, experiment.reason) == ("discard", REASON_NOISE_TOO_LARGE)
    decided = next(e for e in simulated.events if e.kind == "decided")
    assert REASON_NOISE_TOO_LARGE in sentence(decided)
    assert "probability" not in sentence(decided)
