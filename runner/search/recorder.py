"""Writes down what happens in one run: events in the ledger and to the displays, columns of its experiments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner.clock import Clock
from runner.protocols import Event
from runner.results.garbage_collection import remove_unneeded_weights
from runner.store.experiment_index import ExperimentIndex
from runner.store.ledger import Ledger
from runner.store.records import Confirmation, Experiment

Subscriber = Callable[[Event], None]


class Recorder:
    """Of one run. `subscriber` gets every event after it is in the ledger."""

    def __init__(self, run: str, ledger: Ledger, clock: Clock, subscriber: Subscriber) -> None:
        self.run_id, self.ledger, self.clock, self._subscriber = run, ledger, clock, subscriber

    def experiments(self) -> list[Experiment]:
        return self.ledger.experiments(self.run_id)

    def index(self) -> ExperimentIndex:
        """As of now: it is asked for anew once something was written."""
        return self.ledger.index(self.run_id)

    def experiment(self, number: int) -> Experiment:
        return self.ledger.experiment(self.run_id, number)

    def confirmations(self) -> list[Confirmation]:
        return self.ledger.confirmations(self.run_id)

    def set(self, number: int, **columns: Any) -> None:
        """Columns of an experiment. Once its status is known, the weights that nobody will ask for are removed."""
        self.ledger.set_experiment(self.run_id, number, **columns)
        if "status" in columns:
            remove_unneeded_weights(self.experiment(number))

    def decide(self, number: int, **columns: Any) -> None:
        """As `set`, for a decision to keep or to discard it."""
        self.ledger.decide(self.run_id, number, **columns)
        remove_unneeded_weights(self.experiment(number))

    def emit(self, kind: str, **data: Any) -> None:
        """Write the event down, then tell the displays."""
        now = self.clock.time()
        self.ledger.add_event(self.run_id, kind, data, now=now)
        self._subscriber(Event(kind, now, data))
