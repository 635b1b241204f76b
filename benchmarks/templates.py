"""The templates of `autoresearch init` side by side: cold start and training step, by turns in one run.

    .venv/bin/python -m benchmarks.templates [--data FOLDER] [--rounds 6] [--steps 15] [--cold 3]

The cold start is a process of its own that ends after two steps; its CPU seconds are those of all its threads. The result is the ratio
of medians to the default template.
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.trainer import DEFAULT_DATA, ROOT
from runner.store.workspace import TEMPLATES


def cold_start(script: str, data: Path) -> tuple[float, float]:
    """Seconds and CPU seconds of a process that trains for two steps."""
    with tempfile.TemporaryDirectory() as out:
        environment = {**os.environ, "AUTORESEARCH_DATA": str(data / "train"), "AUTORESEARCH_OUT": out}
        environment |= {"AUTORESEARCH_COMPILE_CHECK": "1", "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, str(ROOT / "trainer_jax" / script)]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return time.perf_counter() - started, cpu


def stepper(train: Any) -> Callable[[list[Any]], None]:
    """Trains on the batches that it is given, from a new model on."""
    import jax
    import numpy as np

    step, init, rows_sharding = train.make_step(train.make_optimizer())
    params, state = init(jax.random.key(0))

    def steps(batches: list[Any]) -> None:
        nonlocal params, state
        for batch in batches:
            rows = jax.device_put(batch, rows_sharding)
            params, state, _ = step(params, state, rows, np.float32(0.1))
        jax.block_until_ready(params)

    return steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--cold", type=int, default=3, help="cold starts of each; 0 leaves them out")
    options = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {name: {} for name in TEMPLATES}

    def note(template: str, what: str, value: float) -> None:
        found[template].setdefault(what, []).append(value)

    for _ in range(options.cold):
        for name, script in TEMPLATES.items():
            seconds, cpu = cold_start(script, options.data)
            note(name, "cold start, s", seconds)
            note(name, "cold start, CPU s", cpu)
    os.environ.update(
        AUTORESEARCH_DATA=str(options.data / "train"),
        AUTORESEARCH_OUT=tempfile.mkdtemp(),
        JAX_PLATFORMS="cpu",
    )
    modules = {
        name: importlib.import_module(f"trainer_jax.{Path(file).stem}") for name, file in TEMPLATES.items()
    }
    train = modules["default"]
    batches, steppers = train.harness.batches(train.BATCH), {n: stepper(m) for n, m in modules.items()}
    for steps in steppers.values():
        steps([next(batches), next(batches)])
    for _ in range(options.rounds):
        for name, steps in steppers.items():
            data = [next(batches) for _ in range(options.steps)]
            started, cpu = time.perf_counter(), time.process_time()
            steps(data)
            note(name, "step, ms", 1000 * (time.perf_counter() - started) / options.steps)
            note(name, "step, CPU ms", 1000 * (time.process_time() - cpu) / options.steps)
    for what, values in found["default"].items():
        for name in TEMPLATES:
            median = statistics.median(found[name][what])
            print(
                f"{what:18s} {name:8s} {median:8.1f}   {median / statistics.median(values):5.2f} x the default"
            )


if __name__ == "__main__":
    main()
