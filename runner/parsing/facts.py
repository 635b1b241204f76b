"""What is known of a text once it was read: frozen values, and their JSON form.

The child's replies are validated here, field by field, before anything else sees them: a text that took over the child
process can return only values that the parser could return.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal, get_args

from runner.protocols import Edit

MAX_SOURCE_BYTES = 200_000
"""Of a train.py."""
MAX_ANSWER_CHARS = 400_000
MAX_ANSWER_LINES = 30_000
MAX_PATTERN_CHARS = 1000
"""Of a line of an answer, what patterns look at; a longer one is no marker."""
MAX_EDITS = 200
MAX_CONSTANTS = 300
MAX_CHOICES = 64
MAX_NAME_CHARS = 64
MAX_IMPORTS = 200
LARGEST = 1e100
"""Of a tunable constant and its range, in magnitude; the smallest bound of a logarithmic range is its reciprocal."""
MAX_NOTES_CHARS = 20_000
MAX_REASON_CHARS = 6_000
CATEGORIES = (
    "architecture", "attention", "optimizer", "schedule", "batch", "regularisation", "initialisation",
    "precision", "throughput", "simplification", "constants", "other",
)  # fmt: skip
RISKS = ("low", "medium", "high")

Value = int | float | str | bool
Kind = Literal["log", "float", "int", "cat"]


class Rejection(StrEnum):
    """Why a script may not train."""

    NOT_UTF8 = "not_utf8"
    TOO_LARGE = "too_large"
    SYNTAX_ERROR = "syntax_error"
    UNREADABLE = "unreadable"
    """It exceeded the parser's time or memory, or crashed it."""
    UNKNOWN_IMPORT = "unknown_import"
    DUPLICATE = "duplicate"
    SEED_ONLY = "seed_only"


class Cause(StrEnum):
    """What became of a reading that gave no facts."""

    CPU = "it takes more than the parser's CPU time"
    WALL = "it takes more than the parser's time"
    MEMORY = "it takes more than the parser's memory"
    DIED = "the parser died of it"
    TOO_LONG = "it is too long to be read"
    GARBAGE = "the parser's reply makes no sense"


class Unreadable(Exception):
    """A text that could not be read."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(str(cause))
        self.cause = cause


class BadEdit(Exception):
    """Why blocks cannot be applied, in words for their author."""


class BadAnswer(Exception):
    """Why there is no proposal in an answer. `repairable`: saying so to its author may help."""

    def __init__(self, reason: str, *, repairable: bool = True) -> None:
        super().__init__(reason)
        self.repairable = repairable


class Malformed(ValueError):
    """A reply or a stored value that is not what the parser writes."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A tunable module-level constant. `choices` for cat; `low` and `high` for the others. The literal stands at the bytes
    `start` to `end` of the script."""

    name: str
    value: Value
    kind: Kind
    low: float = 0.0
    high: float = 0.0
    choices: Sequence[Value] = ()
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What a script is. `fingerprint`, `exact` and `skeleton` are SHA-256 (hex) of its syntax tree without comments,
    docstrings and formatting: with the values of seeds aside, as it is, and with the values of all module-level constants
    aside. `nodes` measures complexity (see `runner.parsing.python_parser`). `rejection` is None for a script that parses."""

    rejection: Rejection | None = None
    detail: str = ""
    fingerprint: str = ""
    exact: str = ""
    skeleton: str = ""
    nodes: int = 0
    imports: Sequence[str] = ()
    constants: Sequence[Constant] = ()

    def same_code_as(self, other: Facts) -> bool:
        """Whether the two scripts differ at most in the values of module-level constants. False where one was not parsed."""
        return self.skeleton == other.skeleton != ""


UNREAD = Facts()
"""Of a script that has not been parsed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer that can be tried. `edits` is empty for a whole file."""

    source: str
    edits: Sequence[Edit]
    title: str
    hypothesis: str
    category: str
    expected_gain: float | None
    risk: str
    notes: str | None


# -- the JSON form ---------------------------------------------------------------------------------------------------
def facts_json(facts: Facts) -> str:
    """The form in which facts are stored with an experiment."""
    return json.dumps(asdict(facts), separators=(",", ":"))


