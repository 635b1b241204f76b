"""Asks a proposer and validates its answer: whatever it raises or returns becomes a proposal.

A proposer may be any program or pass on a model's text, so nothing that it returns is trusted: types are checked, text is
cut and sanitised, lone surrogates are removed, numbers must be finite.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable

from runner.parsing.facts import MAX_EDITS, MAX_NOTES_CHARS, MAX_SOURCE_BYTES, RISKS
from runner.protocols import INVALID_PROPOSAL, PROPOSER_RAISED, Context, Edit, Notice, Proposal, Proposer
from sandbox.sanitise import one_line, sanitise

_TITLE, _HYPOTHESIS, _WORD, _FAILURE = 200, 600, 80, 600
"""Characters, at most."""
_MAX_NOTICES, _NOTICE_CHARS = 100, 10_000
_LARGEST_GAIN = 1e6


class _Invalid(Exception):
    """A field of a type that it must not have."""


def ask(proposer: Proposer, context: Context) -> Proposal:
    """The proposer's next proposal. Raises only what ends the run whoever asks: the ledger's own failures."""
    try:
        return bounded(proposer.propose(context))
    except sqlite3.OperationalError:  # the ledger's disk is full or gone
        raise
    except Exception as error:
        notice = Notice("proposer_raised", {"error": one_line(f"{type(error).__name__}: {_said(error)}")})
        return Proposal(None, "no proposal", failure=PROPOSER_RAISED, notices=(notice,))


def bounded(proposal: object) -> Proposal:
    """`proposal` with every field of its type and size; a failure with a closed reason for what is none."""
    try:
        return _bounded(proposal)
    except _Invalid as error:
        notice = Notice("proposer_raised", {"error": f"invalid {error}"})
        return Proposal(None, "no proposal", failure=INVALID_PROPOSAL, notices=(notice,))


def _bounded(proposal: object) -> Proposal:
    if not isinstance(proposal, Proposal):
        raise _Invalid("proposal")
    source = proposal.source
    if source is not None and not isinstance(source, str):
        raise _Invalid("source")
    parent = proposal.parent
    if parent is not None and (not isinstance(parent, int) or isinstance(parent, bool) or parent < 0):
        raise _Invalid("parent")
    risk = _line(proposal.risk, "risk", _WORD)
    return Proposal(
        # one more than may be: the check says that it is too large
        source=None if source is None else source[: MAX_SOURCE_BYTES + 1],
        title=_line(proposal.title, "title", _TITLE) or "untitled",
        hypothesis=_line(proposal.hypothesis, "hypothesis", _HYPOTHESIS),
        category=_line(proposal.category, "category", _WORD) or "other",
        failure=_line(proposal.failure, "failure", _FAILURE)
        or ("" if source is not None else INVALID_PROPOSAL),
        author=_line(proposal.author, "author", _WORD),
        expected_gain=_gain(proposal.expected_gain),
        risk=risk if risk in RISKS else "",
        parent=parent,
        edits=_edits(proposal.edits),
        notes=_notes(proposal.notes),
        notices=_notices(proposal.notices),
    )


def _line(value: object, name: str, most: int) -> str:
    if not isinstance(value, str):
        raise _Invalid(name)
    return one_line(value, max_chars=most)


def _gain(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if -_LARGEST_GAIN < value < _LARGEST_GAIN and math.isfinite(value) else None


def _notes(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _Invalid("notes")
    return None if value is None else sanitise(value[:MAX_NOTES_CHARS])


def _edits(value: object) -> tuple[Edit, ...]:
    edits = tuple(value) if isinstance(value, list | tuple) else ()
    sound = all(
        isinstance(edit, Edit) and isinstance(edit.search, str) and isinstance(edit.replace, str)
        for edit in edits
    )
    return edits if sound and len(edits) <= MAX_EDITS else ()


def _notices(value: object) -> tuple[Notice, ...]:
    """Those whose data is JSON of some size."""
    found = value if isinstance(value, Iterable) else ()
    return tuple(notice for notice, _ in zip(found, range(_MAX_NOTICES), strict=False) if _is_sound(notice))


def _is_sound(notice: object) -> bool:
    if not isinstance(notice, Notice) or not isinstance(notice.kind, str) or len(notice.kind) > _WORD:
        return False
    try:
        text = json.dumps(dict(notice.data), allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return len(text) <= _NOTICE_CHARS and notice.kind.isidentifier()


def _said(error: Exception) -> str:
    try:
        return str(error)[:2000]
    except Exception:  # an error whose own text raises
        return ""
