"""Data of the shapes that people have: all of it is read, and what is left out is counted and named."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generated_text import LANGUAGE

from runner.data.decoding import lines
from runner.data.prepare import prepare
from runner.data.sources import local

TEXTS = [LANGUAGE.document(800, seed) for seed in range(20)]
LONG = "".join(TEXTS)


def read(path: Path, column: str | None = None) -> tuple[list[str], dict[str, int]]:
    """The documents at `path`, their pieces joined, and what was left out or mended."""
    corpus = local(path, column)
    found: dict[int, str] = {}
    for piece in corpus.pieces():
        found[piece.document] = found.get(piece.document, "") + piece.text
    return [*found.values()], {why.name: count for why, count in corpus.skipped.counts.items()}


def jsonl(texts: list[str], column: str = "text") -> bytes:
    return "".join(json.dumps({column: text}) + "\n" for text in texts).encode()


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("part/b.jsonl", jsonl(TEXTS[10:]))
        archive.writestr("part/a.TXT", TEXTS[0])
        archive.writestr("__MACOSX/a.txt", "of the finder")
        archive.writestr("picture.png", b"\x89PNG")


def zstandard(path: Path) -> None:
    with pa.output_stream(path, compression="zstd") as file:
        file.write(jsonl(TEXTS))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.jsonl", lambda path: path.write_bytes(jsonl(TEXTS))),
        ("A.JSONL", lambda path: path.write_bytes(jsonl(TEXTS))),
        ("a.ndjson", lambda path: path.write_bytes(jsonl(TEXTS))),
        ("a.jsonl", lambda path: path.write_bytes(b"\xef\xbb\xbf" + jsonl(TEXTS))),
        ("a.jsonl", lambda path: path.write_bytes(jsonl(TEXTS).replace(b"\n", b"\r\n"))),
        ("a.jsonl.gz", lambda path: path.write_bytes(gzip.compress(jsonl(TEXTS)))),
        (
            "a.jsonl.gz",
            lambda path: path.write_bytes(gzip.compress(jsonl(TEXTS[:9])) + gzip.compress(jsonl(TEXTS[9:]))),
        ),
        ("a.JSONL.BZ2", lambda path: path.write_bytes(bz2.compress(jsonl(TEXTS)))),
        ("a.jsonl.xz", lambda path: path.write_bytes(lzma.compress(jsonl(TEXTS)))),
        ("a.jsonl.zst", zstandard),
        ("a.json", lambda path: path.write_text(json.dumps([{"text": text} for text in TEXTS], indent=1))),
        ("a.json", lambda path: path.write_text(json.dumps(TEXTS))),
        ("a.json", lambda path: path.write_bytes(jsonl(TEXTS))),
        (
            "a.json",
            lambda path: path.write_text(json.dumps({"data": [{"text": t} for t in TEXTS]}, indent=1)),
        ),
        ("a.jsonl", lambda path: path.write_bytes(jsonl(TEXTS, "content"))),
        ("a.csv", lambda path: path.write_text("n,text\n" + "".join(f'1,"{text}"\n' for text in TEXTS))),
        ("a.tsv", lambda path: path.write_text("text\tn\n" + "".join(f'"{text}"\t1\n' for text in TEXTS))),
        ("a.parquet", lambda path: pq.write_table(pa.table({"n": [1] * 20, "text": TEXTS}), path)),
        (
            "a.parquet",
            lambda path: pq.write_table(pa.table({"text": pa.array(TEXTS, pa.large_string())}), path),
        ),
        ("a.parquet", lambda path: pq.write_table(pa.table({"text": [t.encode() for t in TEXTS]}), path)),
        (
            "a.PARQUET",
            lambda path: pq.write_table(pa.table({"text": pa.array(TEXTS).dictionary_encode()}), path),
        ),
    ],
)
def test_every_record_is_read(name: str, write: Callable[[Path], Any], tmp_path: Path) -> None:
    write(tmp_path / name)
    assert read(tmp_path / name) == (TEXTS, {})


@pytest.mark.parametrize(
    ("raw", "mended"),
    [
        (LONG.encode(), 0),
        (LONG.replace("\n", "\r\n").encode(), 0),
        (LONG.replace("\n", "\r").encode(), 0),
        (LONG.encode("utf-8-sig"), 0),
        (LONG.encode("utf-16"), 0),
        (LONG.encode("utf-32"), 0),
        (gzip.compress(LONG.encode()), 0),
        (LONG.replace("a", "é", 1).encode().replace(b"\xc3\xa9", b"\xe9"), 1),
    ],
)
def test_a_text_is_the_same_in_whatever_bytes_it_comes(raw: bytes, mended: int, tmp_path: Path) -> None:
    path = tmp_path / ("a.txt.gz" if raw[:2] == b"\x1f\x8b" else "a.txt")
    path.write_bytes(raw)
    texts, skipped = read(path)
    assert texts == [LONG.replace("a", "\ufffd", 1) if mended else LONG]
    assert skipped.get("REPLACED", 0) == mended


CHAT = [
    {"role": "user", "content": TEXTS[0]},
    {"role": "assistant", "content": [{"type": "text", "text": TEXTS[1]}]},
]
SHARED = [{"from": "human", "value": TEXTS[0]}, {"from": "gpt", "value": TEXTS[1]}]


@pytest.mark.parametrize(
    ("record", "column", "starts"),
    [
        ({"messages": CHAT}, None, "user: "),
        ({"conversations": SHARED}, None, "human: "),
        ({"body": TEXTS[0]}, "body", TEXTS[0][:9]),
        ({"data": {"text": TEXTS[0]}}, "data.text", TEXTS[0][:9]),
        ({"a.b": TEXTS[0]}, "a.b", TEXTS[0][:9]),
    ],
)
def test_conversations_and_named_columns_are_read(
    record: dict[str, Any], column: str | None, starts: str, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    (text,), skipped = read(tmp_path / "a.jsonl", column)
    assert text.startswith(starts)
    assert skipped == {}
    if "messages" not in record:  # its contents are of two kinds, which no column can hold
        pq.write_table(pa.Table.from_pylist([record]), tmp_path / "a.parquet")
        assert read(tmp_path / "a.parquet", column) == ([text], {})


def test_whatever_is_left_out_of_a_folder_is_counted_and_named(tmp_path: Path) -> None:
    for name, content in {
        "good.jsonl": jsonl(TEXTS[:3])
        + b"not json\n"
        + json.dumps({"text": 7}).encode()
        + b"\n\n"
        + json.dumps({"text": " "}).encode(),
        "surrogate.jsonl": json.dumps({"text": TEXTS[3] + "\ud83d"}).encode(),
        "empty.jsonl": b"",
        "cut.txt.gz": gzip.compress(LONG.encode())[:2000],
        "latin.txt": "caf\xe9 ".encode("latin-1") * 50,
        "binary.txt": bytes(100),
        "notes.pdf": b"%PDF",
        ".hidden/x.txt": b"x",
        "other.csv": b"a,b\n1,2\n",
        "broken.parquet": b"PAR1",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    zipped(tmp_path / "z.zip")
    texts, skipped = read(tmp_path)
    assert [text for text in texts if text in TEXTS] == [*TEXTS[:3], TEXTS[0], *TEXTS[10:]]
    assert TEXTS[3] + "\ufffd" in texts
    assert skipped == {
        "NOT_JSON": 1, "NO_TEXT": 1, "BLANK": 1, "REPLACED": 1, "EMPTY": 1, "DAMAGED": 2, "NOT_UTF8": 1, "BINARY": 1,
        "FORMAT": 2, "HIDDEN": 2, "NO_COLUMN": 1,
    }  # fmt: skip
    corpus = local(tmp_path)
    list(corpus.pieces())
    assert all(name for name in corpus.skipped.first.values())


def test_what_was_left_out_is_in_the_manifest_and_said(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.txt").write_text(LANGUAGE.document(300_000, 3))
    (tmp_path / "s" / "a.pdf").write_bytes(b"%PDF")
    said: list[str] = []
    manifest = prepare(str(tmp_path / "s"), tmp_path / "d", vocab_size=300, seq_len=64, progress=said.append)
    assert manifest.skipped["format"] == {"count": 1, "first": ["a.pdf"]}
    assert any("1 files are of no known format" in sentence and "a.pdf" in sentence for sentence in said)


def test_an_invalid_byte_in_a_parquet_string_becomes_a_replacement_character(tmp_path: Path) -> None:
    raw = pa.array([b"good " * 20, b"bad \xff " * 20])
    pq.write_table(
        pa.table({"text": pa.Array.from_buffers(pa.string(), 2, raw.buffers())}), tmp_path / "a.parquet"
    )
    texts, skipped = read(tmp_path / "a.parquet")
    assert texts == ["good " * 20, "bad \ufffd " * 20]
    assert skipped == {"REPLACED": 1}


@pytest.mark.parametrize("end", ["\n\n", " \n \n ", "\n", " ", ""])
def test_a_text_without_blank_lines_or_without_any_line_is_split(end: str, tmp_path: Path) -> None:
    words = LONG.replace("\n\n", end)
    text = end.join([words, *(LANGUAGE.document(1000, seed).replace("\n\n", end) for seed in range(50, 400))])
    (tmp_path / "a.txt").write_text(text)
    manifest = prepare(
        str(tmp_path / "a.txt"), tmp_path / "d", vocab_size=300, seq_len=64, progress=lambda _: None
    )
    assert sum(size.bytes for size in manifest.splits.values()) == len(text.encode())
    assert min(size.documents for size in manifest.splits.values()) > 1


def test_a_line_that_is_too_long_is_left_out_and_the_next_one_is_read() -> None:
    assert [*lines(iter(["ab\nlong", "er\nlonger than", " that", "\nx"]), 8)] == ["ab", "longer", None, "x"]
