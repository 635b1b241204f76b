"""A scorer's answer is one JSON object that keeps to what the task declares; anything else is the task's fault."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fake_stages import evaluate, fake_pipeline, prints

from runner.protocols import EvaluationOutcome
from runner.tasks.definition import Scorer
from runner.tasks.scoring_stage import MOST_BYTES, Score, TaskFault, read_score
from sandbox.fake_engine import Script
from sandbox.outcome import Ending
from sandbox.spec import Job, Limits

SCORER = Scorer(Limits(10.0), reasons=("malformed",), details=("largest", "note"))


def test_a_score_with_items_and_details_is_read() -> None:
    printed = b'{"score": 2, "items": [1, 3.0], "details": {"largest": 3, "note": "a\\u001b[31mb\\nc"}}\n'
    assert read_score(printed, SCORER) == Score(2.0, None, (1.0, 3.0), {"largest": 3.0, "note": "ab c"})
    assert read_score(b'{"invalid": "malformed"}', SCORER) == Score(None, "malformed")


@pytest.mark.parametrize(
    ("printed", "sentence"),
    [
        (b"", "did not print one JSON object"),
        (b"0.5", "JSON that is no object"),
        (b'{"score": 1}{"score": 1}', "did not print one JSON object"),
        (b'warning\n{"score": 1}', "must print nothing else"),
        (b"[" * 100_000, "did not print one JSON object"),
        (b'{"score": NaN}', "printed NaN; a score and its parts are finite"),
        (b'{"score": -Infinity}', "finite"),
        (b'{"score": 1e999}', "no finite number"),
        (b'{"score": 1' + b"0" * 400 + b"}", "no finite number"),
        (b'{"score": true}', "score is no number"),
        (b'{"score": "1"}', "score is no number"),
        (b'{"score": null}', "score is no number"),
        (b"{}", "either score or invalid"),
        (b'{"score": 1, "invalid": "malformed"}', "either score or invalid"),
        (b'{"invalid": "sulking"}', "not among reasons"),
        (b'{"invalid": {}}', "not among reasons"),
        (b'{"score": 1, "answers": [1]}', "unknown key 'answers'"),
        (b'{"score": 1, "items": {"a": 1}}', "items are no list"),
        (b'{"score": 1, "items": [1, NaN]}', "NaN"),
        (b'{"score": 1, "items": [' + b"1," * 50_000 + b"1]}", "at most 50,000"),
        (b'{"score": 1, "details": {"answer": 4}}', "details of .scorer. does not declare"),
        (b'{"score": 1, "details": {"largest": [1]}}', "detail largest is no number"),
        (b'{"score": 1, "details": [1]}', "details are no object"),
    ],
)  # fmt: skip
def test_anything_else_is_the_tasks_fault(printed: bytes, sentence: str) -> None:
    with pytest.raises(TaskFault, match=sentence):
        read_score(printed, SCORER)


def test_a_long_detail_is_cut() -> None:
    score = read_score(b'{"score": 1, "details": {"note": "' + b"x" * 5000 + b'"}}', SCORER)
    assert len(str(score.details["note"])) == 200


@pytest.mark.parametrize(
    ("scorer", "sentence"),
    [
        (lambda _: Script(exit_code=1, log="ZeroDivisionError"), "exit code 1; it said: ZeroDivisionError"),
        (lambda _: Script(ending=Ending.TIMED_OUT, exit_code=137), "was ended at its wall clock"),
        (lambda _: Script(ending=Ending.OUT_OF_MEMORY, exit_code=137), "more than its memory"),
        (lambda _: Script(ending=Ending.LOST), "the engine failed under the scorer"),
        (lambda _: Script(), "was not collected .missing."),
        (prints(b"x" * (MOST_BYTES + 1)), "was not collected .too_large."),
        (prints('{"score": NaN}'), "printed NaN"),
    ],
)
def test_a_scorer_that_fails_is_never_charged_to_the_idea(
    scorer: object, sentence: str, tmp_path: Path
) -> None:
    pipeline, _ = fake_pipeline(tmp_path, scorer=scorer)  # type: ignore[arg-type]
    found = evaluate(pipeline, tmp_path)
    assert (found.outcome, found.reason, found.score) == (EvaluationOutcome.INFRASTRUCTURE, "scorer", None)
    assert re.search(sentence, found.detail)
    assert found.log_tail == ""


def test_the_scorer_sees_private_data_in_the_judges_image_and_the_candidate_never_does(
    tmp_path: Path,
) -> None:
    seen: dict[str, Job] = {}

    def scorer(job: Job) -> Script:
        seen["scorer"] = job
        return prints('{"score": 1}')(job)

    pipeline, engine = fake_pipeline(tmp_path, scorer=scorer)
    evaluate(pipeline, tmp_path)
    stage, scoring = engine.jobs
    assert (stage.image, scoring.image) == (pipeline.candidate_image, pipeline.judge_image)
    private = pipeline.data.private
    assert [mount.target for mount in scoring.mounts if mount.source == private] == ["/private"]
    assert all(not mount.source.is_relative_to(private) for mount in stage.mounts)
    assert {mount.target for mount in stage.mounts} == {"/work", "/public", "/inputs"}
