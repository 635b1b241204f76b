"""Somebody sets the clock of the machine back by a day in the middle of the run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "search"))
from benchmarks.simulated_run import SimulatedRun, source
from runner.protocols import Event
from sandbox.reaper import Reaper

DAY_S = 86_400.0
IDEAS = [source(1.9, "better = 1\n"), source(2.1, "worse = 1\n"), source(1.8, "best = 1\n")]


def jumping(simulated: SimulatedRun, jump_s: float) -> None:
    """The wall clock is off by `jump_s` from experiment 1 on; the monotonic clock knows nothing of it."""
    clock, off = simulated.clock, [0.0]
    monotonic = clock.monotonic
    clock.time = lambda: monotonic() + off[0]  # type: ignore[method-assign]

    def emit(event: Event) -> None:
        simulated.events.append(event)
        if event.kind == "proposed" and event.data["number"] == 1:
            off[0] = jump_s

    simulated.emit = emit  # type: ignore[attr-defined]


@pytest.mark.parametrize("jump_s", [-DAY_S, DAY_S])
def test_the_run_comes_to_the_same_end_and_the_budget_is_charged_what_really_passed(
    tmp_path: Path, jump_s: float
) -> None:
    usual, jumped = SimulatedRun(tmp_path / "a", IDEAS), SimulatedRun(tmp_path / "b", IDEAS)
    usual.loop().go()
    jumping(jumped, jump_s)
    jumped.loop(emit=jumped.emit).go()  # type: ignore[attr-defined]
    ours, theirs = (simulated.ledger.experiments("simulated") for simulated in (jumped, usual))
    assert [e.status for e in ours] == [e.status for e in theirs]
    assert jumped.ledger.run("simulated").spent_s == usual.ledger.run("simulated").spent_s
    assert jumped.engine.remnants() == []


def test_a_clock_set_back_takes_nobodys_containers_away(tmp_path: Path) -> None:
    """A deadline is unix seconds: set back, it only comes later; the owner's death still counts."""
    assert Reaper(None, 0)._why(_living(tmp_path, 100.0), 100.0 - DAY_S, None) is None


def _living(folder: Path, deadline: float):  # type: ignore[no-untyped-def]
    from sandbox.engine import Remnant
    from sandbox.owner import this_process

    return Remnant("container", "c", "c", str(this_process()), deadline, "r", "train")
