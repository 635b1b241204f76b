"""Reads the values of one table of task.toml, each with its type and its bounds; every problem is one sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from runner.durations import format_duration, parse_duration
from runner.errors import UsageError
from runner.suggestions import unknown

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
"""Of a task, a stage, a calibration submission, a hidden input, a metric."""
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_KINDS = {
    str: "text in quotes",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


class Table:
    """`where` names the table in a sentence, `keys` are all that it may have. Every method raises UsageError."""

    def __init__(self, content: Mapping[str, Any], where: str, keys: Sequence[str]) -> None:
        self._content, self._where = content, where
        for key in content:
            if key not in keys:
                raise UsageError(f"{where}: {unknown('key', key, keys)}")

    def wrong(self, key: str, why: str) -> UsageError:
        return UsageError(f"{self._where}: {key} {why}")

    def value(self, key: str, kind: type, default: Any = None) -> Any:
        """None as the default: the key must be there."""
        if key not in self._content:
            if default is None:
                raise self.wrong(key, f"is missing; it must be {_KINDS[kind]}")
            return default
        found = self._content[key]
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise self.wrong(key, f"must be {_KINDS[kind]}")
        return found

    def text(self, key: str, default: str | None = None, *, most: int = 200) -> str:
        """One printable line."""
        found: str = self.value(key, str, default)
        if len(found) > most or not (found.isprintable() or not found) or (default is None and not found):
            raise self.wrong(key, f"must be one line of 1 to {most} printable characters")
        return found

    def name(self, key: str) -> str:
        found = self.text(key)
        if not NAME.fullmatch(found):
            raise self.wrong(key, f"is {found!r}; write lower-case letters, digits, - and _, at most 40")
        return found

    def names(self, key: str) -> tuple[str, ...]:
        found = self.texts(key)
        for one in found:
            if not NAME.fullmatch(one):
                raise self.wrong(
                    key, f"holds {one!r}; write lower-case letters, digits, - and _, at most 40 each"
                )
        return found

    def texts(self, key: str, *, most: int = 64, twice: bool = False) -> tuple[str, ...]:
        """Empty where the key is missing. Unless `twice`, no text may be there two times."""
        found = self.value(key, list, [])
        if len(found) > most or not all(isinstance(one, str) and one.isprintable() and one for one in found):
            raise self.wrong(key, f"must be a list of at most {most} texts in quotes")
        if (again := next((one for one in found if found.count(one) > 1), None)) and not twice:
            raise self.wrong(key, f"names {again!r} twice; name it once")
        return tuple(found)

    def flag(self, key: str) -> bool:
        """False where the key is missing."""
        return bool(self.value(key, bool, False))

    def integer(self, key: str, least: int, most: int, default: int | None = None) -> int:
        found: int = self.value(key, int, default)
        if not least <= found <= most:
            raise self.wrong(key, f"is {found!s:.30}; only {least:,} to {most:,} is allowed")
        return found

    def number(self, key: str) -> float:
        found = self._content.get(key)
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise self.wrong(key, "must be a finite number")
        return float(found)

    def seconds(self, key: str, most_s: float, default: str | None = None) -> float:
        text: str = self.value(key, str, default)
        try:
            found = parse_duration(text)
        except UsageError as error:
            raise self.wrong(key, f"is wrong: {error}") from error
        if not 1.0 <= found <= most_s:
            raise self.wrong(key, f"is {text!r}; only 1s to {format_duration(most_s)} is allowed")
        return found

    def one_of(self, key: str, names: Sequence[str]) -> str:
        found = self.text(key)
        if found not in names:
            raise self.wrong(key, f"is wrong: {unknown('value', found, names)}")
        return found


def is_file_name(name: str) -> bool:
    """Whether it is a plain file name, without folders."""
    return _FILE.fullmatch(name) is not None


def is_inner_path(path: str) -> bool:
    """Whether it is a relative path of plain names, which cannot leave its folder."""
    return 0 < len(path) <= 200 and all(is_file_name(part) for part in path.split("/"))
