"""The memory of a search, for a model: what was tried, what came of it, what is known about the noise.

Models lose track of an optimiser's state, and do worse when failures are hidden from them (arXiv 2603.24647), so the
digest holds both, ordered by use and cut to a number of tokens. An idea is a dead end on one parent only: on the next
it may work. Text that a candidate printed is data: cut, made harmless, and marked line by line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from runner.protocols import Context, PastExperiment
from sandbox.sanitise import one_line, sanitise

MAX_TOKENS = 4000
_TOP, _RECENT = 5, 15
_LOG_LINES, _LOG_CHARS = 40, 3000
Count = Callable[[str], int]
"""Tokens of a text."""


def digest(context: Context, count: Count, *, max_tokens: int = MAX_TOKENS) -> str:
    """All sections that fit into `max_tokens`, the most useful first; of each, the newest lines."""
    history = [past for past in context.history if past.status != "open"]
    scored = [past for past in history if past.val_bpb is not None]
    top = sorted(scored, key=lambda past: past.val_bpb or 0.0)[:_TOP]
    near = [p for p in scored if p.status == "discard" and p.delta is not None and p.delta < 0]
    failed = [p for p in history if p.val_bpb is None]
    dead = [p for p in scored if p.status == "discard" and p.delta is not None and p.delta >= 0]
    running = [p for p in context.history if p.status == "open"]
    sections: tuple[tuple[str, Sequence[Any], Callable[[Any], str]], ...] = (
        ("Training now, without a result yet", running, lambda p: f"#{p.number} {_title(p)}"),
        ("The latest results", history[-_RECENT:], _line),
        ("The best results", top[::-1], _line),
        ("By category (kept of tried)", _categories(history), str),
        (
            "Near misses: measured better, but not expected to be (kept means adopted: expected to be better; ± is a standard error)",
            near,
            _line,
        ),
        ("Failures, and why", failed, _failure),
        (
            "Dead ends; an idea that failed on one parent may work on another",
            dead,
            lambda p: f"on #{p.parent}: {_title(p)} ({p.delta:+.4f})",
        ),
    )
    text = ""
    for heading, items, line in sections:
        text += _fitting(heading, items, line, count, max_tokens - count(text))
    return text.strip() or "Nothing was tried yet."


def as_data(log: str) -> str:
    """The end of a log, each line marked, so that it can neither close a fence nor pass for instructions."""
    lines = sanitise(log, max_chars=_LOG_CHARS).strip().splitlines()[-_LOG_LINES:]
    return "\n".join(f"| {line[:300]}" for line in lines)


def _fitting(
    heading: str, items: Sequence[Any], line: Callable[[Any], str], count: Count, tokens: int
) -> str:
    """The section with as many of its last lines as fit; nothing when not even one does. Lines are made from the last one
    on, and no more of them than are looked at."""
    found, lines = "", list[str]()
    for item in reversed(items):
        lines.insert(0, f"- {line(item)}")
        text = f"{heading}:\n" + "\n".join(lines) + "\n\n"
        if count(text) > tokens:
            break
        found = text
    return found


def _failure(past: PastExperiment) -> str:
    return f"#{past.number} {_title(past)}: {past.status} {_reason(past)}".rstrip() + _last_words(past)


def _line(past: PastExperiment) -> str:
    score = "no score" if past.val_bpb is None else f"val_bpb {past.val_bpb:.4f}"
    if past.delta is not None:
        score += f", {past.delta:+.4f} against the best then"
        score += f" ± {past.error:.4f}" if past.error else ""
    category = one_line(past.category, max_chars=30)
    on = f" (on #{past.parent})" if past.parent is not None else ""
    if past.val_bpb is not None:
        return f"#{past.number} {past.status}: {score}. [{category}] {_title(past)}{on}"
    why = f" {_reason(past)}".rstrip()
    return f"#{past.number} {past.status}{why}: {score}. [{category}] {_title(past)}{on}{_last_words(past)}"


def _title(past: PastExperiment) -> str:
    return one_line(past.title, max_chars=100)


def _reason(past: PastExperiment) -> str:
    return one_line(past.reason or "", max_chars=120)


def _last_words(past: PastExperiment) -> str:
    """The last line of the log that is not empty, on a marked line of its own: a traceback ends with what went wrong."""
    lines = [line for line in past.log_tail.splitlines() if line.strip()]
    return f"\n| {one_line(lines[-1], max_chars=240)}" if lines else ""


def _categories(history: Sequence[PastExperiment]) -> list[str]:
    tried: dict[str, list[PastExperiment]] = {}
    for past in history:
        if past.number > 0:
            tried.setdefault(one_line(past.category, max_chars=30), []).append(past)
    kept = {name: sum(p.status == "keep" for p in found) for name, found in tried.items()}
    return [f"{name}: {kept[name]} of {len(found)}" for name, found in sorted(tried.items())]
