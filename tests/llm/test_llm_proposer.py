from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runner.errors import PrerequisiteMissing, UsageError
from runner.llm import prompt
from runner.llm.digest import digest
from runner.llm.llm_proposer import NOTES_TOKENS, SILENT, STAGNANT, LlmProposer
from runner.llm.messages import PLAIN, CallFailed, Cause, Completion, Message, Request, Usage, at_most
from runner.llm.metered_client import Answer, CallOverBudget, CallSettings, MeteredClient, ModelsUnavailable
from runner.llm.model_check import check_models
from runner.llm.prices import Price, UnknownPrice
from runner.llm.proposer_setup import call_settings
from runner.parsing.client import shared
from runner.parsing.static_check import constants_only
from runner.proposers.hybrid import HybridProposer
from runner.proposers.tpe import TpeProposer
from runner.protocols import Context, PastExperiment, Proposal
from runner.search.background import in_thread
from runner.store.config import Config
from runner.store.ledger import Ledger
from runner.store.llm_budget import Caps
from runner.store.workspace import Workspace


def fingerprint(text: str) -> str:
    return shared().facts(text).fingerprint


SCRIPT = "LR = 1.0  # tune: log 0.1 10\nW = 3\n"
PRICE = Price(2e-6, 8e-6, 1e-6, 3e-6)


MESSAGES = [Message("user", "hello")]


class Clock:
    zone = None

    def __init__(self) -> None:
        self.now, self.slept = 1_800_000_000.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class FakeClient:
    """Answers, or raises, what it is given; a word is a token."""

    def __init__(self, *answers: Completion | CallFailed) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, list[Message]]] = []
        self.requests: list[Request] = []

    def price(self, model: str) -> Price:
        if "unknown" in model:
            raise UnknownPrice(model)
        return PRICE

    def count(self, model: str, messages: Sequence[Message]) -> int:
        return sum(len(m.text.split()) for m in messages)

    def max_output(self, model: str) -> int | None:
        return None

    def context_window(self, model: str) -> int | None:
        return 50 if "narrow" in model else None

    def missing_keys(self, model: str) -> Sequence[str]:
        return ("SOME_API_KEY",) if "keyless" in model else ()

    def unknown_provider(self, model: str) -> str:
        return "there is no such provider" if "nowhere" in model else ""

    def unusable_proxy(self) -> str:
        return ""

    def complete(
        self,
        model: str,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        timeout_s: float,
        request: Request = PLAIN,
    ) -> Completion:
        self.requests.append(request)
        self.asked.append((model, list(messages)))
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, CallFailed):
            raise answer
        return answer


def ledger(folder: Path) -> Ledger:
    made = Ledger(folder / "ledger.db")
    if not made.runs():
        made.start_run("r", now=1.0, seed=1, settings={})
    return made


def researcher(
    folder: Path,
    client: FakeClient,
    *,
    models: Sequence[str] = ("m",),
    clock: Clock | None = None,
    **settings: Any,
) -> LlmProposer:
    clock = clock or Clock()
    settings = CallSettings(models=models, prices=dict.fromkeys(models, PRICE), **settings)
    metered = MeteredClient(client, ledger(folder), "r", settings, clock=clock, rng=random.Random(1))
    return LlmProposer(metered, TpeProposer(1), clock=clock)


def past(number: int, **changes: Any) -> PastExperiment:
    made = PastExperiment(
        number, f"idea {number}", "optimizer", "discard", 2.01, 0.01, lambda: f"x = {number}\n", 0
    )
    texts = {f"read_{name}": partial(str, changes.pop(name)) for name in ("source",) if name in changes}
    if "log_tail" in changes:
        texts["read_log"] = partial(str, changes.pop("log_tail"))
    marks = {"author": "llm m", "fingerprint": fingerprint(f"x = {number}\n")}
    return replace(made, **{**marks, **texts, **changes})


BASELINE = past(
    0, status="keep", title="baseline", val_bpb=2.0, delta=None, parent=None, source=SCRIPT, author=""
)


def context(*history: PastExperiment, **changes: Any) -> Context:
    made = Context("the memo", SCRIPT, 2.0, 0.001, (BASELINE, *history), 3600.0, len(history) + 1)
    made = replace(made, **changes)
    return replace(made, best_constants=shared().facts(made.best_source).constants)


