"""An optimiser for the constants, a model for ideas: every third proposal is the model's (after arXiv 2603.24647).

The model sees the optimiser's experiments in its digest like all others.
"""

from __future__ import annotations

from runner.protocols import Context, Proposal, Proposer

EVERY = 3


class HybridProposer:
    """See `runner.protocols.Proposer`. What the optimiser cannot go on with, the model does alone, and the reverse
    is the model's own affair: it has a stand-in."""

    name = "hybrid"
    can_be_prefetched = True

    def __init__(self, model: Proposer, optimiser: Proposer) -> None:
        self._model, self._optimiser = model, optimiser

    def propose(self, context: Context) -> Proposal:
        if context.number % EVERY:
            found = self._optimiser.propose(context)
            if found.source is not None:
                return Proposal(
                    found.source, found.title, found.hypothesis, found.category, author=self._optimiser.name
                )
        return self._model.propose(context)
