"""The control arm: a few constants of the best script, drawn at random from their ranges."""

from __future__ import annotations

import random

from runner.parsing.client import Parser, shared
from runner.proposers.choose_constants import ALL_TRIED, ATTEMPTS, NOTHING_TO_TUNE, choose, draw, proposal
from runner.protocols import Context, Proposal


class RandomProposer:
    """The same seed and history give the same proposal, so a resumed run makes the same proposals."""

    name = "random"

    def __init__(self, seed: int, parser: Parser | None = None) -> None:
        self._seed, self._parser = seed, parser or shared()

    def propose(self, context: Context) -> Proposal:
        constants = context.best_constants
        if not constants:
            return NOTHING_TO_TUNE
        rng = random.Random(f"{self._seed}/{context.number}")
        for _ in range(ATTEMPTS):
            values = {constant.name: draw(constant, rng) for constant in choose(constants, rng)}
            if (found := proposal(context, values, self._parser)) is not None:
                return found
        return ALL_TRIED
