"""What the sandbox costs: speed inside relative to outside, seconds to the first line of Python, seconds to a verified death.

    .venv/bin/python -m benchmarks.sandbox            # about a minute; needs the engine, the images and a quiet machine

Inside and outside run by turns on the same CPU, so that load on the machine slows both.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runner.images.build import find_images
from sandbox.docker_engine import DockerEngine
from sandbox.outcome import Ending, Outcome
from sandbox.spec import MIB, Job, Lease, Limits, Output, Role

TURNS = 3
STARTS, KILLS = 10, 5
PYTHON = "/opt/venv/bin/python"
# Steps of a small language model: embedding, two wide layers, softmax over the vocabulary, gradient descent.
TRAINING = """
import time
import jax, jax.numpy as jnp
V, D, B, T = 2048, 256, 8, 256
key = jax.random.key(0)
params = {"embed": jax.random.normal(key, (V, D)) * 0.02, "up": jax.random.normal(key, (D, 4 * D)) * 0.02,
          "down": jax.random.normal(key, (4 * D, D)) * 0.02}
tokens = jax.random.randint(key, (B, T + 1), 0, V)
def loss(p):
    x = p["embed"][tokens[:, :-1]]
    x = x + jax.nn.gelu(x @ p["up"]) @ p["down"]
    logits = jax.nn.log_softmax(x @ p["embed"].T)
    return -jnp.take_along_axis(logits, tokens[:, 1:, None], axis=-1).mean()
step = jax.jit(lambda p: jax.tree.map(lambda a, g: a - 0.1 * g, p, jax.grad(loss)(p)))
params = jax.block_until_ready(step(params))
started, steps = time.perf_counter(), 0
while time.perf_counter() - started < 4.0:
    params = jax.block_until_ready(step(params))
    steps += 1
print("tokens/s", steps * B * T / (time.perf_counter() - started))
"""
STUBBORN = """
import os, signal, time
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
for _ in range(20):
    if os.fork() == 0: break
while True: time.sleep(1)
"""


class Bench:
    def __init__(self, engine: DockerEngine, image: str, folder: Path) -> None:
        self.engine, self.image, self.folder = engine, image, folder
        self.cpu = min(os.sched_getaffinity(0))
        self._count = 0

    def inside(self, program: str, *, wall_clock_s: float = 60.0) -> Outcome:
        self._count += 1
        destination = self.folder / str(self._count)
        destination.mkdir()
        return self.engine.run(
            Job(
                run="benchmark",
                experiment="0",
                attempt=self._count,
                role=Role.PROBE,
                image=self.image,
                command=(PYTHON, "-I", "-B", "-u", "-c", program),
                limits=Limits(wall_clock_s=wall_clock_s, memory_bytes=2048 * MIB, out_bytes=MIB),
                lease=Lease(cpus=(self.cpu,)),
                destination=destination,
                outputs=(Output("none", 1),),
                environment={"JAX_PLATFORMS": "cpu"},
            )
        )

    def outside(self, program: str) -> str:
        """The same program on the same CPU as a plain process on the host."""
        result = subprocess.run(
            ["taskset", "--cpu-list", str(self.cpu), sys.executable, "-I", "-B", "-u", "-c", program],
            env={"PATH": os.environ["PATH"], "HOME": "/tmp", "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            check=True,
        )
        return result.stdout


def rate(text: str) -> float:
    return float(text.split("tokens/s")[1])


def main() -> int:
    engine = DockerEngine.connect()
    image = find_images(engine).candidate.id
    version = engine.client.version()
    with tempfile.TemporaryDirectory(prefix="autoresearch-benchmark-") as folder:
        bench = Bench(engine, image, Path(folder))
        print(f"engine {version['Version']}, kernel {version['KernelVersion']}, CPU {bench.cpu}")

        pairs = []
        for _ in range(TURNS):
            outside, inside = rate(bench.outside(TRAINING)), rate(bench.inside(TRAINING).log_tail)
            pairs.append(inside / outside)
            print(f"tokens/s      outside {outside:9.0f}   inside {inside:9.0f}   ratio {pairs[-1]:.3f}")
        print(f"speed         inside / outside {statistics.median(pairs):.3f} (median of {TURNS})")

        starts = []
        for _ in range(STARTS):
            asked = time.time()
            starts.append(float(bench.inside("import time; print(time.time())").log_tail) - asked)
        print(f"first line    {_spread(starts)} s after the request (median, most of {STARTS})")

        whole = []
        for _ in range(STARTS):
            asked = time.monotonic()
            bench.inside("pass")
            whole.append(time.monotonic() - asked)
        print(f"whole job     {_spread(whole)} s from request to everything removed, for an empty program")

        deaths = []
        for _ in range(KILLS):
            outcome = bench.inside(STUBBORN, wall_clock_s=2.0)
            assert outcome.ending is Ending.TIMED_OUT, outcome
            deaths.append(outcome.seconds - 2.0)
        print(
            f"death         {_spread(deaths)} s from the deadline to verified dead (median, most of {KILLS})"
        )
    left = engine.remnants("benchmark")
    print(f"left behind   {len(left)}")
    return 1 if left else 0


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f}, {max(values):.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
