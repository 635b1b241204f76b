"""The parts of benchmarks/gpu.py: each starts its processes, one after the other, and gives what they found."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.trainer import last_words, stages, train_once
from judge.container import CPU_ENVIRONMENT, GPU_ENVIRONMENT
from runner.evaluation.pipeline import GPU_XLA_FLAGS
from sandbox.engine import SandboxError
from sandbox.nvml import NvmlProbe

ROOT = Path(__file__).resolve().parents[1]
Found = dict[str, Any]
MARGIN_S = 8.0
"""Of all the time, kept for writing and ending."""
COMMAND_BUFFERS = "--xla_gpu_enable_command_buffer="
FIELD = "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN"
"""XLA's own default in 2025 (debug_options_flags.cc); later versions add slices in loops. An empty list switches command buffers off,
"+WHILE" adds to the default."""


@dataclass(frozen=True)
class Variant:
    """Flags beside, or instead of, those of a training, and environment variables; `cap_s` ends it."""

    flags: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    instead: bool = False
    cap_s: float = 40.0


@dataclass(frozen=True)
class Sizes:
    device: str
    flags: str
    """XLA's, of a training."""
    wall_clock_s: float
    steps: int
    """Timed steps of a choice."""
    round_steps: int
    """Of train.py and of PyTorch, by turns."""
    rounds: int
    repeats: int
    """Of the validation text in the forward pass."""
    micro_batches: Sequence[Sequence[int]]
    """Beside the preset's; the numbers of a group share a process, the one that needs least memory first."""
    variants: Mapping[str, Variant]
    caps: Mapping[str, float]
    """Seconds of a part at most."""
    compilation_cache: bool = False
    """Shared by all processes, to save time where no time is measured."""


SIZES = Sizes(
    device="cuda",
    flags=GPU_XLA_FLAGS,
    wall_clock_s=120.0,
    steps=8,
    round_steps=6,
    rounds=3,
    repeats=8,
    micro_batches=((8,), (2, 1)),
    variants={
        "no command buffers": Variant(COMMAND_BUFFERS),
        f"command buffers {FIELD}": Variant(COMMAND_BUFFERS + FIELD),
        "allocator cuda_async": Variant(environment={"XLA_PYTHON_CLIENT_ALLOCATOR": "cuda_async"}),
        "command buffers of loops, too": Variant(f"{COMMAND_BUFFERS}+WHILE"),
        "autotuning on, no Triton GEMM": Variant(
            "--xla_gpu_enable_triton_gemm=false", instead=True, cap_s=60.0
        ),
    },
    caps={
        "canary": 60,
        "training": 150,
        "judge": 120,
        "forward": 60,
        "speed": 170,
        "determinism": 90,
        "choices": 250,
    },
)
DRY_RUN = Sizes(
    device="cpu",
    flags="--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",  # compiles quickly
    wall_clock_s=60.0,
    steps=2,
    round_steps=2,
    rounds=2,
    repeats=1,
    micro_batches=((1,),),
    variants={"a flag that XLA does not know": Variant("--xla_no_such_flag=true")},
    caps=dict.fromkeys(SIZES.caps, 120.0),
    compilation_cache=True,
)


