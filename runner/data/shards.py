"""The files of a data set, written as they are made: what is in memory at once is a few megabytes of text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from runner.data import tokenizer
from runner.data.manifest import Split
from runner.data.tokenizer import Tokenizer

_AT_ONCE = 4 << 20


def write_split(folder: Path, table: Tokenizer, texts: Iterable[bytes], *, held_out: bool) -> Split:
    """tokens.bin, and for what is held out document_bytes.npy, in `folder`."""
    folder.mkdir(parents=True)
    sizes: list[int] = []
    count = 0
    with (folder / "tokens.bin").open("wb") as file:
        for batch in _batches(texts):
            encoded = tokenizer.encode(table, [text.decode() for text in batch])
            for tokens in encoded:
                file.write(np.array([table.bos_id, *tokens], "<u2").tobytes())
                count += len(tokens) + 1
            sizes += map(len, batch)
    if held_out:
        np.save(folder / "document_bytes.npy", np.array(sizes, np.int64))
    return Split(len(sizes), count, sum(sizes))


def write_tables(folder: Path, table: Tokenizer, train: Split, seq_len: int) -> None:
    """The tokenizer, its bytes for the judge, and what the harness reads."""
    np.save(folder / "heldout" / "token_bytes.npy", np.array([*map(len, table.tokens), 0], np.int64))
    table.save(folder / "train" / "tokenizer.json")
    meta = {
        "schema": "autoresearch/train/1",
        "vocab_size": table.vocab_size,
        "bos_id": table.bos_id,
        "seq_len": seq_len,
        "tokens": train.tokens,
        "documents": train.documents,
    }
    (folder / "train" / "meta.json").write_text(json.dumps(meta) + "\n")


def _batches(texts: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= _AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
