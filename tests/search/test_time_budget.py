"""However a runner dies between two of the ledger's commits, the budget has been charged for what was run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from sandbox.spec import Job


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
