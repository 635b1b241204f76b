"""Compares the training step of train.py with the same model and optimizer in PyTorch, in one run.

    .venv/bin/python benchmarks/trainer.py [--data FOLDER] [--rounds 6] [--steps 15] [--no-compile] [--gpu]

First prints the equality of the loss and of one optimizer step. Then rounds alternate between the contestants, each in its own process
as its user would start it, so that a busy machine slows all of them. The result is the ratio of medians. Needs
`pip install torch==2.13.0` in the project's environment. `--gpu` uses the first GPU for both and adds MFU, relative to the measured
matmul peak and to the datasheet's.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.evaluation.gpu_peak_rates import peak_tflops

ROOT = Path(__file__).parents[1]
DEFAULT_DATA = Path.home() / ".cache" / "autoresearch" / "data" / "default-cpu"


def cold_start(data: Path, seconds: float) -> dict[str, Any]:
    """Seconds from the start of the process to each stage, from the telemetry of a short training."""
    with tempfile.TemporaryDirectory() as out:
        environment = {
            **os.environ,
            "AUTORESEARCH_DATA": str(data / "train"),
            "AUTORESEARCH_OUT": out,
            "AUTORESEARCH_WALL_CLOCK": str(seconds),
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, str(ROOT / "trainer_jax" / "train.py")]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in (Path(out) / "telemetry.jsonl").read_text().splitlines()]
    stages = {line["stage"]: line["seconds"] for line in lines if "stage" in line}
    stages["first_log"] = next(line["seconds"] for line in lines if "step" in line)
    stages["peak memory, MB"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return stages


class Jax:
    """train.py's own step, as its main() runs it."""

    def __init__(self, train: Any) -> None:
        import jax

        self.t, self.jax = train, jax
        self.optimizer = train.make_optimizer()
        self.step_fn, self.init, self.shared_out = train.make_step(self.optimizer)
        self.params, self.state = self.init(jax.random.key(0))
        leaves, tree = jax.tree.flatten(
            self.params
        )  # matrices that start as zero would let no gradient through
        keys = jax.random.split(jax.random.key(1), len(leaves))
        noisy = [w + 0.05 * jax.random.normal(key, w.shape) for w, key in zip(leaves, keys, strict=True)]
        self.params = jax.device_put(jax.tree.unflatten(tree, noisy), self.params["embed_VxD"].sharding)
        self.initial = jax.device_get(self.params)

    def steps(self, batches: list[Any]) -> float:
        import numpy as np

        for batch in batches:
            rows = self.jax.device_put(batch, self.shared_out)
            self.params, self.state, loss = self.step_fn(self.params, self.state, rows, np.float32(0.5))
        return float(loss)


class Torch:
    def __init__(self, train: Any, params: Any, device: str, *, compiled: bool) -> None:
        import torch
        from torch_reference import Reference, from_jax

        self.torch, self.device = torch, device
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self.reference = Reference(train, from_jax(params, device), dtype)
        self.loss = torch.compile(self.reference.loss) if compiled else self.reference.loss
        self.micro = train.MICRO_BATCHES

    def steps(self, batches: list[Any]) -> float:
        value = 0.0
        for rows in batches:
            tokens = self.torch.from_numpy(rows).long().to(self.device)
            value = self.reference.step(tokens, 0.5, self.loss, self.micro)
        return value


def constants(train: Any) -> dict[str, Any]:
    """What the reference needs of train.py, without the module, because importing it changes the process's memory settings."""
    plain = {
        k: v
        for k, v in vars(train).items()
        if k.isupper() and isinstance(v, int | float | str | list | tuple)
    }
    spans = [train.window(layer, train.T) for layer in range(train.DEPTH)]
    return {
        **plain,
        "spans": spans,
        "bos_id": train.harness.bos_id,
        "scale": float(train.learning_rate_scale(0.5)),
    }


