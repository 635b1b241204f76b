"""Paid model calls: the worst case is reserved before, the bill settled after. A failed call is made again (`llm.retries`), then another
model is asked.

What fits into the limits is decided by `store.llm_budget.Caps`. Reservation, bill and answer are on disk before the answer is used. A call
cut off by a crash stays reserved and counts in full. So does a call without an answer, because the provider may charge for it. Only a refused call (3xx, 4xx) or one that
never left this machine costs nothing. Where a refusal says which request would be accepted, that request is sent as a new
call and its form is used for the rest of the run. An answer that was not used because of a crash is used after --resume if
the same is asked again: same experiment, same purpose, same script.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from runner.clock import Clock
from runner.llm import retries
from runner.llm.messages import PLAIN, CallFailed, Cause, Client, Completion, Message, Request, Usage, at_most
from runner.llm.prices import Price
from runner.llm.request_fixes import adapted_request
from runner.protocols import Notice
from runner.store.ledger import Ledger
from runner.store.llm_budget import Caps

_LOOK_S = 1.0
"""How often a call that the money of others holds up looks again."""
_CURES = 4
"""How often one request is adapted to a refusal, for one answer of one model."""
_ADAPTED = "request_adapted"
_CUT_BELOW, _CUT_FROM_TOKENS = 0.5, 1000
"""A prompt of which less than this share was counted has been cut; tokenizers do not differ by as much."""


@dataclass(frozen=True, slots=True)
class CallSettings:
    """Limits of a run's calls: dollars, tokens (prompt and completion together), seconds; None is no limit."""

    models: Sequence[str]
    """The first is asked; the others, in order, when it fails."""
    prices: Mapping[str, Price]
    caps: Caps = field(default_factory=Caps)
    max_output_tokens: int = 16_000
    timeout_s: float = 180.0


class CallOverBudget(Exception):
    """No model's worst case fits into what is left."""


class ModelsUnavailable(Exception):
    """No model answered. `wait_s` is the longest pause a provider asked for."""

    def __init__(self, sentence: str, wait_s: float) -> None:
        super().__init__(sentence)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Answer:
    """`call` is the ledger's number of the call that gave it."""

    model: str
    completion: Completion
    call: int


class _UnderWay:
    """How many calls are made at this moment, by several slots; those that wait for the others' bills are not among them."""

    def __init__(self) -> None:
        self._lock, self.count = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            self.count += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.count -= 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()


