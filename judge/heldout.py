"""The hidden text: loaded, checked against the manifest, and counted in bytes by the judge alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from judge.rows import Rows, pack


class DataCorrupt(Exception):
    """The held-out data is not what was prepared. Scores on it would not compare with earlier ones."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """One split. `document_bytes` is int64[D], the exact UTF-8 bytes of every document."""

    split: str
    vocab_size: int
    seq_len: int
    rows: Rows
    document_bytes: NDArray[np.int64]


def load(folder: Path, split: str) -> HeldOut:
    """Load `split` ("val" or "test") of a prepared data set. Raises DataCorrupt."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        names = [
            f"heldout/{split}/tokens.bin",
            f"heldout/{split}/document_bytes.npy",
            "heldout/token_bytes.npy",
        ]
        for name in names:
            digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            if digest != manifest["files"][name]["sha256"]:
                raise DataCorrupt(f"{name} is not what was prepared; run `autoresearch data prepare` again")
        vocab_size, seq_len, bos_id = (int(manifest[key]) for key in ("vocab_size", "seq_len", "bos_id"))
        tokens = np.fromfile(folder / names[0], "<u2")
        document_bytes = np.load(folder / names[1], allow_pickle=False)
        token_bytes = np.load(folder / names[2], allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataCorrupt(
            f"the data in {folder} cannot be read; run `autoresearch data prepare` again"
        ) from error
    _check_bytes(tokens, bos_id, token_bytes, document_bytes, split)
    return HeldOut(split, vocab_size, seq_len, pack(tokens, bos_id, seq_len), document_bytes)


def _check_bytes(
    tokens: NDArray[np.uint16],
    bos_id: int,
    token_bytes: NDArray[np.int64],
    document_bytes: NDArray[np.int64],
    split: str,
) -> None:
    """The denominator: the raw bytes of a document's tokens must be the document's bytes, one by one."""
    if not len(tokens) or tokens[0] != bos_id or tokens.max() > bos_id or token_bytes[bos_id] != 0:
        raise DataCorrupt(f"the tokens of {split} are not in the expected format")
    starts = np.flatnonzero(tokens == bos_id)
    counted = np.add.reduceat(token_bytes[tokens], starts)
    if not np.array_equal(counted, document_bytes):
        raise DataCorrupt(f"the bytes of {split} do not add up; run `autoresearch data prepare` again")
