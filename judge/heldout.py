"""Loads the hidden text and checks it against the manifest.

The layout is in docs/contracts.md ("The prepared data set"). The bytes of the documents are the denominator of the score, so they
are verified: for each document, the bytes of its tokens must add up to the bytes recorded for it.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from judge.rows import Rows, pack

MIN_ROWS = 4
"""Minimum for a blind probe: half of the rows are cut once, the other half supplies the text after the cuts."""
AGAIN = "run `autoresearch data prepare` again"


class DataCorrupt(Exception):
    """The held-out data differs from what was prepared. Scores on it would not be comparable with earlier ones."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """One split. `document_bytes` is int64[D]: the exact UTF-8 bytes of each document."""

    split: str
    vocab_size: int
    seq_len: int
    rows: Rows
    document_bytes: NDArray[np.int64]


def load(folder: Path, split: str) -> HeldOut:
    """Load `split` ("val" or "test") of the prepared data set in `folder`. Raises DataCorrupt; its message says what to do."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if manifest["schema"] != "autoresearch/data/1":
            raise DataCorrupt(f"the data in {folder} has a format that is not known here; {AGAIN}")
        vocab_size, seq_len, bos_id = (int(manifest[key]) for key in ("vocab_size", "seq_len", "bos_id"))
        counts = {key: int(manifest["splits"][split][key]) for key in ("documents", "tokens", "bytes")}
        tokens = np.frombuffer(_verified(folder, f"heldout/{split}/tokens.bin", manifest), "<u2")
        document_bytes = _array(folder, f"heldout/{split}/document_bytes.npy", manifest)
        token_bytes = _array(folder, "heldout/token_bytes.npy", manifest)
    except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError) as error:
        raise DataCorrupt(f"the data in {folder} cannot be read; {AGAIN}") from error
    if bos_id != vocab_size - 1 or seq_len < 1 or token_bytes.shape != (vocab_size,):
        raise DataCorrupt(f"the manifest in {folder} contradicts itself; {AGAIN}")
    _check_bytes(tokens, bos_id, token_bytes, document_bytes, split)
    if counts != {
        "documents": len(document_bytes),
        "tokens": len(tokens),
        "bytes": int(document_bytes.sum()),
    }:
        raise DataCorrupt(f"{split} does not hold as much text as its manifest says; {AGAIN}")
    rows = pack(tokens, bos_id, seq_len)
    if len(rows.tokens) < MIN_ROWS:
        raise DataCorrupt(
            f"{split} fills only {len(rows.tokens)} rows of {seq_len} tokens and {MIN_ROWS} are needed; "
            "prepare more held-out text"
        )
    return HeldOut(split, vocab_size, seq_len, rows, document_bytes)


def _verified(folder: Path, name: str, manifest: dict[str, dict[str, dict[str, str]]]) -> bytes:
    """The content of a file, after its hash was compared with the manifest. Raises DataCorrupt."""
    content = (folder / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest["files"][name]["sha256"]:
        raise DataCorrupt(f"{name} is not what was prepared; {AGAIN}")
    return content


def _array(folder: Path, name: str, manifest: dict[str, dict[str, dict[str, str]]]) -> NDArray[np.int64]:
    array = np.load(io.BytesIO(_verified(folder, name, manifest)), allow_pickle=False)
    if array.dtype != np.int64 or array.ndim != 1:
        raise DataCorrupt(f"{name} is not a list of numbers; {AGAIN}")
    return np.asarray(array, np.int64)


def _check_bytes(
    tokens: NDArray[np.uint16],
    bos_id: int,
    token_bytes: NDArray[np.int64],
    document_bytes: NDArray[np.int64],
    split: str,
) -> None:
    """The denominator of the score: for each document the bytes of its tokens must add up to its bytes. Raises DataCorrupt."""
    if not len(tokens) or tokens[0] != bos_id or tokens.max() > bos_id:
        raise DataCorrupt(f"the tokens of {split} are not in the expected format; {AGAIN}")
    if token_bytes[bos_id] != 0 or (token_bytes[:bos_id] <= 0).any():
        raise DataCorrupt(f"the bytes of the tokens are not in the expected format; {AGAIN}")
    starts = np.flatnonzero(tokens == bos_id)
    if not np.array_equal(np.add.reduceat(token_bytes[tokens], starts), document_bytes):
        raise DataCorrupt(f"the bytes of {split} do not add up; {AGAIN}")
