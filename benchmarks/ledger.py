"""How long the verbs that read a ledger take with 10,000 experiments in it, and one step of the loop.

    .venv/bin/python -m benchmarks.ledger [--experiments 10000] [--rounds 3]

Makes a workspace in a temporary folder. Every experiment has its own script of train.py's size, its facts, an attempt with 4 kB
of log, and events. Prints for `status`, `ls`, `show` and `best` the seconds of the whole process (least of `--rounds`) and the
difference to `--help`, which loads the command line and reads nothing. Then prints the CPU seconds of one step of the loop (propose,
evaluate, decide, record, with a fake engine, judge and clock) with 100 experiments and with all.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.simulated_run import SimulatedRun
from runner.parsing.client import shared
from runner.parsing.facts import facts_json
from runner.protocols import Context, Proposal, State
from runner.store.config import CONFIG, default_toml

ROOT = Path(__file__).resolve().parents[1]
BAR_S = 0.3
RUN = "simulated"
LOG = "step 1234 loss 3.2100 progress 0.50\n" * 110
EVENTS = ("proposed", "state", "state", "state", "state", "judged", "decided")


class Stopwatch:
    """A proposer of whole scripts of train.py's size, each worse than the best. `times` holds the CPU time of each call (seconds)."""

    name = "scripted"

    def __init__(self, script: str) -> None:
        self.script, self.times = script, list[float]()

    def propose(self, context: Context) -> Proposal:
        self.times.append(time.process_time())
        return Proposal(
            f"SCORE = 2.5\nIDEA = {context.number}\ndef made():\n{self.script}", f"idea {context.number}"
        )


class LongRun(SimulatedRun):
    """A simulated run of `count` experiments, every thirtieth kept. The baseline is made by the loop."""

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__(folder, [])
        (folder / CONFIG).write_text(default_toml())
        self.loop().go()
        self.script = (ROOT / "trainer_jax" / "train.py").read_text()
        self.stopwatch = Stopwatch("".join(f"    {line}\n" for line in self.script.splitlines()))
        self.proposals = self.stopwatch  # type: ignore[assignment]
        self.fill(self.ledger.experiment(RUN, 0).number + 2, count)

    def fill(self, first: int, count: int) -> None:
        baseline = self.ledger.experiment(RUN, 0)
        where = baseline.counted[0].folder.relative_to(self.workspace.folder)
        facts = facts_json(shared().facts(self.script))
        db = self.ledger._db  # one transaction for all rows: only reading is timed
        db.execute("BEGIN")
        for number in range(first, count):
            kept = number % 30 == 0
            score = 2.0 - number * 1e-6 + (0 if kept else 1e-3)
            columns = {
                "run": RUN,
                "number": number,
                "parent": (number - 1) // 30 * 30,
                "title": f"MATRIX_LR -> {number}",
                "hypothesis": "It learns more in the same time.",
                "category": "optimizer",
                "author": "tpe",
                "source_sha256": f"{number:064x}",
                "fingerprint": f"{number:064x}",
                "nodes": 4062,
                "state": State.DECIDED,
                "status": "keep" if kept else "discard",
                "val_bpb": score,
                "delta": -1e-3,
                "reason": "better beyond the noise" if kept else "not better",
                "margin": 2e-3,
                "created_at": 1.8e9,
                **(
                    {"tag": f"{baseline.tag}-{number}", "image": baseline.image, "git_commit": "0" * 40}
                    if kept
                    else {}
                ),
            }
            marks = ", ".join("?" * len(columns))
            db.execute(
                f"INSERT INTO experiments ({', '.join(columns)}) VALUES ({marks})", tuple(columns.values())
            )
            source = f"{self.script}\n# experiment {number}\n".encode()
            db.execute("INSERT INTO scripts VALUES (?, ?, ?, ?)", (RUN, number, source, facts))
            for attempt in (1, 2) if kept else (1,):
                db.execute(
                    "INSERT INTO attempts (run, number, attempt, seed, folder, started_at, finished_at, outcome, val_bpb,"
                    " seconds, log_tail) VALUES (?, ?, ?, ?, ?, 1.8e9, 1.8e9, 'ok', ?, 300.0, ?)",
                    (RUN, number, attempt, number, str(where), score + attempt * 1e-4, LOG),
                )
            for kind in EVENTS:
                data = json.dumps({"number": number, "state": "training", "attempt": 1})
                db.execute(
                    "INSERT INTO events (run, at, kind, data) VALUES (?, 1.8e9, ?, ?)", (RUN, kind, data)
                )
        db.execute("COMMIT")

    def steps(self, count: int) -> list[float]:
        """CPU seconds of this process from one proposal to the next. Left out are the first ones, which read the whole ledger once,
        and parsing, which a child process does."""
        trained = len(self.ledger.experiments(RUN)) - 2
        self.stopwatch.times.clear()
        self.loop(max_experiments=trained + count + 3, retests=0).go()
        times = self.stopwatch.times[2:]
        return [after - before for before, after in itertools.pairwise(times)]


def seconds(words: Sequence[str], folder: Path, rounds: int) -> tuple[float, float]:
    """Least wall and CPU seconds of `autoresearch words` with cached bytecode, as an installed program has. The first run, which may
    compile, is not counted."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder.parent / "pycache")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    found = []
    for _ in range(rounds + 1):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "runner.cli", *words],
            cwd=folder,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found.append((time.perf_counter() - started, cpu))
    return min(wall for wall, _ in found[1:]), min(cpu for _, cpu in found[1:])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--experiments", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="ledger-") as name:
        few, many = LongRun(Path(name) / "few", 100), LongRun(Path(name) / "many", options.experiments)
        folder = many.workspace.folder
        print(f"{options.experiments} experiments, {many.workspace.ledger.stat().st_size / 1e6:.0f} MB")
        base = seconds(["--help"], folder, options.rounds)
        print("verb             wall s   CPU s")
        print(f"{'--help':15}  {base[0]:6.2f}  {base[1]:6.2f}")
        missed = []
        for words in (["status"], ["ls"], ["show", str(options.experiments // 2)], ["best"]):
            wall, cpu = seconds(words, folder, options.rounds)
            if cpu >= BAR_S:
                missed.append(f"{words[0]} by {cpu - BAR_S:.2f} s")
            print(f"{' '.join(words):15}  {wall:6.2f}  {cpu:6.2f}")
        small, large = (statistics.median(run.steps(12)) for run in (few, many))
        print(f"one step of the loop, CPU s: {small:.4f} with 100 experiments, {large:.4f}", end=" ")
        print(f"with {options.experiments}; ratio {large / small:.2f}")
        print(f"bar: {BAR_S} s of CPU a process: {'missed: ' + ', '.join(missed) if missed else 'met'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
