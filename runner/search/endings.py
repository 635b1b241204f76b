"""Why a run ends, and what is said of it: the reasons, and for an end that the proposer brought about the sentence that names it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from runner.parsing.facts import Rejection
from runner.store.records import Experiment

TIME_BUDGET_EXHAUSTED, ALL_DONE = "budget", "all experiments done"
ASKED = "asked to end after the present experiment"
NOTHING_MORE = "the proposer has nothing more to propose"
UNTRAINABLE = "proposals in a row could not be trained"
MAX_UNTRAINED_IN_A_ROW = 10


def untrained_in_a_row(experiments: Sequence[Experiment]) -> list[Experiment]:
    """The newest proposals of which none was trained, newest first."""
    return list(itertools.takewhile(lambda e: e.number > 0 and not e.attempts, reversed(experiments)))


def untrainable(last: Sequence[Experiment]) -> str:
    """The reason of a run whose `last` proposals could not be trained."""
    again = sum(map(_tried_before, last))
    which = "all of them had been" if again == len(last) else f"{again} of them had been"
    return f"{len(last)} {UNTRAINABLE}" + (f": {which} tried before" if again else "")


def explanation(experiments: Sequence[Experiment], reason: str, proposer: str) -> str:
    """One sentence for a run that ended because of what its `proposer` (as --proposer names it) proposed; else empty."""
    proposals = [e for e in experiments if e.number > 0]
    if not proposals:
        return ""
    if reason == NOTHING_MORE:
        return f"Its last answer: {proposals[-1].reason}"
    if UNTRAINABLE not in reason:
        return ""
    last, trained = untrained_in_a_row(experiments), sum(bool(e.attempts) for e in proposals)
    again = sum(map(_tried_before, last))
    if 2 * again > len(last):
        said = f"The proposer {proposer} returned the same proposals again, {again} times since the last training: {_cure(proposer)}"
    else:
        said = f"The last one, of the proposer {proposer}: {proposals[-1].reason or proposals[-1].status}"
    stands = (
        f"{trained} proposal{'s were' if trained > 1 else ' was'} trained before, and what was found stands"
    )
    return f"{said}; {stands}" if trained else said


def nothing_trained(experiments: Sequence[Experiment], reason: str, proposer: str) -> str:
    """A sentence for a run that ended by itself without training one proposal; else empty."""
    proposals = [e for e in experiments if e.number > 0]
    ended = reason in {TIME_BUDGET_EXHAUSTED, NOTHING_MORE} or UNTRAINABLE in reason
    if not ended or not proposals or any(e.attempts for e in proposals):
        return ""
    last = proposals[-1]
    why = explanation(experiments, reason, proposer) if UNTRAINABLE in reason else ""
    return (
        f"{len(proposals)} proposals were made and none could be trained; the last: {last.reason or last.status}; "
        f"`autoresearch ls` lists them{f'. {why}' if why else ''}"
    )


def _tried_before(experiment: Experiment) -> bool:
    return experiment.reason in {Rejection.DUPLICATE, Rejection.SEED_ONLY}


def _cure(proposer: str) -> str:
    if proposer.startswith("command:"):
        return (
            "it reads all earlier experiments as `history` on stdin, so let it propose another script; then `autoresearch "
            "resume` goes on"
        )
    return "`autoresearch resume` asks it again, a new run may have another --proposer"
