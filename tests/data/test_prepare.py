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
from generated_text import LANGUAGE
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.data.climbmix import fetch
from runner.data.errors import DataError
from runner.data.manifest import load_manifest, verify
from runner.data.prepare import prepare
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


def decoded(folder: Path, part: str) -> list[bytes]:
    """The documents of "train", "heldout/val" or "heldout/test"."""
    table = load_tokenizer(folder / "train" / "tokenizer.json")
    tokens = np.fromfile(folder / part / "tokens.bin", "<u2")
    return [
        b"".join(table.tokens[token] for token in document[1:])
        for document in np.split(tokens, np.flatnonzero(tokens == table.bos_id))[1:]
    ]


PARTS = ("train", "heldout/val", "heldout/test")


def test_a_document_is_never_in_two_splits(tmp_path: Path) -> None:
    texts = [LANGUAGE.document(1500, seed) for seed in range(400)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in [*texts, *texts[::3]]))
    said: list[str] = []
    prepare(str(tmp_path / "a.jsonl"), tmp_path / "d", vocab_size=300, seq_len=64, progress=said.append)
    everything = [text for part in PARTS for text in decoded(tmp_path / "d", part)]
    assert sorted(everything) == sorted(text.encode() for text in texts)
    assert any("134 documents are there twice" in sentence for sentence in said)


def test_one_long_text_is_split_in_order_without_losing_a_byte(tmp_path: Path) -> None:
    text = LANGUAGE.document(600_000, 1)
    (tmp_path / "a.txt").write_text(text)
    prepare(str(tmp_path / "a.txt"), tmp_path / "d", vocab_size=300, seq_len=64, progress=quiet)
    assert b"".join(b"".join(decoded(tmp_path / "d", part)) for part in PARTS) == text.encode()


def test_few_long_documents_each_lend_a_part_to_what_is_held_out(tmp_path: Path) -> None:
    with (tmp_path / "books.jsonl").open("w") as file:
        for seed in range(12):
            file.write(json.dumps({"text": LANGUAGE.document(60_000, seed)}) + "\n")
    manifest = prepare(
        str(tmp_path / "books.jsonl"), tmp_path / "d", vocab_size=300, seq_len=64, progress=quiet
    )
    assert manifest.splits["train"].documents >= 12
    assert min(manifest.splits[name].documents for name in ("val", "test")) >= 4


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b"\0\1\2" * 100, "binary"),
        ("a.txt", b"caf\xe9" * 100, "UTF-8"),
        ("a.jsonl", b'{"body": "x"}\n', 'no string called "text"; it has body'),
        ("a.jsonl", b"not json\n", "line 1"),
        ("a.jsonl", b"[" * 100_000, "not JSON"),
        ("a.csv", b"body,n\nx,1\n", 'no column called "text"; it has body, n'),
        ("a.parquet", b"PAR?" * 10, "parquet"),
        ("a.txt", b"too short", "too little"),
        ("a.txt.gz", b"\x1f\x8b\x08 and then nonsense", "download them again"),
        ("a.pdf", b"%PDF", "convert"),
        ("a.exe.gz", b"\x1f\x8b", "convert"),
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
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == [name]


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