class MeteredClient:
    """One run's calls. `rng` spreads the waits. `tell` hears at once what should become an event; without it `notices`
    collects that."""

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        run: str,
        settings: CallSettings,
        *,
        clock: Clock,
        rng: random.Random,
        tell: Callable[[Notice], None] | None = None,
    ) -> None:
        self.client, self._ledger, self._run, self.settings = client, ledger, run, settings
        self._clock, self._rng = clock, rng
        self._unread = ledger.unread(run)  # of earlier sessions: within one, nothing is read twice
        self._requests = _learnt(ledger.events(run))
        self._cut: set[str] = set()
        self._under_way = _UnderWay()
        self.notices: list[Notice] = []
        self.tell = self.notices.append if tell is None else tell

    def ask(self, messages: Sequence[Message], *, number: int, purpose: str, deadline: float) -> Answer:
        """An answer for experiment `number`, from the first model that gives one before `deadline` (monotonic
        seconds). Raises CallOverBudget, ModelsUnavailable."""
        if (saved := self._saved(messages, number, purpose)) is not None:
            return saved
        return self.ask_without_saved(messages, number=number, purpose=purpose, deadline=deadline)

    def ask_without_saved(
        self,
        messages: Sequence[Message],
        *,
        number: int,
        purpose: str,
        deadline: float,
        max_tokens: int | None = None,
    ) -> Answer:
        """As `ask`, but without an answer saved by an earlier session. `max_tokens` is for an answer shorter than usual."""
        failed, unaffordable, wait_s = [], 0, 0.0
        for model in self.settings.models:
            try:
                return self._ask(model, messages, number, purpose, deadline, max_tokens)
            except CallOverBudget:
                unaffordable += 1
            except CallFailed as error:
                failed.append(f"{model}: {error.cause} ({error.sentence})")
                wait_s = max(wait_s, retries.retry_after_s(error, self._clock.time()) or 0.0)
        if unaffordable == len(self.settings.models):
            raise CallOverBudget
        raise ModelsUnavailable("; ".join(failed) or "the budget does not cover a fallback model", wait_s)

    def reading(self, answer: Answer) -> AbstractContextManager[None]:
        """Context manager around parsing an answer: an answer that makes the runner crash is not parsed again."""
        return self._ledger.reading(answer.call)

    def affordable(self, model: str, prompt_tokens: int) -> bool:
        """Whether the worst case of a call of `model` with so many prompt tokens fits into the remaining budget."""
        spent, most = self._ledger.spent(self._run), self._longest(model)
        usd, tokens = self.settings.prices[model].worst(prompt_tokens, most), prompt_tokens + most
        return self.settings.caps.allow(spent, usd, tokens)

    def left_usd(self) -> float | None:
        """Dollars that may still be spent; None without a limit."""
        most = self.settings.caps.max_usd
        return None if most is None else max(most - self._ledger.spent(self._run).usd, 0.0)

    def _saved(self, messages: Sequence[Message], number: int, purpose: str) -> Answer | None:
        """An answer that an earlier session paid for and did not use; returned once."""
        wanted = (number, purpose, about_sha256(messages))
        for unread in self._unread:
            if (unread.number, unread.purpose, unread.about_sha256) == wanted:
                self._unread.remove(unread)
                self.tell(Notice("answer_saved", {"model": unread.model, "number": number}))
                return Answer(unread.model, Completion(unread.answer, unread.finish, None), unread.id)
        return None

    def _ask(
        self,
        model: str,
        messages: Sequence[Message],
        number: int,
        purpose: str,
        deadline: float,
        max_tokens: int | None,
    ) -> Answer:
        attempt = cured = 0
        while True:
            try:
                return self._once(model, messages, number, purpose, deadline, max_tokens)
            except CallFailed as error:
                if cured < _CURES and self._adapts(model, messages, error, max_tokens):
                    cured += 1
                    continue
                wait = retries.wait_s(attempt, error, self._rng, self._clock)
                if wait is not None and self._clock.monotonic() + wait >= deadline:
                    wait = None
                self.tell(_notice(model, error, wait))
                if wait is None:
                    raise
                self._clock.sleep(wait)
                attempt += 1

    def _adapts(
        self, model: str, messages: Sequence[Message], error: CallFailed, max_tokens: int | None
    ) -> bool:
        """Whether the refusal says how to ask instead. That is remembered, also for later sessions of the run."""
        if error.cause not in {Cause.REFUSED, Cause.TOO_LONG} or not error.refusal:
            return False
        before = self._requests.get(model, PLAIN)
        asked = min(self._longest(model), max_tokens or self._longest(model))
        found = adapted_request(error.refusal, before, asked, self.client.count(model, messages))
        if found is None or found == before:
            return False
        self._requests[model] = found
        self.tell(Notice(_ADAPTED, {"model": model, "refusal": error.sentence, **asdict(found)}))
        return True

    def _longest(self, model: str) -> int:
        """Tokens of the longest answer that `model` is asked for."""
        known = (self.client.max_output(model), self._requests.get(model, PLAIN).max_output)
        return min([self.settings.max_output_tokens, *(limit for limit in known if limit)])

    def _once(
        self,
        model: str,
        messages: Sequence[Message],
        number: int,
        purpose: str,
        deadline: float,
        max_tokens: int | None,
    ) -> Answer:
        price = self.settings.prices[model]
        prompt_tokens = at_most(messages)
        most = min(self._longest(model), max_tokens or self._longest(model))
        reserved = price.worst(prompt_tokens, most)
        with self._under_way:
            call = self._reserve(
                number,
                deadline,
                purpose=purpose,
                model=model,
                prompt_sha256=prompt_sha256(messages),
                about_sha256=about_sha256(messages),
                reserved_tokens=prompt_tokens + most,
                reserved_usd=reserved,
            )
            return self._complete(call, model, messages, deadline, most, prompt_tokens, reserved)

    def _reserve(self, number: int, deadline: float, **columns: Any) -> int:
        """The call's number in the ledger. Where the limits do not allow it for the worst cases of other slots' calls that are under way, it
        waits until they are settled. Raises CallOverBudget."""
        while True:
            alone = self._under_way.count <= 1  # before the question: who is alone then has what was asked
            call = self._ledger.reserve_call(
                self._run,
                number,
                now=self._clock.time(),
                caps=self.settings.caps,
                **columns,
            )
            if call is not None:
                return call
            if alone or self._clock.monotonic() >= deadline:
                raise CallOverBudget
            with self._under_way.waiting():
                self._clock.sleep(_LOOK_S)

    def _complete(
        self,
        call: int,
        model: str,
        messages: Sequence[Message],
        deadline: float,
        most: int,
        prompt_tokens: int,
        reserved: float,
    ) -> Answer:
        price = self.settings.prices[model]
        timeout = max(min(self.settings.timeout_s, deadline - self._clock.monotonic()), 1.0)
        request = self._requests.get(model, PLAIN)
        try:
            completion = self.client.complete(
                model, messages, max_tokens=most, timeout_s=timeout, request=request
            )
        except CallFailed as error:
            state = "unknown" if error.sent else "refused"
            self._ledger.settle_call(call, state, now=self._clock.time(), detail=str(error.cause))
            raise
        usage, now = completion.usage, self._clock.time()
        said: dict[str, str] = {"answer": _plain(completion.text), "finish": _plain(completion.finish)}
        if usage is None:
            self._ledger.settle_call(call, "unknown", now=now, detail="no usage in the answer", **said)
            return Answer(model, completion, call)
        self._ledger.settle_call(
            call,
            "answered",
            now=now,
            prompt_tokens=usage.prompt,
            cached_tokens=usage.cached,
            completion_tokens=usage.completion,
            cost_usd=price.of(usage),
            detail=said["finish"],
            **said,
        )
        self._compare(model, messages, usage, prompt_tokens + most, price.of(usage) - reserved)
        return Answer(model, completion, call)

    def _compare(
        self, model: str, messages: Sequence[Message], usage: Usage, reserved: int, dearer_usd: float
    ) -> None:
        """Report a bill above its reservation, and a prompt that the server truncated."""
        if usage.prompt + usage.completion > reserved or dearer_usd > 0:
            data = {"model": model, "tokens": usage.prompt + usage.completion, "reserved_tokens": reserved}
            self.tell(
                Notice("usage_above_reservation", {**data, "usd_above": max(round(dearer_usd, 6), 0.0)})
            )
        if model in self._cut:
            return
        counted = self.client.count(model, messages)
        if counted >= _CUT_FROM_TOKENS and usage.prompt < _CUT_BELOW * counted:
            self._cut.add(model)
            advice = (
                "give the server a larger context window (Ollama: OLLAMA_CONTEXT_LENGTH), or another model"
            )
            self.tell(
                Notice(
                    "prompt_cut", {"model": model, "read": usage.prompt, "sent": counted, "advice": advice}
                )
            )


def _learnt(events: Sequence[tuple[float, str, Mapping[str, object]]]) -> dict[str, Request]:
    """The form of request that refusals in earlier sessions of the run asked for, by model."""
    names = Request.__dataclass_fields__
    return {
        str(data["model"]): Request(**{name: data[name] for name in names if name in data})  # type: ignore[arg-type]
        for _, kind, data in events
        if kind == _ADAPTED
    }


def prompt_sha256(messages: Sequence[Message]) -> str:
    """The hash by which the ledger knows a prompt."""
    return hashlib.sha256(json.dumps([[m.role, m.text] for m in messages]).encode()).hexdigest()


def about_sha256(messages: Sequence[Message]) -> str:
    """The hash of what a prompt is about: its stable part, without the time and the money left."""
    return prompt_sha256([message for message in messages if message.stable])


def _plain(text: str) -> str:
    """Without lone surrogates, which SQLite does not accept."""
    return text.encode("utf-8", errors="replace").decode()


def _notice(model: str, error: CallFailed, wait: float | None) -> Notice:
    data: dict[str, object] = {"model": model, "cause": str(error.cause), "sentence": error.sentence}
    return Notice("call_failed", {**data, "wait_s": None if wait is None else round(wait, 1)})