def good(replacement: str = "W = 4", notes: str = "") -> Completion:
    text = f"TITLE: t\n<<<<<<< SEARCH\nW = 3\n=======\n{replacement}\n>>>>>>> REPLACE\n{notes}"
    return Completion(text, "stop", Usage(100, 10))


def busy(after: str | None = None) -> CallFailed:
    return CallFailed(Cause.BUSY, "slow down", sent=False, retry_after=after)


# -- patience ----------------------------------------------------------------------------------------------------
def test_waits_grow_are_spread_and_honour_retry_after(tmp_path: Path) -> None:
    clock = Clock()
    client = FakeClient(busy(), busy("30"), good())
    assert researcher(tmp_path, client, clock=clock).propose(context()).source is not None
    assert 1.0 <= clock.slept[0] <= 2.0
    assert clock.slept[1] == 30.0


def test_retry_after_may_be_a_date(tmp_path: Path) -> None:
    clock = Clock()
    date = "Fri, 15 Jan 2027 08:00:20 GMT"  # 20 seconds after the clock's 1,800,000,000
    researcher(tmp_path, FakeClient(busy(date), good()), clock=clock).propose(context())
    assert clock.slept == [20.0]


def test_a_provider_that_asks_for_an_hour_is_left_for_the_next_model(tmp_path: Path) -> None:
    clock = Clock()
    client = FakeClient(busy("3600"), good())
    proposal = researcher(tmp_path, client, models=("a", "b"), clock=clock).propose(context())
    assert [model for model, _ in client.asked] == ["a", "b"]
    assert clock.slept == []
    assert proposal.author == "llm b"


def test_a_refused_key_is_not_tried_again(tmp_path: Path) -> None:
    client = FakeClient(CallFailed(Cause.KEY, "no", sent=False))
    proposal = researcher(tmp_path, client).propose(context())
    assert len(client.asked) == 1
    assert proposal.author == "tpe"
    assert [notice.kind for notice in proposal.notices] == ["call_failed", "llm_paused"]


def test_waiting_never_outlasts_the_search(tmp_path: Path) -> None:
    clock = Clock()
    researcher(tmp_path, FakeClient(busy("100")), clock=clock).propose(context(time_limit_s=50.0))
    assert sum(clock.slept) <= 50.0


def test_a_cheaper_model_stands_in_when_the_first_does_not_fit_into_what_is_left(tmp_path: Path) -> None:
    settings = CallSettings(("dear", "cheap"), {"dear": Price(1, 1, 1, 1), "cheap": PRICE}, Caps(max_usd=1.0))
    metered = MeteredClient(
        FakeClient(good()), ledger(tmp_path), "r", settings, clock=Clock(), rng=random.Random(1)
    )
    said = [Message("user", "hello")]
    assert metered.ask(said, number=1, purpose="propose", deadline=2e9).model == "cheap"
    broke = replace(settings, models=("dear",))
    metered = MeteredClient(
        FakeClient(good()), ledger(tmp_path), "r", broke, clock=Clock(), rng=random.Random(1)
    )
    with pytest.raises(CallOverBudget):
        metered.ask(said, number=2, purpose="propose", deadline=2e9)


def test_no_money_for_the_stand_in_of_a_broken_model_is_no_answer_not_the_end(tmp_path: Path) -> None:
    settings = CallSettings(("m", "dear"), {"dear": Price(1, 1, 1, 1), "m": PRICE}, Caps(max_usd=1.0))
    client = FakeClient(CallFailed(Cause.NO_MODEL, "no", sent=False))
    metered = MeteredClient(client, ledger(tmp_path), "r", settings, clock=Clock(), rng=random.Random(1))
    with pytest.raises(ModelsUnavailable):
        metered.ask([Message("user", "hello")], number=1, purpose="propose", deadline=2e9)


def test_three_useless_answers_in_a_row_and_the_optimiser_stands_in(tmp_path: Path) -> None:
    model = researcher(tmp_path, FakeClient(Completion("prose", "stop", Usage(10, 1))))
    authors = [model.propose(context(number=number)).author for number in (1, 2, 3, 4)]
    assert authors == ["llm m", "llm m", "llm m", "tpe"]


