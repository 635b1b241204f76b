"""How long the verbs that read a ledger take with 10,000 experiments in it, and one step of the loop.

    .venv/bin/python -m benchmarks.ledger [--experiments 10000] [--rounds 3]

Makes a workspace in a temporary folder. Every experiment has its own script of train.py's size, its facts, events, and attempts with 4 kB
of log and files of their own; adopted, repeated, confirmed, early stopped and failed ones are mixed as in a real run. Prints for
`status`, `ls`, `show` and `best` the seconds of the whole process (least of `--rounds`); `--help` loads the command line and reads
nothing. Then prints the CPU seconds of one step of the loop (propose, evaluate, decide, record, with a fake engine, judge and clock) a training,
with 100, 1,000 and all experiments: for proposals that are clearly worse, which run once, and for promising ones, simpler and a little better
each, of which most run again and some are adopted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.simulated_run import SimulatedRun
from runner.parsing.client import shared
from runner.parsing.facts import facts_json
from runner.protocols import Context, Proposal, State
from runner.search.disk_budget import DiskBudget
from runner.search.seeds import common_seed
from runner.store.config import CONFIG, default_toml
from sandbox.fake_engine import Script
from sandbox.spec import Job

ROOT = Path(__file__).resolve().parents[1]
BAR_S = 0.3
RUN = "simulated"
LOG = "step 1234 loss 3.2100 progress 0.50\n" * 110
FIRST, GAIN, WORSE, BETTER = 2.0, 1e-6, 0.5, 1e-4
"""Bits per byte: the true score of the baseline, what each experiment adds to the best, by how much a script is clearly worse, and by how
much each promising one is better than the one before."""
STEPS, NODES = 12, 60_000
OWN_NOISE = 2e-4
"""Of one run, beside what belongs to its seed (standard deviation, bits per byte)."""
RARE = {"stopped_early": 11, "failed": 23, "rejected": 29}
"""One in so many experiments."""
OUTCOMES = {"stopped_early": "stopped_early", "failed": "crash"}
REASONS = {**OUTCOMES, "rejected": "duplicate", "discard": "not expected to be better"}
EVENTS = ("proposed", "state", "state", "state", "state", "judged", "decided")


class Stopwatch:
    """A proposer of whole scripts of train.py's size whose true score is `score`. Each has 15 % less of `padding` (nodes of the syntax tree)
    than the one before, and where there is any its score is better by BETTER. `times` holds the CPU time of each call (seconds),
    `numbers` which experiment was asked for."""

    name = "scripted"

    def __init__(self, script: str) -> None:
        self._made = "".join(f"    {line}\n" for line in script.splitlines())
        self.score, self.padding, self.left_out = FIRST, 0, 0.0
        self.times, self.numbers = list[float](), list[int]()

    def propose(self, context: Context) -> Proposal:
        self.times.append(time.process_time() - self.left_out)
        self.numbers.append(context.number)
        if self.padding:
            self.score, self.padding = self.score - BETTER, int(0.85 * self.padding)
        return Proposal(self.script(context.number), f"idea {context.number}")

    def script(self, number: int) -> str:
        return f"SCORE = {self.score!r}\nLOSS = 3.0\nIDEA = {number}\n{self.padding * '0;'}\ndef made():\n{self._made}"


class LongRun(SimulatedRun):
    """A simulated run of `count` experiments. Every thirtieth was adopted, every seventh ran again, others were stopped early, crashed or
    were rejected; the best script ran again now and then, and every tenth adopted one was compared with the last confirmed one. All
    rows are of the real loop's form; the baseline is made by the loop."""

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__(folder, [])
        self._rng, of_seed = random.Random(1), self.noise
        self.noise = lambda seed: of_seed(seed) + self._rng.gauss(0.0, OWN_NOISE)
        (folder / CONFIG).write_text(default_toml({}))
        self.proposals = self.stopwatch = Stopwatch((ROOT / "trainer_jax" / "train.py").read_text())  # type: ignore[assignment]
        self.workspace.script.write_text(self.stopwatch.script(0))
        self.loop(max_experiments=0).go()
        self._baseline = self.ledger.experiment(RUN, 0)
        self._seeds, self._confirmed, self._usual = 3, 0, common_seed(1, 2)
        self._facts = facts_json(shared().facts(self.stopwatch.script(0)))
        self._telemetry = (self._baseline.attempts[0].folder / "telemetry.jsonl").read_text()
        self.ledger._db.execute("BEGIN")  # one transaction for all rows: only reading is timed
        best = 0
        for number in range(1, count):
            best = self._experiment(number, best)
        self._truth = FIRST - best * GAIN
        self.ledger._db.execute("COMMIT")

    def train(self, job: Job) -> Script:
        """A fake training is no part of a step."""
        began = time.process_time()
        try:
            return super().train(job)
        finally:
            self.stopwatch.left_out += time.process_time() - began

    def _experiment(self, number: int, best: int) -> int:
        """Writes it down; returns which is the best one then."""
        truth = FIRST - number * GAIN
        kind = "keep" if number % 30 == 0 else "discard"
        kind = next((name for name, rate in RARE.items() if number % rate == rate // 2), kind)
        delta = {"keep": -30 * GAIN, "discard": self._rng.expovariate(1000.0)}.get(kind)
        score = None if delta is None else truth + max(delta, 0.0)
        compared = {"delta": delta, "delta_error": 4e-4, "expected_delta": delta, "expected_error": 3e-4}
        baseline = self._baseline
        made = {"image": baseline.image, "git_commit": "0" * 40}
        columns = {
            "run": RUN,
            "number": number,
            "parent": best,
            "title": f"MATRIX_LR -> {number}",
            "hypothesis": "It learns more in the same time.",
            "category": "optimizer",
            "author": "tpe",
            "source_sha256": f"{number:064x}",
            "fingerprint": f"{number:064x}",
            "nodes": NODES,
            "state": State.DECIDED,
            "status": kind,
            "val_bpb": score,
            "reason": REASONS.get(kind, "better beyond the noise"),
            "margin": 2e-3,
            "decision": number + 1 if score is not None else None,
            "created_at": 1.8e9,
            **(compared if score is not None else {}),
            **({"tag": f"{baseline.tag}-{number}", **made} if kind == "keep" else {}),
        }
        self._insert("experiments", columns)
        source = self.stopwatch.script(number).encode()
        self._insert("scripts", {"run": RUN, "number": number, "source": source, "facts": self._facts})
        if kind != "rejected":
            self._attempt(number, self._usual, score, outcome=OUTCOMES.get(kind, "ok"))
        if score is not None and (kind == "keep" or number % 7 == 0):
            self._attempt(number, self._fresh(), score)
        if score is not None and number % 14 == 0 and number > best:
            self._attempt(best, self._fresh(), truth)
        self.ledger._db.execute(
            "UPDATE experiments SET decided_after = (SELECT max(rowid) FROM attempts) WHERE number = ?",
            (number,),
        )
        if kind == "keep":
            self._usual = common_seed(1, self._seeds - 1)
            best = number
        if kind == "keep" and number % 300 == 0:
            self._confirmation(number, truth)
        for event in EVENTS:
            data = json.dumps({"number": number, "state": "training", "attempt": 1})
            self._insert("events", {"run": RUN, "at": 1.8e9, "kind": event, "data": data})
        return best

    def _confirmation(self, number: int, truth: float) -> None:
        columns = {
            "id": number // 300,
            "candidate": number,
            "reference": self._confirmed,
            "verdict": "confirmed",
        }
        columns |= {"run": RUN, "first_seed": self._seeds, "most_pairs": 2, "pairs": 2, "delta": -0.01}
        columns |= {"reference_bpb": truth + 0.01, "candidate_bpb": truth, "low": -0.012, "high": -0.008}
        self._insert("confirmations", {**columns, "started_at": 1.8e9, "finished_at": 1.8e9})
        for _ in range(2):
            seed = self._fresh()
            for which, score in ((self._confirmed, truth + 0.01), (number, truth)):
                self._attempt(which, seed, score, confirmation=number // 300)
        self._confirmed = number

    def _fresh(self) -> int:
        self._seeds += 1
        return common_seed(1, self._seeds - 1)

    def _attempt(
        self,
        number: int,
        seed: int,
        truth: float | None,
        *,
        outcome: str = "ok",
        confirmation: int | None = None,
    ) -> None:
        """With a folder and files of its own, as every attempt has."""
        attempt = self.ledger._db.execute(
            "SELECT count(*) + 1 FROM attempts WHERE run = ? AND number = ?", (RUN, number)
        ).fetchone()[0]
        folder = self.workspace.attempts(RUN, number) / str(attempt)
        folder.mkdir(parents=True)
        for file in self._baseline.counted[0].folder.glob("*.npy"):
            os.link(file, folder / file.name)
        ahead = 0.1 * self._rng.random()  # curves differ as much as scores do
        lines = [json.loads(line) for line in self._telemetry.splitlines()]
        reports = "".join(json.dumps({**line, "loss": line["loss"] + ahead}) + "\n" for line in lines)
        (folder / "telemetry.jsonl").write_text(reports)
        score = None if truth is None else truth + self.noise(seed)
        columns = {"run": RUN, "number": number, "attempt": attempt, "seed": seed, "outcome": outcome}
        columns |= {"folder": str(folder.relative_to(self.workspace.folder)), "confirmation": confirmation}
        columns |= {"started_at": 1.8e9, "finished_at": 1.8e9, "val_bpb": score, "seconds": 300.0}
        self._insert("attempts", {**columns, "log_tail": LOG})

    def _insert(self, table: str, columns: Mapping[str, object]) -> None:
        marks = ", ".join("?" * len(columns))
        self.ledger._db.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", tuple(columns.values())
        )

    def steps(self, count: int, *, promising: bool) -> list[float]:
        """CPU seconds a training of this process from one proposal to the next. Left out are the first ones, which read the whole ledger once,
        parsing, which a child process does, and what the fake training takes."""
        self.stopwatch.times.clear()
        self.stopwatch.numbers.clear()
        self.stopwatch.score = self._truth if promising else self._truth + WORSE
        self.stopwatch.padding = NODES // 4 if promising else 0
        loop = self.loop(max_experiments=self.ledger.index(RUN).trained + count + 3)
        loop.attempts.require_space = self.disk().check
        loop.go()
        times, numbers = self.stopwatch.times[2:], self.stopwatch.numbers[2:]
        trainings = [len(self.ledger.experiment(RUN, number).attempts) for number in numbers[:-1]]
        steps = [after - before for before, after in itertools.pairwise(times)]
        return [step / max(count, 1) for step, count in zip(steps, trainings, strict=True)]

    def disk(self) -> DiskBudget:
        attempts = self.workspace.attempts(RUN, 0).parent
        folders = [self.workspace.state]
        return DiskBudget(self.engine, RUN, attempts, 0, folders, 1e6, 0.0, lambda: self.ledger.index(RUN))


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
        counts = [*(count for count in (100, 1000) if count < options.experiments), options.experiments]
        runs = [LongRun(Path(name) / str(count), count) for count in counts]
        many = runs[-1]
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
        print("one step of the loop, CPU s a training, by experiments")
        print(f"{'':15}" + "".join(f"{count:9}" for count in counts))
        for what, promising in (("clearly worse", False), ("promising", True)):
            found = [statistics.median(run.steps(STEPS, promising=promising)) for run in runs]
            print(f"{what:15}" + "".join(f"{step:9.4f}" for step in found))
        print(f"bar: {BAR_S} s of CPU a process: {'missed: ' + ', '.join(missed) if missed else 'met'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
