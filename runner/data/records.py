"""The text of one record, whatever shape it has: a string, bytes, or a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = ("text", "content", "messages", "conversations", "conversation")
"""Where the text is looked for when no column is named; the first that is there."""


def column_of(names: Sequence[str], column: str | None) -> str | None:
    """The one of `names` that holds the text; a column that is named may be a path such as "data.text"."""
    if column is not None:
        return (
            column.partition(".")[0]
            if column not in names and column.partition(".")[0] in names
            else (column if column in names else None)
        )
    return next((name for name in COLUMNS if name in names), None)


def text_of(record: Any, column: str | None) -> str | bytes | None:
    """None when the record has no text there."""
    if isinstance(record, str) and column is None:
        return record
    if not isinstance(record, Mapping):
        return None
    name = column_of(list(record), column)
    if name is None:
        return None
    value = record[name]
    if column is not None and column != name:
        for part in column.split(".")[1:]:
            value = value.get(part) if isinstance(value, Mapping) else None
    return rendered(value)


def rendered(value: Any) -> str | bytes | None:
    """Text as it is; a conversation as "role: what was said", a blank line between turns."""
    if isinstance(value, str | bytes):
        return value
    if not isinstance(value, list | tuple) or not value:
        return None
    turns = [_turn(item) for item in value]
    return None if None in turns else "\n\n".join(turn for turn in turns if turn) + "\n"


def _turn(item: Any) -> str | None:
    if isinstance(item, str):
        return item
    if not isinstance(item, Mapping):
        return None
    said = next((item[name] for name in ("content", "value", "text") if item.get(name) is not None), "")
    if isinstance(said, list):  # parts, of which some may be pictures
        said = "\n".join(
            part["text"] for part in said if isinstance(part, Mapping) and isinstance(part.get("text"), str)
        )
    if not isinstance(said, str):
        return None
    who = next((item[name] for name in ("role", "from", "speaker") if isinstance(item.get(name), str)), "")
    return f"{who}: {said}" if who else said
