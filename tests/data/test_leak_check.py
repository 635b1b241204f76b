"""Held out means out of reach: what a candidate can read holds no long run of a held-out document, whatever the data."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import random
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from generated_text import LANGUAGE
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.data.common_substrings import Protected, Search, Windows
from runner.data.errors import DataError
from runner.data.image_text import contents
from runner.data.leak_check import ImageLeakCheck, held_out_in
from runner.data.prepare import prepare
from runner.data.shared_text import CHECKED_WORDS, RUN, SMALLEST, unshared
from runner.data.tokenizer import load_tokenizer
from sandbox.engine import BuildContext
from sandbox.fake_engine import FakeEngine


def quiet(_: str) -> None:
    pass


def held_out_text(folder: Path, split: str = "val") -> bytes:
    table = load_tokenizer(folder / "train" / "tokenizer.json")
    tokens = np.fromfile(folder / "heldout" / split / "tokens.bin", "<u2")
    return b"".join(table.tokens[token] for token in tokens if token != table.bos_id)


def searched(files: dict[str, bytes], memory: Path | None = None) -> ImageLeakCheck:
    engine = FakeEngine()
    return ImageLeakCheck(engine, engine.build(BuildContext("FROM scratch", dict(files))).id, memory)


def found(files: dict[str, bytes], text: bytes, words: int = CHECKED_WORDS) -> dict[int, str]:
    search = Search(Windows([Protected("hidden", np.frombuffer(text, np.uint8))], words))
    for name, content in files.items():
        search.begin(name)
        search.feed(content)
    search.finish()
    return search.found


HIDDEN = LANGUAGE.document(30_000, 999).encode()


@given(st.integers(0, 29_000), st.integers(0, 40), st.integers(0, 3000), st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_a_run_is_found_wherever_it_lies_and_a_shorter_one_is_not(
    at: int, more: int, before: int, files: int
) -> None:
    size = CHECKED_WORDS * 8
    others = {f"other {number}": random.Random(number).randbytes(777 * number) for number in range(files)}
    long, short = HIDDEN[at : at + size + 7 + more], HIDDEN[at : at + size - 1]
    (name,) = found({**others, "leak": bytes(before) + long + b"!"}, HIDDEN).values()
    assert name == "leak"
    assert found({**others, "leak": bytes(before) + short + b"!"}, HIDDEN) == {}


@pytest.mark.parametrize(("kind", "count"), [("<u2", 72), ("<u4", 40), ("<u8", 24)])
def test_a_run_of_wide_elements_is_found_at_any_place(kind: str, count: int) -> None:
    elements = np.random.default_rng(1).integers(0, 2048, 400).astype(kind)
    windows = Windows(
        [Protected("hidden", elements.view(np.uint8), elements.itemsize)],
        CHECKED_WORDS,
    )
    for before in range(8):
        for first in range(9, 26):
            search = Search(windows)
            search.begin("a")
            search.feed(b"?" * before + elements[first : first + count].tobytes() + b"?")
            search.finish()
            assert search.found, (before, first)


def test_a_run_that_is_fed_in_small_blocks_is_found() -> None:
    search = Search(Windows([Protected("hidden", np.frombuffer(HIDDEN, np.uint8))], CHECKED_WORDS))
    search.begin("a")
    for at in range(1001, 1001 + 135, 3):
        search.feed(HIDDEN[at : at + 3])
    search.finish()
    assert list(search.found.values()) == ["a"]


def test_what_repeats_itself_is_no_leak() -> None:
    table = b"-" * 300 + b"=+" * 200 + b" " * 400
    assert found({"a": table}, HIDDEN + table) == {}


def packed(content: bytes) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deep/inside.txt", content)
    return raw.getvalue()


def tarred(name: str, content: bytes) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def debian(content: bytes) -> bytes:
    raw = b"!<arch>\n"
    for name, part in (
        ("debian-binary", b"2.0\n"),
        ("odd", b"123"),
        ("data.tar.xz", lzma.compress(tarred("a", content))),
    ):
        raw += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(part):<10}`\n".encode()
            + part
            + b"\n" * (len(part) % 2)
        )
    return raw


def wrong_sum(content: bytes) -> bytes:
    """The check sum is not that of the content, which whoever reads it need not mind."""
    raw = packed(content)
    sum_ = zlib.crc32(content).to_bytes(4, "little")
    assert raw.count(sum_) == 2
    return raw.replace(sum_, bytes(4))


def odd_first(content: bytes) -> bytes:
    """Before it in the archive lies a file that is compressed in an unknown way."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("first", b"first")
        archive.writestr("second", content)
    changed = bytearray(raw.getvalue())
    changed[8:10] = changed[(at := changed.find(b"PK\1\2")) + 10 : at + 12] = (9).to_bytes(2, "little")
    return bytes(changed)


def parquet(columns: dict[str, list[Any]]) -> bytes:
    raw = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), raw, compression="zstd")
    return raw.getvalue()


