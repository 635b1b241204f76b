"""Refusals as providers word them, and what the request is changed to."""

from __future__ import annotations

import pytest

from runner.llm.messages import PLAIN, Request
from runner.llm.request_fixes import adapted_request

COMPLETION, STREAM = Request(completion_name=True), Request(stream=True)


@pytest.mark.parametrize(
    ("sentence", "wanted"),
    [
        ("max_tokens is not supported with this model, use max_completion_tokens", COMPLETION),
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            COMPLETION,
        ),
        ("above 4096 tokens only with stream=true", STREAM),
        (
            "This model only support stream mode, please enable the stream parameter to access the model.",
            STREAM,
        ),
        ("Streaming is required for operations that may take longer than 10 minutes", STREAM),
        (
            "max_tokens: 16000 > 8192, which is the maximum allowed number of output tokens for m-3-5",
            Request(8192),
        ),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", Request(8192)),
        (
            "max_tokens is too large: 16000. This model supports at most 4096 completion tokens, whereas you provided 16000.",
            Request(4096),
        ),
        ("System role not supported", Request(no_system=True)),
    ],
)
def test_a_refusal_that_names_its_cure_is_understood(sentence: str, wanted: Request) -> None:
    assert adapted_request(sentence, PLAIN, 16000, 12000) == wanted


@pytest.mark.parametrize(
    ("sentence", "room"),
    [
        (
            "max_tokens too large: maximum context length is 24576 tokens, the request has 13000",
            24576 - 13000,
        ),
        (
            (
                "'max_tokens' or 'max_completion_tokens' is too large: 16000. This model's maximum context length is 24576 "
                "tokens and your request has 13000 input tokens (16000 > 24576 - 13000)."
            ),
            24576 - 13000,
        ),
        (
            (
                "This model's maximum context length is 24576 tokens. However, you requested 29000 tokens (13000 in the "
                "messages, 16000 in the completion). Please reduce the length of the messages or completion."
            ),
            24576 - 13000,
        ),
        (
            "input length and `max_tokens` exceed context limit: 188240 + 16000 > 200000, decrease one",
            200000 - 188240,
        ),
    ],
)
def test_a_window_that_prompt_and_answer_share_leaves_what_the_prompt_leaves(
    sentence: str, room: int
) -> None:
    found = adapted_request(sentence, PLAIN, 16000, 12000)
    assert found is not None
    assert found.max_output is not None
    assert 0.7 * room <= found.max_output < room


@pytest.mark.parametrize(
    "sentence",
    [
        "invalid api key",
        "This model's maximum context length is 4096 tokens. However, your request has 13000 input tokens.",
        "max_tokens must be at most 20",
        "",
    ],
)
def test_what_names_no_cure_is_final(sentence: str) -> None:
    assert adapted_request(sentence, PLAIN, 16000, 12000) is None


def test_no_refusal_can_ask_for_ever() -> None:
    request, steps = PLAIN, 0
    while (
        found := adapted_request(
            "maximum context length is 24576 tokens, the request has 13000",
            request,
            request.max_output or 16000,
            12000,
        )
    ) is not None:
        request, steps = found, steps + 1
        assert steps < 30
