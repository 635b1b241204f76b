"""Every script in tests/attacks goes down the same road as any candidate, through `autoresearch try`.

The first line of each file says what must come of it. Afterwards nothing of it may remain, and the next
honest candidate must be unaffected.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

ATTACKS = Path(__file__).parents[1] / "attacks"
SCRIPTS = sorted(path for path in ATTACKS.glob("*.py") if path.name != "__init__.py")

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("images", "nothing_left")]


def expectation(script: Path) -> dict[str, str]:
    first = script.read_text().splitlines()[0]
    assert first.startswith("# EXPECT: "), f"{script.name} does not say what must come of it"
    return dict(word.split("=", 1) for word in first.removeprefix("# EXPECT: ").split())


def attempt(script: Path, dataset: Path, folder: Path, wall_clock: str = "15s") -> dict[str, object]:
    """The answer of `autoresearch try`, as a user gets it."""
    command = [sys.executable, "-m", "runner.cli", "try", str(script), "--json", "--wall-clock", wall_clock]
    result = subprocess.run(
        [*command, "--data", str(dataset)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert "Traceback" not in result.stderr, result.stderr
    assert result.stdout.strip(), f"no answer; exit {result.returncode}: {result.stderr[-2000:]}"
    answer = json.loads(result.stdout)
    assert answer["schema"] == "autoresearch/try/1"
    assert result.returncode == 0, result.stderr
    return answer


def sandboxed_processes() -> set[str]:
    """Host processes of the user that containers run as."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == 65532:
                found.add(folder.name)
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_attack_gets_its_outcome_and_leaves_nothing(script: Path, dataset: Path, tmp_path: Path) -> None:
    expected = expectation(script)
    before = sandboxed_processes()
    wall_clock = "8s" if expected["outcome"] == "timeout_no_artifact" else "25s"

    answer = attempt(script, dataset, tmp_path, wall_clock)

    assert answer["outcome"] == expected["outcome"], answer
    if "reason" in expected:
        assert answer["reason"] == expected["reason"], answer
    if answer["outcome"] == "timeout_no_artifact":
        assert 8.0 <= float(str(answer["seconds"])) < 12.0
    if "worse_than" in expected:
        assert float(str(answer["val_bpb"])) > float(expected["worse_than"])
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", str(answer["log_tail"]))
    assert sandboxed_processes() <= before


def test_constant_logits_score_exactly_what_the_manifest_says(dataset: Path, tmp_path: Path) -> None:
    answer = attempt(ATTACKS / "constant_logits.py", dataset, tmp_path, "25s")

    manifest = json.loads((dataset / "manifest.json").read_text())
    val = manifest["splits"]["val"]
    exact = math.log2(manifest["vocab_size"]) * (val["tokens"] - val["documents"]) / val["bytes"]
    assert answer["val_bpb"] == pytest.approx(exact, abs=1e-6)
