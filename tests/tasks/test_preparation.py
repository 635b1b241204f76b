"""prepare.py is run once; what it wrote is verified before every use."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tiny import PREPARE, replaced, write_task

from runner.errors import PrerequisiteMissing, UsageError
from runner.tasks.preparation import PreparedData, prepared
from runner.tasks.read_task import read_task


def prepare(folder: Path, changes: dict[str, str | None] | None = None, seed: int = 1) -> PreparedData:
    return prepared(read_task(write_task(folder / "task", changes)), folder / "cache", seed=seed)


def test_it_is_prepared_once(tmp_path: Path) -> None:
    first, again = prepare(tmp_path, seed=1), prepare(tmp_path, seed=2)
    assert first == again
    assert set(first.files) == {
        "private/CANARY",
        "private/answers.json",
        "private/inputs/questions",
        "public/example.json",
    }
    assert json.loads(first.hidden("questions").read_text())
    assert (first.private / "CANARY").read_text().strip() == first.canary


def test_another_program_prepares_other_data_and_the_seed_decides(tmp_path: Path) -> None:
    first = prepare(tmp_path)
    other = prepare(tmp_path, {"prepare.py": PREPARE + "# changed\n"}, seed=1)
    assert other.folder != first.folder
    assert other.files["private/answers.json"] == first.files["private/answers.json"]
    third = prepare(tmp_path, {"prepare.py": PREPARE + "# again\n"}, seed=2)
    assert third.files["private/answers.json"] != first.files["private/answers.json"]


def test_data_that_were_changed_since_are_refused(tmp_path: Path) -> None:
    data = prepare(tmp_path)
    (data.private / "answers.json").write_text("[]")
    with pytest.raises(PrerequisiteMissing, match=r"answers.json is not what prepare.py wrote; remove"):
        data.require_unchanged()
    with pytest.raises(PrerequisiteMissing, match=r"answers.json is not what"):
        prepare(tmp_path)


def test_a_file_that_was_added_since_is_noticed(tmp_path: Path) -> None:
    data = prepare(tmp_path)
    (data.public / "more").write_text("x")
    with pytest.raises(PrerequisiteMissing, match="public/more is not what"):
        data.require_unchanged()


def test_a_spoilt_manifest_is_one_sentence(tmp_path: Path) -> None:
    data = prepare(tmp_path)
    (data.folder / "manifest.json").write_text("{")
    with pytest.raises(PrerequisiteMissing, match="cannot be used; remove"):
        prepare(tmp_path)


@pytest.mark.parametrize("mask", [0o077, 0o000])
def test_others_of_the_machine_cannot_enter_and_containers_can_read(mask: int, tmp_path: Path) -> None:
    umask = os.umask(mask)
    try:
        data = prepare(tmp_path)
    finally:
        os.umask(umask)
    assert data.folder.stat().st_mode & 0o077 == 0
    assert data.private.stat().st_mode & 0o777 == 0o755
    assert data.hidden("questions").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prepare.py": "import sys\nprint('no network')\nsys.exit(3)\n"}, "exit code 3; it said: no network"),
        (replaced("task.toml", '["questions"]', '["other"]'), "wrote no private/inputs/other"),
        (replaced("task.toml", 'hidden = ["questions"]\n', ""), "which no stage names as hidden; name it or remove it"),
        ({"prepare.py": PREPARE + "(public / 'x').symlink_to('/etc/passwd')\n"}, "made x, a link or a special file"),
        ({"prepare.py": PREPARE + "import os\nos.truncate(public / 'example.json', 1 << 33)\n"}, "at most 4,294,967,296"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_prepared_data_is_one_sentence(
    changes: dict[str, str | None], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=sentence):
        prepare(tmp_path, changes)
    assert list((tmp_path / "cache").iterdir()) == []
