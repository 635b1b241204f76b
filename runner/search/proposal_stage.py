"""The first stage of an experiment: ask the proposer, check the proposal, write it into the ledger.

Each proposal becomes a row: one that may train, or one with the reason why not. What a model's unusable answer leads to is decided in
`llm.llm_proposer`. The parent is never run in its place.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from runner.parsing.client import Parser
from runner.parsing.facts import UNREAD, facts_json
from runner.parsing.static_check import Checked, check, constants_only
from runner.proposers.validation import ask
from runner.protocols import INVALID_PROPOSAL, Context, Proposal, Proposer, State
from runner.scoring.best_script import best
from runner.scoring.repeat_noise import RememberedNoise
from runner.search.background import Start, in_thread
from runner.search.prefetch import Prefetch, rebased
from runner.search.proposer_context import context_for
from runner.search.recorder import Recorder
from runner.search.slot_threads import Turn
from runner.search.time_budget import Budget
from runner.store.records import Experiment
from runner.store.workspace import Workspace


class ProposalStage:
    """One run's proposals. `max_experiments` counts trainings, None is no limit."""

    def __init__(
        self,
        *,
        recorder: Recorder,
        workspace: Workspace,
        proposer: Proposer,
        budget: Budget,
        wall_clock_s: float,
        max_experiments: int | None,
        parser: Parser,
        start: Start = in_thread,
        asked_to_end: Callable[[], bool] = lambda: False,
        turn: Turn,
        slots: int = 1,
    ) -> None:
        """`turn` is given up while a slow proposer is asked."""
        self._recorder, self._workspace, self._proposer = recorder, workspace, proposer
        self._budget, self._wall_clock_s = budget, wall_clock_s
        self._max_experiments, self._asked_to_end = max_experiments, asked_to_end
        self._prefetch, self._parser = Prefetch(proposer, start, slots), parser
        self._turn, self._slots, self._asked_for = turn, slots, set[int]()
        self.waiting = 0
        """Slots that wait for a proposal."""
        self._noise = RememberedNoise()

    def read_history(self) -> None:
        """Facts of the experiments in a ledger that was written before facts were stored: read once, and never again."""
        for experiment in self._recorder.experiments():
            if experiment.facts == UNREAD and experiment.source:
                facts = check(experiment.source.encode("utf-8", errors="replace"), self._parser).facts
                self._recorder.ledger.set_experiment(
                    self._recorder.run_id,
                    experiment.number,
                    facts=facts_json(facts),
                    fingerprint=facts.fingerprint,
                    nodes=facts.nodes,
                )

    def propose(self) -> Experiment:
        """The next experiment: open when it may train, else failed or rejected with a reason."""
        self.waiting += 1
        try:
            number, proposal = self._next_proposal()
        finally:
            self.waiting -= 1
        index = self._recorder.index()
        incumbent = best(index.kept)
        parent = incumbent if proposal.parent is None else index.get(proposal.parent)
        if parent is None:
            parent, proposal = incumbent, Proposal(None, proposal.title, failure=INVALID_PROPOSAL)
        # a model may write lone surrogates, a scripted file any bytes: neither may stop the run
        source = (proposal.source or "").encode(
            "utf-8", errors="surrogateescape" if _escaped(proposal) else "replace"
        )
        repeat = self._proposer.name == "repeat"
        seen = () if repeat else index.fingerprints
        checked = check(source, self._parser, seen=seen, parent=parent.facts)
        verdict: dict[str, Any] = {"state": State.CHECKED}
        if proposal.source is None:
            verdict = {"state": State.FAILED, "status": "proposer_failed", "reason": proposal.failure}
        elif checked.rejection is not None:
            verdict = {"state": State.FAILED, "status": "rejected", "reason": str(checked.rejection)}
        else:
            verdict["constants_only"] = int(constants_only(checked.facts, parent.facts))
        author = proposal.author or self._proposer.name
        self.record(  # with its verdict in one write: a crash must not leave an unchecked script open
            number,
            source,
            checked,
            title=proposal.title,
            category=proposal.category,
            hypothesis=proposal.hypothesis,
            author=author,
            expected_gain=proposal.expected_gain,
            risk=proposal.risk,
            parent=parent.number,
            **verdict,
        )
        if proposal.notes is not None:
            self._workspace.write_notes(proposal.notes)
        self._recorder.emit(
            "proposed", number=number, title=proposal.title, category=proposal.category, author=author
        )
        if "status" in verdict:
            reason = f"{verdict['reason']} {checked.detail if proposal.source is not None else ''}".strip()
            self._recorder.emit("failed", number=number, status=verdict["status"], reason=reason)
        return self._recorder.experiment(number)

    def ask_early(self, experiment: Experiment) -> None:
        """Ask for the next proposal while `experiment` trains, unless a limit would leave no training for it."""
        most, index = self._max_experiments, self._recorder.index()
        begun = experiment.number > 0 and bool(index[experiment.number].attempts)
        trained = index.trained + (not begun) + len(self._asked_for)
        another = (most is None or trained < most) and not self._asked_to_end()
        if (
            experiment.status == "open"
            and another
            and self._prefetch.wanted
            and self._budget.allows_another(1 + self._slots)
        ):
            self._prefetch.ask(self._context(self._next_number()))

    def record(self, number: int, source: bytes, checked: Checked, **columns: Any) -> None:
        """Write experiment `number` into the ledger with what its check found."""
        self._recorder.ledger.add_experiment(
            self._recorder.run_id,
            number,
            now=self._recorder.clock.time(),
            source=source,
            source_sha256=hashlib.sha256(source).hexdigest(),
            fingerprint=checked.facts.fingerprint,
            nodes=checked.facts.nodes,
            facts=facts_json(checked.facts),
            **{"hypothesis": "", **columns},
        )

    def _next_number(self) -> int:
        """Of the experiment that is asked for now: the first that no other has or will have."""
        index = self._recorder.index()
        number = next(
            n for n in itertools.count(index.first_free) if n not in self._asked_for and index.get(n) is None
        )
        self._asked_for.add(number)
        return number

    def _next_proposal(self) -> tuple[int, Proposal]:
        """The oldest that was asked for while a script trained, if it still fits, else a new one. With the experiment's number."""
        if (early := self._prefetch.oldest()) is not None:
            context, wait = early
            proposal = self._answer(context, wait)
            incumbent = best(self._recorder.index().kept)
            fitting = rebased(proposal, context, incumbent.number, incumbent.source, self._parser)
            if fitting is not None:
                return context.number, fitting
            self._recorder.emit(
                "dropped", title=proposal.title, reason="another script became the best meanwhile"
            )
        context = self._context(self._next_number())
        return context.number, self._answer(context, lambda: ask(self._proposer, context))

    def _answer(self, context: Context, wait: Callable[[], Proposal]) -> Proposal:
        slow = getattr(self._proposer, "can_be_prefetched", False)
        try:
            with self._turn.given_up() if slow else nullcontext():
                proposal = wait()
        finally:
            self._asked_for.discard(context.number)
        self._tell(proposal)
        return proposal

    def _context(self, number: int) -> Context:
        index = self._recorder.index()
        return context_for(
            index.all(),
            best(index.kept),
            self._noise.floor(index.repeated),
            memo=self._workspace.read_memo(),
            trainings_left=self._budget.trainings_left(index.attempts),
            time_limit_s=self._budget.left(),
            number=number,
            notes=self._workspace.read_notes(),
            wall_clock_s=self._wall_clock_s,
            others_asked=len(self._asked_for) - 1,
        )

    def _tell(self, proposal: Proposal) -> None:
        for notice in proposal.notices:
            self._recorder.emit(notice.kind, **dict(notice.data))


def _escaped(proposal: Proposal) -> bool:
    """Whether the source's surrogates stand for bytes that were not UTF-8 (PEP 383) and can be turned back."""
    try:
        (proposal.source or "").encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
