"""Text with the statistics of a language that nobody has written: it can be learnt from, and lies in no image.

A sparse chain of words (each is followed by a few others, the first of them most often) with frequencies that fall off as
Zipf's law says, in sentences, paragraphs and documents. The same seed gives the same bytes.
"""

from __future__ import annotations

import random
from pathlib import Path

_ONSETS = (
    "b",
    "br",
    "c",
    "d",
    "f",
    "g",
    "gr",
    "h",
    "k",
    "l",
    "m",
    "n",
    "p",
    "pl",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
)
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea")
_CODAS = ("", "", "n", "r", "s", "t", "l", "nd", "m")
_WORDS, _FOLLOWERS, _LAST = 2000, 12, 400


class Language:
    """Its words and what may follow each of them are drawn from `seed`."""

    def __init__(self, seed: int = 7) -> None:
        draw = random.Random(seed)
        words: dict[str, None] = {}
        while len(words) < _WORDS:
            syllables = draw.choice((1, 1, 2, 2, 3))
            words[
                "".join(
                    draw.choice(_ONSETS) + draw.choice(_VOWELS) + draw.choice(_CODAS)
                    for _ in range(syllables)
                )
            ] = None
        self._words = list(words)
        frequency = [1 / (rank + 3) for rank in range(_WORDS)]
        self._frequency = [1 / (rank + 1) for rank in range(_FOLLOWERS)]
        self._follow = [draw.choices(range(_WORDS), frequency, k=_FOLLOWERS) for _ in range(_WORDS)]

    def document(self, size: int, seed: int) -> str:
        """About `size` characters, in paragraphs that end at blank lines."""
        draw = random.Random(seed)
        at, parts, length = draw.randrange(_LAST), [], 0
        while length < size:
            sentences = []
            for _ in range(draw.randint(2, 6)):
                words = []
                for _ in range(draw.randint(5, 14)):
                    at = draw.choices(self._follow[at], self._frequency)[0]
                    words.append(self._words[at])
                sentences.append(" ".join(words).capitalize() + ".")
            parts.append(" ".join(sentences) + "\n\n")
            length += len(parts[-1])
        return "".join(parts)


LANGUAGE = Language()


def write(folder: Path, total: int = 1_500_000, size: int = 4_000) -> None:
    """`total` bytes of it as .txt files of about `size` bytes."""
    for number in range(total // size):
        (folder / f"{number:04}.txt").write_text(LANGUAGE.document(size, number))
