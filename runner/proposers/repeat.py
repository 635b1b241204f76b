"""No change at all: how often would noise alone be kept? The loop lets its duplicates through."""

from __future__ import annotations

from runner.protocols import Context, Proposal


class RepeatProposer:
    name = "repeat"

    def propose(self, context: Context) -> Proposal:
        return Proposal(context.best_source, "the same again", "Noise alone changes nothing.", "repeat")
