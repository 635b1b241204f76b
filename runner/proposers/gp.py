"""Changes of a few constants of the best script, chosen by a Gaussian process over all constants of all scripts so far.

Many changes of one to five constants are drawn, most of them steps from the present values and some from the whole range; the one is
proposed whose expected improvement on the best script is largest, both as the process sees them (a trust region by few changed
coordinates, after Regis & Shoemaker 2013 and TuRBO, Eriksson et al. 2019). No state is kept between calls: all comes from
the history, so a resumed run makes the same proposals.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runner.parsing.client import Parser, shared
from runner.parsing.facts import Constant, Value
from runner.proposers.gaussian_process import expected_improvement, fitted
from runner.proposers.search_space import ALL_TRIED, AT_A_TIME, NOTHING_TO_TUNE, place, proposal, rounded
from runner.protocols import Context, PastExperiment, Proposal

Array = NDArray[np.float64]
_WARM_UP = 8
"""Scripts that were trained before the process is asked; until then values are drawn from the whole range."""
_DRAWN = 800
_FROM_ALL = 0.3
"""The share of new values that come from the whole range; the others are steps."""
_STEP, _LOG_SPREAD = 0.15, 0.5
"""A step's size as a share of the range, and the standard deviation of its logarithm."""
_WORSE = 0.1
"""What has no score (it failed, was ended early, or is much worse than the baseline) counts as worse than the worst score by this share of
the scores' range."""
_REMEMBERED = 200
"""Scripts that the process is given: its cost grows as their third power."""
_UNTRAINED = frozenset({"open", "rejected", "proposer_failed"})


class GpProposer:
    """See `runner.protocols.Proposer`."""

    name = "gp"

    def __init__(self, seed: int, parser: Parser | None = None) -> None:
        self._seed, self._parser = seed, parser or shared()

    def propose(self, context: Context) -> Proposal:
        constants = context.best_constants
        if not constants:
            return NOTHING_TO_TUNE
        rng = np.random.default_rng(random.Random(f"{self._seed}/{context.number}").getrandbits(63))
        present = np.array([_place(constant, constant.value, 0.0) for constant in constants])
        tried = _newest(context)
        drawn = _drawn(present, rng, 1.0 if len(tried) < _WARM_UP else _FROM_ALL)
        drawn = np.where(drawn == present, present, _snapped(constants, drawn))
        if len(tried) >= _WARM_UP and (values := _values(tried)) is not None:
            points = np.array([_point(constants, present, past) for past in tried])
            deviation = float(values.std())
            noise = None if context.noise_sigma is None else (context.noise_sigma / deviation) ** 2
            process = fitted(points, (values - values.mean()) / deviation, rng, noise)
            mean, error = process.predict(np.vstack([present, drawn]))
            gain = expected_improvement(mean[1:], error[1:], float(mean[0]))
            drawn = drawn[np.argsort(-gain, kind="stable")]
        for point in drawn:
            changed = [j for j in range(len(constants)) if point[j] != present[j]]
            change = {constants[j].name: _value(constants[j], float(point[j])) for j in changed}
            if (found := proposal(context, change, self._parser)) is not None:
                return found
        return ALL_TRIED


def _newest(context: Context) -> list[PastExperiment]:
    """What was trained, the newest first; and the best script, however old it is."""
    found, best = list[PastExperiment](), False
    for past in reversed(context.history):
        wanted = len(found) < _REMEMBERED and past.status not in _UNTRAINED
        best = best or past.number == context.best_number
        if wanted or past.number == context.best_number:
            found.append(past)
        elif best and len(found) >= _REMEMBERED:
            break
    return found


def _drawn(present: Array, rng: np.random.Generator, from_all: float) -> Array:
    """Points that differ from `present` in one to AT_A_TIME coordinates, float64[_DRAWN, d]. Steps are reflected at the borders."""
    shape = (_DRAWN, len(present))
    count = rng.integers(1, min(AT_A_TIME, len(present)) + 1, _DRAWN)
    changes = rng.random(shape).argsort(axis=1).argsort(axis=1) < count[:, None]
    step = _STEP * np.exp(_LOG_SPREAD * rng.standard_normal(shape)) * rng.standard_normal(shape)
    moved = np.clip(1.0 - np.abs(1.0 - np.abs(present + step)), 0.0, 1.0)
    new = np.where(rng.random(shape) < from_all, rng.random(shape), moved)
    return np.where(changes, new, present)


def _values(tried: Sequence[PastExperiment]) -> Array | None:
    """The scores, bits per byte; None where none is known or all are the same."""
    known = [past.val_bpb for past in tried if past.val_bpb is not None]
    if not known or max(known) == min(known):
        return None
    worst = max(known) + _WORSE * (max(known) - min(known))
    return np.array([worst if past.val_bpb is None else past.val_bpb for past in tried])


def _point(constants: Sequence[Constant], present: Array, past: PastExperiment) -> Array:
    """A script's constants in the cube; `present` where it has none of that name or it lies outside."""
    values = {constant.name: constant.value for constant in past.constants}
    return np.array(
        [
            _place(constant, values[constant.name], here) if constant.name in values else here
            for constant, here in zip(constants, present, strict=True)
        ]
    )


def _place(constant: Constant, value: Value, otherwise: float) -> float:
    """0 to 1 within the constant's range or, in the middle of its part, along its choices; `otherwise` for what lies outside."""
    found = place(constant, value)
    if found is None:
        return otherwise
    return (found + 0.5) / len(constant.choices) if constant.kind == "cat" else found


def _value(constant: Constant, at: float) -> Value:
    """What lies there."""
    if constant.kind == "cat":
        return constant.choices[min(int(at * len(constant.choices)), len(constant.choices) - 1)]
    if constant.kind == "log":
        low, high = math.log(constant.low), math.log(constant.high)
        return rounded(constant, math.exp(low + at * (high - low)))
    return rounded(constant, constant.low + at * (constant.high - constant.low))


def _snapped(constants: Sequence[Constant], points: Array) -> Array:
    """Each coordinate of a constant with few values where its value lies, so that the process is asked for what will be trained."""
    points = points.copy()
    for column, constant in enumerate(constants):
        if constant.kind == "cat":
            few = len(constant.choices)
            points[:, column] = (np.minimum(np.floor(points[:, column] * few), few - 1) + 0.5) / few
        elif constant.kind == "int":
            width = constant.high - constant.low
            points[:, column] = np.round(points[:, column] * width) / width
    return points
