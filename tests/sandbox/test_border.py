"""The collector: its program in a folder of our own, and the host's reading of a stream it does not trust."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import collect
from sandbox.outcome import Refusal
from sandbox.spec import Output


def collected(folder: Path, destination: Path, *outputs: Output):  # type: ignore[no-untyped-def]
    """The real program, over a plain folder, read by the real receiver."""
    result = subprocess.run(
        [sys.executable, "-I", "-B", "-c", collect.PROGRAM],
        input=collect.request({str(folder): outputs}),
        capture_output=True,
        check=True,
        timeout=20,
    )
    blocks = (result.stdout[at : at + 7] for at in range(0, len(result.stdout), 7))
    return collect.receive(blocks, outputs, destination)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept"


def test_a_file_arrives_whole_and_hashed(out: Path, kept: Path) -> None:
    content = os.urandom(100_000)
    (out / "a").write_bytes(content)
    files, refusals = collected(out, kept, Output("a", 100_000))
    assert refusals == {}
    assert files["a"].path.read_bytes() == content
    assert files["a"].sha256 == hashlib.sha256(content).hexdigest()
    assert stat.S_IMODE(files["a"].path.stat().st_mode) == 0o644


def test_an_empty_file_is_a_file(out: Path, kept: Path) -> None:
    (out / "a").touch()
    assert collected(out, kept, Output("a", 1))[0]["a"].bytes == 0


def test_a_symlink_named_like_the_artifact_is_refused(out: Path, kept: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (out / "a").symlink_to(tmp_path / "secret")
    assert collected(out, kept, Output("a", 100)) == ({}, {"a": Refusal.SYMLINK})


def test_a_fifo_named_like_the_artifact_is_refused_at_once(out: Path, kept: Path) -> None:
    os.mkfifo(out / "a")
    assert collected(out, kept, Output("a", 100)) == ({}, {"a": Refusal.NOT_REGULAR})


def test_a_file_with_a_second_name_is_refused(out: Path, kept: Path) -> None:
    (out / "b").write_text("x")
    os.link(out / "b", out / "a")
    assert collected(out, kept, Output("a", 100)) == ({}, {"a": Refusal.HARD_LINKED})


def test_a_file_of_holes_is_refused(out: Path, kept: Path) -> None:
    with (out / "a").open("wb") as file:
        file.truncate(1 << 20)
    assert collected(out, kept, Output("a", 1 << 30)) == ({}, {"a": Refusal.SPARSE})


def test_one_byte_too_many_is_refused(out: Path, kept: Path) -> None:
    (out / "a").write_bytes(b"x" * 101)
    assert collected(out, kept, Output("a", 100)) == ({}, {"a": Refusal.TOO_LARGE})


def test_a_collected_file_never_replaces_another(out: Path, kept: Path) -> None:
    (out / "a").write_bytes(b"new")
    (kept / "a").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        collected(out, kept, Output("a", 100))
    assert (kept / "a").read_bytes() == b"old"


ASKED = (Output("a", 10), Output("b", 10))


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b'{"name": "a", "bytes": 3}\nab',
        b'{"name": "b", "bytes": 1}\nx',
        b'{"name": "../a", "bytes": 1}\nx',
        b'{"name": "a", "bytes": 11}\n' + b"x" * 11,
        b'{"name": "a", "bytes": -1}\n',
        b'{"name": "a", "bytes": 1.5}\n',
        b'{"name": "a", "bytes": true}\nx',
        b'{"name": "a"}\n',
        b'{"name": "a", "refused": "because"}\n',
        b"[]\n",
        b"\xff\xfe\n",
        b"x" * 10_000,
        b'{"name": "a", "bytes": 2}\nab' + b'{"name": "b", "bytes": 3}\nab',
        b"[" * 4000 + b"\n",
    ],
)
def test_a_broken_stream_is_refused_and_leaves_nothing(stream: bytes, kept: Path) -> None:
    with pytest.raises(collect.BrokenStream):
        collect.receive(iter([stream]), ASKED, kept)
    assert list(kept.iterdir()) == []


@given(st.binary(max_size=300), st.integers(1, 50))
def test_no_stream_does_anything_but_fill_the_asked_names(
    tmp_path_factory, content: bytes, size: int
) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("fuzz")

    def blocks() -> Iterator[bytes]:
        head = json.dumps({"name": "a", "bytes": len(content) % 11}).encode() + b"\n"
        whole = head + content
        yield from (whole[at : at + size] for at in range(0, len(whole), size))

    try:
        collect.receive(blocks(), ASKED, folder)
    except collect.BrokenStream:
        assert list(folder.iterdir()) == []
    else:
        assert {path.name for path in folder.iterdir()} <= {"a", "b"}
