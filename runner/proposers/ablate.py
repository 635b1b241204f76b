"""Switch one accepted change off: what later changes have made superfluous is a free simplification.

Each kept change is turned round and applied to the best script, oldest first, if its lines are still there once each.
"""

from __future__ import annotations

from runner import protocols
from runner.parsing.client import Parser, shared
from runner.parsing.facts import BadEdit
from runner.protocols import Context, Proposal


class AblateProposer:
    """The same history gives the same proposal."""

    name = "ablate"

    def __init__(self, parser: Parser | None = None) -> None:
        self._parser = parser or shared()

    def propose(self, context: Context) -> Proposal:
        by_number = {past.number: past for past in context.history}
        seen = {past.fingerprint for past in context.history if past.fingerprint}
        for past in context.history:
            if past.status != "keep" or past.parent not in by_number:
                continue
            try:
                source = self._parser.reverted(
                    context.best_source, past.source, by_number[past.parent].source
                )
            except BadEdit:
                continue
            if self._parser.facts(source).fingerprint not in {"", *seen}:
                return Proposal(
                    source,
                    f"without #{past.number} ({past.title})"[:120],
                    "Later changes may have made this one superfluous.",
                    "simplification",
                )
        return Proposal(None, "nothing to switch off", failure=protocols.ALL_TRIED)
