"""What a script meets is looked at before each training; what is wrong with it is never charged to the script."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from night import Night, source

from runner.data import DataError
from runner.protocols import Event


def test_data_that_change_under_a_run_end_it_with_a_sentence_and_no_script_is_blamed(tmp_path: Path) -> None:
    night = Night(tmp_path, [source(1.9), source(1.8)])
    events: list[Event] = []
    loop = night.loop(emit=events.append, baseline_repeats=2)
    trainings = 0

    def ready() -> None:
        nonlocal trainings
        trainings += 1
        if trainings > 3:
            raise DataError("train/tokens.bin was changed while it was in use")

    loop.road = replace(loop.road, require_ready=ready)
    with pytest.raises(DataError, match="was changed while it was in use"):
        loop.go()
    assert len(night.engine.jobs) == 3
    assert all(
        experiment.status not in {"crash", "discard"} for experiment in night.ledger.experiments("night")
    )
