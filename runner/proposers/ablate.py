"""Switch one accepted change off: what later changes have made superfluous is a free simplification.

Each kept change is turned round and applied to the best script, oldest first, if its lines are still there once each.
"""

from __future__ import annotations

import difflib

from runner import protocols
from runner.check import fingerprint
from runner.proposers.edits import BadEdit, apply
from runner.protocols import Context, Edit, PastExperiment, Proposal

_CONTEXT_LINES = 3


class AblateProposer:
    """The same history gives the same proposal."""

    name = "ablate"

    def propose(self, context: Context) -> Proposal:
        by_number = {past.number: past for past in context.history}
        seen = {past.fingerprint for past in context.history if past.fingerprint}
        for past in context.history:
            if past.status != "keep" or past.parent not in by_number:
                continue
            source = without(context.best_source, past, by_number[past.parent])
            if source is not None and fingerprint(source) not in seen:
                return Proposal(
                    source,
                    f"without #{past.number} ({past.title})"[:120],
                    "Later changes may have made this one superfluous.",
                    "simplification",
                )
        return Proposal(None, "nothing to switch off", failure=protocols.ALL_TRIED)


def without(best: str, kept: PastExperiment, parent: PastExperiment) -> str | None:
    """`best` with the change from `parent` to `kept` undone; None when its lines are not there any more."""
    after, before = kept.source.split("\n"), parent.source.split("\n")
    matcher = difflib.SequenceMatcher(a=after, b=before, autojunk=False)
    edits = [
        Edit("\n".join(after[group[0][1] : group[-1][2]]), "\n".join(before[group[0][3] : group[-1][4]]))
        for group in matcher.get_grouped_opcodes(_CONTEXT_LINES)
    ]
    try:
        source = apply(best, edits)
        compile(source, "train.py", "exec", dont_inherit=True)
    except (BadEdit, SyntaxError, ValueError):
        return None
    return source