def test_a_model_that_repeats_itself_does_not_end_the_search(tmp_path: Path) -> None:
    """Ten proposals in a row that cannot train end a run."""
    tried = past(1, source=SCRIPT.replace("3", "4"), fingerprint=fingerprint(SCRIPT.replace("3", "4")))
    model = researcher(tmp_path, FakeClient(good()))
    authors = [model.propose(context(tried, number=number)).author for number in (2, 3, 4, 5)]
    assert authors == ["llm m", "llm m", "llm m", "tpe"]


def test_silence_is_told_before_anything_is_waited_for(tmp_path: Path) -> None:
    clock, told = Clock(), list[tuple[str, float]]()
    client = FakeClient(CallFailed(Cause.UNREACHABLE, "no", sent=False))
    model = researcher(tmp_path, client, clock=clock)
    model.metered.tell = lambda notice: told.append((notice.kind, sum(clock.slept)))
    nothing_to_tune = context(best_source="x = 1\n")
    assert model.propose(nothing_to_tune).failure == SILENT
    assert told[0] == ("call_failed", 0.0), "before the first wait between two tries"
    kind, after = told[-1]
    assert (kind, after) == ("llm_paused", sum(clock.slept)), "the pause itself has not begun"
    assert after < 60
    model.propose(nothing_to_tune)
    assert sum(clock.slept) >= 300, "now it has been waited for, and the model was asked again"
    assert len(client.asked) == 6


def test_with_nothing_to_tune_an_outage_never_ends_the_search(tmp_path: Path) -> None:
    from runner.protocols import EXHAUSTED

    model = researcher(tmp_path, FakeClient(busy(), busy(), busy(), good()))
    failures = [model.propose(context(best_source="W = 3\n")).failure for _ in range(2)]
    assert failures == [SILENT, ""]
    assert SILENT not in EXHAUSTED


def test_while_the_optimiser_can_stand_in_nothing_is_waited_for(tmp_path: Path) -> None:
    clock = Clock()
    model = researcher(tmp_path, FakeClient(CallFailed(Cause.KEY, "no", sent=False)), clock=clock)
    assert [model.propose(context(number=number)).author for number in (1, 2, 3)] == ["tpe"] * 3
    assert clock.slept == []


def test_a_wait_ends_with_the_search_and_when_the_run_is_asked_to_end(tmp_path: Path) -> None:
    clock = Clock()
    model = researcher(tmp_path, FakeClient(CallFailed(Cause.KEY, "no", sent=False)), clock=clock)
    short = context(best_source="x = 1\n", time_limit_s=100.0)
    model.propose(short)
    assert model.propose(short).failure == SILENT
    assert sum(clock.slept) == pytest.approx(100)
    model._to_end = lambda: sum(clock.slept) > 110
    assert model.propose(context(best_source="x = 1\n")).failure == SILENT
    assert sum(clock.slept) < 120


# -- money -------------------------------------------------------------------------------------------------------
def test_what_is_reserved_is_more_than_what_any_tokenizer_counts() -> None:
    text = "x = 1 \u4e2d\n" * 100
    assert at_most([Message("user", text)]) >= len(text.encode()), "no tokenizer makes more tokens than bytes"
    usage = Usage(1000, 100, cached=200, cache_written=300)
    assert PRICE.of(usage) == pytest.approx(500 * 2e-6 + 200 * 1e-6 + 300 * 3e-6 + 100 * 8e-6)
    assert PRICE.worst(1000, 100) >= PRICE.of(usage)


