"""Held-out data that is not what was prepared is refused in one sentence, never scored on."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from judge.heldout import DataCorrupt, load

V, T = 8, 4
DOCUMENTS = [[0, 1, 2], [3], [4, 5, 6, 0, 1, 2, 3, 4, 5], [6, 6], [1, 2, 3, 4]]
TOKEN_BYTES = np.array([1, 2, 3, 1, 4, 2, 1, 0])

Files = dict[str, bytes]


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def prepared(folder: Path, change: Callable[[Files, dict], None] = lambda files, manifest: None) -> Path:
    """A small data set. `change` may alter files and manifest before the files are hashed."""
    tokens = np.array([t for d in DOCUMENTS for t in (V - 1, *d)], "<u2")
    document_bytes = np.array([TOKEN_BYTES[d].sum() for d in DOCUMENTS])
    files = {
        "heldout/val/tokens.bin": tokens.tobytes(),
        "heldout/val/document_bytes.npy": npy(document_bytes),
        "heldout/token_bytes.npy": npy(TOKEN_BYTES),
    }
    counts = {"documents": len(DOCUMENTS), "tokens": len(tokens), "bytes": int(document_bytes.sum())}
    manifest = {
        "schema": "autoresearch/data/1",
        "vocab_size": V,
        "seq_len": T,
        "bos_id": V - 1,
        "splits": {"val": counts},
    }
    change(files, manifest)
    manifest.setdefault(
        "files", {name: {"sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()}
    )
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_prepared_data_is_loaded_with_its_exact_bytes(tmp_path: Path) -> None:
    data = load(prepared(tmp_path), "val")

    assert data.document_bytes.tolist() == [int(TOKEN_BYTES[d].sum()) for d in DOCUMENTS]
    assert (data.vocab_size, data.seq_len) == (V, T)
    assert data.rows.scored.sum() == sum(map(len, DOCUMENTS))


@pytest.mark.parametrize(
    "name", ["heldout/val/tokens.bin", "heldout/val/document_bytes.npy", "heldout/token_bytes.npy"]
)
def test_one_flipped_bit_is_noticed(name: str, tmp_path: Path) -> None:
    path = prepared(tmp_path) / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataCorrupt, match=r"not what was prepared; run `autoresearch data prepare` again"):
        load(tmp_path, "val")


def tokens(*values: int) -> Callable[[Files, dict], None]:
    return lambda files, _: files.__setitem__("heldout/val/tokens.bin", np.array(values, "<u2").tobytes())


def replaced(name: str, array: np.ndarray) -> Callable[[Files, dict], None]:
    return lambda files, _: files.__setitem__(name, npy(array))


def said(**entries: object) -> Callable[[Files, dict], None]:
    return lambda _, manifest: manifest.update(entries)


def bos_with_bytes(files: Files, manifest: dict) -> None:
    """Consistently: every document is a byte longer for the BOS before it, also in the manifest."""
    files[TABLE] = npy(np.append(TOKEN_BYTES[:-1], 1))
    document_bytes = np.array([TOKEN_BYTES[d].sum() + 1 for d in DOCUMENTS])
    files[BYTES] = npy(document_bytes)
    manifest["splits"]["val"]["bytes"] = int(document_bytes.sum())


BYTES = "heldout/val/document_bytes.npy"
TABLE = "heldout/token_bytes.npy"
CORRUPTIONS = {
    "a denominator that is too large": replaced(BYTES, np.array([60, 1, 20, 2, 10])),
    "a denominator moved between documents": replaced(BYTES, np.array([7, 0, 20, 2, 10])),
    "a document missing": replaced(BYTES, np.array([6, 1, 20, 2])),
    "BOS with bytes": bos_with_bytes,
    "a token without bytes": replaced(TABLE, np.append(0, TOKEN_BYTES[1:])),
    "a short table": replaced(TABLE, TOKEN_BYTES[:-1]),
    "a table of fractions": replaced(TABLE, TOKEN_BYTES / 1.0),
    "a pickled table": replaced(TABLE, np.array([print] * V, object)),
    "no BOS first": tokens(0, 1, 2, 7, 3),
    "a token beyond the vocabulary": tokens(7, 0, 8),
    "no tokens": tokens(),
    "half a token": lambda files, _: files.update({"heldout/val/tokens.bin": b"\x07\x00\x01"}),
    "no such split": said(splits={}),
    "no hashes": said(files={}),
    "another schema": said(schema="autoresearch/data/2"),
    "another BOS": said(bos_id=3),
    "rows of nothing": said(seq_len=0),
    "other counts": said(splits={"val": {"documents": 5, "tokens": 24, "bytes": 999}}),
    "words for numbers": said(vocab_size="many"),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corrupt_data_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    prepared(tmp_path, CORRUPTIONS[name])

    with pytest.raises(DataCorrupt, match=r"run `autoresearch data prepare` again$"):
        load(tmp_path, "val")


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataCorrupt, match="cannot be read"):
        load(tmp_path, "val")


def test_too_little_text_is_refused(tmp_path: Path) -> None:
    prepared(tmp_path, said(seq_len=64))

    with pytest.raises(DataCorrupt, match="prepare more held-out text"):
        load(tmp_path, "val")
