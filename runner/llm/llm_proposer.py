"""The proposer that asks a language model. It only proposes text; the loop decides what is done with it.

When no model answers, or several answers in a row cannot be used, an event is emitted and the offline optimiser proposes
for a while. Only if the optimiser has nothing to tune does the proposer wait out the pause before it asks the model
again. It never proposes the unchanged parent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from runner.clock import Clock
from runner.llm import prompt
from runner.llm.messages import Message
from runner.llm.metered_client import Answer as Answered
from runner.llm.metered_client import CallOverBudget, MeteredClient, ModelsUnavailable
from runner.llm.prompt import Task
from runner.parsing.client import Parser, shared
from runner.parsing.facts import MAX_NOTES_CHARS, Answer, BadAnswer, Facts
from runner.parsing.static_check import check
from runner.proposers.titles import brief
from runner.protocols import (
    EXHAUSTED,
    LLM_BUDGET_EXHAUSTED,
    Context,
    Notice,
    PastExperiment,
    Proposal,
    Proposer,
)

NOTES_TOKENS = 1500
MAX_BAD_ANSWERS = 3
"""In a row; then the optimiser stands in."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 300.0, 3600.0
STAGNANT = 6
"""So many experiments in a row without a keep, and another kind of change is asked for."""
_REPAIRABLE = frozenset({"crash", "oom", "no_artifact"})
_LOOK_S = 5.0
"""While it waits, it looks so often whether the run is to end."""
SILENT = "no model answers, and the optimiser has nothing to tune either"
_REPAIR = re.compile(r"repair (\d+) of #(\d+): ")


