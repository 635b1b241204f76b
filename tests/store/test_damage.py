"""A ledger that a disk has damaged in its middle: found where it is read, and before a run goes on with it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from runner.cli import main
from runner.errors import PrerequisiteMissing
from runner.store.ledger import Ledger
from runner.store.workspace import Workspace, create

PAGE = 4096


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Two hundred experiments, and noise over the second half of the file."""
    made = create(tmp_path / "w")
    ledger = Ledger(made.ledger)
    ledger.start_run("r", now=0.0, seed=0, settings={})
    for number in range(200):
        ledger.add_experiment(
            "r",
            number,
            now=0.0,
            title="t" * 500,
            hypothesis="",
            category="c",
            source=b"x = 1\n" * 500,
            facts=None,
        )
    ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ledger.close()
    content = bytearray(made.ledger.read_bytes())
    for page in range(len(content) // PAGE // 2, len(content) // PAGE):
        content[page * PAGE : page * PAGE + 200] = b"\xa5" * 200
    made.ledger.write_bytes(content)
    monkeypatch.chdir(made.folder)
    return made


def test_a_verb_that_meets_damage_says_so_in_one_sentence(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["ls"], ["ls", "--json"], ["show", "150"], ["report"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capsys.readouterr()
        assert ended.value.code == 3, words
        assert "is damaged" in said.err + said.out
        assert "Traceback" not in said.err


def test_a_disk_that_cannot_be_read_is_damage(tmp_path: Path) -> None:
    made = create(tmp_path / "w")
    ledger = Ledger(made.ledger)
    ledger.start_run("r", now=0.0, seed=0, settings={})
    ledger.close()
    ledger = Ledger(made.ledger, read_only=True)
    shutil.copy(made.ledger, tmp_path / "copy")
    unreadable = os.open(tmp_path / "copy", os.O_WRONLY)  # read(2) fails, as on a disk that is gone
    for name in os.listdir("/proc/self/fd"):
        if os.path.realpath(f"/proc/self/fd/{name}") == str(made.ledger):
            os.dup2(unreadable, int(name))
    os.close(unreadable)
    with pytest.raises(PrerequisiteMissing, match=r"is damaged \(disk I/O error\)"):
        ledger.events("r")
    ledger.close()


def test_doctor_reads_the_whole_ledger(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "--json"])
    findings = {f["name"]: f for f in json.loads(capsys.readouterr().out)["findings"]}
    assert findings["ledger"]["level"] == "fail"
    assert "is damaged" in findings["ledger"]["sentence"]


def test_a_run_does_not_go_on_with_a_damaged_ledger(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PrerequisiteMissing, match="is damaged"):
        Ledger(workspace.ledger, check=True)
    for words in (["run", "--budget", "1h"], ["resume"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 3, words
        assert "is damaged" in capsys.readouterr().err
