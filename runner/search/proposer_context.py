"""The history a proposer is shown: rounded scores, values of closed enums, sanitised text."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import overload

from runner.protocols import Context, PastExperiment
from runner.scoring.repeat_noise import Noise
from runner.search.disclosure import MUCH_WORSE, Disclosure
from runner.store.records import Attempt, Experiment
from sandbox.sanitise import one_line, sanitise


def context_for(
    experiments: Sequence[Experiment],
    best: Experiment,
    noise: Noise | None,
    *,
    memo: str,
    trainings_left: int,
    time_limit_s: float,
    number: int,
    notes: str = "",
    wall_clock_s: float = 0.0,
    others_asked: int = 0,
) -> Context:
    """The context of proposal `number`. The sealed test score is not in it, nor any duration of the judge."""
    disclosure = Disclosure(
        next((e.val_bpb for e in experiments if e.number == 0), None), noise.sigma if noise else None
    )
    return Context(
        memo=memo,
        best_source=best.source,
        best_val_bpb=disclosure.score(best.val_bpb),
        noise_sigma=disclosure.width(disclosure.sigma),
        history=History(experiments, disclosure),
        trainings_left=trainings_left,
        time_limit_s=max(time_limit_s, 0.0),
        number=number,
        best_number=best.number,
        notes=sanitise(notes),
        wall_clock_s=wall_clock_s,
        best_constants=best.facts.constants,
        others_asked=others_asked,
    )


class History(Sequence[PastExperiment]):
    """The experiments as a proposer may see them, each made when it is looked at."""

    def __init__(self, experiments: Sequence[Experiment], disclosure: Disclosure) -> None:
        self._experiments, self._disclosure = experiments, disclosure

    def __len__(self) -> int:
        return len(self._experiments)

    @overload
    def __getitem__(self, index: int) -> PastExperiment: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[PastExperiment]: ...

    def __getitem__(self, index: int | slice) -> PastExperiment | Sequence[PastExperiment]:
        if isinstance(index, slice):
            return History(self._experiments[index], self._disclosure)
        return _past(self._experiments[index], self._disclosure)


def _past(experiment: Experiment, disclosure: Disclosure) -> PastExperiment:
    last = experiment.attempts[-1] if experiment.attempts else None
    failed = experiment.status == "failed" and last is not None
    score = disclosure.score(experiment.val_bpb)
    hidden = score is None and experiment.val_bpb is not None
    return PastExperiment(
        number=experiment.number,
        title=one_line(experiment.title),
        category=one_line(experiment.category),
        status=str(last.outcome) if failed and last else experiment.status,
        val_bpb=score,
        delta=disclosure.delta(experiment.val_bpb, experiment.delta),
        read_source=experiment.read_source,
        parent=experiment.parent,
        reason=MUCH_WORSE if hidden else experiment.reason,
        read_log=functools.partial(_log, last) if failed and last else str,
        error=None if hidden else disclosure.width(experiment.delta_error),
        author=experiment.author,
        fingerprint=experiment.fingerprint,
        read_constants=lambda: experiment.read_facts().constants,
    )


def _log(attempt: Attempt) -> str:
    return sanitise(attempt.log_tail, max_chars=4000)
