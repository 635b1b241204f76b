"""Makes a candidate's text harmless for a terminal, a page or a model.

Removed are ANSI/OSC/DCS sequences, C0 and C1 controls except newline and tab, carriage returns, bidirectional and zero-width controls
(Trojan Source, CVE-2021-42574) and invalid UTF-8. Raw bytes of a candidate are never printed.
"""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC … BEL or ST: titles, clipboard (OSC 52)
    r"|\x1b[PX^_].*?(?:\x1b\\|$)"  # DCS, SOS, PM, APC … ST
    r"|\x1b\[[0-?]*[ -/]*[@-~]?"  # CSI
    r"|\x1b[ -/]*[0-~]?"  # two-character escapes
    r"|\x9b[0-?]*[ -/]*[@-~]?",  # 8-bit CSI
    re.DOTALL,
)
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1
    r"\u2028\u2029\ufe00-\ufe0f\U000e0100-\U000e01ef"  # line separators; variation selectors carry hidden text
    # every format character (category Cf): bidirectional and zero-width controls, soft hyphen, tags
    r"\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0001\U000e0020-\U000e007f]"
)
MAX_LINE = 2000
_TIMES, _AT_LEAST = 8, 65_536
"""Characters of a text that are read: eight for each that may remain, at least 64 Ki."""


def sanitise(raw: bytes | str, *, max_chars: int = 16_000) -> str:
    """The last `max_chars` characters of `raw` as plain text: printable characters, tabs and newlines."""
    raw = raw[-max(_TIMES * max_chars, _AT_LEAST) :]  # before any pattern sees it
    if isinstance(raw, str) and len(raw) <= min(max_chars, MAX_LINE) and raw.isascii() and raw.isprintable():
        return raw  # most titles and reasons
    text = raw.decode("utf-8", errors="replace") if isinstance(raw, bytes) else raw
    text = text.encode("utf-8", errors="replace").decode("utf-8", errors="replace")  # lone surrogates
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    text = _CONTROLS.sub("", text.replace("\r", "\n"))
    lines = (line if len(line) <= MAX_LINE else line[:MAX_LINE] + " …" for line in text.split("\n"))
    return "\n".join(lines)[-max_chars:]


def one_line(raw: bytes | str, *, max_chars: int = 200) -> str:
    """`sanitise` for one line: white space becomes single spaces, and the beginning is kept instead of the end."""
    if isinstance(raw, str) and len(raw) <= MAX_LINE and raw.isascii() and raw.isprintable():
        return " ".join(raw.split())[:max_chars]  # as below, in half the time
    return " ".join(sanitise(raw[:_AT_LEAST]).split())[:max_chars]