def environment(data: Path) -> Found:
    """What the numbers hold for."""
    found: Found = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.platform(),
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": {},
        "xla_flags": {"training": GPU_XLA_FLAGS, "judge": GPU_ENVIRONMENT["XLA_FLAGS"]},
        "data": json.loads((data / "train" / "meta.json").read_text()),
    }
    for package in ("jax", "jaxlib", "jax-cuda13-plugin", "flax", "optax", "numpy", "torch"):
        try:
            found["versions"][package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found["versions"][package] = None
    return found


def gpus() -> Found:
    """What the driver says of itself and of every GPU, or why it does not."""
    try:
        probe = NvmlProbe()
        driver = probe.driver()
        return {
            "driver": None if driver is None else asdict(driver),
            "gpus": [asdict(gpu) | {"state": asdict(probe.state(gpu.uuid))} for gpu in probe.gpus()],
        }
    except (SandboxError, ImportError) as error:
        return {"failed": str(error)}


@dataclass(frozen=True)
class Session:
    """One run of the benchmark; `deadline` is on the monotonic clock."""

    data: Path
    scratch: Path
    sizes: Sizes
    deadline: float

    def run(self, name: str, report: Found) -> Found:
        """What the part found, or why it did not. Never raises for what a part does."""
        left = self.left()
        if left < 10:
            return {"failed": f"no time: {max(left, 0):.0f} s were left"}
        try:
            return PARTS[name](self, min(left, self.sizes.caps[name]), report)
        except Exception as error:  # the other parts go on
            return {"failed": f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]}

    def left(self) -> float:
        return self.deadline - time.monotonic() - MARGIN_S

    @property
    def gpu(self) -> bool:
        return self.sizes.device == "cuda"

    @property
    def artifact(self) -> Path:
        return self.scratch / "artifact"

    def training_environment(self, variant: Variant | None = None) -> dict[str, str]:
        """What a training's container gets, as in runner/evaluation/pipeline.py."""
        variant = variant or Variant()
        flags = " ".join([*([] if variant.instead else [self.sizes.flags]), variant.flags]).strip()
        found = {"JAX_PLATFORMS": self.sizes.device, "XLA_FLAGS": flags, **variant.environment}
        if self.sizes.compilation_cache:
            found |= {"JAX_COMPILATION_CACHE_DIR": str(self.scratch / "compiled")}
            found |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        return found

    def process(self, words: Sequence[str], environment: Mapping[str, str], cap_s: float) -> tuple[str, str]:
        """Standard output, and why it failed, in one sentence or "". All that it started is ended with it."""
        cap_s = min(cap_s, self.left())
        if cap_s < 1:
            return "", f"no time: {max(cap_s, 0):.0f} s were left"
        scratch = self.scratch / "tmp"
        scratch.mkdir(exist_ok=True)
        with (self.scratch / "stdout").open("w+") as out, (self.scratch / "stderr").open("w+") as err:
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=ROOT,
                env={**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": _path(), **environment},
                stdout=out,
                stderr=err,
                process_group=0,
            )
            why = ""
            try:
                if code := process.wait(cap_s):
                    err.seek(0)
                    why = f"it ended with code {code}: {last_words(err.read())}"
            except subprocess.TimeoutExpired:
                why = f"it was ended after {cap_s:.0f} s"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            out.seek(0)
            return out.read(), why

    def measure(self, name: str, arguments: Found, environment: Mapping[str, str], cap_s: float) -> Found:
        """What a function of benchmarks/gpu_measurements.py found in a process of its own."""
        result = self.scratch / "result.json"
        result.unlink(missing_ok=True)
        words = ["-m", "benchmarks.gpu_measurements", name]
        _, why = self.process(
            [*words, json.dumps({"data": str(self.data), **arguments}), str(result)], environment, cap_s
        )
        found: Found = json.loads(result.read_text()) if result.is_file() else {}
        return found | ({"failed": why} if why else {})


def _path() -> str:
    """This checkout first, then what the user has set."""
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def canary(session: Session, seconds: float, _: Found) -> Found:
    out, why = session.process(["-m", "trainer_jax.canary"], session.training_environment(), seconds)
    found: Found = json.loads(out.strip().splitlines()[-1]) if not why else {}
    return found | ({"failed": why} if why else {})


def training(session: Session, seconds: float, _: Found) -> Found:
    sizes = session.sizes
    wall_clock = min(sizes.wall_clock_s, seconds - 15)
    session.artifact.mkdir(exist_ok=True)
    started = time.monotonic()
    # a dry run ends by the steps of a compile check
    extra = {"AUTORESEARCH_COMPILE_CHECK": "0" if session.gpu else "1", "PYTHONPATH": _path()}
    lines = train_once(
        session.data,
        session.artifact,
        wall_clock,
        session.training_environment() | extra,
        grace=15.0,
    )
    found: Found = {
        "wall_clock_s": wall_clock,
        "process_s": time.monotonic() - started,
        "stages": stages(lines),
    }
    logs = [line for line in lines if "step" in line]
    last = logs[-1]
    found |= {name: last[name] for name in ("step", "tokens", "loss", "progress")}
    by_itself = "its share of the text (MAX_EPOCHS)" if session.gpu else "its two steps of a compile check"
    found["ended_by"] = "the clock" if last["progress"] > 0.98 else by_itself
    if len(logs) > 3:  # the first holds the compilation's rest
        first = logs[1]
        found["tokens_per_s"] = (last["tokens"] - first["tokens"]) / (last["seconds"] - first["seconds"])
        found["seconds_a_step"] = (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])
    return found


