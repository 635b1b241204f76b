"""A task that takes a second: estimate hidden numbers. `write_task` makes its folder; a test changes what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

TOML = """\
name = "tiny"
summary = "estimate the double of hidden numbers"
files = ["solve.py"]

[metric]
name = "error"
direction = "minimize"
unit = "1"
worst = 1000.0

[[stages]]
name = "predict"
run = "main.py"
public = true
hidden = ["questions"]
outputs = { "answers.json" = 20000 }
wall_clock = "5s"
memory_mb = 128

[scorer]
wall_clock = "10s"
memory_mb = 256
reasons = ["malformed"]
details = ["largest"]

[calibration]
order = ["zero", "start", "exact"]
"""
PREPARE = """\
import json, random, sys
from pathlib import Path
public, private, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
numbers = random.Random(seed)
(private / "inputs").mkdir()
questions = [numbers.randrange(1, 1 << 20) / 1024 for _ in range(50)]
(private / "inputs" / "questions").write_text(json.dumps(questions))
(private / "answers.json").write_text(json.dumps([2 * each + numbers.random() / 1024 for each in questions]))
(public / "example.json").write_text(json.dumps({"question": 1.0, "answer": 2.0}))
"""
MAIN = """\
import json
from pathlib import Path
import solve
questions = json.loads(Path("/inputs/questions").read_text())
Path("/out/answers.json").write_text(json.dumps([solve.answer(each) for each in questions]))
"""
START = "def answer(question):\n    return 1.5 * question\n"
EVALUATE = """\
import json, math
from pathlib import Path
answers = json.loads(Path("/private/answers.json").read_text())
try:
    given = json.loads(Path("/stages/predict/answers.json").read_text())
    errors = [abs(float(a) - b) for a, b in zip(given, answers, strict=True)]
    if not all(math.isfinite(each) for each in errors):
        raise ValueError
except (ValueError, TypeError, RecursionError):
    print(json.dumps({"invalid": "malformed"}))
else:
    print(json.dumps({"score": sum(errors) / len(errors), "items": errors, "details": {"largest": max(errors)}}))
"""
FILES: Mapping[str, str] = {
    "task.toml": TOML,
    "program.md": "# Estimate\n",
    "prepare.py": PREPARE,
    "evaluate.py": EVALUATE,
    "start/solve.py": START,
    "fixed/main.py": MAIN,
    "calibration/zero/solve.py": "def answer(question):\n    return 0.0\n",
    "calibration/exact/solve.py": "def answer(question):\n    return 2 * question\n",
}


def write_task(folder: Path, changes: Mapping[str, str | None] | None = None) -> Path:
    """The task with some files changed; None removes one."""
    for name, content in {**FILES, **(changes or {})}.items():
        if content is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    return folder


def replaced(name: str, old: str, new: str) -> dict[str, str | None]:
    """The change of one text in one file."""
    assert old in FILES[name], (name, old)
    return {name: FILES[name].replace(old, new)}
