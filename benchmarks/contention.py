"""What a busy machine does to a training: by the wall clock alone, and by CPU time as well, side by side.

    .venv/bin/python -m benchmarks.contention                             # 30 trainings, some 20 minutes; needs engine, images, data
    .venv/bin/python -m benchmarks.contention --wall-clock 60s --rounds 3 --busy 0 1

The shipped train.py is trained with nothing beside it, with a busy loop on one of the leased CPUs, and with one on each; each time
with both clocks, by turns. The loops end before the judge begins. Tokens are what the script says it trained on; CPU
seconds and what others had are the host's.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from runner.evaluation.contention import CPU_SHARE, OTHERS_SHARE
from runner.evaluation.pipeline import Ids, Pipeline
from runner.evaluation.setup import set_up
from runner.protocols import EvaluationOutcome, State
from runner.store.config import Config
from sandbox.cpu_use import CpuUse, busy_share
from sandbox.engine import Engine
from sandbox.outcome import Outcome
from sandbox.spec import Job, Role

SCRIPT = Path(__file__).parents[1] / "trainer_jax" / "train.py"
CLOCKS = {"wall": 0.0, "CPU": CPU_SHARE}


@dataclass(frozen=True, slots=True)
class Training:
    val_bpb: float
    tokens: int
    seconds: float
    cpu: CpuUse
    contended: bool


class Seen:
    """An engine that keeps the outcome of the last training."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.last: Outcome | None = None

    def run(self, job: Job) -> Outcome:
        outcome = self._engine.run(job)
        if job.role is Role.TRAIN:
            self.last = outcome
        return outcome


@contextmanager
def busy(cpus: Sequence[int]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """A process on each of `cpus` that does nothing but count."""
    loops = [
        subprocess.Popen(["taskset", "--cpu-list", str(cpu), sys.executable, "-c", "while True: pass"])
        for cpu in cpus
    ]
    try:
        yield loops
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def train(pipeline: Pipeline, run: str, number: int, cpus: Sequence[int], folder: Path) -> Training:
    """Its val_bpb is NaN where the wall clock ended it before it saved weights. Raises RuntimeError where there is no score for another
    reason."""
    seen = Seen(pipeline.engine)
    with busy(cpus) as loops:

        def progress(state: State) -> None:
            if state is State.TRAINED:
                for loop in loops:
                    loop.kill()

        evaluation = replace(pipeline, engine=seen).evaluate(  # type: ignore[arg-type]
            SCRIPT.read_bytes(), Ids(run, "0", number), seed=number, folder=folder, progress=progress
        )
    late = evaluation.outcome is EvaluationOutcome.TIMEOUT_NO_ARTIFACT
    if (evaluation.val_bpb is None and not late) or seen.last is None or seen.last.cpu is None:
        raise RuntimeError(f"{evaluation.outcome} {evaluation.reason or ''} {evaluation.detail}")
    telemetry = folder / "telemetry.jsonl"
    lines = [json.loads(line) for line in telemetry.read_text().splitlines()] if telemetry.exists() else []
    tokens = max((line["tokens"] for line in lines if "tokens" in line), default=0)
    score = math.nan if evaluation.val_bpb is None else evaluation.val_bpb
    return Training(score, tokens, evaluation.seconds, seen.last.cpu, evaluation.contended)


def row(loops: int, clock: str, found: Sequence[Training]) -> str:
    scored = [t for t in found if not math.isnan(t.val_bpb)]
    bpb, tokens = [t.val_bpb for t in scored], [t.tokens / 1e3 for t in found]
    seconds = sorted(t.seconds for t in found)
    cpu, others = sorted(t.cpu.own_s for t in found), sorted(t.cpu.others_share for t in found)
    marked = sum(t.contended for t in found)
    return (
        f"| {loops} | {clock} | {_mean(bpb):.4f} | {_sd(bpb):.4f} | {min(tokens):.0f} to {max(tokens):.0f} | "
        f"{_sd(tokens) / max(_mean(tokens), 1e-9):.1%} | {seconds[0]:.1f} to {seconds[-1]:.1f} | {cpu[0]:.1f} to {cpu[-1]:.1f} | "
        f"{others[0]:.0%} to {others[-1]:.0%} | {marked} of {len(found)} | {len(found) - len(scored)} |"
    )


def _mean(values: Sequence[float]) -> float:
    return statistics.mean(values) if values else math.nan


def _sd(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else math.nan


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--wall-clock", default="30s")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument(
        "--busy", type=int, nargs="+", default=[0, 1, 2], help="how many CPUs have a busy loop"
    )
    options.add_argument("--clocks", nargs="+", choices=list(CLOCKS), default=list(CLOCKS))
    options.add_argument("--data", default="")
    given = options.parse_args()
    environment = set_up(Config(wall_clock=given.wall_clock, data=given.data))
    cpus = sorted(os.sched_getaffinity(0))
    run = f"bench-{secrets.token_hex(3)}"
    found: dict[tuple[int, str], list[Training]] = {}
    number = 0
    for _ in range(given.rounds):
        for loops in given.busy:
            for clock in given.clocks:
                number += 1
                while (share := busy_share(cpus, 2.0)) > OTHERS_SHARE / 2:
                    print(f"waiting: others use {share:.0%} of the CPUs", file=sys.stderr)
                    time.sleep(10.0)
                pipeline = replace(environment.pipeline, cpu_share=CLOCKS[clock])
                with tempfile.TemporaryDirectory(prefix="autoresearch-bench-") as name:
                    Path(name).chmod(0o755)
                    training = train(pipeline, run, number, cpus[:loops], Path(name) / "kept")
                found.setdefault((loops, clock), []).append(training)
                print(f"{loops} {clock} {training}", file=sys.stderr, flush=True)
    print(
        "| loops | clock | val_bpb | its sd | k tokens | their sd | wall s | CPU s | others | contended | no weights |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for (loops, clock), trainings in sorted(found.items()):
        print(row(loops, clock, trainings))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