@pytest.mark.parametrize(
    ("config", "caps", "error", "says"),
    [
        ({"model": ""}, Caps(), UsageError, "--model provider/name"),
        ({"model": "x/unknown"}, Caps(), UsageError, "--price-in 3 --price-out 15"),
        ({"model": "m", "fallback_models": "x/unknown"}, Caps(), UsageError, "x/unknown"),
        ({"model": "m", "price_in": "3"}, Caps(), UsageError, "belong together"),
        ({"model": "m", "cost_tracking": "off"}, Caps(max_usd=1.0), UsageError, "--max-tokens"),
        ({"model": "keyless/m"}, Caps(), PrerequisiteMissing, "SOME_API_KEY"),
        ({"model": "nowhere/m"}, Caps(), UsageError, "no such provider"),
        ({"model": "m", "fallback_models": "nowhere/m"}, Caps(), UsageError, "no such provider"),
    ],
)
def test_what_could_not_be_paid_for_is_refused_before_the_night(
    config: dict[str, Any], caps: Caps, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        call_settings(Config(proposer="llm", **config), caps, FakeClient())


def test_a_given_price_holds_for_the_model_and_for_stand_ins_that_nobody_knows() -> None:
    given = {"price_in": "30", "price_out": "60"}
    config = Config(model="m", fallback_models="known, x/unknown", **given)
    prices = call_settings(config, Caps(), FakeClient()).prices
    assert prices["m"].prompt == prices["x/unknown"].prompt == pytest.approx(30e-6)
    assert prices["known"] == PRICE
    off = call_settings(Config(model="x/unknown", cost_tracking="off"), Caps(), FakeClient())
    assert off.prices["x/unknown"].worst(10**6, 10**6) == 0


def refused(sentence: str) -> CallFailed:
    return CallFailed(Cause.REFUSED, "no", sent=False, refusal=sentence)


def test_a_cure_is_a_call_of_its_own_and_holds_for_the_run_and_after_resume(tmp_path: Path) -> None:
    client = FakeClient(refused("use max_completion_tokens"), refused("only with stream=true"), good())
    model = researcher(tmp_path, client)
    wanted = Request(completion_name=True, stream=True)
    notices = model.propose(context()).notices
    assert [notice.data for notice in notices][-1] == {"model": "m", "refusal": "no", **asdict(wanted)}
    assert client.requests == [PLAIN, Request(completion_name=True), wanted]
    book = ledger(tmp_path)
    assert [call.state for call in book.calls("r")] == ["refused", "refused", "answered"]
    book.add_event("r", "request_adapted", {"model": "m", **asdict(wanted)}, now=1.0)
    again = FakeClient(good())
    researcher(tmp_path, again).propose(context(number=2))
    assert again.requests == [wanted]


def test_a_refusal_that_is_repeated_is_final_and_the_fallback_is_asked(tmp_path: Path) -> None:
    stubborn = refused("maximum context length is 24576 tokens, the request has 13000")
    client = FakeClient(*[stubborn] * 5, good())
    proposal = researcher(tmp_path, client, models=("a", "b")).propose(context())
    assert [model for model, _ in client.asked] == ["a"] * 5 + ["b"]
    assert proposal.author == "llm b"
    assert [r.max_output for r in client.requests[1:5]] == sorted(
        (r.max_output for r in client.requests[1:5] if r.max_output), reverse=True
    )


def test_a_bill_above_the_reservation_is_booked_and_told(tmp_path: Path) -> None:
    dear = replace(good(), usage=Usage(2_000_000, 10))
    proposal = researcher(tmp_path, FakeClient(dear)).propose(context())
    assert [notice.kind for notice in proposal.notices] == ["usage_above_reservation"]
    assert ledger(tmp_path).spent("r").usd == pytest.approx(2_000_000 * 2e-6 + 10 * 8e-6)


def test_a_prompt_that_was_cut_is_told_once(tmp_path: Path) -> None:
    answers = [replace(good(f"W = {n}"), usage=Usage(300, 10)) for n in (4, 5)]
    model = researcher(tmp_path, FakeClient(*answers))
    long = context(memo="word " * 3000)
    first, second = (model.propose(long).notices for _ in range(2))
    assert [(n.kind, n.data["read"]) for n in first] == [("prompt_cut", 300)]
    assert second == ()


# -- before the run --------------------------------------------------------------------------------------------
def workspace(folder: Path) -> Workspace:
    (folder / "train.py").write_text(SCRIPT)
    return Workspace(folder)


def metered(folder: Path, client: FakeClient, **settings: Any) -> MeteredClient:
    models = settings.pop("models", ("m",))
    settings = CallSettings(models=models, prices=dict.fromkeys(models, PRICE), **settings)
    return MeteredClient(client, ledger(folder), "r", settings, clock=Clock(), rng=random.Random(1))


def test_one_small_call_is_made_and_booked_before_the_night(tmp_path: Path) -> None:
    client = FakeClient(Completion("yes", "stop", Usage(20, 1)))
    asking = metered(tmp_path, client)
    check_models(asking, workspace(tmp_path), deadline=2e9)
    (call,) = ledger(tmp_path).calls("r")
    assert (call.purpose, call.state, call.number) == ("check", "answered", 0)
    assert call.reserved_usd < 0.01
    assert [notice.kind for notice in asking.notices] == ["model_answers"]
    check_models(asking, workspace(tmp_path), deadline=2e9)
    assert len(client.asked) == 2, "what answered yesterday may be gone today"


def test_without_the_call_nothing_is_asked(tmp_path: Path) -> None:
    client = FakeClient(Completion("yes", "stop", Usage(20, 1)))
    assert check_models(metered(tmp_path, client), workspace(tmp_path), deadline=2e9, call=False) is None
    assert client.asked == []


def test_a_model_that_does_not_answer_is_refused_unless_a_fallback_does(tmp_path: Path) -> None:
    failed = CallFailed(Cause.NO_MODEL, "there is no gtp-5", sent=False)
    with pytest.raises(PrerequisiteMissing, match=r"there is no gtp-5.*--no-call"):
        check_models(metered(tmp_path, FakeClient(failed)), workspace(tmp_path), deadline=2e9)
    client = FakeClient(failed, Completion("", "length", Usage(20, 1024)))
    found = check_models(metered(tmp_path, client, models=("a", "b")), workspace(tmp_path), deadline=2e9)
    assert found is not None
    assert found.model == "b"


def test_a_limit_that_no_answer_fits_into_ends_before_the_first_call(tmp_path: Path) -> None:
    for caps in (Caps(max_usd=0.001), Caps(max_tokens=1000)):
        client = FakeClient(good())
        with pytest.raises(CallOverBudget):
            check_models(metered(tmp_path, client, caps=caps), workspace(tmp_path), deadline=2e9)
        assert client.asked == []


def test_a_model_whose_window_is_too_small_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="narrow reads 50 tokens"):
        check_models(
            metered(tmp_path, FakeClient(), models=("m", "narrow")), workspace(tmp_path), deadline=2e9
        )


