"""What a script meets is looked at before each training; what is wrong with it is never charged to the script."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.data.errors import DataError
from runner.protocols import Event


def test_data_that_change_under_a_run_end_it_with_a_sentence_and_no_script_is_blamed(tmp_path: Path) -> None:
    simulated = SimulatedRun(tmp_path, [source(1.9), source(1.8)])
    events: list[Event] = []
    loop = simulated.loop(emit=events.append, baseline_repeats=2)
    looks = 0

    def ready() -> None:
        nonlocal looks
        looks += 1
        if looks > 6:  # two a training
            raise DataError("train/tokens.bin was changed while it was in use")

    loop.attempts.pipeline = replace(loop.attempts.pipeline, require_ready=ready)
    with pytest.raises(DataError, match="was changed while it was in use"):
        loop.go()
    assert len(simulated.engine.jobs) == 3
    assert all(
        experiment.status not in {"crash", "discard"}
        for experiment in simulated.ledger.experiments("simulated")
    )


def test_data_that_change_while_a_script_trains_give_it_no_score(tmp_path: Path) -> None:
    """Also where no other training follows: what it found there may have been anything."""
    simulated = SimulatedRun(tmp_path, [])
    loop = simulated.loop(baseline_repeats=2)

    def ready() -> None:
        if simulated.engine.jobs:
            raise DataError("train/tokens.bin was changed while it was in use")

    loop.attempts.pipeline = replace(loop.attempts.pipeline, require_ready=ready)
    with pytest.raises(DataError, match="was changed while it was in use"):
        loop.go()
    assert len(simulated.engine.jobs) == 1
    (baseline,) = simulated.ledger.experiments("simulated")
    assert [attempt.val_bpb for attempt in baseline.attempts] == [None]