class LlmProposer:
    """See `runner.protocols.Proposer`. `offline` stands in while no model answers; `to_end` says that the run is to end,
    so that nothing is waited for any more."""

    name = "llm"
    can_be_prefetched = True
    """Slow to answer: the loop asks for the next proposal while this one trains."""

    def __init__(
        self,
        metered: MeteredClient,
        offline: Proposer,
        *,
        clock: Clock,
        repairs: int = 1,
        parser: Parser | None = None,
        to_end: Callable[[], bool] = lambda: False,
    ) -> None:
        self.metered, self._offline, self._clock, self._repairs = metered, offline, clock, repairs
        self._to_end, self._parser = to_end, parser or shared()
        self._paused_until = float("-inf")
        self._pauses = self._bad_answers = 0
        self._mending: set[int] = set()
        """Failed experiments whose repair is being asked for, by another slot it may be."""
        self._silent = False
        """Whether the present pause is for want of answers: waiting does not make answers better."""

    def propose(self, context: Context) -> Proposal:
        started = self._clock.monotonic()
        if started < self._paused_until:
            proposal = self._stand_in(context)
            if proposal.failure != SILENT or (self._silent and not self._waited_for(context)):
                return proposal
            left = context.time_limit_s - (self._clock.monotonic() - started)
            context = replace(context, time_limit_s=max(left, 0.0))
        try:
            proposal = self._ask(context)
        except CallOverBudget:
            return Proposal(None, "no money", failure=LLM_BUDGET_EXHAUSTED, notices=self._noticed())
        except ModelsUnavailable as error:
            return self._pause(context, f"no model answers ({error})", error.wait_s)
        if proposal.source is not None and self._rejected(proposal.source, context) is None:
            self._pauses = self._bad_answers = 0
            return proposal
        self._bad_answers += 1
        if self._bad_answers < MAX_BAD_ANSWERS:
            return proposal
        self._bad_answers, self._silent = 0, False
        self._pauses += 1
        self._paused_until = self._clock.monotonic() + self._pause_s()
        self.metered.tell(_paused(f"{MAX_BAD_ANSWERS} answers in a row could not be used", self._pause_s()))
        return replace(proposal, notices=(*proposal.notices, *self._noticed()))

    # -- one question ----------------------------------------------------------------------------------------
    def _ask(self, context: Context) -> Proposal:
        with self._turned_to(context) as task:
            return self._answered(context, task)

    @contextmanager
    def _turned_to(self, context: Context) -> Iterator[Task]:
        """The task; a repair is asked for once at a time."""
        broken = self._broken(context)
        broken = None if broken is None or broken.number in self._mending else broken
        numbers = set() if broken is None else {broken.number}
        self._mending |= numbers
        try:
            yield self._task(context, broken)
        finally:
            self._mending -= numbers

    def _answered(self, context: Context, task: Task) -> Proposal:
        deadline = self._clock.monotonic() + context.time_limit_s
        said: list[Message] = prompt.messages(context, task, self._count, self._parser, money=self._money())
        answer = self.metered.ask(said, number=context.number, purpose=task.purpose, deadline=deadline)
        try:
            return self._proposal(self._read(answer, task, context), task, answer.model)
        except BadAnswer as error:
            if not error.repairable:
                return self._failed(f"{error}", answer.model)
            said += [
                Message("assistant", answer.completion.text or "(empty)"),
                Message("user", prompt.correction(str(error))),
            ]
        answer = self.metered.ask(said, number=context.number, purpose="correction", deadline=deadline)
        try:
            found = self._read(answer, task)  # the loop's own check has the last word
        except BadAnswer as error:
            return self._failed(f"{error} (asked twice)", answer.model)
        return self._proposal(found, task, answer.model)

    def _read(self, answer: Answered, task: Task, context: Context | None = None) -> Answer:
        """Raises BadAnswer; with the context also for what the loop would reject: its author may correct that at once."""
        completion = answer.completion
        if completion.finish == "length":
            raise BadAnswer("the answer was cut off at the limit of output tokens", repairable=False)
        if completion.finish in {"content_filter", "refusal"}:
            raise BadAnswer("the model refused to answer", repairable=False)
        if not completion.text.strip():
            raise BadAnswer("the answer is empty", repairable=False)
        with self.metered.reading(answer):
            found = self._parser.answer(completion.text, task.source)
            if context is None:
                return found
            rejected = self._rejected(found.source, context, self._parser.facts(task.source))
        if rejected is not None:
            raise BadAnswer(f"the new train.py is rejected: {rejected}")
        return found

    def _rejected(self, source: str, context: Context, parent: Facts | None = None) -> str | None:
        """Why the loop's check would not let this script train."""
        seen = {past.fingerprint for past in context.history if past.fingerprint}
        checked = check(source.encode(), self._parser, seen=seen, parent=parent)
        return f"{checked.rejection} ({checked.detail})" if checked.rejection else None

    def _proposal(self, found: Answer, task: Task, model: str) -> Proposal:
        return Proposal(
            found.source,
            task.title_prefix + found.title,
            found.hypothesis,
            found.category,
            author=f"llm {model}",
            expected_gain=found.expected_gain,
            risk=found.risk,
            parent=task.parent,
            # a repair edits the failed script, so its edits say nothing about the best one
            edits=found.edits if task.purpose == "propose" else (),
            notes=None if found.notes is None else self._cut(found.notes, NOTES_TOKENS),
            notices=self._noticed(),
        )

    def _failed(self, reason: str, model: str) -> Proposal:
        return Proposal(
            None, "no usable answer", failure=brief(reason), author=f"llm {model}", notices=self._noticed()
        )

    def _task(self, context: Context, broken: PastExperiment | None) -> Task:
        if broken is not None:
            found = _REPAIR.match(broken.title)
            turn, first = (int(found.group(1)) + 1, int(found.group(2))) if found else (1, broken.number)
            return Task(
                "repair",
                broken.source,
                broken.parent,
                prompt.repair_request(broken, context.best_source, self._parser),
                f"repair {turn} of #{first}: ",
            )
        idle = _since_keep(context.history)
        if len(idle) < STAGNANT:
            return Task("propose", context.best_source, None, prompt.fresh_request())
        avoid = [past.category for past in idle[-STAGNANT:]]
        elsewhere = _elsewhere(context, idle) if (len(idle) // STAGNANT) % 2 == 0 else None
        if elsewhere is not None:
            request = prompt.fresh_request(avoid) + " This time it starts from another script, given above."
            return Task("explore", elsewhere.source, elsewhere.number, request)
        return Task("propose", context.best_source, None, prompt.fresh_request(avoid))

    def _broken(self, context: Context) -> PastExperiment | None:
        """The newest result, if it is a failure of a model's script on the best one that may still be mended."""
        finished = [p for p in context.history if p.status not in {"open", "proposer_failed", "rejected"}]
        last = finished[-1] if finished else None
        if last is None or last.status not in _REPAIRABLE or not last.author.startswith("llm"):
            return None
        if last.parent != context.best_number:
            return None
        found = _REPAIR.match(last.title)
        turns, first = (int(found.group(1)), int(found.group(2))) if found else (0, last.number)
        mended = any(
            (m := _REPAIR.match(p.title)) and int(m.group(2)) == first and int(m.group(1)) > turns
            for p in context.history
        )
        return None if mended or turns >= self._repairs else last

    # -- when no model answers -------------------------------------------------------------------------------
    def _pause(self, context: Context, reason: str, wait_s: float) -> Proposal:
        self._pauses += 1
        self._silent = True
        seconds = max(self._pause_s(), wait_s)
        self._paused_until = self._clock.monotonic() + seconds
        self.metered.tell(_paused(reason, seconds))
        proposal = self._stand_in(context)
        return replace(proposal, notices=(*self._noticed(), *proposal.notices))

    def _pause_s(self) -> float:
        return float(min(_FIRST_PAUSE_S * 2.0 ** max(self._pauses - 1, 0), _LONGEST_PAUSE_S))

    def _stand_in(self, context: Context) -> Proposal:
        proposal = replace(self._offline.propose(context), author=self._offline.name)
        return replace(proposal, failure=SILENT) if proposal.failure in EXHAUSTED else proposal

    def _waited_for(self, context: Context) -> bool:
        """Wait until the pause is over; false when the run is to end before that."""
        end = self._clock.monotonic() + context.time_limit_s
        while (left := min(self._paused_until, end) - self._clock.monotonic()) > 0:
            if self._to_end():
                return False
            self._clock.sleep(min(left, _LOOK_S))
        return self._clock.monotonic() < end

    # -- small matters ---------------------------------------------------------------------------------------
    def _count(self, text: str) -> int:
        return (
            self.metered.client.count(self.metered.settings.models[0], [Message("user", text)]) if text else 0
        )

    def _cut(self, text: str, tokens: int) -> str:
        """The beginning of `text`, within `tokens`."""
        text = text[:MAX_NOTES_CHARS]
        while text and (count := self._count(text)) > tokens:
            text = text[: min(int(len(text) * tokens / count), len(text) - 1)]
        return text

    def _money(self) -> str:
        left = self.metered.left_usd()
        return "" if left is None else f", and {left:.2f} dollars for your answers"

    def _noticed(self) -> tuple[Notice, ...]:
        notices, self.metered.notices = tuple(self.metered.notices), []
        return notices


def _since_keep(history: Sequence[PastExperiment]) -> list[PastExperiment]:
    """The experiments after the last keep, without those still open."""
    idle: list[PastExperiment] = []
    for past in reversed(history):
        if past.status == "keep":
            break
        if past.status not in {"open", "proposer_failed"}:
            idle.append(past)
    return idle[::-1]


def _elsewhere(context: Context, idle: Sequence[PastExperiment]) -> PastExperiment | None:
    """Another script to start from: near misses and earlier keeps by turns, the better ones first."""
    near = [p for p in context.history if p.status == "discard" and p.val_bpb is not None]
    kept = [p for p in context.history if p.status == "keep" and p.number != context.best_number]
    found = sorted([*near[-20:], *kept[-3:]], key=lambda past: past.val_bpb or float("inf"))[:5]
    return found[len(idle) // STAGNANT % len(found)] if found else None


def _paused(reason: str, seconds: float) -> Notice:
    return Notice("llm_paused", {"reason": reason, "seconds": round(seconds)})
