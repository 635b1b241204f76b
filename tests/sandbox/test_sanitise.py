"""Text from a candidate cannot steer a terminal, a page or a model's view of its own prompt."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.sanitise import MAX_LINE, one_line, sanitise


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (b"\x1b]0;title\x07after", "after"),
        (b"\x1b]52;c;c2VjcmV0\x1b\\after", "after"),
        (b"\x1b]0;never closed", ""),
        (b"\x1bPq#0;2\x1b\\after", "after"),
        (b"\x1b_payload\x1b\\after", "after"),
        (b"\x1b[2J\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b[?1049h", ""),
        ("\x9b31mred".encode(), "red"),
        (b"\x1bcafter", "after"),
        (b"50%\r100%\n", "50%\n100%\n"),
        (b"a\r\nb", "a\nb"),
        (b"nul\x00bell\x07back\x08", "nulbellback"),
        (b"bad \xff\xfe bytes", "bad \ufffd\ufffd bytes"),
        ("user\u202etxt.exe".encode(), "usertxt.exe"),
        ("zero\u200bwidth\ufeff".encode(), "zerowidth"),
        ("tag\U000e0041\U000e007f".encode(), "tag"),
        (b"tab\tand\nline", "tab\tand\nline"),
        ("naïve – ümläut 日本".encode(), "naïve – ümläut 日本"),
    ],
)
def test_controls_are_removed(raw: bytes, plain: str) -> None:
    assert sanitise(raw) == plain


def test_the_end_is_kept_and_long_lines_are_cut() -> None:
    assert sanitise("a" * 10 + "\nend", max_chars=5) == "a\nend"
    assert len(sanitise("x" * 10_000)) == MAX_LINE + 2


@given(st.one_of(st.binary(), st.text(), st.text("\x1b\x9b\x9d\x90[]P^_;\\\x07abc0123\u202e\r\n")))
def test_no_input_gets_a_control_through(raw: bytes | str) -> None:
    text = sanitise(raw)
    assert all(unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} or c in "\n\t" for c in text)
    assert sanitise(text) == text
    text.encode()


@given(st.text())
def test_one_line_is_one_line(raw: str) -> None:
    assert len(one_line(raw).splitlines()) <= 1
    assert len(one_line(raw)) <= 200
