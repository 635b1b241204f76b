"""What `autoresearch doctor` says of a GPU: a canary in the candidate's image that does what train.py asks of a GPU, and what the driver
knows. Every sentence that is not good says what to do."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.evaluation.gpu_peak_rates import peak_tflops
from runner.evaluation.pipeline import GPU_XLA_FLAGS, PYTHON
from sandbox.engine import Engine
from sandbox.gpu import Gpu, GpuState
from sandbox.gpu_check import check_gpu
from sandbox.outcome import Ending
from sandbox.sanitise import one_line
from sandbox.spec import GIB, MIB, Job, Lease, Limits, Role

OK, WARN, FAIL = "ok", "warn", "fail"
_SLOW, _INACCURATE = 0.6, 0.05
"""Shares: of the datasheet's rate a large matrix product reaches about 0.82 (H200, docs/performance.md); attention in bfloat16 differs from
the formula by 0.007 on a CPU."""
Finding = tuple[str, str]
"""Level and sentence."""


def examine(engine: Engine, image: str, lease: Lease, gpu: Gpu, state: GpuState) -> list[Finding]:
    """All findings about a leased GPU; `image` is the candidate image's content id."""
    of_the_driver = driver_findings(gpu, state)
    if (broken := check_gpu(engine, image, lease, run="doctor")) is not None:
        return [*of_the_driver, (FAIL, broken.detail or str(broken.ending))]
    said = run_canary(engine, image, lease)
    if isinstance(said, str):
        return [*of_the_driver, (FAIL, said)]
    return [*of_the_driver, *canary_findings(gpu, said)]


def run_canary(engine: Engine, image: str, lease: Lease, platform: str = "cuda") -> Mapping[str, Any] | str:
    """The canary's report, or a sentence where there is none."""
    with tempfile.TemporaryDirectory(prefix="autoresearch-canary-") as folder:
        outcome = engine.run(
            Job(
                run="doctor",
                experiment="0",
                attempt=1,
                role=Role.PROBE,
                image=image,
                command=(PYTHON, "-I", "-B", "-m", "trainer_jax.canary"),
                limits=Limits(wall_clock_s=300.0, memory_bytes=8 * GIB, out_bytes=MIB),
                lease=lease,
                destination=Path(folder),
                environment={"JAX_PLATFORMS": platform}
                | ({"XLA_FLAGS": GPU_XLA_FLAGS} if platform == "cuda" else {}),
            )
        )
    if outcome.ending is Ending.TIMED_OUT:
        return "the canary did not end within 300 s: run nvidia-smi, look for Xid in dmesg"
    lines = outcome.log_tail.strip().splitlines() or [outcome.detail or str(outcome.ending)]
    try:
        said = json.loads(lines[-1])
        return said if isinstance(said, dict) else _unreadable(lines[-1])
    except (ValueError, RecursionError):
        return _unreadable(lines[-1])


def _unreadable(line: str) -> str:
    if "trainer_jax.canary" in line:
        return "the images are older than the canary: run `autoresearch build`"
    return f"the canary in the candidate's image failed: {one_line(line)}; run nvidia-smi, and `autoresearch build` if the images are old"


def driver_findings(gpu: Gpu, state: GpuState) -> list[Finding]:
    major, minor = gpu.compute_capability
    free = (gpu.memory_bytes - state.used_bytes) / GIB
    found = [
        (
            OK,
            f"{gpu.name}, compute capability {major}.{minor}, {free:.0f} of {gpu.memory_bytes / GIB:.0f} GiB free",
        )
    ]
    if state.used_bytes > 0.1 * gpu.memory_bytes:
        found.append(
            (
                WARN,
                f"{state.used_bytes / GIB:.0f} GiB are in use by others: ask them, or leave this GPU out with --gpus",
            )
        )
    if state.ecc_errors:
        found.append(
            (
                FAIL,
                f"{state.ecc_errors} uncorrected memory errors: have an administrator look at `nvidia-smi -q -d ECC` and reset it",
            )
        )
    if state.slowed_by:
        found.append(
            (
                WARN,
                f"it is slowed down {' and '.join(state.slowed_by)}: look at `nvidia-smi -q -d PERFORMANCE`, cooling and power",
            )
        )
    return found


def canary_findings(gpu: Gpu, said: Mapping[str, Any]) -> list[Finding]:
    """`said` comes from a container in which no candidate's code ran."""
    found: list[Finding] = []
    if said.get("platform") != "gpu" or said.get("devices") != 1:
        found.append(
            (FAIL, f"JAX sees {said.get('devices')} devices of {said.get('platform')} where there is one GPU")
        )
    rate, peak = said.get("matmul_tflops"), peak_tflops(gpu.name)
    if not isinstance(rate, int | float):
        found.append((FAIL, f"a matrix product failed: {_why(said, 'matmul_tflops')}"))
    elif peak is None:
        found.append(
            (OK, f"matrix product {rate:.0f} TFLOP/s; the datasheet of {gpu.name} is not in our table")
        )
    else:
        said_of_it = f"matrix product {rate:.0f} TFLOP/s, {rate / peak:.0%} of the datasheet's {peak:.0f}"
        cure = "look at power limit and clocks with `nvidia-smi -q -d PERFORMANCE,POWER`, and whether somebody else computes there"
        slow = rate < _SLOW * peak
        found.append((WARN, f"{said_of_it}: {cure}") if slow else (OK, said_of_it))
    found.append(_attention(said))
    return found


def _attention(said: Mapping[str, Any]) -> Finding:
    attention = said.get("attention")
    try:
        forward, backward, error = (float(attention[key]) for key in ("forward_ms", "backward_ms", "error"))  # type: ignore[index]
    except (TypeError, KeyError, ValueError):
        why = _why(said, "attention")
        return (
            FAIL,
            f'cuDNN\'s attention with windows failed ({why}): update the driver, or set TRAIN_ATTENTION = "chunks" in train.py',
        )
    if not error < _INACCURATE:
        return (
            FAIL,
            f"cuDNN's attention with windows is wrong by {error:.1%}: do not train on this GPU, run nvidia-smi and look at its memory errors",
        )
    return (
        OK,
        f"attention with windows {forward:.2f} ms forward, {backward:.2f} ms with gradients, {error:.1%} from the formula",
    )


def _why(said: Mapping[str, Any], name: str) -> str:
    return one_line(str(said.get(f"{name}_failed", "no answer")))
