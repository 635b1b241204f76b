"""The next proposals are made while the present ones train, so that a slow model does not leave a device idle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from runner.parsing.client import Parser
from runner.parsing.facts import BadEdit
from runner.proposers.validation import ask
from runner.protocols import Context, Proposal, Proposer
from runner.search.background import Start, in_thread


@dataclass
class Prefetch:
    """At most `most` proposals under way: one for each slot."""

    proposer: Proposer
    start: Start = in_thread
    most: int = 1
    _pending: list[tuple[Context, Callable[[], Proposal]]] = field(default_factory=list)

    @property
    def wanted(self) -> bool:
        """Whether the proposer is slow enough to be asked early, and another may be asked for."""
        return len(self._pending) < self.most and bool(getattr(self.proposer, "can_be_prefetched", False))

    def ask(self, context: Context) -> None:
        self._pending.append((context, self.start(lambda: ask(self.proposer, context))))

    def oldest(self) -> tuple[Context, Callable[[], Proposal]] | None:
        """The proposal that was asked for first: its context, and what waits for it. None when none was."""
        return self._pending.pop(0) if self._pending else None


def rebased(
    proposal: Proposal, context: Context, best_number: int, best_source: str, parser: Parser
) -> Proposal | None:
    """Adapts a proposal when another script became the best while it was made.

    The rule: a change of what was the best then is applied to what is the best now, if all its edits still fit there;
    otherwise (a whole file, a repair, values of constants) it is dropped: it would undo the improvement.
    """
    base = context.best_number if proposal.parent is None else proposal.parent
    if proposal.source is None or context.best_number == best_number or base != context.best_number:
        return proposal
    try:  # no edits at all are a BadEdit too
        return replace(proposal, source=parser.edited(best_source, proposal.edits))
    except BadEdit:
        return None
