"""Tree-structured Parzen estimator (Bergstra et al. 2011) over the constants of the best script.

On this task TPE was on a par with a code-editing LLM (arXiv 2603.24647), so it is a strong baseline and the default when
no LLM is configured. No state is kept between calls: all comes from the history, so a resumed run continues with the
same proposals.

An overnight run has about as many trials as the script has constants, so what matters most is which few of them to change. Many
changes of a few constants are drawn, and the one is proposed whose new values, against the present ones, speak most for
the good trials: the densities are per constant, their ratio is over the whole change. Libraries' samplers suggest values for
all constants but not that ratio, and a few constants chosen at random from their suggestion find no more than random
search does (benchmarks/proposers.py).
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from runner.parsing.client import Parser, shared
from runner.parsing.facts import Constant, Value
from runner.proposers.choose_constants import ALL_TRIED, NOTHING_TO_TUNE, choose, draw, place, proposal
from runner.protocols import Context, Proposal

_WARM_UP = 8
_CANDIDATES = 400
_GOOD = 0.15
"""The share of the trials that counts as good; never fewer than two."""
_WIDTH = 0.15
"""Of a kernel, as a share of the constant's range (in logarithms where it is tuned so)."""
_SAME_CHOICE = 0.8
"""Of a category's kernel, the share that lies on the choice itself."""


class TpeProposer:
    """See `runner.protocols.Proposer`."""

    name = "tpe"

    def __init__(self, seed: int, parser: Parser | None = None) -> None:
        self._seed, self._parser = seed, parser or shared()

    def propose(self, context: Context) -> Proposal:
        constants = context.best_constants
        if not constants:
            return NOTHING_TO_TUNE
        rng = random.Random(f"{self._seed}/{context.number}")
        trials = _trials(context)
        tried = [p for p in context.history if p.val_bpb is not None or p.status == "stopped_early"]
        warm = len(tried) >= _WARM_UP
        estimates = {c.name: _Estimate.of(c, [values.get(c.name) for values in trials]) for c in constants}
        candidates: dict[tuple[tuple[str, Value], ...], float] = {}
        for _ in range(_CANDIDATES):
            chosen = choose(constants, rng)
            if not warm:  # those of which least is known
                order = sorted(constants, key=lambda c: (estimates[c.name].known, rng.random()))
                chosen = order[: len(chosen)]
            change = tuple((constant.name, draw(constant, rng)) for constant in chosen)
            candidates[change] = sum(estimates[name].gain(value) for name, value in change) if warm else 0.0
        for change in sorted(candidates, key=lambda change: -candidates[change]):
            if (found := proposal(context, dict(change), self._parser)) is not None:
                return found
        return ALL_TRIED


@dataclass(frozen=True, slots=True)
class _Estimate:
    """What is known of one constant: where it lay in good and in other trials, as shares of its range."""

    constant: Constant
    good: Sequence[float]
    other: Sequence[float]

    @classmethod
    def of(cls, constant: Constant, values: Sequence[Value | None]) -> _Estimate:
        """From its value in every trial, the best first; None where the script had no such constant."""
        places = [None if value is None else place(constant, value) for value in values]
        cut = max(2, math.ceil(_GOOD * len(values)))
        good, other = (
            [where for where in part if where is not None] for part in (places[:cut], places[cut:])
        )
        return cls(constant, good, other)

    @property
    def known(self) -> int:
        """How many values of it have been tried."""
        return len({*self.good, *self.other})

    def gain(self, value: Value) -> float:
        """How much more `value` speaks for the good trials than the present value does: a logarithm."""
        return self._ratio(value) - self._ratio(self.constant.value)

    def _ratio(self, value: Value) -> float:
        where = place(self.constant, value)
        if where is None:
            return 0.0
        return math.log(self._density(where, self.good)) - math.log(self._density(where, self.other))

    def _density(self, where: float, places: Sequence[float]) -> float:
        """Kernels on all places and, with the weight of one of them, the whole range alike."""
        return (1 + sum(self._kernel(where, centre) for centre in places)) / (1 + len(places))

    def _kernel(self, where: float, centre: float) -> float:
        if self.constant.kind != "cat":
            return _truncated(centre).pdf(where) / _inside(centre)
        choices = len(self.constant.choices)
        if choices == 1:
            return 1.0
        share = _SAME_CHOICE if where == centre else (1 - _SAME_CHOICE) / (choices - 1)
        return share * choices


def _trials(context: Context) -> list[Mapping[str, Value]]:
    """The constants of every earlier script, the best first; those that failed or were stopped come last: they teach where not to
    go."""
    order = sorted(context.history, key=lambda past: math.inf if past.val_bpb is None else past.val_bpb)
    return [{constant.name: constant.value for constant in past.constants} for past in order]


@functools.lru_cache(maxsize=4096)
def _truncated(centre: float) -> NormalDist:
    return NormalDist(centre, _WIDTH)


@functools.lru_cache(maxsize=4096)
def _inside(centre: float) -> float:
    return _truncated(centre).cdf(1) - _truncated(centre).cdf(0)
