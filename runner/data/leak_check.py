"""No held-out document, and no long run of its bytes or tokens, lies where a candidate can read it.

What a candidate can read is its image and the training split. Both are searched by content, whatever the names of the files:
the held-out documents as UTF-8, UTF-16 and UTF-32, and as token ids of 16, 32 and 64 bits; packed files (runner/data/archives.py) are unpacked.
Not found is what is enciphered, printed as numbers or compressed in another way: the check is against accidents and against
easy lookups, and whoever makes the base image is trusted (docs/security.md).

A search takes some 15 s for an image of 700 MB. What it found clean is remembered by the content ids of both sides.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runner.data.common_substrings import Protected, Search, Windows
from runner.data.errors import DataError
from runner.data.image_text import Content, contents
from runner.data.manifest import manifest_sha256
from runner.data.shared_text import CHECKED_WORDS
from runner.data.tokenizer import Tokenizer, load_tokenizer
from sandbox.engine import Engine

_VERSION = 2
"""Of the search: what a weaker one found clean is searched again."""
_TOKENS_AT_ONCE = 4 << 20
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ImageLeakCheck:
    """`engine` shows the files of image `image`. `memory` is a folder of what was found clean; None remembers nothing."""

    engine: Engine
    image: str
    memory: Path | None = None
    progress: Progress = lambda _: None

    def contents(self) -> Iterator[Content]:
        with self.engine.image_archive(self.image) as archive:
            yield from contents(archive)

    def require_unseen(self, folder: Path) -> None:
        """Raises DataError when held-out text of the data set in `folder` lies in the image or in the training split."""
        manifest = manifest_sha256(folder / "manifest.json")
        for what, where, advice in (
            (self.image, self.contents, "take it out of the image, or prepare other data"),
            ("train", lambda: _train(folder), "run `autoresearch data prepare` again"),
        ):
            note = hashlib.sha256(f"{_VERSION} {what} {manifest}".encode()).hexdigest()
            if self.memory is not None and (self.memory / note).exists():
                continue
            if what == self.image:
                self.progress(
                    "looking for held-out text in the candidate's image (once for each image and data set)"
                )
            if found := held_out_in(folder, where()):
                raise DataError(f"{found}, so a score would mean nothing: {advice}")
            if self.memory is not None:
                with suppress(OSError):  # then it is searched again
                    self.memory.mkdir(parents=True, exist_ok=True)
                    (self.memory / note).write_text(
                        json.dumps({"searched": what, "manifest": manifest}) + "\n"
                    )


def held_out_in(folder: Path, readable: Iterable[Content]) -> str:
    """Where held-out text of the data set in `folder` lies in what is `readable`, as a clause; "" when it does not."""
    windows = Windows(_protected(folder), CHECKED_WORDS)
    search = Search(windows)
    for name, blocks in readable:
        search.begin(name)
        for block in blocks:
            search.feed(block)
            if search.found:
                break
        if search.found:
            break
    search.finish()
    for window, name in search.found.items():
        text, _ = windows.place(window)
        return f"{name} holds at least {windows.size} bytes of the held-out text ({text.name})"
    return ""


def _protected(folder: Path) -> list[Protected]:
    table = load_tokenizer(folder / "train" / "tokenizer.json")
    found = []
    for split in ("val", "test"):
        tokens = np.fromfile(folder / "heldout" / split / "tokens.bin", "<u2")
        text = b"".join(_decoded(tokens, table)).lstrip(b"\xff")
        characters = text.replace(b"\xff", "\uffff".encode()).decode()
        found += [
            Protected(f"{split}, as UTF-8", _bytes(text)),
            Protected(f"{split}, as UTF-16", _bytes(characters.encode("utf-16-le")), 2),
            Protected(f"{split}, as UTF-32", _bytes(characters.encode("utf-32-le")), 4),
            Protected(f"{split}, as token ids of 16 bits", _bytes(tokens.tobytes())),
            Protected(f"{split}, as token ids of 32 bits", _bytes(tokens.astype("<u4").tobytes()), 4),
            Protected(f"{split}, as token ids of 64 bits", _bytes(tokens.astype("<u8").tobytes()), 8),
        ]
    return found


def _train(folder: Path) -> Iterator[Content]:
    """The training split as text: what counts is what its tokens say, wherever they begin."""
    table = load_tokenizer(folder / "train" / "tokenizer.json")
    tokens = np.memmap(folder / "train" / "tokens.bin", "<u2", "r")
    yield "the training split", _decoded(tokens, table)


def _decoded(tokens: NDArray[np.uint16], table: Tokenizer) -> Iterator[bytes]:
    """The bytes of tokens, with 0xff, which is in no UTF-8 text, for the beginning of every document."""
    raw = [*table.tokens, b"\xff"]
    lengths = np.array([len(token) for token in raw], np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    alphabet = np.frombuffer(b"".join(raw), np.uint8)
    for first in range(0, len(tokens), _TOKENS_AT_ONCE):
        part = np.asarray(tokens[first : first + _TOKENS_AT_ONCE]).astype(np.int64)
        sizes = lengths[part]
        ends = np.cumsum(sizes)
        at = np.arange(int(ends[-1])) + np.repeat(starts[part] - (ends - sizes), sizes)
        yield alphabet[at].tobytes()


def _bytes(raw: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(raw, np.uint8)
