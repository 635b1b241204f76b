"""However a verb is started, it ends with a sentence and a documented code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli.error_reporting import guarded
from runner.errors import PrerequisiteMissing
from runner.store.ledger import Ledger

VERB = [sys.executable, "-m", "runner.cli"]
STREAMS = {"out": ">&-", "in": "<&-", "err": "2>&-", "all": "<&- >&- 2>&-"}


def started(words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = f"{sys.executable} -m runner.cli {words}"
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    subprocess.run([*VERB, "init", str(tmp_path / "w")], check=True, capture_output=True)
    return tmp_path / "w"


@pytest.mark.parametrize("which", STREAMS)
def test_streams_may_be_closed(workspace: Path, which: str) -> None:
    assert started(f"status {STREAMS[which]}", workspace).returncode == 2
    assert started(f"run --budget 1s {STREAMS[which]}", workspace).returncode in {2, 3}


@pytest.mark.parametrize(
    "odd",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "en_US.ISO-8859-1", "PYTHONIOENCODING": "latin-1"},
        {"LANG": "no-such-locale", "LC_ALL": ""},
    ],
)
def test_text_is_utf8_whatever_the_locale(workspace: Path, odd: dict[str, str]) -> None:
    program = "import runner.cli.startup as p; p.settle(); from pathlib import Path; print(ascii(Path('x').read_text()))"
    (workspace / "x").write_bytes("böse ∑".encode())
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=workspace,
        env={**os.environ, **odd},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == ascii("böse ∑"), done.stderr


def test_a_folder_that_was_removed_is_a_sentence(tmp_path: Path) -> None:
    (gone := tmp_path / "gone").mkdir()
    for words in ("status", "doctor", "ls"):
        done = started(
            f"--help >/dev/null; rmdir {gone} 2>/dev/null; {sys.executable} -m runner.cli {words}", gone
        )
        gone.mkdir(exist_ok=True)
        assert done.returncode == 2
        assert "change to one that is there" in done.stderr


def test_without_a_folder_for_temporary_files_the_sentence_stays(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    assert guarded(lambda: 1 // 0, []) == 1
    assert "something unexpected happened (ZeroDivisionError" in capsys.readouterr().err


def test_a_ledger_that_cannot_be_opened_is_not_called_damaged(tmp_path: Path) -> None:
    (deep := tmp_path / ("x" * 200) / ("y" * 200) / ("z" * 120)).mkdir(parents=True)
    with pytest.raises(PrerequisiteMissing, match="shorter"):
        Ledger(deep / "ledger.db")
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(PrerequisiteMissing, match="cannot be opened"):
        Ledger(tmp_path / "ledger.db")
