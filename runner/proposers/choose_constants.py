"""What the constant-tuning proposers share: how many constants change at a time, where values come from, and turning them
into a proposal that was not made before."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from runner import protocols
from runner.parsing.client import Parser
from runner.parsing.facts import Constant, Value
from runner.proposers.tunable_constants import replace
from runner.protocols import Context, Proposal

ATTEMPTS = 50
_AT_A_TIME = 5
NOTHING_TO_TUNE = Proposal(None, "nothing to tune", failure=protocols.NOTHING_TO_TUNE)
ALL_TRIED = Proposal(None, "nothing new", failure=protocols.ALL_TRIED)


def choose(constants: Sequence[Constant], rng: random.Random) -> list[Constant]:
    """One to five of them, all numbers alike: changing all at once finds little, and one at a time needs too many trainings."""
    return rng.sample(constants, min(rng.randint(1, _AT_A_TIME), len(constants)))


def draw(constant: Constant, rng: random.Random) -> Value:
    """A value from the whole range: log-uniform, uniform, or one of the choices."""
    if constant.kind == "cat":
        return rng.choice(constant.choices)
    if constant.kind == "log":
        return rounded(constant, math.exp(rng.uniform(math.log(constant.low), math.log(constant.high))))
    return rounded(constant, rng.uniform(constant.low, constant.high))


def proposal(context: Context, values: Mapping[str, Value], parser: Parser) -> Proposal | None:
    """The change as a proposal; None when it changes nothing or was tried before."""
    old = {constant.name: constant.value for constant in context.best_constants}
    changed = {name: value for name, value in values.items() if old.get(name) != value}
    if not changed:
        return None
    source = replace(context.best_source, context.best_constants, changed)
    if parser.facts(source).fingerprint in {past.fingerprint for past in context.history}:
        return None  # tried before, written in another way
    title = ", ".join(f"{name} {_short(old[name])} -> {_short(value)}" for name, value in changed.items())
    return Proposal(
        source, title, "Other values of these constants learn more in the same time.", "constants"
    )


def place(constant: Constant, value: Value) -> float | None:
    """0 to 1 within the constant's range, or the number of the choice; None for what lies outside."""
    if constant.kind == "cat":
        return float(constant.choices.index(value)) if value in constant.choices else None
    if isinstance(value, str | bool) or not constant.low <= value <= constant.high:
        return None
    if constant.kind == "log":
        return (math.log(value) - math.log(constant.low)) / (math.log(constant.high) - math.log(constant.low))
    return (value - constant.low) / (constant.high - constant.low)


def rounded(constant: Constant, value: float) -> Value:
    """To three significant digits, or to an int; within the range."""
    if constant.kind == "int":
        return int(min(max(round(value), constant.low), constant.high))
    return float(f"{min(max(value, constant.low), constant.high):.3g}")


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
