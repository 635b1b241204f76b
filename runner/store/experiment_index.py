"""What each step of the search asks of all experiments of a run, counted as they change: no step goes through all of them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from runner.protocols import EvaluationOutcome
from runner.store.records import Attempt, Experiment


def _is_compared(experiment: Experiment) -> bool:
    stopped = experiment.status == EvaluationOutcome.STOPPED_EARLY
    return stopped or (experiment.delta is not None and bool(experiment.delta_error))


def _number(experiment: Experiment) -> int:
    return experiment.number


def _decision(experiment: Experiment) -> int:
    return experiment.decision or 0


_LISTS: dict[str, tuple[Callable[[Experiment], bool], Callable[[Experiment], int]]] = {
    "open": (lambda experiment: experiment.status == "open", _number),
    "kept": (lambda experiment: experiment.kept, _decision),
    "repeated": (lambda experiment: len(experiment.attempts) > 1, _number),
    "compared": (_is_compared, _number),
}
"""What belongs into each list, and what it is sorted by."""


class ExperimentIndex:
    """Of one run. However its experiments came to what they are, it equals an index that is made afresh of them, but for `changes`."""

    def __init__(self, experiments: Iterable[Experiment] = ()) -> None:
        self._by_number: dict[int, Experiment] = {}
        self._keys: dict[str, list[int]] = {name: [] for name in _LISTS}
        self._lists: dict[str, list[Experiment]] = {name: [] for name in _LISTS}
        self.attempts = 0
        self.confirming = 0
        """Attempts that were made for a confirmation."""
        self.trained = 0
        """Experiments with an attempt, the baseline not counted."""
        self.fingerprints = Counter[str]()
        """How many experiments have each syntax tree; none has a count of 0, as below."""
        self.seeds, self.finished_seeds = Counter[int](), Counter[int]()
        """How many attempts have each seed, and how many of them are over. The attempt that is made in the place of a lost one has its seed,
        which is the lost one's no more; in a confirmation a seed stays its pair's."""
        self.first_free = 0
        """The first number that no experiment has."""
        self.changes = list[int]()
        """Numbers, one for each `put`: whoever remembers how long it was sees what has changed since."""
        for experiment in experiments:
            self.put(experiment)

    def put(self, experiment: Experiment) -> None:
        """A new one, or one that has changed."""
        number, before = experiment.number, self._by_number.get(experiment.number)
        late = before is None and number < next(reversed(self._by_number), -1)
        self._by_number[number] = experiment
        if late:  # its proposer took longer than that of a later one
            self._by_number = dict(sorted(self._by_number.items()))
        while self.first_free in self._by_number:
            self.first_free += 1
        self.changes.append(number)
        for name, (belongs, key) in _LISTS.items():
            keys, found = self._keys[name], self._lists[name]
            if before is not None and belongs(before):
                place = bisect_left(keys, key(before))
                del keys[place], found[place]
            if belongs(experiment):
                place = bisect_left(keys, key(experiment))
                keys.insert(place, key(experiment))
                found.insert(place, experiment)
        now, then = experiment.attempts, before.attempts if before else ()
        self.attempts += len(now) - len(then)
        self.confirming += _confirming(experiment) - (_confirming(before) if before else 0)
        self.trained += (number > 0) * (bool(now) - bool(then))
        for counter, seeds in ((self.seeds, _seeds), (self.finished_seeds, _finished_seeds)):
            _change(counter, seeds(then), seeds(now))
        _change(self.fingerprints, _fingerprint(before), _fingerprint(experiment))

    def __len__(self) -> int:
        return len(self._by_number)

    def get(self, number: int) -> Experiment | None:
        return self._by_number.get(number)

    def __getitem__(self, number: int) -> Experiment:
        return self._by_number[number]

    def all(self) -> list[Experiment]:
        """In order, as all that follow."""
        return list(self._by_number.values())

    def since(self, number: int) -> list[Experiment]:
        last = next(reversed(self._by_number), -1)
        return [self._by_number[n] for n in range(number, last + 1) if n in self._by_number]

    @property
    def open(self) -> list[Experiment]:
        return list(self._lists["open"])

    @property
    def kept(self) -> list[Experiment]:
        """In the order in which they were kept."""
        return list(self._lists["kept"])

    @property
    def repeated(self) -> list[Experiment]:
        """What has more than one attempt."""
        return list(self._lists["repeated"])

    def compared(self, newest: int) -> tuple[int, list[Experiment]]:
        """How many were compared with the best script of their time, or stopped early for being far worse; and the newest of them."""
        found = self._lists["compared"]
        return len(found), found[-newest:]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExperimentIndex) and {**vars(self), "changes": ()} == {
            **vars(other),
            "changes": (),
        }

    __hash__ = None  # type: ignore[assignment]


def _confirming(experiment: Experiment) -> int:
    return sum(a.confirmation is not None for a in experiment.attempts)


def _seeds(attempts: Iterable[Attempt]) -> list[int]:
    return [a.seed for a in attempts if not a.lost or a.confirmation is not None]


def _finished_seeds(attempts: Iterable[Attempt]) -> list[int]:
    return _seeds(a for a in attempts if a.outcome is not None)


def _fingerprint(experiment: Experiment | None) -> list[str]:
    """Empty for what is no Python, and so is like nothing else."""
    return [experiment.fingerprint] if experiment and experiment.fingerprint else []


def _change(counts: Counter[Any], before: list[Any], now: list[Any]) -> None:
    for item in now:
        counts[item] += 1
    for item in before:
        counts[item] -= 1
        if not counts[item]:
            del counts[item]
