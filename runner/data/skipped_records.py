"""What of a source did not become text: counted by reason, with the names of the first. Nothing is left out in silence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

_NAMED = 3


class Why(StrEnum):
    """The reasons. All but REPLACED and LONG mean that something was left out."""

    FORMAT = "files are of no known format (convert them to .txt, .jsonl or .parquet)"
    HIDDEN = "files are hidden"
    EMPTY = "files are empty"
    BINARY = "files are binary, not text"
    NOT_UTF8 = "files are not UTF-8 (convert them, for example with iconv)"
    DAMAGED = "files cannot be read to their end (download them again)"
    NO_COLUMN = "files have no such text (name it with --text-column)"
    NOT_JSON = "records are not JSON"
    NO_TEXT = "records have no such text (name it with --text-column)"
    LONG = "records are too long to be read"
    BLANK = "documents are blank"
    TWICE = "documents are there twice"
    ALIKE = "documents are nearly the same as another"
    REPLACED = "documents hold bytes or characters that are no text, which became U+FFFD"


@dataclass
class Skipped:
    counts: dict[Why, int] = field(default_factory=dict)
    first: dict[Why, list[str]] = field(default_factory=dict)

    def add(self, why: Why, where: str = "", count: int = 1) -> None:
        """`where` names the file, the line and what is wrong, as far as that is known."""
        self.counts[why] = self.counts.get(why, 0) + count
        named = self.first.setdefault(why, [])
        if where and len(named) < _NAMED:
            named.append(where)

    def sentences(self) -> list[str]:
        return [f"{count} {why}{self._named(why)}" for why, count in self.counts.items()]

    def as_json(self) -> dict[str, dict[str, object]]:
        """By the reason's name in lower case."""
        return {
            why.name.lower(): {"count": count, "first": self.first[why]} for why, count in self.counts.items()
        }

    def _named(self, why: Why) -> str:
        names = self.first[why]
        more = ", …" if names and self.counts[why] > len(names) else ""
        return f": {', '.join(names)}{more}" if names else ""
