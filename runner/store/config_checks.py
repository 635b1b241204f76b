"""What each key of autoresearch.toml may hold: one rule a key, in one table.

A rule says what is allowed in words (docs/configuration.md shows them) and what is wrong with a value. It looks at nothing
but the value: whether an engine, a GPU or a folder is there is asked where it is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from runner.durations import format_duration, parse_duration
from runner.errors import UsageError
from runner.nightly_window import FORM, parse_window
from runner.resources import VARIANTS
from runner.store.gpu_request import FORMS, parse_gpu_request
from runner.suggestions import did_you_mean

PROPOSERS = ("tpe", "random", "repeat", "ablate", "scripted:FOLDER", "command:PROGRAM", "llm", "hybrid")
_DAY_S = 86400.0


class Rule(NamedTuple):
    allowed: str
    """In words."""
    problem: Callable[[Any], str]
    """A sentence about a value of the right type that is not allowed; empty for one that is."""


def one_of(*names: str) -> Rule:
    allowed = ", ".join(names)

    def problem(value: str) -> str:
        return "" if value in names else f"{value[:80]!r} is not one of {allowed}{did_you_mean(value, names)}"

    return Rule(allowed, problem)


def between(least: float, most: float) -> Rule:
    allowed = f"{least:g} to {most:,.10g}"

    def problem(value: float) -> str:
        return "" if least <= value <= most else f"{value!s:.80} is not allowed, only {allowed}"

    return Rule(allowed, problem)


def zero_or(rule: Rule) -> Rule:
    """0 means what docs/configuration.md says."""
    allowed = f"0, or {rule.allowed}"

    def problem(value: float) -> str:
        return (
            "" if value == 0 or not rule.problem(value) else f"{value!s:.80} is not allowed, only {allowed}"
        )

    return Rule(allowed, problem)


def duration(least_s: float, most_s: float, *words: str) -> Rule:
    """`words` are allowed in its place."""
    allowed = f"{format_duration(least_s)} to {format_duration(most_s)}" + "".join(
        f", or {word}" for word in words
    )

    def problem(value: str) -> str:
        if value in words:
            return ""
        try:
            seconds = parse_duration(value)
        except UsageError as error:
            return f"{error}{did_you_mean(value, words)}"
        return "" if least_s <= seconds <= most_s else f"{value!r} is not allowed, only {allowed}"

    return Rule(allowed, problem)


def matching(allowed: str, pattern: str) -> Rule:
    """A text that matches, or an empty one."""

    def problem(value: str) -> str:
        return "" if not value or re.fullmatch(pattern, value) else f"{value[:80]!r} is not {allowed}"

    return Rule(allowed, problem)


def _listed(allowed: str, pattern: str) -> Rule:
    """Several that match, separated by commas and each named once; or an empty text."""

    def problem(value: str) -> str:
        items = [item.strip() for item in value.split(",")] if value else []
        if wrong := [item for item in items if not re.fullmatch(pattern, item)]:
            return f"{wrong[0][:80]!r} is not {allowed}"
        twice = [item for item in items if items.count(item) > 1]
        return f"{twice[0][:80]!r} is named twice" if twice else ""

    return Rule(allowed, problem)


def _gpus(value: str) -> str:
    try:
        parse_gpu_request(value)
    except UsageError as error:
        return str(error)
    return ""


def _window(value: str) -> str:
    try:
        if value:
            parse_window(value)
    except UsageError as error:
        return str(error)
    return ""


def _proposer(value: str) -> str:
    name, colon, argument = value.partition(":")
    known = {known.partition(":")[0]: ":" in known for known in PROPOSERS}
    if name in known and known[name] == bool(colon) == bool(argument.strip()):
        return ""
    meant = did_you_mean(name, known) if name not in known else ""
    return f"there is no proposer {value[:80]!r}, only {', '.join(PROPOSERS)}{meant}"


def _dollars(value: str) -> str:
    if not value:
        return ""
    try:
        allowed = 0 <= float(value) < 1e6
    except ValueError:
        allowed = False
    return "" if allowed else f'{value[:80]!r} is no price: give dollars per million tokens, for example "3"'


def _url(value: str) -> str:
    """The value may hold a secret, and is not repeated."""
    from urllib.parse import urlsplit  # a verb that only reads the ledger does not need it

    if not value:
        return ""
    try:
        parts = urlsplit(value)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or value != value.strip():
        return "this is no URL: give it as http://127.0.0.1:8000/v1"
    if parts.username or parts.password or parts.query or parts.fragment:
        return "it must hold no name, password or ?query, because the ledger keeps it: keys go into the environment"
    return ""


def _nothing_wrong(_: object) -> str:
    return ""


_MODEL = r"[^\s,]+"

RULES: Mapping[str, Rule] = {
    "data": Rule("a folder", _nothing_wrong),
    "variant": one_of("auto", *VARIANTS),
    "runtime": matching("the name of a runtime", r"[A-Za-z0-9][\w.+-]*"),
    "wall_clock": duration(1.0, 7 * _DAY_S),
    "compile_check": duration(1.0, _DAY_S, "off"),
    "cpus": between(0, 4096),
    "gpus": Rule(FORMS, _gpus),
    "memory_gb": zero_or(between(0.5, 65536)),
    "pids": between(64, 4194304),
    "disk_gb": between(0.1, 1e6),
    "disk_floor_gb": between(0, 1e6),
    "baseline_repeats": between(2, 1000),
    "between": Rule(FORM, _window),
    "courtesy": Rule("true or false", _nothing_wrong),
    "parallel": between(0, 1024),
    "retests": between(0, 1000),
    "early_stopping": Rule("true or false", _nothing_wrong),
    "judge_wall_clock": duration(1.0, _DAY_S),
    "proposer": Rule(", ".join(PROPOSERS), _proposer),
    "model": matching("a model's name without blanks, provider/name", _MODEL),
    "fallback_models": _listed("a model's name without blanks, provider/name", _MODEL),
    "api_base": Rule("a URL without name, password or query", _url),
    "price_in": Rule("dollars, 0 or more", _dollars),
    "price_out": Rule("dollars, 0 or more", _dollars),
    "cost_tracking": one_of("on", "off"),
    "llm_timeout": duration(1.0, _DAY_S),
    "max_output_tokens": between(256, 10_000_000),
    "repairs": between(0, 100),
}
"""By key. What is a text may be empty where docs/configuration.md says what that means."""


def problem(key: str, value: Any) -> str:
    """What is wrong with the value of `key`, as a sentence; empty where nothing is."""
    return RULES[key].problem(value)
