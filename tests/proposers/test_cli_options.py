"""What is wrong with a model is said before the run begins, in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_API_KEY", "_BASE", "_BASE_URL"))
    }
    command = [sys.executable, "-m", "runner.cli"]
    if not (folder / "w").exists():
        subprocess.run([*command, "init", "w"], cwd=folder, check=True, capture_output=True, timeout=60)
    return subprocess.run(
        [*command, "run", *words], cwd=folder / "w", capture_output=True, text=True, check=False,
        timeout=120, env={**clean, **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "environment", "code", "says"),
    [
        (("--proposer", "llm"), {}, 2, "--model provider/name"),
        (("--model", "openai/gpt-5"), {}, 3, "OPENAI_API_KEY"),
        (("--model", "openai/nobody-knows"), {"OPENAI_API_KEY": "sk-canary-12345678"}, 2, "--price-in 3"),
        (
            ("--model", "openai/gpt-5", "--price-in", "x", "--price-out", "1"),
            {"OPENAI_API_KEY": "k"},
            2,
            "is no price",
        ),
        (("--model", "openai/gpt-5", "--max-cost", "-1"), {}, 2, "--max-cost"),
        (("--model", "opneai/gpt-5", "--price-in", "1", "--price-out", "1"), {}, 2, "openai"),
        (("--model", "openai/gpt-5", "--llm-timeout", "5"), {}, 2, "not a duration"),
        (("--proposer", "command:/nowhere/agent"), {}, 2, "command:"),
    ],
)
def test_a_night_that_could_not_be_paid_for_does_not_begin(
    words: tuple[str, ...], environment: dict[str, str], code: int, says: str, tmp_path: Path
) -> None:
    result = run(tmp_path, *words, **environment)
    assert result.returncode == code, result.stderr
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert "canary" not in result.stderr + result.stdout
    assert len(result.stderr.strip().splitlines()) == 1
