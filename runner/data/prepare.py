"""From documents to a data set: drop duplicates, split, train the tokenizer, encode, write, hash.

Made in a temporary folder and renamed at the end: there is never half a data set.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from runner.data import climbmix, croissant, sources, tokenizer
from runner.data.errors import DataError
from runner.data.manifest import Manifest, Split, file_entry, load_manifest, verify

_FORMAT = 1
_TOKENIZER_BYTES = 20_000_000
_HELD_OUT_SHARE = 0.05
Progress = Callable[[str], None]


def prepare(
    source: str,
    destination: Path,
    *,
    wheelhouse: Path | None = None,
    shards: int = 1,
    vocab_size: int = 8192,
    seq_len: int = 2048,
    val_bytes: int = 500_000,
    test_bytes: int = 500_000,
    progress: Progress = print,
) -> Manifest:
    """Make `destination` hold `source`: "default", "climbmix", or a path. Idempotent; raises DataError.

    `val_bytes` and `test_bytes` are upper bounds; neither takes more than 5 % of the text.
    """
    corpus = _corpus(source, wheelhouse, shards, destination, progress)
    settings = [
        _FORMAT,
        corpus.name,
        sorted(corpus.sources.items()),
        vocab_size,
        seq_len,
        val_bytes,
        test_bytes,
    ]
    recipe = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
    if (destination / "manifest.json").exists():
        manifest = load_manifest(destination)
        if manifest.recipe == recipe and not verify(destination):
            progress(f"{destination} is up to date")
            return manifest
    progress(f"reading {corpus.name}")
    splits = split(
        list(corpus.documents()), ordered=corpus.ordered, val_bytes=val_bytes, test_bytes=test_bytes
    )
    progress(f"training a tokenizer of {vocab_size} tokens")
    table = tokenizer.train(_sample(splits["train"], _TOKENIZER_BYTES), vocab_size)
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_name(f".{destination.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        sizes = _write(partial, table, splits, seq_len, progress)
        files = {
            str(p.relative_to(partial)): file_entry(p) for p in sorted(partial.rglob("*")) if p.is_file()
        }
        manifest = Manifest(
            name=corpus.name,
            source=source if source in {"default", "climbmix"} else corpus.name,
            recipe=recipe,
            vocab_size=table.vocab_size,
            seq_len=seq_len,
            bos_id=table.bos_id,
            pattern=table.pattern,
            splits=sizes,
            files=files,
            sources=corpus.sources,
        )
        croissant.write(partial / "croissant.json", manifest)
        manifest.write(partial)
        shutil.rmtree(destination, ignore_errors=True)
        partial.replace(destination)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return load_manifest(destination)


def split(
    documents: Sequence[str], *, ordered: bool, val_bytes: int, test_bytes: int
) -> dict[str, list[str]]:
    """train, val and test, with no document in two of them and none twice.

    One long text is cut in order (train first, test last); independent documents by their SHA-256, which does
    not depend on the order they came in. Raises DataError when there is too little to split.
    """
    unique = {hashlib.sha256(text.encode()).digest(): text for text in reversed(documents) if text}
    texts = list(reversed(unique.values())) if ordered else [unique[digest] for digest in sorted(unique)]
    total = sum(len(text.encode()) for text in texts)
    held_out: dict[str, list[str]] = {}
    for name, limit in (("test", test_bytes), ("val", val_bytes)):
        budget = room = min(limit, int(total * _HELD_OUT_SHARE))
        taken: list[str] = []
        for index in range(len(texts) - 1, -1, -1):
            size = len(texts[index].encode())
            if size <= room and (ordered or size <= budget // 4):  # no single document may dominate a split
                taken.append(texts.pop(index))
                room -= size
            elif ordered or room < budget // 50:
                break
        held_out[name] = taken[::-1]
    if not (texts and held_out["val"] and held_out["test"]):
        raise DataError(
            f"{len(unique)} documents with {total} bytes are too little to split into train, val and test; "
            "give at least a few hundred kB in documents of a few kB"
        )
    return {"train": texts, "val": held_out["val"], "test": held_out["test"]}


def _corpus(
    source: str, wheelhouse: Path | None, shards: int, destination: Path, progress: Progress
) -> sources.Corpus:
    if source == "default":
        if wheelhouse is None:
            raise DataError(
                "the default data is made from the image's wheels; run `autoresearch build` first"
            )
        return sources.wheels(wheelhouse)
    if source == "climbmix":
        return climbmix.corpus(destination.parent / "climbmix-shards", shards, progress)
    return sources.local(Path(source))


def _sample(texts: Sequence[str], limit: int) -> Iterator[str]:
    """Evenly spread documents of about `limit` bytes in all."""
    total = sum(map(len, texts))
    stride = max(1, round(total / limit))
    return iter(texts[::stride])


def _write(
    folder: Path, table: tokenizer.Tokenizer, splits: dict[str, list[str]], seq_len: int, progress: Progress
) -> dict[str, Split]:
    held_out = folder / "heldout"
    sizes = {}
    for name, texts in splits.items():
        progress(f"encoding {name}: {len(texts)} documents")
        home = folder / "train" if name == "train" else held_out / name
        home.mkdir(parents=True)
        encoded = tokenizer.encode(table, texts)
        lengths = np.array([len(tokens) + 1 for tokens in encoded])
        stream = np.empty(int(lengths.sum()), "<u2")
        at = 0
        for tokens in encoded:
            stream[at] = table.bos_id
            stream[at + 1 : at + 1 + len(tokens)] = tokens
            at += len(tokens) + 1
        stream.tofile(home / "tokens.bin")
        byte_counts = np.array([len(text.encode()) for text in texts], np.int64)
        sizes[name] = Split(len(texts), len(stream), int(byte_counts.sum()))
        if name != "train":
            np.save(home / "document_bytes.npy", byte_counts)
    np.save(held_out / "token_bytes.npy", np.array([*map(len, table.tokens), 0], np.int64))
    table.save(folder / "train" / "tokenizer.json")
    meta = {
        "schema": "autoresearch/train/1",
        "vocab_size": table.vocab_size,
        "bos_id": table.bos_id,
        "seq_len": seq_len,
        "tokens": sizes["train"].tokens,
        "documents": sizes["train"].documents,
    }
    (folder / "train" / "meta.json").write_text(json.dumps(meta) + "\n")
    return sizes
