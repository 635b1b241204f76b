"""A task's folder is read as a whole, and what is wrong with it is one sentence that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import replaced, write_task

from runner.errors import UsageError
from runner.tasks.definition import Direction, Metric, StageInput
from runner.tasks.read_task import read_task
from sandbox.spec import MIB, Output

TWO_STAGES = """\
[[stages]]
name = "second"
run = "main.py"
inputs = ["predict/answers.json"]
outputs = { "more.json" = 10 }
wall_clock = "1m"

[scorer]
"""


def toml(old: str, new: str) -> dict[str, str | None]:
    return replaced("task.toml", old, new)


def test_a_task_is_read(tmp_path: Path) -> None:
    task = read_task(write_task(tmp_path, toml("[scorer]\n", TWO_STAGES)))
    first, second = task.stages
    assert (task.name, task.files, task.fixed, task.cpus) == ("tiny", ("solve.py",), ("main.py",), 1)
    assert task.metric == Metric("error", Direction.MINIMIZE, "1", 1000.0)
    assert (first.run, first.public, first.hidden, first.inputs) == ("main.py", True, ("questions",), ())
    assert first.outputs == (Output("answers.json", 20000),)
    assert (first.limits.wall_clock_s, first.limits.memory_bytes) == (5.0, 128 * MIB)
    assert second.inputs == (StageInput("predict", "answers.json"),)
    assert not second.public
    assert not second.hidden
    assert task.scorer.reasons == ("malformed",)
    assert task.calibration == ("zero", "start", "exact")
    assert task.submission("exact") == {"solve.py": b"def answer(question):\n    return 2 * question\n"}
    assert task.submission("start") == task.start()


def test_what_is_made_from_hidden_inputs_is_secret_too(tmp_path: Path) -> None:
    task = read_task(write_task(tmp_path, toml("[scorer]\n", TWO_STAGES)))
    assert task.secret_stages == {"predict", "second"}
    assert read_task(write_task(tmp_path, toml('hidden = ["questions"]\n', ""))).secret_stages == frozenset()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"task.toml": None}, "has no task.toml; docs/tasks.md says what it must hold"),
        ({"program.md": None}, "has no program.md"),
        ({"prepare.py": None}, "has no prepare.py"),
        ({"evaluate.py": None}, "has no evaluate.py"),
        ({"task.toml": "name = "}, "is not TOML"),
        (toml("summary =", "sumary ="), "there is no key 'sumary'"),
        (toml("summary =", "sumary ="), "did you mean summary?"),
        (toml('unit = "1"', 'unti = "1"'), r"task.toml \[metric\]: there is no key 'unti'"),
        (toml('name = "tiny"\n', ""), "name is missing; it must be text in quotes"),
        (toml('name = "tiny"', 'name = "Tiny task"'), "write lower-case letters, digits"),
        (toml('name = "tiny"', "name = 7"), "name must be text in quotes"),
        (toml('name = "tiny"', 'name = "../x"'), "write lower-case letters"),
        (toml('"minimize"', '"down"'), "there is no value 'down', only minimize, maximize"),
        (toml("worst = 1000.0", "worst = nan"), "worst must be a finite number"),
        (toml("worst = 1000.0\n", ""), "worst must be a finite number"),
        (toml('files = ["solve.py"]\n', ""), "files is missing or empty; name the files of start/"),
        (toml('["solve.py"]', '["solve.py", "solve.py"]'), "names 'solve.py' twice"),
        (toml('["solve.py"]', '["../evaluate.py"]'), "no '..'"),
        (toml('["solve.py"]', '["/etc/passwd"]'), "no path inside start/"),
        (toml('["solve.py"]', '["solve.py", "other.py"]'), "names other.py, which is not in start/; add it"),
        ({"start/more.py": ""}, "holds more.py, which files in task.toml does not name"),
        ({"fixed/solve.py": ""}, "is in start/ and in fixed/; remove one"),
        ({"start/solve.py": "#" * 200_001}, "an editable file has at most 200,000"),
        (toml('run = "main.py"', 'run = "evaluate.py"'), "neither in start/ nor in fixed/"),
        (toml('wall_clock = "5s"', 'wall_clock = "5"'), "'5' is not a duration"),
        (toml('wall_clock = "5s"', 'wall_clock = "9d"'), "only 1s to 24h is allowed"),
        (toml("memory_mb = 128", "memory_mb = 3"), "only 16 to 1,048,576 is allowed"),
        (toml("memory_mb = 128", "memory_mb = true"), "memory_mb must be a whole number"),
        (toml("20000 }", "200000000 }"), "/out counts as memory.*raise memory_mb"),
        (toml("20000 }", "0 }"), "no size from 1 byte"),
        (toml("20000 }", '"many" }'), "no size from 1 byte"),
        (toml('"answers.json" =', '"../answers.json" ='), "a plain file name in /out is meant"),
        (toml('outputs = { "answers.json" = 20000 }', "outputs = {}"), "must name 1 to 16 files"),
        (toml("public = true", 'inputs = ["x/y"]'), "write STAGE/NAME of an output of an earlier stage"),
        (toml("public = true", "public = 1"), "public must be true or false"),
        (toml('["questions"]', '["../answers.json"]'), "hidden holds '../answers.json'"),
        (toml("[[stages]]", "[stages]"), "stages must be a list"),
        (toml("[scorer]\n", TWO_STAGES.replace('"second"', '"predict"')), "is that of an earlier stage"),
        (toml('"zero", "start", "exact"', '"start"'), "at least two submissions"),
        (toml('"zero", ', ""), "does not name calibration/zero; name it, or remove the folder"),
        (toml('"zero", ', '"null", "zero", '), "no folder calibration/null; make it"),
        ({"calibration/zero/main.py": ""}, "holds main.py, which no candidate may change"),
        (toml('summary =', 'packages = "requirements.lock"\nsummary ='), "packages is not supported yet"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_task_is_one_sentence(
    changes: dict[str, str | None], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=sentence) as raised:
        read_task(write_task(tmp_path, changes))
    assert "\n" not in str(raised.value)


def test_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"docs/tasks\.md says what one holds"):
        read_task(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["start/solve.py", "fixed/more.py", "calibration/exact/solve.py"])
def test_a_link_in_a_task_is_refused(name: str, tmp_path: Path) -> None:
    """Else a stage could be given a private file by the name of a public one."""
    write_task(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).symlink_to(tmp_path / "evaluate.py")
    with pytest.raises(UsageError, match="is a link or a special file; put a copy of the file there"):
        read_task(tmp_path)


def test_better_and_bounded_follow_the_direction() -> None:
    down, up = Metric("x", Direction.MINIMIZE, "", 2.0), Metric("x", Direction.MAXIMIZE, "", 2.0)
    assert down.better(1.0, 1.5)
    assert up.better(1.5, 1.0)
    assert not down.better(1.0, 1.0)
    assert (down.bounded(3.0), down.bounded(1.0), down.bounded(2.0)) == (2.0, 1.0, 2.0)
    assert (up.bounded(1.0), up.bounded(3.0)) == (2.0, 3.0)
    assert (down.worse_by(1.5, 1.0), up.worse_by(1.5, 1.0)) == (0.5, -0.5)