# -- the prompt --------------------------------------------------------------------------------------------------
def test_the_prompt_goes_from_what_never_changes_to_what_always_does(tmp_path: Path) -> None:
    client = FakeClient(good(), good("W = 5"))
    model = researcher(tmp_path, client)
    model.propose(context())
    model.propose(context(past(1), past(2), trainings_left=6, notes="remember"))
    first, second = (said for _, said in client.asked)
    assert [m.stable for m in first] == [True, True, True, False]
    assert first[:3] == second[:3]
    assert first[3] != second[3]
    text = "\n".join(m.text for m in second)
    order = ["SEARCH", "the memo", "export_model", SCRIPT.strip(), "remember", "idea 1", "Propose the next"]
    assert [text.index(word) for word in order] == sorted(text.index(word) for word in order)


def test_the_digest_keeps_within_its_tokens_and_tells_of_failures() -> None:
    history = [past(n, title=f"idea {n} " + "long " * 15) for n in range(1, 200)]
    history.append(
        past(200, status="oom", val_bpb=None, delta=None, log_tail="step 1\nRESOURCE_EXHAUSTED: 3 GiB")
    )
    count = lambda text: len(text.split())  # noqa: E731
    for most in (200, 1000, 4000):
        assert count(digest(context(*history), count, max_tokens=most)) <= most
    text = digest(context(*history), count, max_tokens=1000)
    assert "RESOURCE_EXHAUSTED: 3 GiB" in text
    assert "optimizer: 0 of" in text


def test_an_idea_is_a_dead_end_on_one_parent_only() -> None:
    history = (past(1, title="wider", parent=0), past(2, title="wider", parent=5, status="keep", delta=-0.1))
    text = digest(context(*history), lambda text: len(text.split()))
    assert "on #0: wider" in text
    assert "on #5: wider" not in text


def test_near_misses_are_told_apart_from_dead_ends() -> None:
    text = digest(context(past(1, delta=-0.0004, error=0.002)), lambda text: len(text.split()))
    assert "Near misses" in text
    assert "Dead ends" not in text


def test_notes_are_cut_to_their_tokens(tmp_path: Path) -> None:
    long = "NOTES:\n" + "word " * 5000
    proposal = researcher(tmp_path, FakeClient(good(notes=long))).propose(context())
    assert proposal.notes is not None
    assert 0 < len(proposal.notes.split()) <= NOTES_TOKENS


# -- policy ------------------------------------------------------------------------------------------------------
CRASH = past(
    1,
    status="crash",
    val_bpb=None,
    delta=None,
    source=SCRIPT + "boom()\n",
    log_tail="NameError: boom\n\x1b[2J",
)


