"""What a model wrote while it thought is never taken for its answer."""

from __future__ import annotations

import pytest

from runner.parsing.client import shared
from runner.parsing.facts import BadAnswer

SCRIPT = "LR = 0.1\nDEPTH = 4\n"


def block(search: str, replace: str) -> str:
    return f"<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


DRAFT = f"TITLE: a draft\n{block('LR = 0.1', 'LR = 99')}No, that is too much.\n"
ANSWER = f"TITLE: deeper\n{block('DEPTH = 4', 'DEPTH = 5')}"


@pytest.mark.parametrize(
    "text",
    [
        f"<think>{DRAFT}</think>{ANSWER}",
        f"{DRAFT}</think>\n{ANSWER}",
        f"{DRAFT}</THINK>{ANSWER}",
        f"{DRAFT}< / think >{ANSWER}",
        f"<thinking>\n{DRAFT}</thinking>\n{ANSWER}",
        f'<think time="3">{DRAFT}</think>{ANSWER}',
        f"<think>one</think>{DRAFT}</think>{ANSWER}",
        f"{DRAFT}<think>one</think>{DRAFT}</think>{ANSWER}",
        f"<think>{DRAFT}<think>{DRAFT}</think>{DRAFT}</think>{ANSWER}",
        f"<think>{DRAFT}</think>{ANSWER}<think>{DRAFT}",
        f"{ANSWER}\n<think>{DRAFT}</think>",
        f"[THINK]{DRAFT}[/THINK]{ANSWER}",
        f"{DRAFT}[/THINK]{ANSWER}",
        f"◁think▷{DRAFT}◁/think▷{ANSWER}",
        f"<seed:think>{DRAFT}</seed:think>{ANSWER}",
        f"<reasoning>{DRAFT}</reasoning>{ANSWER}",
        f"<|begin_of_thought|>{DRAFT}<|end_of_thought|>{ANSWER}",
        f"<|START_THINKING|>{DRAFT}<|END_THINKING|>{ANSWER}",
        f"<unused94>thought\n{DRAFT}<unused95>{ANSWER}",
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}<|return|>",
        f"analysis{DRAFT}assistantfinal{ANSWER}",
    ],
)
def test_only_what_stands_outside_is_the_answer(text: str) -> None:
    found = shared().answer(text, SCRIPT)
    assert (found.title, found.source) == ("deeper", "LR = 0.1\nDEPTH = 5\n")


@pytest.mark.parametrize(
    "text",
    [
        f"<think>{DRAFT}",
        f"{DRAFT}</think>",
        f"<|channel|>analysis<|message|>{DRAFT}<|end|>",
        f"[THINK]{DRAFT}",
        f"<think>{DRAFT}</think>   \n",
    ],
)
def test_an_answer_that_is_nothing_but_thinking_is_asked_for_again(text: str) -> None:
    with pytest.raises(BadAnswer, match="nothing but thinking") as caught:
        shared().answer(text, SCRIPT)
    assert caught.value.repairable


def test_a_mark_inside_a_block_never_leaves_half_of_the_blocks() -> None:
    text = f"{block('LR = 0.1', 'LR = 0.2  # </think>')}{block('DEPTH = 4', 'DEPTH = 5')}"
    with pytest.raises(BadAnswer):
        shared().answer(text, SCRIPT)
