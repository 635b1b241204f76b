"""Training text and held-out text that share no long run, out of what was chosen for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from runner.data import shared_text
from runner.data.document_store import Pieces, Spill
from runner.data.errors import DataError
from runner.data.image_text import Content
from runner.data.skipped_records import Skipped

LONGEST = 64 << 10
"""Bytes of a training document; pieces of one text are joined again up to this size."""
_LEAST = 0.5
"""Share of the held-out text that must be left, else the training text is cut instead."""


@dataclass(frozen=True, slots=True)
class Decontaminated:
    """The training text is in `spill`, a document for each of `runs`; `cut` bytes are gone from one side or the other."""

    spill: Spill
    runs: Sequence[tuple[int, int]]
    held_out: Mapping[str, list[bytes]]
    cut: int


def decontaminate(
    spill: Spill,
    chosen: Mapping[str, Pieces],
    runs: Sequence[tuple[int, int]],
    image: Iterable[Content],
    limits: Mapping[str, int],
    path: Path,
    progress: Callable[[str], None],
) -> Decontaminated:
    """What is held out is bounded by `limits` (bytes); `path` is for a new spill. What a candidate reads in `image` can only
    be cut from what is held out. Raises DataError when too little is left of anything."""
    parts = [[spill.text(int(piece)) for piece in chosen[name]] for name in limits]
    parts, of_image, where = _without(parts, image)
    if where:
        progress(
            f"cut from what is held out: {of_image} bytes, which also lie in the candidate's image, in {where}"
        )
    _require_some(parts, limits, f"the candidate's image, in {where}")
    train = (("the training text", iter([spill.text(first, last)])) for first, last in runs)
    left, of_train, _ = _without(parts, train)
    if all(_size(after) >= _LEAST * _size(before) for after, before in zip(left, parts, strict=True)):
        if of_train:
            progress(f"cut from what is held out: {of_train} bytes, which also lie in the training text")
        held_out = {name: _bounded(texts, limits[name]) for name, texts in zip(limits, left, strict=True)}
        _require_some([*held_out.values()], limits, "the training text")
        return Decontaminated(spill, runs, held_out, of_image + of_train)
    held_out = {name: _bounded(texts, limits[name]) for name, texts in zip(limits, parts, strict=True)}
    _require_some([*held_out.values()], limits, "the training text")
    other, of_train = _train_without(spill, runs, [*chain(*held_out.values())], path)
    progress(f"cut from the training text: {of_train} bytes, which also lie in what is held out")
    again = other.runs(np.arange(len(other.size)), LONGEST)
    if not again:
        raise DataError(
            "all of the training text also lies in what is held out: give text that does not repeat itself"
        )
    return Decontaminated(other, again, held_out, of_image + of_train)


def _without(parts: list[list[bytes]], readable: Iterable[Content]) -> tuple[list[list[bytes]], int, str]:
    left, cut, where = shared_text.unshared([*chain(*parts)], readable)
    rest = iter(left)
    return [[*chain(*(next(rest) for _ in texts))] for texts in parts], cut, where


def _train_without(
    spill: Spill, runs: Sequence[tuple[int, int]], held_out: Sequence[bytes], path: Path
) -> tuple[Spill, int]:
    shared, made, cut = shared_text.Shared(held_out), Spill(path), 0
    for first, last in runs:
        text = spill.text(first, last)
        for part in shared.cut_from(text):
            made.add(len(made), part.decode())
            cut -= len(part)
        cut += len(text)
    made.finish(Skipped())
    spill.close()
    return made, cut


def _bounded(texts: Sequence[bytes], most: int) -> list[bytes]:
    kept, room = [], most
    for text in texts:
        if len(text) <= room:
            kept.append(text)
            room -= len(text)
    return kept


def _require_some(parts: Sequence[Sequence[bytes]], limits: Mapping[str, int], where: str) -> None:
    for name, texts in zip(limits, parts, strict=True):
        if not texts:
            raise DataError(
                f"all that could be held out for {name} also lies in {where}: give text that is not there, and enough of it"
            )


def _size(texts: Iterable[bytes]) -> int:
    return sum(map(len, texts))
