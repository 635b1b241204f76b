"""A refusal that names its cure: how the same request is to be put instead.

The sentences are those of OpenAI, Anthropic, DeepSeek, Groq, DashScope and vLLM; all patterns are linear and see at
most 2000 characters.
"""

from __future__ import annotations

import re
from dataclasses import replace

from runner.llm.messages import Request

SHORTEST_ANSWER = 512
"""Tokens. Where less is allowed there is no room for an answer."""
_NUMBER = re.compile(r"\d[\d,]{0,11}")
_NAME = re.compile(r"max_completion_tokens|unsupported parameter.{0,20}max_tokens", re.IGNORECASE)
_STREAM = re.compile(
    r"stream\W{0,4}(=|:|to|mode)?\W{0,4}true|only.{0,40}stream|stream.{0,30}(required|only)", re.IGNORECASE
)
_SYSTEM = re.compile(
    r"system (role|message|prompt)s?.{0,20}not (be )?(supported|allowed)|(developer|system) instruction is not",
    re.IGNORECASE,
)
_LONGEST = re.compile(
    r"max_(completion_|output_|new_)?tokens|(completion|output) tokens|context", re.IGNORECASE
)
_WINDOW = re.compile(r"context.{0,12}(?:length|window|limit)[^0-9]{0,40}(\d[\d,]{0,11})", re.IGNORECASE)
_SUM = re.compile(r"(\d{1,12}) \+ \d{1,12} > (\d{1,12})")
_MARGIN = 16
"""A share of the window that stays free: the next prompt is a little longer."""


def adapted_request(refusal: str, asked: Request, max_tokens: int, prompt_tokens: int) -> Request | None:
    """How to ask once more; None when the refusal does not say. `max_tokens` is what was asked for, `prompt_tokens` about
    what the prompt has."""
    if not asked.no_system and _SYSTEM.search(refusal):
        return replace(asked, no_system=True)
    if not asked.stream and _STREAM.search(refusal):
        return replace(asked, stream=True)
    if _LONGEST.search(refusal) and (most := _room(refusal, max_tokens, prompt_tokens)) is not None:
        return replace(asked, max_output=most) if most >= SHORTEST_ANSWER else None
    if not asked.completion_name and _NAME.search(refusal):
        return replace(asked, completion_name=True)
    return None


def _room(refusal: str, max_tokens: int, prompt_tokens: int) -> int | None:
    """The longest answer that the refusal allows: a number it names below what was asked for, or, of a window
    that prompt and answer share, what the prompt leaves."""
    others = [n for n in map(_number, _NUMBER.findall(refusal)) if n != max_tokens]
    summed, found = _SUM.search(refusal), _WINDOW.search(refusal)
    if not (summed or found):
        smaller = [number for number in others if SHORTEST_ANSWER <= number < max_tokens]
        return max(smaller, default=None)
    if summed:
        prompt, window = _number(summed.group(1)), _number(summed.group(2))
    else:
        assert found is not None
        window = _number(found.group(1))
        near = [n for n in others if n != window and prompt_tokens < 3 * n < 9 * prompt_tokens]
        prompt = min(near, key=lambda n: abs(n - prompt_tokens), default=prompt_tokens * 3 // 2)
    return min(window - prompt - min(window // _MARGIN, 2048), max_tokens * 3 // 4)


def _number(text: str) -> int:
    return int(text.replace(",", ""))
