"""`--runtime` goes from the command line to the engine; tests/conformance says what gVisor then holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine
SCRIPT = str(Path(__file__).parents[2] / "trainer_jax" / "train.py")


@pytest.mark.parametrize(
    "words", [("run",), ("try", SCRIPT), ("doctor",), ("reproduce", "autoresearch/kept:1")]
)
@pytest.mark.usefixtures("images")
def test_a_runtime_that_the_engine_does_not_know_is_named(
    words: tuple[str, ...], tmp_path: Path, dataset: Path
) -> None:
    verb = [sys.executable, "-m", "runner.cli"]
    subprocess.run([*verb, "init", "w"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    data = [] if words[0] == "doctor" else ["--data", str(dataset)]
    command = [*verb, *words, *data, "--runtime", "no-such-runtime"]
    result = subprocess.run(
        command, cwd=tmp_path / "w", capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 3, result.stderr
    assert "the engine has no runtime 'no-such-runtime'; it knows" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
