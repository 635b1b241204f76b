"""The budget is charged for what was run, however a runner dies between two of the ledger's commits, and for whatever else took time:
no script gets another try for nothing by being changed a little."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulated_run import Proposals, SimulatedRun, source
from runner.protocols import Context, Proposal
from runner.search.loop import TIME_BUDGET_EXHAUSTED
from sandbox.spec import Job, Role


class Killed(BaseException):
    """As good as kill -9: nothing catches it."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("write", ["start_attempt", "spend", "finish_attempt"])
@pytest.mark.parametrize("nth", [1, 3, 4])
def test_what_was_run_is_charged_whatever_was_written_last(
    write: str, when: str, nth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated = SimulatedRun(tmp_path, [source(1.5, "better = 1\n")])
    trained: list[Job] = []
    honest = simulated.engine._behaviour

    def train(job: Job) -> Any:
        trained.append(job)
        return honest(job)

    simulated.engine._behaviour = train
    real, calls = getattr(simulated.ledger, write), 0

    def dies(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and when == "before":
            raise Killed
        answer = real(*arguments, **options)
        if calls == nth:
            raise Killed
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(simulated.ledger, write, dies)
        with pytest.raises(Killed):
            simulated.loop().go()
    simulated.loop().go()

    assert simulated.ledger.run("simulated").spent_s >= len(trained) * simulated.train_s
    assert all(a.outcome is not None for e in simulated.ledger.experiments("simulated") for a in e.attempts)
    assert [e.status for e in simulated.ledger.experiments("simulated")][:2] == ["keep", "keep"]


FAILING = {
    "crashed": "CRASH = True\n",
    "ended early": source(1.0, "REPORTS = [7.0, float('nan'), float('nan'), 7.0]\n"),
    "not better": source(3.0),
}
BUDGET_S = 1000.0


@pytest.mark.parametrize("fate", FAILING)
def test_every_variant_of_a_failed_script_costs_its_time(fate: str, tmp_path: Path) -> None:
    variants = [f"{FAILING[fate]}VARIANT = {number}\n" for number in range(100)]
    simulated = SimulatedRun(tmp_path, variants)
    began = simulated.clock.now
    assert simulated.loop(budget_s=BUDGET_S).go() == TIME_BUDGET_EXHAUSTED
    trained = [job for job in simulated.engine.jobs if job.role is Role.TRAIN]
    assert len(trained) > 3 + 10, "of them three of the baseline"
    spent = simulated.ledger.run("simulated").spent_s
    assert simulated.clock.now - began <= spent <= BUDGET_S
    if fate != "ended early":
        assert spent >= len(trained) * simulated.train_s


def test_a_variant_that_differs_in_no_computation_is_not_trained_again(tmp_path: Path) -> None:
    crash = "CRASH = True\nSEED = 1\n"
    copies = [
        "# again\n" + crash,
        crash.replace(" ", ""),
        crash.replace("1", "2"),
        '"""Once more."""\n' + crash,
    ]
    simulated = SimulatedRun(tmp_path, [crash, *copies, source(1.5)])
    simulated.loop(max_experiments=2).go()
    found = [e.status for e in simulated.ledger.experiments("simulated")]
    assert found == ["keep", "failed", *["rejected"] * 4, "keep"]


class Slow(Proposals):
    """Thinks for a while, and then proposes what was tried before."""

    def __init__(self, simulated: SimulatedRun, seconds: float) -> None:
        super().__init__([])
        self._simulated, self._seconds = simulated, seconds

    def propose(self, context: Context) -> Proposal:
        self._simulated.clock.sleep(self._seconds)
        return Proposal(context.best_source, "the same again")


def test_the_wait_for_a_proposal_that_is_not_trained_is_charged(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [])
    simulated.proposals = Slow(simulated, seconds=150.0)
    assert simulated.loop(budget_s=BUDGET_S).go() == TIME_BUDGET_EXHAUSTED
    assert [e.status for e in simulated.ledger.experiments("simulated")] == ["keep", *["rejected"] * 6]
