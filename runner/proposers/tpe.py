"""Tree-structured Parzen estimator (Bergstra et al. 2011; optuna) over the constants of the best script.

On this very task TPE was on a par with a code-editing LLM (arXiv 2603.24647), so it is a real opponent and the default
when no LLM is configured. The study is rebuilt from the history for every proposal: nothing is kept between
calls, so a resumed run continues as if nothing had happened. Of what the estimator suggests only a few constants are
taken over, the rest stays with the best script: with 20 constants and 100 trials, moving all at once finds little.
"""

from __future__ import annotations

import random
from typing import Any

from runner.proposers.constants import Constant, Value, find
from runner.proposers.random_search import draw
from runner.proposers.space import ALL_TRIED, ATTEMPTS, NOTHING_TO_TUNE, proposal, rounded, tunable
from runner.protocols import Context, PastExperiment, Proposal

_WARM_UP = 8
_FAILED = 2.0
"""How much worse than the worst measured score a failure is told to be: finite, so that it teaches where not to go."""


class TpeProposer:
    """See `runner.protocols.Proposer`."""

    name = "tpe"

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def propose(self, context: Context) -> Proposal:
        constants = tunable(context)
        if not constants:
            return NOTHING_TO_TUNE
        rng = random.Random(f"{self._seed}/{context.number}")
        measured = [past for past in context.history if past.val_bpb is not None]
        for attempt in range(ATTEMPTS):
            chosen = rng.sample(constants, min(rng.randint(1, 3), len(constants)))
            if len(measured) < _WARM_UP or attempt >= ATTEMPTS // 2:
                values = {constant.name: draw(constant, rng) for constant in chosen}
            else:
                suggested = self._suggest(context, constants, seed=rng.randrange(1 << 31))
                values = {constant.name: suggested[constant.name] for constant in chosen}
            if (found := proposal(context, constants, values)) is not None:
                return found
        return ALL_TRIED

    def _suggest(self, context: Context, constants: list[Constant], *, seed: int) -> dict[str, Value]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0)
        study = optuna.create_study(sampler=sampler)
        space = {constant.name: _distribution(optuna, constant) for constant in constants}
        for past in context.history:
            if (trial := _told(optuna, past, constants, space, context)) is not None:
                study.add_trial(trial)
        params = study.ask(space).params
        return {c.name: params[c.name] if c.kind == "cat" else rounded(c, params[c.name]) for c in constants}


def _distribution(optuna: Any, constant: Constant) -> Any:
    if constant.kind == "cat":
        return optuna.distributions.CategoricalDistribution(list(constant.choices))
    if constant.kind == "int":
        return optuna.distributions.IntDistribution(int(constant.low), int(constant.high))
    return optuna.distributions.FloatDistribution(constant.low, constant.high, log=constant.kind == "log")


def _told(
    optuna: Any, past: PastExperiment, constants: list[Constant], space: dict[str, Any], context: Context
) -> Any | None:
    """An earlier experiment as a finished trial; None when it says nothing about these constants."""
    try:
        old = {constant.name: constant.value for constant in find(past.source)}
    except Exception:
        return None
    params = {constant.name: old.get(constant.name, constant.value) for constant in constants}
    if not all(
        distribution._contains(distribution.to_internal_repr(params[name]))
        for name, distribution in space.items()
    ):
        return None
    worst = max((p.val_bpb for p in context.history if p.val_bpb is not None), default=1.0)
    value = past.val_bpb if past.val_bpb is not None else worst * _FAILED
    return optuna.trial.create_trial(params=params, distributions=space, value=value)
