from __future__ import annotations

import pytest

from runner.parsing.client import shared
from runner.parsing.facts import Answer, BadAnswer, BadEdit
from runner.protocols import Edit

SCRIPT = "import jax\n\nLR = 0.1\nEMBED_LR = 0.1\n\n\ndef f(x):\n    y = x + 1\n    return y\n"


def apply(source: str, edits: list[Edit]) -> str:
    return shared().edited(source, edits)


def read(text: str, parent: str) -> Answer:
    return shared().answer(text, parent)


def test_a_block_changes_whole_lines_and_nothing_else() -> None:
    assert apply(SCRIPT, [Edit("LR = 0.1", "LR = 0.2")]) == SCRIPT.replace("\nLR = 0.1", "\nLR = 0.2")
    assert apply(SCRIPT, [Edit("    y = x + 1\n    return y", "    return x + 1")]).endswith(
        "    return x + 1\n"
    )
    assert "EMBED" not in apply(SCRIPT, [Edit("EMBED_LR = 0.1", "")])


@pytest.mark.parametrize(
    ("edits", "says"),
    [
        ([Edit("LR = 0.3", "LR = 0.2")], "no such lines"),
        ([Edit("", "x")], "empty SEARCH"),
        ([Edit("LR = 0.1", "LR = 0.1")], "change nothing"),
        ([Edit("LR = 0.1", "LR = 0.2"), Edit("nowhere", "x")], "block 2"),
        ([Edit("LR = 0.1\nEMBED_LR = 0.1", "a"), Edit("EMBED_LR = 0.1", "b")], "same line"),
        ([Edit("def f(x):", "def f(x):\n    # ... existing code ...")], "ellipsis"),
    ],
)
def test_what_does_not_fit_exactly_once_applies_nothing(edits: list[Edit], says: str) -> None:
    with pytest.raises(BadEdit, match=says):
        apply(SCRIPT, edits)


def test_a_search_found_twice_names_both_places() -> None:
    with pytest.raises(BadEdit, match=r"2 times \(lines 1, 2\)"):
        apply("x = 1\nx = 1\n", [Edit("x = 1", "x = 2")])


def test_a_search_that_is_nearly_right_is_answered_with_the_nearest_lines() -> None:
    with pytest.raises(BadEdit, match="nearest lines") as caught:
        apply(SCRIPT, [Edit("    y = x + 2\n    return y", "    return x")])
    assert "    y = x + 1\n    return y" in str(caught.value)


def test_characters_that_look_like_line_ends_do_not_move_the_rest() -> None:
    odd = "a = '\x0c\u2028'\nb = 1\n"
    assert apply(odd, [Edit("b = 1", "b = 2")]) == odd.replace("b = 1", "b = 2")


@pytest.mark.parametrize(
    "text",
    ["<<<<<<< SEARCH\nx\n=======\ny\n", "<<<<<<< SEARCH\nx\n", ">>>>>>> REPLACE\n",
     "<<<<<<< SEARCH\nx\n>>>>>>> REPLACE\n", "<<<<<<< SEARCH\n<<<<<<< SEARCH\n"],
)  # fmt: skip
def test_a_block_that_is_not_closed_is_refused(text: str) -> None:
    with pytest.raises(BadAnswer, match=r"not closed|without its SEARCH"):
        read(text, SCRIPT)


HEADER = (
    "**TITLE:** wider\nHYPOTHESIS: because\nCATEGORY: Optimizer\nEXPECTED_GAIN: about -0.004 bpb\nRISK: Low\n"
)
BLOCK = "```python\n<<<<<<< SEARCH\nLR = 0.1\n=======\nLR = 0.2\n>>>>>>> REPLACE\n```\n"


def test_header_blocks_and_notes_are_read() -> None:
    found = read(f"{HEADER}\n{BLOCK}\nNOTES:\n- a\n- b\x1b[31m\n", SCRIPT)
    assert (found.title, found.hypothesis, found.category, found.risk) == (
        "wider",
        "because",
        "optimizer",
        "low",
    )
    assert found.expected_gain == 0.004
    assert found.notes == "- a\n- b"
    assert "LR = 0.2" in found.source
    assert "```" not in found.source


def test_a_header_that_makes_no_sense_is_not_a_reason_to_lose_an_idea() -> None:
    found = read(f"CATEGORY: magic\nEXPECTED_GAIN: 1e999\nRISK: huge\n{BLOCK}", SCRIPT)
    assert (found.category, found.expected_gain, found.risk, found.title) == ("other", None, "", "untitled")


WHOLE = "import jax\nharness.export_model\nharness.save_params\n"


def test_a_whole_file_in_one_fence_is_taken() -> None:
    assert read(f"{HEADER}```python\n{WHOLE}x = 1\n```", WHOLE).source == WHOLE + "x = 1\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{HEADER}```python\nx = 1\n```", "fragment"),
        (f"```python\n{WHOLE}a = 1\n```\n```python\n{WHOLE}\n```", "several"),
        (f"```python\n{WHOLE}", "not closed"),
        (f"```\n{WHOLE}```", "changes nothing"),
        ("I would raise the learning rate.", "neither"),
    ],
)
def test_an_answer_without_a_proposal_says_why(text: str, says: str) -> None:
    with pytest.raises(BadAnswer, match=says) as caught:
        read(text, WHOLE)
    assert caught.value.repairable


def test_lone_surrogates_do_not_reach_the_script() -> None:
    found = read(BLOCK.replace("0.2", "0.2  # \ud800"), SCRIPT)
    assert found.source.encode()
