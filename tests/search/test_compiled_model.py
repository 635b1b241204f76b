"""The benchmark that trains train.py's model with its constants as arguments."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.compiled_model import ROOT, SIZES, script
from runner.parsing.client import shared

VOCABULARY, ROW = 64, 32
CHECK = """
import json, sys
from pathlib import Path
from benchmarks.compiled_model import CompiledModel

model, recipe = CompiledModel(Path(sys.argv[1])), {}
exec(model.script, {}, recipe)
runs = {
    "first": model.result(recipe, 1),
    "again": model.result(recipe, 1),
    "another seed": model.result(recipe, 2),
    "a faster machine": model.result(recipe, 1, 1.05),
    "no learning": model.result({**recipe, **{name: 1e-9 for name in recipe if name.endswith("_LR")}}, 1),
}
print(json.dumps({name: [len(lines), json.loads(lines[0]), scores] for name, (lines, scores) in runs.items()}))
"""


def prepared(folder: Path) -> Path:
    """Documents in which each token follows from the one before, most of the time."""
    rng = np.random.default_rng(0)
    documents = []
    for _ in range(60):
        steps = np.where(rng.random(200) < 0.9, 1, rng.integers(0, VOCABULARY - 1, 200))
        documents += [[VOCABULARY - 1], (rng.integers(0, VOCABULARY) + steps.cumsum()) % (VOCABULARY - 1)]
    tokens = np.concatenate(documents).astype("<u2")
    for name in ("train", "heldout"):
        (folder / name).mkdir()
    tokens.tofile(folder / "train" / "tokens.bin")
    meta = {"vocab_size": VOCABULARY, "bos_id": VOCABULARY - 1, "seq_len": ROW, "tokens": len(tokens)}
    (folder / "train" / "meta.json").write_text(json.dumps(meta))
    np.save(folder / "heldout" / "token_bytes.npy", np.array([1] * (VOCABULARY - 1) + [0]))
    return folder


def test_all_constants_are_tuned_but_those_that_change_a_size() -> None:
    source = (ROOT / "trainer_jax" / "train.py").read_text()
    tuned = {constant.name for constant in shared().facts(source).constants}
    assert {constant.name for constant in shared().facts(script(source)).constants} == tuned - set(SIZES)
    assert len(tuned - set(SIZES)) >= 15


def test_it_learns_as_its_constants_seed_and_pace_say(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHECK, str(prepared(tmp_path))]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-2000:]
    runs = json.loads(answer.stdout)
    assert runs["first"] == runs["again"]
    lines, report, scores = runs["first"]
    assert lines == 21
    assert report["step"] == 1
    assert abs(report["loss"] - np.log(VOCABULARY)) < 0.1, "before the first step it guesses evenly"
    assert runs["no learning"][2]["test"] > scores["test"] + 1.0
    for name in ("another seed", "a faster machine"):
        assert runs[name][2]["val"] != scores["val"], name
