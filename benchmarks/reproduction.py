"""How many trainings give the same weights when they are replayed on a busy machine.

    .venv/bin/python -m benchmarks.reproduction                        # ten, some 15 minutes; needs engine, images, data
    .venv/bin/python -m benchmarks.reproduction --count 2 --first 3    # some of them

Each training is the shipped train.py with its own seed, stored as a snapshot image. Every second one is given a longer wall clock
than it has and is killed, so that its newest weights are some steps older than its end. During a replay as many busy loops run as the
machine has CPUs.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from judge.judge import JUDGE_VERSION
from runner.evaluation.pipeline import Ids, Pipeline
from runner.evaluation.setup import Environment, set_up
from runner.results.reproduction import Reproduction, reproduce
from runner.results.snapshot import SnapshotContents, build_snapshot, read_labels, snapshot_tag
from runner.store.config import Config

SCRIPT = Path(__file__).parents[1] / "trainer_jax" / "train.py"


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--count", type=int, default=10)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--wall-clock", default="25s")
    options.add_argument("--data", default="")
    given = options.parse_args()
    environment = set_up(Config(wall_clock=given.wall_clock, data=given.data))
    run = f"bench-{secrets.token_hex(3)}"
    back = done = 0
    print("| # | killed | recorded s | replay s | verdict | weights |\n|---|---|---|---|---|---|")
    for number in range(given.first, given.first + given.count):
        with tempfile.TemporaryDirectory(prefix="autoresearch-bench-") as name:
            Path(name).chmod(0o755)
            line = once(environment, run, number, Path(name))
        if line is not None:
            done += 1
            killed, seconds, found = line
            back += found.weights_equal is True
            weights = "equal" if found.weights_equal else f"differ ({found.reason})"
            print(
                f"| {number} | {'yes' if killed else 'no'} | {seconds:.1f} | {found.evaluations[0].seconds:.1f} | {found.verdict} | "
                f"{weights} |",
                flush=True,
            )
    print(
        f"{back} of {done} came back by hash; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs at the end"
    )


def once(
    environment: Environment, run: str, number: int, folder: Path
) -> tuple[bool, float, Reproduction] | None:
    """Train, store as an image, replay while `hogs` run. None if the training itself had no score."""
    pipeline = environment.pipeline
    wall_clock = pipeline.limits.wall_clock_s
    if number % 2:
        pipeline = replace(pipeline, announced_wall_clock_s=1.3 * wall_clock)
    evaluation = pipeline.evaluate(
        SCRIPT.read_bytes(), Ids(run, str(number), 1), seed=1000 + number, folder=folder / "kept"
    )
    if evaluation.val_bpb is None or evaluation.params_sha256 is None:
        print(
            f"training {number} had no score: {evaluation.outcome} {evaluation.reason or ''}", file=sys.stderr
        )
        return None
    kept = SnapshotContents(
        run=run,
        number=number,
        title="benchmark",
        seed=evaluation.seed,
        val_bpb=evaluation.val_bpb,
        mean_val_bpb=evaluation.val_bpb,
        repeats=1,
        sigma=0.01,
        freedom=2,
        gain=0.0,
        test_bpb=None,
        limits=replace(pipeline.limits, wall_clock_s=pipeline.announced_wall_clock_s or wall_clock),
        preset=pipeline.preset,
        cpu_share=pipeline.cpu_share,
        conditions=environment.conditions,
        params_sha256=evaluation.params_sha256,
        judge_version=JUDGE_VERSION,
        kept_at=0.0,
    )
    image = build_snapshot(
        environment.engine,
        environment.images.candidate,
        kept,
        evaluation.folder,
        environment.data / "manifest.json",
    )

    def pipeline_for(name: str, wall_clock_s: float) -> Pipeline:
        return replace(
            environment.pipeline,
            image=name,
            limits=replace(environment.pipeline.limits, wall_clock_s=wall_clock_s),
        )

    try:
        with hogs():
            facts = read_labels(environment.engine, snapshot_tag(run, number))
            cpu = environment.conditions.cpu_model
            found = reproduce(
                environment.engine, facts, pipeline_for, folder / "again", exact=True, cpu_model=cpu
            )
    finally:
        environment.engine.remove_image(image.id)
    return evaluation.timed_out, evaluation.seconds, found


@contextmanager
def hogs() -> Iterator[None]:
    """One busy loop per CPU."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
