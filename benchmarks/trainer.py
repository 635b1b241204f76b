"""Compares the training step of train.py with the same model and optimizer in PyTorch, in one run.

    .venv/bin/python -m benchmarks.trainer [--data FOLDER] [--rounds 6] [--steps 15] [--no-compile] [--gpu]

First prints the equality of the loss and of one optimizer step. Then rounds alternate between the contestants, each in its own process
as its user would start it, so that a busy machine slows all of them. The result is the ratio of medians. Needs
`pip install torch==2.13.0` in the project's environment. `--gpu` uses the first GPU for both and adds MFU, relative to the measured
matmul peak and to the datasheet's. benchmarks/gpu.py uses the parts of it on a machine with a GPU alone.
"""

from __future__ import annotations

import argparse
import contextlib
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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.evaluation.gpu_peak_rates import peak_tflops

ROOT = Path(__file__).parents[1]
DEFAULT_DATA = Path.home() / ".cache" / "autoresearch" / "data" / "default-cpu"
MFU = (
    "MFU = tokens/s x FLOPs per token / peak FLOP/s. FLOPs per token = 6 x parameters of the matrices of all layers and of the output "
    "+ 12 x heads x head width x positions attended, summed over the layers (Chowdhery et al. 2022, appendix B; the causal half is not "
    "taken off). Embeddings, gates, convolutions and the optimizer count nothing."
)


def last_words(log: str) -> str:
    """The one line of a failed process that says most."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    words = ("Unknown flag", "Illegal value", "Error", "RESOURCE_EXHAUSTED")
    telling = [line for line in lines if any(word in line for word in words)]
    return (telling or lines or ["it said nothing"])[-1][:400]


def train_once(
    data: Path, out: Path, seconds: float, environment: Mapping[str, str] | None = None, grace: float = 60.0
) -> list[dict[str, Any]]:
    """A training by train.py in a process of its own: the lines of its telemetry. The artifact is in `out`.

    It is ended `grace` seconds after its wall clock; what it has written by then is there. Raises RuntimeError with what it said last.
    """
    environment = {
        **os.environ,
        "AUTORESEARCH_DATA": str(data / "train"),
        "AUTORESEARCH_OUT": str(out),
        "AUTORESEARCH_WALL_CLOCK": str(seconds),
        "PYTHONPATH": str(ROOT),
        **(environment or {}),
    }
    command = [sys.executable, str(ROOT / "trainer_jax" / "train.py")]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(command, env=environment, timeout=seconds + grace, check=False, **quiet)
        if done.returncode:
            raise RuntimeError(f"train.py ended with code {done.returncode}: {last_words(done.stderr)}")
    return [json.loads(line) for line in (out / "telemetry.jsonl").read_text().splitlines()]


def stages(lines: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Seconds from the start of the process to each stage of a cold start, and to the first line of the log."""
    found = {line["stage"]: line["seconds"] for line in lines if "stage" in line}
    return found | {"first_log": next(line["seconds"] for line in lines if "step" in line)}


def cold_start(data: Path, seconds: float) -> dict[str, float]:
    """The stages of a short training, and its peak memory."""
    with tempfile.TemporaryDirectory() as out:
        found = stages(train_once(data, Path(out), seconds))
    return found | {"peak memory, MB": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024}


def load_train(data: Path) -> Any:
    """The module trainer_jax.train. Importing it starts JAX, so nobody does at the start."""
    os.environ.update(AUTORESEARCH_DATA=str(data / "train"), AUTORESEARCH_OUT=tempfile.mkdtemp())
    return importlib.import_module("trainer_jax.train")


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

        from benchmarks.torch_reference import Reference, from_jax

        self.torch, self.device = torch, device
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self.reference = Reference(train, from_jax(params, device), dtype)
        self.loss = torch.compile(self.reference.loss) if compiled else self.reference.loss
        self.micro = train.MICRO_BATCHES

    def steps(self, batches: list[Any]) -> float:
        value = 0.0
        for rows in batches:
            value = self._step(self.torch.from_numpy(rows).long().to(self.device))
        return value

    def _step(self, tokens: Any) -> float:
        """In twice as many micro-batches as before where the device's memory does not suffice."""
        while True:
            try:
                return float(self.reference.step(tokens, 0.5, self.loss, self.micro))
            except self.torch.OutOfMemoryError:
                if self.micro >= len(tokens):
                    raise
            self.micro *= 2
            for weight in self.reference.p.values():
                weight.grad = None
            self.torch.cuda.empty_cache()


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

    def __init__(
        self, train: Any, params: Any, device: str, *, compiled: bool, micro: int | None = None
    ) -> None:
        """`micro` is the number of micro-batches to begin with, train.py's if not said."""
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        plain = constants(train) | ({"MICRO_BATCHES": micro} if micro else {})
        words = (theirs, plain, params, device, compiled)
        self.process = context.Process(target=_torch_alone, args=words, daemon=True)
        self.process.start()
        theirs.close()
        self.micro_batches = 0
        """Of its last step."""

    def steps(self, batches: list[Any], seconds: float | None = None) -> float:
        """The loss (nats) of the last of these steps. Raises RuntimeError with what PyTorch said, or after `seconds`."""
        self.pipe.send(batches)
        if not self.pipe.poll(seconds):
            raise RuntimeError(f"no answer within {seconds:.0f} s")
        try:
            loss, self.micro_batches = self.pipe.recv()
        except EOFError as error:
            raise RuntimeError("the process of PyTorch ended") from error
        if isinstance(loss, str):
            raise RuntimeError(loss)
        return float(loss)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.pipe.send(None)
        self.process.join(10)
        self.process.kill()


def _torch_alone(pipe: Any, plain: dict[str, Any], params: Any, device: str, compiled: bool) -> None:
    spans, scale = plain["spans"], plain["scale"]
    train = types.SimpleNamespace(**plain)
    train.window = lambda layer, _: spans[layer]
    train.harness = types.SimpleNamespace(bos_id=plain["bos_id"])
    train.learning_rate_scale = lambda _: scale
    contestant = None
    while (batches := pipe.recv()) is not None:
        try:
            contestant = contestant or Torch(train, params, device, compiled=compiled)
            pipe.send((contestant.steps(batches), contestant.micro))
        except Exception as error:  # whatever PyTorch says, the other contestants go on
            pipe.send((f"{type(error).__name__}: {error}"[:400], 0))


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
    """FLOP/s of a large bfloat16 matmul of random numbers on the first device."""
    from trainer_jax.canary import matmul_tflops

    return 1e12 * matmul_tflops(8192)


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

    train = load_train(options.data)
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
    median = {name: statistics.median(values) for name, values in speeds.items()}
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
