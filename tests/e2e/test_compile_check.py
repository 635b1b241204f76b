"""The compile check in real containers, through `autoresearch try`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TRAIN = Path(__file__).parents[2] / "trainer_jax" / "train.py"

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("images", "nothing_left")]


def attempt(script: str, dataset: Path, folder: Path) -> dict[str, Any]:
    (folder / "script.py").write_text(script)
    command = [sys.executable, "-m", "runner.cli", "try", "script.py", "--json", "--wall-clock", "35s"]
    result = subprocess.run(
        [*command, "--compile-check", "30s", "--data", str(dataset)],
        cwd=folder, capture_output=True, text=True, check=True, timeout=240,
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@pytest.mark.parametrize("template", ["train.py", "train_nnx.py"])
def test_the_shipped_train_py_passes_after_two_steps_and_is_trained(
    template: str, dataset: Path, tmp_path: Path
) -> None:
    answer = attempt(TRAIN.with_name(template).read_text(), dataset, tmp_path)
    assert answer["outcome"] == "ok", answer
    steps = re.search(r"done: (\d+) steps", answer["log_tail"])
    assert steps is not None
    assert int(steps.group(1)) > 10, "the training had its whole wall clock"
    check = answer["compile_check"]
    assert check["outcome"] == "ok"
    assert check["seconds"] < 28.0, "it ended by itself"
    assert check["model_bytes"] > 1000
    assert check["memory_peak_bytes"] > 50e6


def test_a_step_that_cannot_be_traced_ends_in_the_check(dataset: Path, tmp_path: Path) -> None:
    search = "        loss, grads = loss_and_grads(params, rows_BxT1)"
    script = TRAIN.read_text()
    assert script.count(search) == 1
    broken = script.replace(search, search + "\n        jnp.zeros(3) + jnp.zeros(4)")
    answer = attempt(broken, dataset, tmp_path)
    assert (answer["outcome"], answer["val_bpb"]) == ("crash", None)
    assert "incompatible shapes" in answer["log_tail"]
    assert answer["compile_check"]["outcome"] == "crash"
    assert answer["seconds"] == pytest.approx(answer["compile_check"]["seconds"], abs=0.1)
