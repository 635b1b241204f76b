"""One candidate through all stages and the scorer, on the fake engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_stages import evaluate, fake_pipeline, prints, writes
from tiny import TOML, replaced

from runner.errors import PrerequisiteMissing
from runner.protocols import EvaluationOutcome
from runner.tasks.evaluation import NOT_SHOWN
from sandbox.fake_engine import Script
from sandbox.outcome import Ending
from sandbox.spec import Job, Role

SECOND = """\
[[stages]]
name = "second"
run = "main.py"
arguments = ["again"]
inputs = ["predict/answers.json"]
outputs = { "more.json" = 10 }
wall_clock = "1m"

[scorer]
"""
TWO = {"task.toml": TOML.replace("[scorer]\n", SECOND)}


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_candidate_is_scored(tmp_path: Path) -> None:
    pipeline, engine = fake_pipeline(
        tmp_path, scorer=prints('{"score": 1.5, "items": [1, 2], "details": {"largest": 2}}')
    )
    found = evaluate(pipeline, tmp_path)
    assert (found.outcome, found.reason, found.score) == (EvaluationOutcome.OK, None, 1.5)
    assert (found.items, found.details, found.seed) == ((1.0, 2.0), {"largest": 2.0}, 3)
    assert found.metric.unit == "1"
    assert [each.stage for each in found.facts] == ["predict"]
    assert found.facts[0].outputs == {"answers.json": 2}
    assert found.seconds == 1.0
    job = engine.jobs[0]
    assert job.command[1:] == ("-s", "-B", "-u", "/work/main.py")
    assert (job.environment["AUTORESEARCH_SEED"], job.environment["AUTORESEARCH_WALL_CLOCK"]) == ("3", "5")


def test_a_stage_sees_copies_of_exactly_what_it_declares(tmp_path: Path) -> None:
    seen: dict[str, dict[str, dict[str, bytes]]] = {}
    inodes: list[set[int]] = []

    def stage(job: Job) -> Script:
        name = job.environment["AUTORESEARCH_STAGE"]
        seen[name] = {mount.target: files_below(mount.source) for mount in job.mounts}
        inodes.append({path.stat().st_ino for mount in job.mounts for path in mount.source.rglob("*")})
        return writes(b"12")(job)

    pipeline, engine = fake_pipeline(tmp_path, stage=stage, changes=TWO)
    task, data = pipeline.task, pipeline.data
    assert evaluate(pipeline, tmp_path).outcome == "ok"
    work = {"solve.py": task.start()["solve.py"], "main.py": (task.folder / "fixed/main.py").read_bytes()}
    assert seen == {
        "predict": {
            "/work": work,
            "/public": files_below(data.public),
            "/inputs": {"questions": data.hidden("questions").read_bytes()},
        },
        "second": {"/work": work, "/stages": {"predict/answers.json": b"12"}},
    }
    originals = {path.stat().st_ino for path in data.folder.rglob("*")}
    assert not inodes[0] & originals
    assert engine.jobs[1].command[-1] == "again"
    left = {path.name for path in (tmp_path / "evaluation").iterdir()}
    assert left == {"outputs", "predict.log", "second.log", "scorer.log"}


def test_two_stages_share_no_file(tmp_path: Path) -> None:
    """The page cache of a file that both read would carry data from an encoder to its decoder."""
    kept: list[tuple[int, int]] = []
    open_files = []

    def stage(job: Job) -> Script:
        file = next(mount.source for mount in job.mounts if mount.target == "/work") / "solve.py"
        open_files.append(file.open())  # so that its inode is not given out again
        kept.append((file.stat().st_dev, file.stat().st_ino))
        return writes(b"12")(job)

    pipeline, _ = fake_pipeline(tmp_path, stage=stage, changes=TWO)
    evaluate(pipeline, tmp_path)
    assert len(set(kept)) == 2
    for file in open_files:
        file.close()


def test_the_scorer_gets_the_facts_and_reads_outputs_as_data(tmp_path: Path) -> None:
    seen: dict[str, dict[str, bytes]] = {}

    def scorer(job: Job) -> Script:
        seen.update({mount.target: files_below(mount.source) for mount in job.mounts})
        return prints('{"score": 1}')(job)

    def stage(job: Job) -> Script:
        return Script(seconds=2.5, memory_peak_bytes=1000, log=writes(b"[1]")(job).log)

    pipeline, _ = fake_pipeline(tmp_path, scorer=scorer, stage=stage)
    evaluate(pipeline, tmp_path)
    facts = json.loads(seen["/task"]["facts.json"])
    assert facts["stages"] == {
        "predict": {
            "seconds": 2.5,
            "cpu_seconds": None,
            "memory_peak_bytes": 1000,
            "outputs": {"answers.json": 3},
        }
    }
    assert set(seen["/task"]) == {"evaluate.py", "run_scorer.py", "facts.json"}
    assert seen["/stages"] == {"predict/answers.json": b"[1]"}
    assert set(seen["/work"]) == {"solve.py"}


@pytest.mark.parametrize(
    ("script", "outcome", "reason"),
    [
        (Script(exit_code=1), "crash", "predict"),
        (Script(ending=Ending.TIMED_OUT, exit_code=137), "timeout_no_artifact", "predict"),
        (Script(ending=Ending.OUT_OF_MEMORY, exit_code=137), "oom", "predict"),
        (Script(), "no_artifact", "predict: missing answers.json"),
        (Script(ending=Ending.LOST), "infrastructure", "predict: lost"),
    ],
)
def test_a_stage_that_fails_has_an_outcome(script: Script, outcome: str, reason: str, tmp_path: Path) -> None:
    pipeline, engine = fake_pipeline(tmp_path, stage=lambda _: script)
    found = evaluate(pipeline, tmp_path)
    assert (found.outcome, found.reason, found.score) == (outcome, reason, None)
    assert [job.role for job in engine.jobs] == [Role.STAGE]


def test_a_stage_that_wrote_all_and_failed_has_no_score(tmp_path: Path) -> None:
    pipeline, _ = fake_pipeline(tmp_path, stage=lambda job: [writes()(job), Script(exit_code=3)][1])
    assert evaluate(pipeline, tmp_path).outcome == "crash"


@pytest.mark.parametrize(("content", "word"), [(b"x" * 20_001, "too_large"), (None, "symlink")])
def test_an_output_is_a_plain_file_of_its_size(content: bytes | None, word: str, tmp_path: Path) -> None:
    def stage(job: Job) -> Script:
        path = job.destination / "answers.json"
        path.symlink_to("/etc/passwd") if content is None else path.write_bytes(content)
        return Script()

    pipeline, _ = fake_pipeline(tmp_path, stage=stage)
    found = evaluate(pipeline, tmp_path)
    assert (found.outcome, found.reason) == ("bad_artifact", f"predict: {word} answers.json")


def test_what_a_stage_prints_that_saw_hidden_data_is_not_told_to_the_agent(tmp_path: Path) -> None:
    def fails(_: Job) -> Script:
        return Script(exit_code=1, log="question 1 is 42.5")

    pipeline, _ = fake_pipeline(tmp_path, stage=fails)
    found = evaluate(pipeline, tmp_path)
    assert found.log_tail == NOT_SHOWN
    assert "42.5" not in repr(found)
    assert "42.5" in (tmp_path / "evaluation" / "predict.log").read_text()  # the operator's

    pipeline, _ = fake_pipeline(
        tmp_path / "open",
        stage=fails,
        changes=replaced("task.toml", 'hidden = ["questions"]\n', "")
        | replaced(
            "prepare.py", '(private / "inputs" / "questions").write_text(json.dumps(questions))\n', ""
        ),
    )
    assert evaluate(pipeline, tmp_path / "open").log_tail == "question 1 is 42.5"


def test_a_score_is_never_worse_than_the_worst(tmp_path: Path) -> None:
    pipeline, _ = fake_pipeline(tmp_path, scorer=prints('{"score": 123456.789}'))
    assert evaluate(pipeline, tmp_path).score == 1000.0


def test_invalid_outputs_are_the_ideas_fault(tmp_path: Path) -> None:
    pipeline, _ = fake_pipeline(tmp_path, scorer=prints('{"invalid": "malformed"}'))
    found = evaluate(pipeline, tmp_path)
    assert (found.outcome, found.reason, found.score) == ("invalid_model", "malformed", None)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"def answer(:\n", "syntax_error"),
        (b"\xff\xfe", "not_utf8"),
        (b"import torch\n", "unknown_import"),
        (b"#" * 200_001, "too_large"),
    ],
)
def test_what_cannot_run_takes_no_container(source: bytes, reason: str, tmp_path: Path) -> None:
    pipeline, engine = fake_pipeline(tmp_path)
    found = evaluate(pipeline, tmp_path, {"solve.py": source})
    assert (found.outcome, found.reason) == ("rejected", reason)
    assert "solve.py: " in found.log_tail
    assert engine.jobs == []


def test_a_candidate_may_import_its_own_files(tmp_path: Path) -> None:
    pipeline, _ = fake_pipeline(tmp_path)
    assert evaluate(pipeline, tmp_path, {"solve.py": b"import main, solve, json\n"}).outcome == "ok"


def test_changed_data_stop_an_evaluation(tmp_path: Path) -> None:
    pipeline, engine = fake_pipeline(tmp_path)
    (pipeline.data.private / "answers.json").write_text("[]")
    with pytest.raises(PrerequisiteMissing, match=r"not what prepare\.py wrote"):
        evaluate(pipeline, tmp_path)
    assert engine.jobs == []


def test_cpus_of_a_container_that_cannot_be_killed_are_not_used_again(tmp_path: Path) -> None:
    pipeline, _ = fake_pipeline(tmp_path, stage=lambda _: Script(ending=Ending.UNKILLABLE, detail="pid 7"))
    assert evaluate(pipeline, tmp_path).outcome == "infrastructure"
    assert "quarantine" in "".join(
        path.name + path.read_text() for path in tmp_path.glob("*") if path.is_file()
    )
