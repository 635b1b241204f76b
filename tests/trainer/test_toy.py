"""The toy of the demonstrations, run outside a container on a small data set."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

TOY = Path(__file__).parents[2] / "trainer_jax" / "train_demo.py"
RATE = r"(?m)^(\w+_LR) = 0\.001 "


def losses(dataset: Path, out: Path, source: str, wall_clock: str = "60") -> list[float]:
    """What its log says of the training loss (nats), in order."""
    out.mkdir()
    (out / "train.py").write_text(source)
    environment = {
        "AUTORESEARCH_DATA": str(dataset / "train"),
        "AUTORESEARCH_OUT": str(out),
        "AUTORESEARCH_WALL_CLOCK": wall_clock,
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, str(out / "train.py")]
    subprocess.run(command, env={**os.environ, **environment}, check=True, timeout=120)
    lines = map(json.loads, (out / "telemetry.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def test_its_rates_are_poor_and_it_says_so(dataset: Path, tmp_path: Path) -> None:
    """An improvement is there to be found: with ten times the rates it learns much more."""
    source = TOY.read_text()
    assert "ON PURPOSE" in source
    better, changed = re.subn(RATE, r"\1 = 0.01 ", source)
    assert changed == 3
    as_shipped, improved = (
        losses(dataset, tmp_path / name, text) for name, text in (("shipped", source), ("better", better))
    )
    assert len(as_shipped) == len(improved) == 6
    assert min(improved[-2:]) < min(as_shipped[-2:]) - 0.2
    made = {path.name for path in (tmp_path / "shipped").iterdir()}
    assert made >= {"model.stablehlo", "params.safetensors"}
