"""A collector that lies and then ends as it should: each lie is noticed by itself, not by what is missing after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import collect
from sandbox.spec import Output

ASKED = (Output("a", 10), Output("b", 10))
REST = b'{"name": "b", "bytes": 1}\ny'


@pytest.mark.parametrize(
    "lie",
    [
        b'{"name": "b", "bytes": 1}\nx',
        b'{"name": "../a", "bytes": 1}\nx',
        b'{"name": "a", "bytes": 11}\n' + b"x" * 11,
        b'{"name": "a", "bytes": true}\nx',
        b'{"name": "a", "refused": "because"}\n',
    ],
    ids=["another-name", "a-path", "too-many-bytes", "no-number", "no-reason"],
)
def test_one_lie_is_enough(lie: bytes, tmp_path: Path) -> None:
    with pytest.raises(collect.BrokenStream):
        collect.receive(iter([lie + REST]), ASKED, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_header_without_an_end_is_not_read_for_ever(tmp_path: Path) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 1000
        raise AssertionError("read on after the header was far too long")

    with pytest.raises(collect.BrokenStream):
        collect.receive(endless(), ASKED, tmp_path)


def test_the_honest_stream_is_taken(tmp_path: Path) -> None:
    files, _ = collect.receive(iter([b'{"name": "a", "bytes": 1}\nx' + REST]), ASKED, tmp_path)
    assert sorted(files) == ["a", "b"]
