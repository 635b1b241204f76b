"""The control arm: one to three constants of the best script, drawn at random from their ranges."""

from __future__ import annotations

import math
import random

from runner.proposers.constants import Constant, Value
from runner.proposers.space import ALL_TRIED, ATTEMPTS, NOTHING_TO_TUNE, proposal, rounded, tunable
from runner.protocols import Context, Proposal


class RandomProposer:
    """The same seed and history give the same proposal, so a resumed run goes on as if nothing had happened."""

    name = "random"

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def propose(self, context: Context) -> Proposal:
        constants = tunable(context)
        if not constants:
            return NOTHING_TO_TUNE
        rng = random.Random(f"{self._seed}/{context.number}")
        for _ in range(ATTEMPTS):
            chosen = rng.sample(constants, min(rng.randint(1, 3), len(constants)))
            found = proposal(context, constants, {constant.name: draw(constant, rng) for constant in chosen})
            if found is not None:
                return found
        return ALL_TRIED


def draw(constant: Constant, rng: random.Random) -> Value:
    """A value from the whole range: log-uniform, uniform, or one of the choices."""
    if constant.kind == "cat":
        return rng.choice(constant.choices)
    if constant.kind == "log":
        return rounded(constant, math.exp(rng.uniform(math.log(constant.low), math.log(constant.high))))
    return rounded(constant, rng.uniform(constant.low, constant.high))
