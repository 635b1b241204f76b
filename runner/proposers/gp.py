"""Expected improvement under an additive Gaussian process (`runner.proposers.additive_model`) of the best script's constants.

No state is kept between calls: all comes from the history, so a resumed run continues with the same proposals.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

import numpy as np

from runner.parsing.client import Parser, shared
from runner.parsing.facts import Constant, Value
from runner.proposers.additive_model import AdditiveModel, Array
from runner.proposers.search_space import (
    ALL_TRIED,
    ATTEMPTS,
    NOTHING_TO_TUNE,
    choose,
    draw,
    nearby,
    place,
    proposal,
)
from runner.protocols import Context, PastExperiment, Proposal

Change = Mapping[str, Value]
_WARM_UP = 8
_CANDIDATES = 1000
_NEARBY = 0.5
"""The share of the new values that are drawn around the present one."""
_MOST_TRIALS = 300
"""Of which the model is made: the best and the newest ones, half each."""
_NOISE = 0.01
"""Bits per byte, where it is not known yet."""
_LIMIT = 10.0
"""So many sigma above the first script: what `runner.search.disclosure` shows no more."""
_BAD = frozenset(
    {
        "discard",
        "stopped_early",
        "crash",
        "timeout_no_artifact",
        "oom",
        "no_artifact",
        "invalid_model",
        "too_slow",
    }
)
"""Without a score these are worse than any that has one."""


class GpProposer:
    """See `runner.protocols.Proposer`."""

    name = "gp"

    def __init__(self, seed: int, parser: Parser | None = None) -> None:
        self._seed, self._parser = seed, parser or shared()

    def propose(self, context: Context) -> Proposal:
        constants = context.best_constants
        if not constants:
            return NOTHING_TO_TUNE
        rng = random.Random(f"{self._seed}/{context.number}")
        if len(_trained(context)) <= _WARM_UP:
            candidates = _unknown_first(context, rng)
        else:
            candidates = _by_expected_improvement(context, rng)
        for change in candidates:
            if (found := proposal(context, change, self._parser)) is not None:
                return found
        return ALL_TRIED


def _unknown_first(context: Context, rng: random.Random) -> Sequence[Change]:
    """Changes of the constants of which the fewest values were tried."""
    known = {constant.name: set[Value]() for constant in context.best_constants}
    for past in _trained(context):
        for constant in past.constants:
            known.get(constant.name, set()).add(constant.value)
    changes = []
    for _ in range(ATTEMPTS):
        order = sorted(context.best_constants, key=lambda c: (len(known[c.name]), rng.random()))
        changes.append({c.name: _new_value(c, rng) for c in order[: len(choose(order, rng))]})
    return changes


def _by_expected_improvement(context: Context, rng: random.Random) -> Sequence[Change]:
    constants = context.best_constants
    model = _model(context)
    changes = [{c.name: _new_value(c, rng) for c in choose(constants, rng)} for _ in range(_CANDIDATES)]
    places = np.array([[_where(c, change.get(c.name)) for c in constants] for change in changes])
    mean, deviation = model.difference(places)
    order = np.argsort(-expected_improvement(mean, deviation), kind="stable")
    return [changes[number] for number in order]


def _model(context: Context) -> AdditiveModel:
    constants = context.best_constants
    trained = _trained(context)
    if len(trained) > _MOST_TRIALS:
        score = sorted(trained, key=lambda past: math.inf if past.val_bpb is None else past.val_bpb)
        kept = {past.number for past in (*score[: _MOST_TRIALS // 2], *trained[-_MOST_TRIALS // 2 :])}
        trained = [past for past in trained if past.number in kept or past is trained[0]]
    values = [{c.name: c.value for c in past.constants} for past in trained]
    scores = [math.inf if past.val_bpb is None else past.val_bpb for past in trained]
    numbers = [past.number for past in trained]
    if context.best_number not in numbers or scores[numbers.index(context.best_number)] == math.inf:
        numbers.append(context.best_number)
        values.append({c.name: c.value for c in constants})
        scores.append(context.best_val_bpb or 0.0)
    best = len(numbers) - 1 - numbers[::-1].index(context.best_number)
    noise = context.noise_sigma or _NOISE
    first = next(score for score in scores if math.isfinite(score))
    return AdditiveModel.fit(
        np.array([[_where(c, row.get(c.name)) for c in constants] for row in values]),
        np.array([_has_order(c) for c in constants]),
        np.array(scores),
        best,
        limit=max(first, scores[best]) + _LIMIT * noise,
        noise=noise,
    )


def _trained(context: Context) -> Sequence[PastExperiment]:
    """What teaches something: a score, or that a script failed."""
    return [past for past in context.history if past.val_bpb is not None or past.status in _BAD]


def expected_improvement(mean: Array, deviation: Array) -> Array:
    """Of what is below 0."""
    u = -mean / deviation
    below = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in u])
    return deviation * (u * below + np.exp(-0.5 * u * u) / math.sqrt(2 * math.pi))


def _new_value(constant: Constant, rng: random.Random) -> Value:
    return nearby(constant, rng) if rng.random() < _NEARBY else draw(constant, rng)


def _has_order(constant: Constant) -> bool:
    return constant.kind != "cat" or all(isinstance(c, int | float) for c in constant.choices)


def _where(constant: Constant, value: Value | None) -> float:
    """0 to 1, or the number of a choice without an order; NaN for none."""
    found = None if value is None else place(constant, value)
    if found is None:
        return math.nan
    return (
        found / max(len(constant.choices) - 1, 1)
        if constant.kind == "cat" and _has_order(constant)
        else found
    )