def test_a_crash_is_mended_by_its_author_on_the_same_parent_and_only_so_often(tmp_path: Path) -> None:
    client = FakeClient(Completion(good("W = 3\nboom = print").text, "stop", Usage(10, 1)))
    model = researcher(tmp_path, client)
    proposal = model.propose(context(CRASH))
    assert (proposal.title, proposal.parent) == ("repair 1 of #1: t", 0)
    assert proposal.source is not None
    assert proposal.source.endswith("boom()\n")
    assert "| NameError: boom" in client.asked[0][1][-1].text
    again = past(2, **{f: getattr(CRASH, f) for f in ("status", "val_bpb", "delta", "log_tail", "source")},
                 title="repair 1 of #1: t")  # fmt: skip
    assert not model.propose(context(CRASH, again)).title.startswith("repair")


def test_two_slots_do_not_mend_the_same_script(tmp_path: Path) -> None:
    """The second asks while the first still waits for its answer."""
    titles: list[str] = []

    class Slow(FakeClient):
        def complete(self, model: str, messages: Sequence[Message], **options: Any) -> Completion:
            if not self.asked:
                self.asked.append((model, list(messages)))
                titles.append(mender.propose(context(CRASH, number=3)).title)
            return super().complete(model, messages, **options)

    mender = researcher(tmp_path, Slow(good()))
    titles.append(mender.propose(context(CRASH)).title)
    assert [title.startswith("repair") for title in titles] == [False, True]


def test_an_author_is_told_how_many_others_are_writing(tmp_path: Path) -> None:
    client = FakeClient(good())
    model = researcher(tmp_path, client)
    model.propose(context())
    model.propose(context(number=2, others_asked=3))
    alone, together = (said[-1].text for _, said in client.asked)
    assert "being written at this moment" not in alone
    assert "3 other proposals are being written at this moment" in together


def test_a_crash_is_mended_after_what_was_proposed_meanwhile(tmp_path: Path) -> None:
    meanwhile = past(2, status="proposer_failed", val_bpb=None, delta=None)
    proposal = researcher(tmp_path, FakeClient(good())).propose(context(CRASH, meanwhile))
    assert proposal.title.startswith("repair 1 of #1")