def escaped(text: bytes) -> bytes:
    return b'{"text": "' + "".join(f"\\u{ord(character):04x}" for character in text.decode()).encode() + b'"}'


def ids(folder: Path, kind: str) -> bytes:
    return np.fromfile(folder / "heldout" / "test" / "tokens.bin", "<u2")[40:140].astype(kind).tobytes()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("opt/notes.txt", lambda text, _: b"x" + text),
        ("usr/lib/libm.so", lambda text, _: bytes(100_001) + text),
        ("a.gz", lambda text, _: gzip.compress(text)),
        ("no-suffix", lambda text, _: lzma.compress(text)),
        ("some.whl", lambda text, _: packed(text)),
        ("packed-twice", lambda text, _: gzip.compress(packed(text))),
        ("wide.npy", lambda text, _: np.array([text.decode()]).tobytes()),
        ("utf16", lambda text, _: text.decode().encode("utf-16-le")),
        ("ids.u2", lambda _, folder: b"odd" + ids(folder, "<u2")),
        ("ids.npy", lambda _, folder: ids(folder, "<i4")),
        ("ids.i8", lambda _, folder: ids(folder, "<i8")),
        ("ids.pickle", lambda _, folder: b"odd" + ids(folder, "<i4")),
        ("ids8.pickle", lambda _, folder: b"x" + ids(folder, "<i8")),
        ("utf16.db", lambda text, _: b"x" + text.decode().encode("utf-16-le")),
        ("utf16-be", lambda text, _: text.decode().encode("utf-16-be")),
        ("utf32-be", lambda text, _: text.decode().encode("utf-32-be")),
        ("old.lzma", lambda text, _: lzma.compress(text, format=lzma.FORMAT_ALONE)),
        ("a.lz4", lambda text, _: pyarrow.compress(text, "lz4", asbytes=True)),
        ("tool.pyz", lambda text, _: b"#!/usr/bin/env python3\n" + packed(text)),
        ("some.deb", lambda text, _: debian(text)),
        ("a.tar.gz", lambda text, _: gzip.compress(tarred("inner.gz", gzip.compress(text)))),
        ("cut.gz", lambda text, _: gzip.compress(text)[:-6]),
        ("wrong-sum.zip", lambda text, _: wrong_sum(text)),
        ("odd-first.zip", lambda text, _: odd_first(text)),
        ("a.jsonl", lambda text, _: escaped(text)),
        ("a.parquet", lambda text, _: parquet({"text": [text.decode()]})),
        ("nested.parquet", lambda text, _: parquet({"turns": [[{"content": text.decode()}]]})),
        (
            "ids.parquet",
            lambda _, folder: parquet({"ids": [np.frombuffer(ids(folder, "<u2"), "<u2").astype("i4")]}),
        ),
    ],
)
def test_held_out_text_in_an_image_is_refused_and_the_file_is_named(
    name: str, make: Callable[[bytes, Path], bytes], dataset: Path
) -> None:
    text = held_out_text(dataset)[2000:2200]
    honest = {"etc/passwd": b"root:x:0:0", "clean.txt": LANGUAGE.document(9000, 5_000_000).encode()}
    searched(honest).require_unseen(dataset)
    with pytest.raises(DataError, match=rf"/{name}.* holds at least 128 bytes of the held-out text"):
        searched({**honest, name: make(text, dataset)}).require_unseen(dataset)


def test_a_file_that_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch, dataset: Path) -> None:
    monkeypatch.setattr("runner.data.image_text.MOST_UNPACKED", 5 << 20)
    with pytest.raises(DataError, match=r"/bomb.gz in the image unpacks to more"):
        searched({"bomb.gz": gzip.compress(bytes(9 << 20))}).require_unseen(dataset)


