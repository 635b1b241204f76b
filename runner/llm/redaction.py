"""Sentences of others without this process's secrets."""

from __future__ import annotations

import os
import re
from urllib.parse import quote

from sandbox.sanitise import one_line

_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH)S?(_|$)", re.IGNORECASE)
_SHAPE = re.compile(
    r"\b(sk|pk|gsk|xai|AIza|hf|Bearer|Basic)[-_ ][A-Za-z0-9_\-*.+/=]{6,}|\bAIza[A-Za-z0-9_-]{10,}"
)
_IN_URL = re.compile(r"://[^/\s@]{1,300}@")
_IN_QUERY = re.compile(
    r"([?&](?:api[-_]?key|key|token|access_token|sig|signature)=)[^&\s\"']{1,500}", re.IGNORECASE
)
_SHORTEST = 8


def redacted(text: str, *, max_chars: int = 200) -> str:
    """One line without anything that is, or looks like, a secret."""
    text = text[: 10 * max_chars]
    for name, value in os.environ.items():
        if _NAME.search(name) and len(value.strip()) >= _SHORTEST:
            for form in {value, value.strip(), quote(value.strip(), safe=""), repr(value)[1:-1]}:
                text = text.replace(form, "(secret)")
    text = _IN_QUERY.sub(r"\1(secret)", _IN_URL.sub("://(secret)@", text))
    return one_line(_SHAPE.sub("(secret)", text), max_chars=max_chars)