@functools.lru_cache(maxsize=4096)
def facts_from_json(text: str) -> Facts:
    """Raises Malformed."""
    try:
        return facts_of(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from error


def facts_of(reply: object) -> Facts:
    """Raises Malformed."""
    fields = _mapping(reply)
    rejection = fields.get("rejection")
    if rejection is not None and rejection not in set(Rejection):
        raise Malformed("rejection")
    return Facts(
        rejection=None if rejection is None else Rejection(rejection),
        detail=_text(fields, "detail", 500),
        fingerprint=_digest(fields, "fingerprint"),
        exact=_digest(fields, "exact"),
        skeleton=_digest(fields, "skeleton"),
        nodes=_whole(fields, "nodes", 1 << 40),
        imports=tuple(
            _string(name, MAX_NAME_CHARS) for name in _list(fields.get("imports", []), MAX_IMPORTS)
        ),
        constants=tuple(_constant(item) for item in _list(fields.get("constants", []), MAX_CONSTANTS)),
    )


def answer_of(reply: object) -> Answer:
    """Raises Malformed, BadAnswer."""
    fields = _mapping(reply)
    if "error" in fields:
        raise BadAnswer(
            _text(fields, "error", MAX_REASON_CHARS), repairable=fields.get("repairable") is not False
        )
    gain, notes = fields.get("expected_gain"), fields.get("notes")
    category, risk = _text(fields, "category", 40), _text(fields, "risk", 10)
    return Answer(
        source=_text(fields, "source", MAX_ANSWER_CHARS * 2),
        edits=tuple(edit_of(item) for item in _list(fields.get("edits"), MAX_EDITS)),
        title=_text(fields, "title", 120) or "untitled",
        hypothesis=_text(fields, "hypothesis", 600),
        category=category if category in CATEGORIES else "other",
        expected_gain=None if gain is None else _float(gain, 100.0),
        risk=risk if risk in RISKS else "",
        notes=None if notes is None else _string(notes, MAX_NOTES_CHARS),
    )


def source_of(reply: object) -> str:
    """The new source after edits. Raises Malformed, BadEdit."""
    fields = _mapping(reply)
    if "error" in fields:
        raise BadEdit(_text(fields, "error", MAX_REASON_CHARS))
    return _text(fields, "source", MAX_ANSWER_CHARS * 2)


def text_of(reply: object, most: int) -> str:
    """Raises Malformed."""
    return _text(_mapping(reply), "text", most)


def edit_of(item: object) -> Edit:
    """Raises Malformed."""
    pair = _list(item, 2)
    if len(pair) != 2:
        raise Malformed("edit")
    return Edit(_string(pair[0], MAX_ANSWER_CHARS), _string(pair[1], MAX_ANSWER_CHARS))


def _constant(item: object) -> Constant:
    fields = _mapping(item)
    kind = fields.get("kind")
    if kind not in get_args(Kind):
        raise Malformed("kind")
    low, high = _float(fields.get("low"), LARGEST), _float(fields.get("high"), LARGEST)
    if kind != "cat" and not (low < high and (kind != "log" or low > 0)):
        raise Malformed("range")
    choices = tuple(_value(choice) for choice in _list(fields.get("choices", []), MAX_CHOICES))
    if kind == "cat" and not choices:
        raise Malformed("choices")
    return Constant(
        name=_text(fields, "name", MAX_NAME_CHARS),
        value=_value(fields.get("value")),
        kind=kind,  # type: ignore[arg-type]
        low=low,
        high=high,
        choices=choices,
        start=_whole(fields, "start", MAX_SOURCE_BYTES),
        end=_whole(fields, "end", MAX_SOURCE_BYTES),
    )


def _value(value: object) -> Value:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -(1 << 62) < value < 1 << 62:
            raise Malformed("value")
        return value
    if isinstance(value, float):
        return _float(value, LARGEST)
    return _string(value, 200)


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Malformed("not an object")
    return value


def _list(value: object, most: int) -> Sequence[object]:
    if not isinstance(value, list) or len(value) > most:
        raise Malformed("list")
    return value


def _string(value: object, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise Malformed("text")
    return value


def _text(fields: Mapping[str, Any], name: str, most: int) -> str:
    return _string(fields.get(name), most)


def _digest(fields: Mapping[str, Any], name: str) -> str:
    text = _text(fields, name, 64)
    if text and (len(text) != 64 or set(text) - set("0123456789abcdef")):
        raise Malformed(name)
    return text


def _whole(fields: Mapping[str, Any], name: str, most: int) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Malformed(name)
    return value


def _float(value: object, most: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise Malformed("number")
    if abs(value) > most:
        raise Malformed("number")
    return float(value)
