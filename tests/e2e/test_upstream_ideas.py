"""Upstream's own ideas go through the real loop on the real engine, and every one of them gets a verdict.

By default a sample of two on a short clock: a change of structure, and the seed, which must be turned away. The
whole set takes about twenty minutes: `pytest -m slow tests/e2e`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.store.ledger import Ledger
from runner.store.records import Experiment
from sandbox.engine import Engine

IDEAS = Path(__file__).parents[2] / "benchmarks" / "upstream_ideas"
SAMPLE = ("11-another-seed", "33-parallel")

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("images")]


def simulated(
    engine: Engine,
    folder: Path,
    ideas: Path,
    dataset: Path,
    seconds: int,
    wall_clock: str = "25s",
    **constants: str,
) -> list[Experiment]:
    """What became of `ideas` after `autoresearch run`, the baseline left out. `constants` are train.py's."""
    command = [sys.executable, "-m", "runner.cli"]
    subprocess.run([*command, "init", "w"], cwd=folder, check=True, capture_output=True, timeout=60)
    script = folder / "w" / "train.py"
    source = script.read_text()
    for name, value in {"MAX_EPOCHS": "0.05", **constants}.items():  # a verdict is wanted, no gain
        source, found = re.subn(rf"(?m)^{name} = [\d.]+ ", f"{name} = {value} ", source)
        assert found == 1, name
    script.write_text(source)
    with (folder / "w" / "autoresearch.toml").open("a") as file:
        file.write("baseline_repeats = 2\nretests = 0\n")
    count = len(list(ideas.iterdir()))
    result = subprocess.run(
        [*command, "run", "--proposer", f"scripted:{ideas}", "--wall-clock", wall_clock, "--data", str(dataset),
         "--budget", "12h", "--max-experiments", str(count), "--seed", "1", "--display", "plain"],
        cwd=folder / "w", capture_output=True, text=True, check=False, timeout=seconds,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    ledger = Ledger(folder / "w" / ".autoresearch" / "ledger.db")
    run = ledger.run().id
    found = [e for e in ledger.experiments(run)[1:] if e.status != "proposer_failed"]  # there are no more
    ledger.close()
    for image in engine.images({"dev.autoresearch.snapshot.run": run}):
        engine.remove_image(image.id)
    assert len(found) == count
    return found


def has_a_verdict(experiment: Experiment) -> bool:
    if experiment.title == "seed plus 137":
        return (experiment.status, experiment.reason) == ("rejected", "seed_only")
    return experiment.status in {"keep", "discard"} and experiment.val_bpb is not None


@pytest.mark.timeout(900)
def test_a_sample_of_upstreams_ideas_gets_verdicts(engine: Engine, dataset: Path, tmp_path: Path) -> None:
    sample = tmp_path / "ideas"
    sample.mkdir()
    for name in SAMPLE:
        shutil.copy(IDEAS / f"{name}.edit.md", sample)
    found = simulated(engine, tmp_path, sample, dataset, 800, "30s", DEPTH="2")
    assert [(e.title, e.status, e.reason) for e in found if not has_a_verdict(e)] == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_idea_of_upstreams_gets_a_verdict(engine: Engine, dataset: Path, tmp_path: Path) -> None:
    found = simulated(engine, tmp_path, IDEAS, dataset, 7000)
    assert [(e.title, e.status, e.reason) for e in found if not has_a_verdict(e)] == []
