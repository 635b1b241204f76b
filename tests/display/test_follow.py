"""Whoever watches follows the runner that is at work, never what an earlier one wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun
from runner.display.follow import find, follow
from runner.errors import NotRunning
from runner.store.workspace_lock import lock
from sandbox.owner import this_process


def launched(simulated: SimulatedRun, owner: str) -> None:
    simulated.ledger.add_event("simulated", "launch", {"owner": owner, "budget_s": 1.0}, now=1.0)


def test_an_earlier_runners_launch_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    simulated, mine = SimulatedRun(tmp_path, []), this_process()
    launched(simulated, str(replace(mine, start_time=mine.start_time - 1)))
    waited: list[float] = []

    def begins(seconds: float) -> None:
        waited.append(seconds)
        launched(simulated, str(mine))

    with lock(simulated.workspace.state):
        watched = find(simulated.workspace, sleep=begins)
        assert watched.launch.data["owner"] == str(mine)
        assert len(waited) == 1
        simulated.ledger.add_event("simulated", "done", {"reason": "budget"}, now=2.0)
    assert [event.kind for event in follow(simulated.workspace, watched)] == ["launch", "done"]
    watched.ledger.close()


def test_a_runner_that_ends_before_it_began_is_not_waited_for(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [])
    held = lock(simulated.workspace.state)
    held.__enter__()

    def ends(_: float) -> None:
        held.__exit__(None, None, None)

    with pytest.raises(NotRunning):
        find(simulated.workspace, sleep=ends)


def test_a_runner_that_dies_without_a_last_event_is_said_to_have_died(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [])
    with lock(simulated.workspace.state):
        launched(simulated, str(this_process()))
        watched = find(simulated.workspace)
    seen: list[str] = []
    with pytest.raises(NotRunning, match="resume"):
        seen.extend(event.kind for event in follow(simulated.workspace, watched))
    assert seen == ["launch"]
    watched.ledger.close()
