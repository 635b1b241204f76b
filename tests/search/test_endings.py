"""A run that its proposer ended says so: which proposer, how often, what to do, and that what was found stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun, source
from runner.display.lines import sentence
from runner.protocols import Event
from runner.search.endings import MAX_UNTRAINED_IN_A_ROW, NOTHING_MORE, explanation, nothing_trained

SAME = source(1.9, "better = 1\n")


def ended(folder: Path, sources: list[str]) -> tuple[SimulatedRun, str]:
    simulated = SimulatedRun(folder, sources)
    return simulated, simulated.loop().go()


def said(simulated: SimulatedRun, reason: str, proposer: str) -> str:
    return explanation(simulated.ledger.experiments("simulated"), reason, proposer)


def test_a_proposer_that_repeats_itself_is_named_with_how_often_and_what_to_do(tmp_path: Path) -> None:
    simulated, reason = ended(tmp_path, [SAME] * 30)
    assert reason == "10 proposals in a row could not be trained: all of them had been tried before"
    sentence = said(simulated, reason, "command:./agent --fast")
    assert "The proposer command:./agent --fast returned the same proposals again, 10 times" in sentence
    assert "`history` on stdin" in sentence
    assert "`autoresearch resume`" in sentence
    assert sentence.endswith("1 proposal was trained before, and what was found stands")
    assert "--proposer" in said(simulated, reason, "llm")


def test_proposals_that_could_not_be_trained_for_another_reason_are_not_called_repeated(
    tmp_path: Path,
) -> None:
    simulated, reason = ended(tmp_path, [SAME, *(f"def broken{i}(:\n" for i in range(30))])
    assert reason == "10 proposals in a row could not be trained"
    sentence = said(simulated, reason, "command:./agent")
    assert sentence.startswith("The last one, of the proposer command:./agent: syntax_error; 1 proposal was")
    assert "again" not in sentence


def test_a_resume_that_is_answered_in_the_same_way_counts_all_that_came_since(tmp_path: Path) -> None:
    simulated, _ = ended(tmp_path, [SAME] * 60)
    reason = simulated.loop().go()
    assert f"again, {2 * MAX_UNTRAINED_IN_A_ROW} times since the last training" in said(
        simulated, reason, "scripted:ideas"
    )


def test_where_nothing_was_trained_the_sentence_of_exit_code_four_names_the_proposer_too(
    tmp_path: Path,
) -> None:
    simulated, reason = ended(tmp_path, [source(2.0, "a = [1, 2, 3]\n")] * 30)
    sentence = nothing_trained(simulated.ledger.experiments("simulated"), reason, "command:./agent")
    assert sentence.startswith("10 proposals were made and none could be trained; the last: duplicate")
    assert "The proposer command:./agent returned the same proposals again, 10 times" in sentence


@pytest.mark.parametrize("reason", ["budget", "all experiments done", "stopped"])
def test_a_run_that_ended_for_another_reason_blames_nobody(reason: str, tmp_path: Path) -> None:
    simulated, _ = ended(tmp_path, [SAME] * 3)
    assert said(simulated, reason, "command:./agent") == ""
    assert nothing_trained(simulated.ledger.experiments("simulated"), reason, "x") == ""


def test_a_proposer_that_has_no_more_says_why(tmp_path: Path) -> None:
    simulated, reason = ended(tmp_path, [SAME])
    assert reason == NOTHING_MORE
    assert said(simulated, reason, "scripted:ideas") == "Its last answer: the scripted proposals are used up"


def test_the_last_line_of_a_run_has_reason_explanation_and_claim_as_sentences() -> None:
    data: dict[str, object] = {
        "run": "r", "reason": "10 proposals", "explanation": "The proposer", "claim": "Nothing is confirmed.",
    }  # fmt: skip
    assert (
        sentence(Event("done", 0.0, data)) == "run r ended: 10 proposals. The proposer. Nothing is confirmed."
    )
    assert (
        sentence(Event("done", 0.0, {**data, "explanation": "", "claim": ""})) == "run r ended: 10 proposals"
    )