def test_what_only_looks_packed_is_searched_as_it_is(dataset: Path) -> None:
    text = held_out_text(dataset)[100:300]
    for magic in (b"\x1f\x8b\x08", b"BZh9", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0"):
        with pytest.raises(DataError, match="/fake"):
            searched({"fake": magic + text}).require_unseen(dataset)


def test_what_was_searched_once_is_remembered_for_this_image_and_this_data(
    dataset: Path, tmp_path: Path
) -> None:
    read = 0

    class Counting(FakeEngine):
        def image_archive(self, image_id: str):  # type: ignore[no-untyped-def]
            nonlocal read
            read += 1
            return super().image_archive(image_id)

    engine = Counting()
    images = [engine.build(BuildContext("FROM scratch", {"a": content})).id for content in (b"1", b"2")]
    for image in (*images, *images):
        ImageLeakCheck(engine, image, tmp_path / "searched").require_unseen(dataset)
    assert read == 2
    leak = engine.build(BuildContext("FROM scratch", {"a": held_out_text(dataset)})).id
    for _ in range(2):  # a refusal is never remembered
        with pytest.raises(DataError):
            ImageLeakCheck(engine, leak, tmp_path / "searched").require_unseen(dataset)


def test_held_out_text_in_train_is_found_in_whatever_tokens_it_is_written(
    dataset: Path, tmp_path: Path
) -> None:
    """The same text begins with other tokens when it is cut elsewhere: what counts is its bytes."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    table = load_tokenizer(copy / "train" / "tokenizer.json")
    tokens = table.encoding().encode_ordinary(held_out_text(copy)[1001:1401].decode())
    with (copy / "train" / "tokens.bin").open("ab") as file:
        file.write(np.array([table.bos_id, *tokens], "<u2").tobytes())
    with pytest.raises(DataError, match="the training split holds at least 128 bytes"):
        searched({}).require_unseen(copy)


def test_what_train_shares_is_cut_from_what_is_held_out() -> None:
    notice = LANGUAGE.document(400, 123_456).encode()
    mine, other = (LANGUAGE.document(3000, seed).encode() for seed in (77, 78))
    held_out = [mine[:1500] + notice + mine[1500:], other, notice]
    left, cut, where = unshared(held_out, [("train", iter([b"before " + notice + b" after", b"more"]))])
    first, second = left[0]
    assert first.startswith(mine[:1500])
    assert second.endswith(mine[1500:])
    assert len(first) + len(second) <= len(mine) + 14  # up to seven bytes of a run stay on either side
    assert left[1:] == [[other], []]
    assert cut >= 2 * len(notice) - 14
    assert where == "train"


@given(st.binary(min_size=600, max_size=600), st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_after_the_cut_the_check_finds_nothing_and_characters_are_whole(noise: bytes, at: int) -> None:
    text = (
        "".join(chr(0x4E00 + number * 7919 % 5000) for number in range(150)) + LANGUAGE.document(1500, at)
    ).encode() + noise.hex().encode()
    train = b"?" * (at % 9) + text[at : at + 300] + b"?"
    left, _, _ = unshared([text], [("train", iter([train]))])
    for part in left[0]:
        assert len(part) >= SMALLEST
        part.decode()
        assert found({"train": train}, part) == {}
    assert RUN < CHECKED_WORDS * 8


def test_text_of_the_image_is_cut_from_what_is_held_out_and_all_of_it_is_refused(tmp_path: Path) -> None:
    texts = [LANGUAGE.document(3000, seed) for seed in range(150)]
    notice = LANGUAGE.document(300, 9_999_999)
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text + notice}) + "\n" for text in texts))
    part = searched({"LICENSE": notice.encode()})
    manifest = prepare(
        str(tmp_path / "a.jsonl"), tmp_path / "d", vocab_size=300, seq_len=64, image=part, progress=quiet
    )
    assert manifest.shared_bytes >= len(notice)
    part.require_unseen(tmp_path / "d")
    whole = searched({"site-packages/text.py": "".join(texts).encode() + notice.encode()})
    with pytest.raises(DataError, match="all that could be held out"):
        prepare(
            str(tmp_path / "a.jsonl"), tmp_path / "e", vocab_size=300, seq_len=64, image=whole, progress=quiet
        )
    assert not (tmp_path / "e").exists()
    # the data set is prepared anew where another image has some of its text
    more = searched({"LICENSE": notice.encode(), "x": held_out_text(tmp_path / "d")[:2000]})
    again = prepare(
        str(tmp_path / "a.jsonl"), tmp_path / "d", vocab_size=300, seq_len=64, image=more, progress=quiet
    )
    assert again.shared_bytes > manifest.shared_bytes


def test_where_all_that_is_held_out_is_in_train_the_training_text_is_cut_instead(tmp_path: Path) -> None:
    """A text that repeats itself, over and over."""
    (tmp_path / "a.txt").write_text(LANGUAGE.document(200_000, 1) * 5)
    said: list[str] = []
    manifest = prepare(
        str(tmp_path / "a.txt"), tmp_path / "d", vocab_size=300, seq_len=64, progress=said.append
    )
    assert any(sentence.startswith("cut from the training text") for sentence in said)
    assert manifest.splits["train"].bytes > 150_000
    searched({}).require_unseen(tmp_path / "d")
    (tmp_path / "b.txt").write_text(LANGUAGE.document(1000, 1) * 400)
    with pytest.raises(DataError, match="too little"):
        prepare(str(tmp_path / "b.txt"), tmp_path / "e", vocab_size=300, seq_len=64, progress=quiet)


def test_every_regular_file_is_read_and_nothing_else() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, kind in (
            ("./a", tarfile.REGTYPE),
            ("b", tarfile.SYMTYPE),
            ("c", tarfile.FIFOTYPE),
            ("d", tarfile.DIRTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/shadow"
            member.size = 3 if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(b"abc"))
    raw.seek(0)
    assert [(name, b"".join(blocks)) for name, blocks in contents(raw)] == [("/a", b"abc")]


def test_nothing_is_found_where_nothing_is(dataset: Path) -> None:
    assert held_out_in(dataset, []) == ""
