"""From documents to a data set: read, drop duplicates, split, cut what is shared, train the tokenizer, encode, hash.

Text goes to disk as it is read and is mapped from there; no step holds more than a few megabytes of it in memory. The data
set is made next to its folder and renamed at the end, so it is always complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from runner.data import climbmix, croissant, default_text, output_folder, sources, tokenizer
from runner.data.decontamination import LONGEST, decontaminate
from runner.data.document_store import Spill
from runner.data.errors import DataError
from runner.data.leak_check import ImageLeakCheck
from runner.data.manifest import Manifest, file_entry, load_manifest, verify
from runner.data.shards import write_split, write_tables
from runner.data.skipped_records import Why
from runner.data.splits import split

HELD_OUT_BYTES = 500_000
"""At most so much text of each held-out split, where no other size is given."""
_FORMAT = 2
_TOKENIZER_BYTES = 20_000_000
Progress = Callable[[str], None]


def prepare(
    source: str,
    folder: Path,
    *,
    wheels: Path | None = None,
    shards: int = 1,
    column: str | None = None,
    vocab_size: int = 8192,
    seq_len: int = 2048,
    val_bytes: int = HELD_OUT_BYTES,
    test_bytes: int = HELD_OUT_BYTES,
    image: ImageLeakCheck | None = None,
    progress: Progress = print,
) -> Manifest:
    """Make `folder` hold `source`: "default" (the text of `wheels`), "climbmix", or a path. Idempotent; raises DataError.

    `val_bytes` and `test_bytes` are upper bounds; neither gets more than 5 % of the text. Held-out text that lies in
    `image`, the candidate's, is cut like text that lies in train; the default data must be the same everywhere, so there
    it is an error.
    """
    local = source not in sources.NAMED
    folder = folder.resolve()
    output_folder.refuse_foreign_folder(folder, Path(source) if local else None)
    with output_folder.turn(folder, progress):
        output_folder.refuse_foreign_folder(folder, None)  # another one may have been at work while we waited
        corpus = _corpus(source, wheels, shards, column, folder, progress)
        settings = [
            corpus.name,
            sorted(corpus.sources.items()),
            column,
            vocab_size,
            seq_len,
            val_bytes,
            test_bytes,
        ]
        recipe = hashlib.sha256(json.dumps([_FORMAT, *settings]).encode()).hexdigest()
        if (manifest := _ready(folder, recipe, image)) is not None:
            progress(f"{folder} is up to date")
            return manifest
        with output_folder.partial(folder) as made:
            _make(
                made,
                corpus,
                image if local else None,
                vocab_size,
                seq_len,
                val_bytes,
                test_bytes,
                recipe,
                progress,
            )
            if image is not None:
                image.require_unseen(made)
            output_folder.put(made, folder)
    return load_manifest(folder)


def _ready(folder: Path, recipe: str, image: ImageLeakCheck | None) -> Manifest | None:
    try:
        manifest = load_manifest(folder)
        if manifest.recipe != recipe or verify(folder):
            return None
        if image is not None:
            image.require_unseen(folder)
    except DataError:
        return None
    return manifest


def _make(
    made: Path,
    corpus: sources.Corpus,
    image: ImageLeakCheck | None,
    vocab_size: int,
    seq_len: int,
    val_bytes: int,
    test_bytes: int,
    recipe: str,
    progress: Progress,
) -> None:
    progress(f"reading {corpus.name}")
    spill = Spill(made / "text.partial")
    try:
        for piece in corpus.pieces():
            spill.add(*piece)
        spill.finish(corpus.skipped)
        for sentence in corpus.skipped.sentences():
            progress(f"left out or mended: {sentence}")
        chosen = split(spill, val_bytes=val_bytes, test_bytes=test_bytes)
        runs = spill.runs(chosen["train"], LONGEST)
        if not runs or not len(chosen["val"]) or not len(chosen["test"]):
            raise DataError(_too_little(spill, corpus))
        limits = {"val": val_bytes, "test": test_bytes}
        apart = decontaminate(
            spill, chosen, runs, image.contents() if image else (), limits, made / "cut.partial", progress
        )
        spill, runs, held_out, cut = apart.spill, [*apart.runs], apart.held_out, apart.cut
        progress(f"training a tokenizer of {vocab_size} tokens")
        table = tokenizer.train(_sample(spill, runs, _TOKENIZER_BYTES), vocab_size)
        progress(f"encoding {len(runs)} documents for training")
        sizes = {
            "train": write_split(
                made / "train", table, (spill.text(first, last) for first, last in runs), held_out=False
            )
        }
        for name, texts in held_out.items():
            sizes[name] = write_split(made / "heldout" / name, table, texts, held_out=True)
        write_tables(made, table, sizes["train"], seq_len)
    finally:
        spill.close()
        for name in ("text.partial", "cut.partial"):
            (made / name).unlink(missing_ok=True)
    manifest = Manifest(
        name=corpus.name,
        source=corpus.name,
        recipe=recipe,
        vocab_size=table.vocab_size,
        seq_len=seq_len,
        bos_id=table.bos_id,
        pattern=table.pattern,
        splits=sizes,
        files={
            str(path.relative_to(made)): file_entry(path)
            for part in ("train", "heldout")
            for path in sorted((made / part).rglob("*"))
            if path.is_file()
        },
        sources=corpus.sources,
        skipped=corpus.skipped.as_json(),
        shared_bytes=cut,
    )
    croissant.write(made / "croissant.json", manifest)
    manifest.write(made)


def _too_little(spill: Spill, corpus: sources.Corpus) -> str:
    said = [
        sentence
        for why, sentence in zip(corpus.skipped.counts, corpus.skipped.sentences(), strict=True)
        if why is not Why.TWICE
    ]
    left_out = f" (left out: {'; '.join(said)})" if said else ""
    return (
        f"{int(spill.alive.sum())} documents with {int(spill.size[spill.alive].sum())} bytes are too little to split into train, "
        f"val and test{left_out}; give at least a few hundred kB"
    )


def _corpus(
    source: str, wheels: Path | None, shards: int, column: str | None, folder: Path, progress: Progress
) -> sources.Corpus:
    if source == "default":
        if wheels is None:
            raise DataError("the default data is made from pinned wheels; run `autoresearch data prepare`")
        return default_text.corpus(wheels)
    if source == "climbmix":
        return climbmix.corpus(folder.parent / "climbmix-shards", shards, progress)
    return sources.local(Path(source), column)


def _sample(spill: Spill, runs: Sequence[tuple[int, int]], limit: int) -> Iterator[str]:
    """Evenly spread documents of about `limit` bytes in all, the beginning of those that are long."""
    total = sum(int(spill.start[last + 1] - spill.start[first]) for first, last in runs)
    stride = max(1, round(total / limit))
    if len(runs) >= 8 * stride:
        for first, last in runs[::stride]:
            yield spill.text(first, last).decode()
    else:  # few and long: a part of each
        for first, last in runs:
            for piece in range(first, last + 1, stride):
                yield spill.text(piece).decode()
