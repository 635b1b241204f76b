"""The tiny task in real containers: what a stage can reach, and what the scorer refuses to run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_stages import evaluate
from real_stages import real_pipeline
from tiny import EVALUATE, write_task

from runner.images.build import Images
from runner.tasks.evaluation import TaskEvaluation
from runner.tasks.read_task import read_task
from sandbox.engine import Engine

pytestmark = pytest.mark.engine

SEES = """\
import json, os
from pathlib import Path

def answer(question):
    found = {
        "there": sorted(name for name in os.listdir("/") if name in {"private", "task", "public", "inputs", "stages", "scorer"}),
        "work": sorted(os.listdir("/work")),
        "inputs": sorted(os.listdir("/inputs")),
        "writable": [],
        "variables": sorted(name for name in os.environ if name.startswith("AUTO")),
    }
    for folder in ("/work", "/public", "/inputs"):
        try:
            Path(folder, "new").write_text("x")
            found["writable"].append(folder)
        except OSError:
            pass
    print(json.dumps(found))
    raise SystemExit(1)
"""


def run(
    folder: Path, engine: Engine, images: Images, *, solve: str | None = None, scorer: str | None = None
) -> TaskEvaluation:
    task = read_task(write_task(folder / "task", {"evaluate.py": scorer} if scorer else None))
    files = {"solve.py": solve.encode()} if solve else None
    return evaluate(real_pipeline(task, folder / "cache", engine, images), folder, files)


@pytest.mark.usefixtures("nothing_left")
def test_the_start_is_scored_with_facts_and_items(engine: Engine, images: Images, tmp_path: Path) -> None:
    found = run(tmp_path, engine, images)
    assert found.outcome == "ok", found.detail
    assert found.score is not None
    assert 1 < found.score < 1000
    assert found.score == pytest.approx(sum(found.items) / len(found.items))
    assert found.details == {"largest": max(found.items)}
    assert 0 < found.seconds < 5
    assert found.facts[0].outputs["answers.json"] > 50


def test_a_stage_reaches_its_inputs_and_neither_answers_nor_scorer(
    engine: Engine, images: Images, tmp_path: Path
) -> None:
    found = run(tmp_path, engine, images, solve=SEES)
    assert found.outcome == "crash"
    said = json.loads((tmp_path / "evaluation" / "predict.log").read_text().splitlines()[0])
    assert said == {
        "there": ["inputs", "public"],
        "work": ["main.py", "solve.py"],
        "inputs": ["questions"],
        "writable": [],
        "variables": [
            "AUTORESEARCH_OUTPUTS",
            "AUTORESEARCH_SEED",
            "AUTORESEARCH_STAGE",
            "AUTORESEARCH_WALL_CLOCK",
        ],
    }


IMPORTS = "import sys\nsys.path.insert(0, '/work')\nimport solve\n"
EXECUTES = "from pathlib import Path\nexec(Path('/work/solve.py').read_text())\n"
STARTS = "import subprocess\nsubprocess.run(['python3', '/work/solve.py'])\n"
UNPICKLES = "import pickle\npickle.loads(b'cbuiltins\\neval\\n.')\n"


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        (IMPORTS, "may not compile a file of the candidate's"),
        (EXECUTES, "may not compile a file of the candidate's"),
        (STARTS, "may not use subprocess.Popen"),
        (UNPICKLES, "may not use pickle.find_class"),
    ],
)
def test_a_scorer_that_would_run_what_the_candidate_wrote_is_stopped(
    before: str, sentence: str, engine: Engine, images: Images, tmp_path: Path
) -> None:
    found = run(tmp_path, engine, images, scorer=before + EVALUATE)
    assert (found.outcome, found.reason) == ("infrastructure", "scorer")
    assert sentence in found.detail


def test_a_scorer_that_prints_nan_is_the_tasks_fault(engine: Engine, images: Images, tmp_path: Path) -> None:
    found = run(tmp_path, engine, images, scorer="print('{\"score\": NaN}')")
    assert (found.outcome, found.reason) == ("infrastructure", "scorer")
    assert "printed NaN" in found.detail
