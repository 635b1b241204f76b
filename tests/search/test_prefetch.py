from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.simulated_run import Clock, SimulatedRun, source
from runner.parsing.client import shared
from runner.protocols import Context, Edit, Proposal
from runner.search.background import Start, T, in_thread
from runner.search.prefetch import Prefetch, rebased

MODEL_S, TRAIN_S = 60.0, 300.0


class SlowModel:
    """Thinks for a minute on the run clock; every idea is a little worse than the best."""

    name = "slow"

    def __init__(self, clock: Clock, *, can_be_prefetched: bool) -> None:
        self.clock, self.can_be_prefetched = clock, can_be_prefetched
        self.open_when_asked: list[int] = []

    def propose(self, context: Context) -> Proposal:
        self.open_when_asked.append(sum(past.status == "open" for past in context.history))
        self.clock.sleep(MODEL_S)
        return Proposal(source(2.1, f"idea{context.number} = 1\n"), f"idea {context.number}")


def beside(clock: Clock) -> Start:
    """What runs beside the caller takes its time from a clock of its own; waiting ends when the later of both has come."""

    def start(work: Callable[[], T]) -> Callable[[], T]:
        began = clock.now
        result = work()
        done, clock.now = clock.now, began

        def wait() -> Proposal:
            clock.now = max(clock.now, done)
            return result

        return wait

    return start


def busy(folder: Path, *, can_be_prefetched: bool) -> float:
    simulated = SimulatedRun(folder, [])
    simulated.train_s = TRAIN_S
    model = SlowModel(simulated.clock, can_be_prefetched=can_be_prefetched)
    simulated.proposals = model  # type: ignore[assignment]
    began = simulated.clock.now
    simulated.loop(start=beside(simulated.clock), max_experiments=20).go()
    trained = sum(len(e.attempts) for e in simulated.ledger.experiments("simulated")) * TRAIN_S
    return trained / (simulated.clock.now - began)


def test_with_a_slow_model_the_device_is_busy_all_the_same(tmp_path: Path) -> None:
    assert busy(tmp_path / "one", can_be_prefetched=True) >= 0.97
    assert busy(tmp_path / "two", can_be_prefetched=False) < 0.90


def test_no_proposal_is_asked_for_that_could_not_be_trained(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [])
    model = SlowModel(simulated.clock, can_be_prefetched=True)
    simulated.proposals = model  # type: ignore[assignment]
    simulated.loop(start=beside(simulated.clock), max_experiments=3).go()
    assert model.open_when_asked == [0, 1, 1]


def test_no_proposal_is_paid_for_when_the_time_for_it_is_gone(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [])
    model = SlowModel(simulated.clock, can_be_prefetched=True)
    simulated.proposals = model  # type: ignore[assignment]
    simulated.loop(start=beside(simulated.clock), budget_s=330.0).go()
    assert len(simulated.ledger.experiments("simulated")) == 2
    assert model.open_when_asked == [0]


EDIT = Edit("LR = 1", "LR = 2")
THEN = Context("", "LR = 1\nW = 3\n", 2.0, None, best_number=4)


@pytest.mark.parametrize(
    ("proposal", "becomes"),
    [
        (Proposal("LR = 2\nW = 3\n", "t", edits=(EDIT,)), "LR = 2\nW = 5\n"),
        (Proposal("LR = 2\nW = 4\n", "t", edits=(EDIT, Edit("W = 3", "W = 4"))), None),
        (Proposal("whole = 1\n", "a whole file"), None),
        (Proposal("whole = 1\n", "repair 1 of #5: t", parent=4), None),
        (Proposal("whole = 1\n", "from elsewhere", parent=2), "whole = 1\n"),
    ],
)
def test_a_proposal_made_on_an_older_best_is_applied_to_the_new_one_or_dropped(
    proposal: Proposal, becomes: str | None
) -> None:
    found = rebased(proposal, THEN, 5, "LR = 1\nW = 5\n", shared())
    assert (found.source if found else None) == becomes
    assert rebased(proposal, THEN, 4, THEN.best_source, shared()) is proposal


def test_a_dropped_proposal_is_an_event_and_another_is_asked_for(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [])

    class Whole(SlowModel):
        def propose(self, context: Context) -> Proposal:
            self.open_when_asked.append(context.number)
            return Proposal(source(1.9 - context.number / 10, f"i{len(self.open_when_asked)} = 1\n"), "whole")

    simulated.proposals = Whole(simulated.clock, can_be_prefetched=True)  # type: ignore[assignment]
    simulated.loop(start=beside(simulated.clock), max_experiments=3).go()
    assert [e.status for e in simulated.ledger.experiments("simulated")] == ["keep"] * 4
    assert sum(event.kind == "dropped" for event in simulated.events) == 2


def test_a_thread_really_runs_beside_and_what_it_raises_is_raised_on_waiting() -> None:
    gate = threading.Event()

    def work() -> Proposal:
        assert gate.wait(10)
        return Proposal("x = 1\n", "t")

    wait = in_thread(work)
    gate.set()
    assert wait().title == "t"

    def broken() -> Proposal:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        in_thread(broken)()


def test_only_one_proposal_is_under_way() -> None:
    class Model:
        name, can_be_prefetched = "m", True

        def propose(self, context: Context) -> Proposal:
            return Proposal("x = 1\n", "t")

    prefetch = Prefetch(Model())
    assert prefetch.wanted
    prefetch.ask(THEN)
    assert not prefetch.wanted
    assert prefetch.oldest() is not None
    assert prefetch.oldest() is None
