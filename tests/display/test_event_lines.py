"""What an event of a language model says to a person."""

from __future__ import annotations

import pytest

from runner.display.lines import sentence
from runner.protocols import Event


@pytest.mark.parametrize(
    ("kind", "data", "says"),
    [
        ("model_answers", {}, "m: answers"),
        ("request_adapted", {"refusal": "use max_completion_tokens"}, "use max_completion_tokens"),
        ("usage_above_reservation", {"tokens": 9, "reserved_tokens": 5}, "counted 9 tokens"),
        ("prompt_cut", {"read": 2050, "sent": 12000, "advice": "take another\x1b[2J model"}, "read 2050 of about 12000"),
        ("llm_paused", {"reason": "no model answers", "seconds": 300}, "no model is asked for 300 s"),
    ],
)  # fmt: skip
def test_trouble_with_a_model_is_said_in_words(kind: str, data: dict[str, object], says: str) -> None:
    found = sentence(Event(kind, 0.0, {"model": "m", **data}))
    assert says in found
    assert "\x1b" not in found
