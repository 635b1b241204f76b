from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.data import DataError, load_manifest, prepare, verify
from runner.data.climbmix import fetch
from runner.data.prepare import split
from runner.data.sources import cut_at_blank_lines
from runner.data.tokenizer import Tokenizer, load_tokenizer, train


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train(iter([Path(__file__).read_text()] * 3), 400)


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_any_text_comes_back_and_its_bytes_add_up(tokenizer: Tokenizer, text: str) -> None:
    tokens = tokenizer.encoding().encode_ordinary(text)
    assert tokenizer.encoding().decode_bytes(tokens) == text.encode()
    assert sum(len(tokenizer.tokens[token]) for token in tokens) == len(text.encode())


def test_what_looks_like_a_special_token_is_plain_text(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encoding().encode_ordinary("<|endoftext|><|bos|>")
    assert tokenizer.bos_id not in tokens


def test_the_manifest_matches_and_notices_a_flipped_byte(dataset: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    assert verify(copy) == []
    path = copy / "heldout" / "val" / "tokens.bin"
    raw = bytearray(path.read_bytes())
    raw[100] ^= 1
    path.write_bytes(bytes(raw))
    assert verify(copy) == ["heldout/val/tokens.bin is not what was prepared"]


def test_train_and_held_out_are_apart_and_add_up(dataset: Path) -> None:
    manifest = load_manifest(dataset)
    assert sorted(path.name for path in (dataset / "train").iterdir()) == [
        "meta.json",
        "tokenizer.json",
        "tokens.bin",
    ]
    table = load_tokenizer(dataset / "train" / "tokenizer.json")
    sizes = np.array([*map(len, table.tokens), 0])
    for name in ("val", "test"):
        tokens = np.fromfile(dataset / "heldout" / name / "tokens.bin", "<u2")
        assert sizes[tokens].sum() == np.load(dataset / "heldout" / name / "document_bytes.npy").sum()
        assert len(tokens) == manifest.splits[name].tokens
        assert (tokens == table.bos_id).sum() == manifest.splits[name].documents


def test_preparing_twice_does_nothing_the_second_time(corpus: Path, tmp_path: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        said.clear()
        prepare(str(corpus), tmp_path / "d", vocab_size=300, seq_len=64, progress=said.append)
    assert len(said) == 1
    assert said[0].endswith("is up to date")


def test_a_document_is_never_in_two_splits() -> None:
    documents = [f"document {i % 150} " + "x" * 1000 for i in range(300)]
    splits = split(documents, ordered=False, val_bytes=10_000, test_bytes=10_000)
    everything = [text for texts in splits.values() for text in texts]
    assert len(everything) == len(set(everything)) == 150


def test_one_long_text_is_split_in_order_without_losing_a_byte() -> None:
    text = "".join(f"Paragraph {i}.\n\n" * 3 for i in range(5000))
    documents = list(cut_at_blank_lines(text))
    assert "".join(documents) == text
    splits = split(documents, ordered=True, val_bytes=20_000, test_bytes=20_000)
    assert "".join(splits["train"] + splits["val"] + splits["test"]) == text


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b"\0\1\2" * 100, "binary"),
        ("a.txt", b"caf\xe9" * 100, "UTF-8"),
        ("a.jsonl", b'{"body": "x"}\n', 'no string called "text"'),
        ("a.jsonl", b"not json\n", "line 1"),
        ("a.parquet", b"PAR?" * 10, "parquet"),
        ("a.txt", b"too short", "too little"),
        ("a.pdf", b"%PDF", "convert"),
    ],
)
def test_bad_input_is_one_sentence_about_the_file(
    name: str, content: bytes, says: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=says):
        prepare(str(path), tmp_path / "out", vocab_size=300, progress=quiet)
    assert not (tmp_path / "out").exists()


def test_parquet_without_a_text_column_names_what_it_has(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match='no column called "text"; it has body'):
        prepare(str(tmp_path / "a.parquet"), tmp_path / "out", progress=quiet)


def test_jsonl_and_parquet_are_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [f"Document number {i} says something about {i * i}. " * 20 for i in range(300)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts[:150]))
    pq.write_table(pa.table({"text": texts[150:]}), tmp_path / "b.parquet")
    manifest = prepare(str(tmp_path), tmp_path / "out", vocab_size=300, seq_len=64, progress=quiet)
    assert sum(size.documents for size in manifest.splits.values()) == 300


@contextmanager
def hub(content: bytes, *, cut_at: int, announce: str) -> Iterator[str]:
    """A local hub that hangs up in the middle of the first answer."""
    answers = 0

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal answers
            answers += 1
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.send_header("ETag", f'"{announce}"')
            self.end_headers()
            end = cut_at if answers == 1 else len(content)
            self.wfile.write(content[start:end])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/shard"
    finally:
        server.shutdown()
        server.server_close()


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    digest = hashlib.sha256(content).hexdigest()
    with hub(content, cut_at=700_001, announce=digest) as url:
        assert fetch(url, tmp_path / "shard.parquet") == digest
    assert (tmp_path / "shard.parquet").read_bytes() == content


def test_a_damaged_download_is_removed_and_said(tmp_path: Path) -> None:
    with hub(b"x" * 1000, cut_at=1000, announce="0" * 64) as url, pytest.raises(DataError, match="damaged"):
        fetch(url, tmp_path / "shard.parquet")
    assert list(tmp_path.iterdir()) == []