def judge(session: Session, seconds: float, _: Found) -> Found:
    from benchmarks.local_judge import score

    if not (session.artifact / "params.safetensors").is_file():
        return {"failed": "there is no artifact: the part training has not made one"}
    verdict, took, log = score(session.data, session.artifact, "GPU" if session.gpu else None, seconds)
    found: Found = {"val_bpb": verdict.val_bpb, "verdict_s": verdict.seconds, "jobs_s": took}
    if verdict.val_bpb is None:
        found["failed"] = (
            f"the judge refuses it: {verdict.reason or verdict.infrastructure}: {last_words(log)}"
        )
    return found


def forward(session: Session, seconds: float, _: Found) -> Found:
    if not (session.artifact / "params.safetensors").is_file():
        return {"failed": "there is no artifact: the part training has not made one"}
    flags = GPU_ENVIRONMENT if session.gpu else CPU_ENVIRONMENT
    arguments = {"artifact": str(session.artifact), "batch": 16, "repeats": session.sizes.repeats}
    ended = time.monotonic() + seconds
    first, again = (
        session.measure("forward", arguments, flags, min(seconds, ended - time.monotonic())) for _ in range(2)
    )
    return first | {"again": again, "equal": _equal(first, again), **_first_failure(first, again)}


def _equal(first: Found, again: Found) -> bool | None:
    """None where one of them has no hash."""
    hashes = {first.get("sha256"), again.get("sha256")}
    return None if None in hashes else len(hashes) == 1


def _first_failure(*found: Found) -> Found:
    return next(({"failed": one["failed"]} for one in found if "failed" in one), {})


def speed(session: Session, seconds: float, _: Found) -> Found:
    sizes = session.sizes
    # room for PyTorch beside JAX, which takes three quarters of the memory at the start if nobody says otherwise
    room = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.65"}
    arguments = {
        "seconds": seconds - 8,
        "count": sizes.round_steps,
        "rounds": sizes.rounds,
        "torch": session.gpu and importlib.util.find_spec("torch") is not None,
    }
    return session.measure("speed", arguments, session.training_environment() | room, seconds)


def determinism(session: Session, seconds: float, _: Found) -> Found:
    arguments = {"micro_batches": [0], "count": session.sizes.steps}
    runs = [
        session.measure("steps", arguments, session.training_environment(), seconds / 2) for _ in range(2)
    ]
    first, again = (next((part for part in run.values() if isinstance(part, dict)), {}) for run in runs)
    return {"runs": runs, "equal": _equal(first, again), **_first_failure(*runs, first, again)}


def choices(session: Session, seconds: float, report: Found) -> Found:
    ended = time.monotonic() + seconds
    shipped = report.get("determinism", {}).get("runs", [{}])[0]
    found: Found = {"micro_batches": dict(shipped), "variants": {}}
    found["micro_batches"].pop("failed", None)
    for name, variant in list(session.sizes.variants.items())[:2]:
        found["variants"][name] = _variant(session, variant, ended)
    for group in [*([] if shipped else [(0,)]), *session.sizes.micro_batches]:
        arguments = {"micro_batches": list(group), "count": session.sizes.steps}
        more = session.measure(
            "steps", arguments, session.training_environment(), min(60, ended - time.monotonic())
        )
        if why := more.pop("failed", None):
            more |= {str(number): {"failed": why} for number in group if str(number) not in more}
        found["micro_batches"] = more | found["micro_batches"]
    for name, variant in list(session.sizes.variants.items())[2:]:
        found["variants"][name] = _variant(session, variant, ended)
    return found


def _variant(session: Session, variant: Variant, ended: float) -> Found:
    arguments = {"micro_batches": [0], "count": session.sizes.steps}
    cap = min(variant.cap_s, ended - time.monotonic())
    found = session.measure("steps", arguments, session.training_environment(variant), cap)
    return next((part for part in found.values() if isinstance(part, dict)), found)


PARTS: Mapping[str, Callable[[Session, float, Found], Found]] = {
    "canary": canary,
    "training": training,
    "judge": judge,
    "forward": forward,
    "speed": speed,
    "determinism": determinism,
    "choices": choices,
}
"""Most valuable first."""
