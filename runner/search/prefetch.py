"""The next proposal is made while the present one trains, so that a slow model does not leave the device idle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from runner.parsing.client import Parser
from runner.parsing.facts import BadEdit
from runner.proposers.validation import ask
from runner.protocols import Context, Proposal, Proposer

Wait = Callable[[], Proposal]
Start = Callable[[Callable[[], Proposal]], Wait]
"""Begins something beside the caller and returns how to wait for it."""


def in_thread(work: Callable[[], Proposal]) -> Wait:
    """On a daemon thread: a run that is stopped does not wait for a model. The wait raises what the work raised."""
    box: list[Proposal | BaseException] = []

    def run() -> None:
        try:
            box.append(work())
        except BaseException as error:
            box.append(error)

    thread = threading.Thread(target=run, name="next-proposal", daemon=True)
    thread.start()

    def wait() -> Proposal:
        while thread.is_alive():
            thread.join(1.0)  # signals are answered between the seconds
        if isinstance(box[0], BaseException):
            raise box[0]
        return box[0]

    return wait


@dataclass
class Prefetch:
    """At most one proposal under way."""

    proposer: Proposer
    start: Start = in_thread
    _pending: tuple[Context, Wait] | None = None

    @property
    def wanted(self) -> bool:
        """Whether the proposer is slow enough to be asked early, and has not been."""
        return self._pending is None and bool(getattr(self.proposer, "can_be_prefetched", False))

    def ask(self, context: Context) -> None:
        self._pending = (context, self.start(lambda: ask(self.proposer, context)))

    def receive(self) -> tuple[Context, Proposal] | None:
        """The proposal asked for early, when it is ready; None when none was."""
        if self._pending is None:
            return None
        (context, wait), self._pending = self._pending, None
        return context, wait()


def rebased(
    proposal: Proposal, context: Context, best_number: int, best_source: str, parser: Parser
) -> Proposal | None:
    """What becomes of a proposal when another script became the best while it was made.

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