class TorchAlone:
    """PyTorch in its own process, as its user would run it, without JAX's threads and our allocator settings."""

    def __init__(self, train: Any, params: Any, device: str, *, compiled: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        words = (theirs, constants(train), params, device, compiled)
        self.process = context.Process(target=_torch_alone, args=words, daemon=True)
        self.process.start()

    def steps(self, batches: list[Any]) -> float:
        self.pipe.send(batches)
        return float(self.pipe.recv())

    def close(self) -> None:
        self.pipe.send(None)
        self.process.join(10)


def _torch_alone(pipe: Any, plain: dict[str, Any], params: Any, device: str, compiled: bool) -> None:
    spans, scale = plain["spans"], plain["scale"]
    train = types.SimpleNamespace(**plain)
    train.window = lambda layer, _: spans[layer]
    train.harness = types.SimpleNamespace(bos_id=plain["bos_id"])
    train.learning_rate_scale = lambda _: scale
    contestant = Torch(train, params, device, compiled=compiled)
    while (batches := pipe.recv()) is not None:
        pipe.send(contestant.steps(batches))


def equality(ours: Jax, theirs: Torch, batch: Any) -> None:
    """Relative errors of the loss and of every parameter after one step from the same weights."""
    import numpy as np

    a, b = ours.steps([batch]), theirs.steps([batch])
    print(f"loss: ours {a:.6f}  PyTorch {b:.6f}  relative error {abs(a - b) / b:.1e}")
    worst, where = 0.0, ""
    for name, value in ours.jax.device_get(ours.params).items():
        for key, array in value.items() if isinstance(value, dict) else [("", value)]:
            flat = f"{name}/{key}" if key else name
            before = ours.initial[name][key] if key else ours.initial[name]
            other = theirs.reference.p[flat].detach().float().cpu().numpy()
            change = np.linalg.norm(other - before) + 1e-12
            worst, where = max(
                (worst, where), (float(np.linalg.norm(np.asarray(array) - other) / change), flat)
            )
    print(f"one optimizer step: largest relative error of any parameter's change {worst:.1e} ({where})")


def matmul_peak() -> float:
    """FLOP/s of a large bfloat16 matmul on the first device."""
    import jax
    import jax.numpy as jnp

    n = 8192
    a = jnp.ones((n, n), jnp.bfloat16)
    f = jax.jit(lambda a: a @ a)
    f(a).block_until_ready()
    started = time.perf_counter()
    for _ in range(20):
        out = f(a)
    out.block_until_ready()
    return 20 * 2 * n**3 / (time.perf_counter() - started)


def datasheet_peak(device_kind: str) -> float | None:
    """FLOP/s by the maker's datasheet; None for a device that is not in the table."""
    peak = peak_tflops(device_kind)
    return None if peak is None else 1e12 * peak


def flops_per_token(train: Any, params: Any) -> float:
    """6 per matrix parameter and token, and 12 per layer, width and position attended (Chowdhery et al. 2022, app. B)."""
    matrices = sum(
        value.size
        for name, value in params.items()
        if ("_Lx" in name and name.split("_")[0] not in {"value", "conv"}) or name == "unembed_DxV"
    )
    spans = sum(train.window(layer, train.T) for layer in range(train.DEPTH))
    return 6.0 * matrices + 12.0 * train.HEADS * train.HEAD_WIDTH * spans


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument(
        "--cold", type=float, default=30.0, help="wall clock of the cold start's run; 0 leaves it out"
    )
    options = parser.parse_args()
    if options.cold:
        print(
            "cold start, seconds:",
            {k: round(v, 1) for k, v in cold_start(options.data, options.cold).items()},
        )

    os.environ.update(AUTORESEARCH_DATA=str(options.data / "train"), AUTORESEARCH_OUT=tempfile.mkdtemp())
    sys.path.insert(0, str(ROOT))
    train = importlib.import_module("trainer_jax.train")
    device = "cuda" if options.gpu else "cpu"
    batches = train.harness.batches(train.BATCH)
    ours = Jax(train)
    if not options.gpu:
        equality(ours, Torch(train, ours.initial, device, compiled=False), next(batches))
    alone = {"torch eager": TorchAlone(train, ours.initial, device, compiled=False)}
    if not options.no_compile:
        alone["torch.compile"] = TorchAlone(train, ours.initial, device, compiled=True)
    contestants: dict[str, Callable[[list[Any]], float]] = {"train.py": ours.steps}
    contestants |= {name: torch.steps for name, torch in alone.items()}
    for name, steps in contestants.items():
        started = time.perf_counter()
        steps([next(batches), next(batches)])
        print(f"{name}: first two steps {time.perf_counter() - started:.1f} s", flush=True)
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    waited = 0.0
    for _ in range(options.rounds):
        for name, steps in contestants.items():
            started = time.perf_counter()
            data = [next(batches) for _ in range(options.steps)]
            waited += time.perf_counter() - started
            started = time.perf_counter()
            steps(data)
            speeds[name].append(options.steps * train.BATCH * train.T / (time.perf_counter() - started))
    median = functools.reduce(lambda d, n: {**d, n: statistics.median(speeds[n])}, speeds, {})
    for name, speed in median.items():
        print(f"{name:14s} {speed:12,.0f} tokens/s   train.py is {median['train.py'] / speed:5.2f} x")
    for torch in alone.values():
        torch.close()
    if options.gpu:
        peak = matmul_peak()
        used = median["train.py"] * flops_per_token(train, ours.initial)
        print(f"MFU {used / peak:.1%} of the measured matmul peak of {peak / 1e12:.0f} TFLOP/s")
        kind = ours.jax.devices()[0].device_kind
        if promised := datasheet_peak(kind):
            print(f"MFU {used / promised:.1%} of the {promised / 1e12:.0f} TFLOP/s of the datasheet ({kind})")


if __name__ == "__main__":
    main()
