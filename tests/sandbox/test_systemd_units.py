"""The timer in docs/systemd starts the reaper, and the reaper needs nothing but the verb it names."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "docs" / "systemd"


def unit(name: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None, strict=False)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read_string((UNITS / name).read_text())
    return found


def test_the_timer_comes_again_and_after_a_restart() -> None:
    timer = unit("autoresearch-reap.timer")
    assert timer["Timer"]["OnBootSec"]
    assert timer["Timer"]["OnUnitActiveSec"]
    assert timer["Install"]["WantedBy"] == "timers.target"
    assert timer["Timer"].get("Unit", "autoresearch-reap.service") == "autoresearch-reap.service"


@pytest.mark.engine
def test_the_service_names_a_command_that_works_without_a_workspace(tmp_path: Path) -> None:
    service = unit("autoresearch-reap.service")["Service"]
    assert service["Type"] == "oneshot"
    program, *words = service["ExecStart"].split()
    assert Path(program).name == "autoresearch"
    assert words[:2] == ["sandbox", "reap"]
    command = [sys.executable, "-m", "runner.cli", *words, "--dry-run"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr


def test_systemd_itself_understands_them(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze on this machine's PATH")
    for path in UNITS.iterdir():  # with a program that is there
        text = path.read_text().splitlines()
        start = [f"ExecStart={sys.executable}" if line.startswith("ExecStart=") else line for line in text]
        (tmp_path / path.name).write_text("\n".join(start) + "\n")
    units = [str(path) for path in sorted(tmp_path.iterdir())]
    result = subprocess.run(
        ["systemd-analyze", "--man=no", "verify", *units],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    about_ours = [line for line in result.stderr.splitlines() if "autoresearch-reap" in line]
    assert about_ours == []