@pytest.mark.parametrize("changes", [{"author": "tpe"}, {"parent": 7}, {"status": "invalid_model"}])
def test_only_a_models_own_crash_on_the_present_best_is_mended(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    assert (
        not researcher(tmp_path, FakeClient(good()))
        .propose(context(replace(CRASH, **changes)))
        .title.startswith("repair")
    )


def test_when_nothing_is_kept_another_kind_is_asked_for_then_another_start(tmp_path: Path) -> None:
    client = FakeClient(good())
    model = researcher(tmp_path, client)
    model.propose(context(*(past(n) for n in range(1, STAGNANT + 1))))
    assert "different category" in client.asked[0][1][-1].text
    history = [past(n, source="W = 3\nnear = 1\n", val_bpb=2.0 + n / 100) for n in range(1, 2 * STAGNANT + 1)]
    proposal = model.propose(context(*history))
    assert proposal.parent not in {None, 0}
    assert proposal.source == "W = 4\nnear = 1\n"


def test_what_the_check_would_reject_is_corrected_once_before_it_is_proposed(tmp_path: Path) -> None:
    client = FakeClient(good("import requests"), good())
    proposal = researcher(tmp_path, client).propose(context())
    assert proposal.source == SCRIPT.replace("W = 3", "W = 4")
    assert "unknown_import" in client.asked[1][1][-1].text


def test_hybrid_gives_every_third_trial_to_the_model(tmp_path: Path) -> None:
    class Model:
        name = "llm"

        def propose(self, context: Context) -> Proposal:
            return Proposal("x = 1\n", "t", author="llm m")

    hybrid = HybridProposer(Model(), TpeProposer(1))
    authors = [hybrid.propose(context(number=n)).author for n in range(1, 7)]
    assert authors == ["tpe", "tpe", "llm m", "tpe", "tpe", "llm m"]
    nothing_to_tune = context(number=1, best_source="x = 1\n")
    assert hybrid.propose(nothing_to_tune).author == "llm m"


def test_a_change_of_constants_alone_is_known() -> None:
    assert constants_only(shared().facts("LR = 2\nx = f()\n"), shared().facts("LR = 1\nx = f()\n"))
    assert not constants_only(shared().facts("LR = 1\nx = g()\n"), shared().facts("LR = 1\nx = f()\n"))
    assert not constants_only(shared().facts("LR = 1\n# c\n"), shared().facts("LR = 1\n"))


def test_the_harness_is_described_from_its_own_source() -> None:
    api = prompt.harness_api(shared())
    assert "def export_model(forward" in api
    assert "_telemetry" not in api


# -- an answer is marked before it is read ------------------------------------------------------------------------
def test_an_answer_whose_reading_ended_the_runner_is_not_read_again(tmp_path: Path) -> None:
    class Died(BaseException):
        pass

    class Parser:
        """Takes the runner with it, as a kill would: nothing after it runs."""

        def signatures(self, text: str) -> str:
            return ""

        def answer(self, text: str, parent: str) -> None:
            book = ledger(tmp_path)
            assert book.unread("r") == []
            book._db.execute("CREATE TRIGGER dead BEFORE UPDATE ON calls BEGIN SELECT RAISE (IGNORE); END")
            raise Died

    first = researcher(tmp_path, FakeClient(good()))
    first._parser = Parser()  # type: ignore[assignment]
    with pytest.raises(Died):
        first.propose(context())
    ledger(tmp_path)._db.execute("DROP TRIGGER dead")
    client = FakeClient(good("W = 5"))
    proposal = researcher(tmp_path, client).propose(context())
    assert len(client.asked) == 1, "the answer that was fatal is left alone, and another is asked for"
    assert proposal.source == SCRIPT.replace("W = 3", "W = 5")


def test_an_answer_that_was_read_and_lost_in_a_crash_is_read_again(tmp_path: Path) -> None:
    assert researcher(tmp_path, FakeClient(good())).propose(context()).source is not None
    client = FakeClient(good("W = 5"))
    proposal = researcher(tmp_path, client).propose(context())
    assert client.asked == []
    assert proposal.source == SCRIPT.replace("W = 3", "W = 4")


@pytest.mark.parametrize(
    ("text", "finish", "says"),
    [("x", "length", "cut off"), ("x", "content_filter", "refused"), (" ", "stop", "empty")],
)
def test_an_answer_that_is_none_is_not_asked_for_again(
    tmp_path: Path, text: str, finish: str, says: str
) -> None:
    client = FakeClient(Completion(text, finish, Usage(1, 1)))
    assert says in researcher(tmp_path, client).propose(context()).failure
    assert len(client.asked) == 1


def test_a_call_waits_for_the_bills_of_others_before_the_money_counts_as_gone(tmp_path: Path) -> None:
    """Two worst cases do not fit into the limit at once, and two calls do."""
    clock, bills = Clock(), list[str]()

    class Slow(FakeClient):
        def complete(self, model: str, messages: Sequence[Message], **options: Any) -> Completion:
            if not self.asked:  # the first is under way: a second slot asks
                second = in_thread(lambda: asked("second", number=2))
                end = time.monotonic() + 5.0
                while not clock.slept and time.monotonic() < end:
                    time.sleep(0.001)
                bills.append("first")
                waits.append(second)
            return super().complete(model, messages, **options)

    def asked(name: str, number: int) -> Answer:
        answer = metered.ask(MESSAGES, number=number, purpose="propose", deadline=1e12)
        bills.append(name)
        return answer

    waits: list[Callable[[], Answer]] = []
    most = PRICE.worst(at_most(MESSAGES), 1000)
    settings = CallSettings(
        models=["m"], prices={"m": PRICE}, caps=Caps(max_usd=1.5 * most), max_output_tokens=1000
    )
    metered = MeteredClient(Slow(good()), ledger(tmp_path), "r", settings, clock=clock, rng=random.Random(1))
    asked("answered", number=1)
    waits[0]()
    assert bills[0] == "first", "the second did not give up while the first was under way"
    assert set(bills[1:]) == {"answered", "second"}


def test_a_limit_that_nobody_elses_call_holds_up_is_refused_at_once(tmp_path: Path) -> None:
    clock = Clock()
    settings = CallSettings(models=["m"], prices={"m": PRICE}, caps=Caps(max_usd=1e-9))
    metered = MeteredClient(
        FakeClient(good()), ledger(tmp_path), "r", settings, clock=clock, rng=random.Random(1)
    )
    with pytest.raises(CallOverBudget):
        metered.ask(MESSAGES, number=1, purpose="propose", deadline=1e12)
    assert clock.slept == []
