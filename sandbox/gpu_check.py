"""Whether a container gets the GPU that was leased for it, and nothing else, and whether CUDA starts there.

Asked in a container of its own, made as the candidate's is made (image, lease, engine) but running only `PROGRAM`. So no candidate can
forge the answer: that GPU and toolkit are at fault is concluded from it alone, never from what a script prints.
What is known to go wrong: a toolkit that hands out no GPU, or all of them with NVIDIA_VISIBLE_DEVICES=none (fixed in 1.18.2); NVML's
"Unknown Error" after `systemctl daemon-reload` (https://github.com/NVIDIA/nvidia-container-toolkit/issues/48); error 802 of CUDA while
the fabric manager of an NVSwitch machine is not running.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.engine import Engine
from sandbox.outcome import NOBODYS_FAULT, Ending, Outcome
from sandbox.spec import MIB, Job, Lease, Limits, Role

PYTHON = "/opt/venv/bin/python"
PROGRAM = """
import ctypes, json
def text(function, *before):
    found = ctypes.create_string_buffer(96)
    return "" if function(*before, found, 96) else found.value.decode()
def described(nvml, gpu):
    memory = (ctypes.c_ulonglong * 3)()
    nvml.nvmlDeviceGetMemoryInfo(gpu, memory)
    return {"uuid": text(nvml.nvmlDeviceGetUUID, gpu), "name": text(nvml.nvmlDeviceGetName, gpu), "memory_bytes": memory[0]}
def parts(nvml, gpu):
    now, then, most, found = ctypes.c_uint(), ctypes.c_uint(), ctypes.c_uint(), []
    if nvml.nvmlDeviceGetMigMode(gpu, ctypes.byref(now), ctypes.byref(then)) or not now.value:
        return [gpu]
    nvml.nvmlDeviceGetMaxMigDeviceCount(gpu, ctypes.byref(most))
    for slot in range(most.value):
        part = ctypes.c_void_p()
        if not nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, slot, ctypes.byref(part)):
            found.append(part)
    return found
def look():
    seen = {"gpus": [], "driver": "", "nvml": "", "cuda": 0}
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return {**seen, "nvml": "the driver's library is missing"}
    nvml.nvmlErrorString.restype = ctypes.c_char_p
    count = ctypes.c_uint()
    error = nvml.nvmlInit_v2() or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
    for index in range(0 if error else count.value):
        gpu = ctypes.c_void_p()
        error = nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(gpu))
        if not error:
            seen["gpus"] += [described(nvml, part) for part in parts(nvml, gpu)]
    if error:
        seen["nvml"] = nvml.nvmlErrorString(error).decode()
    seen["driver"] = text(nvml.nvmlSystemGetDriverVersion)
    try:
        seen["cuda"] = ctypes.CDLL("libcuda.so.1").cuInit(0)
    except OSError:
        pass
    return seen
print(json.dumps(look()))
"""
"""Prints what NVML and CUDA see. It needs nothing but Python's standard library."""
_LIMITS = Limits(wall_clock_s=60.0, memory_bytes=1024 * MIB, pids=128, out_bytes=MIB)
_CUDA = {
    100: "CUDA finds no GPU",
    802: "CUDA is not ready: on a machine with NVSwitch start nvidia-fabricmanager",
    803: "the driver was updated while it was loaded: restart the machine",
}
"""CUresult, by cuda.h."""


def check_gpu(
    engine: Engine, image: str, lease: Lease, *, run: str, experiment: str = "0", attempt: int = 1
) -> Outcome | None:
    """None where a container of this lease sees its GPU. Else the outcome, of which no script is the reason; `detail` says what to do.
    `image` is a content id; the names are for the container's labels."""
    with tempfile.TemporaryDirectory(prefix="autoresearch-gpu-") as folder:
        outcome = engine.run(
            Job(
                run=run,
                experiment=experiment,
                attempt=attempt,
                role=Role.PROBE,
                image=image,
                command=(PYTHON, "-I", "-B", "-c", PROGRAM),
                limits=_LIMITS,
                lease=lease,
                destination=Path(folder),
            )
        )
    if "could not select device driver" in outcome.detail:
        cure = "the toolkit was installed after the container engine started: restart the engine"
        return replace(outcome, detail=f"{outcome.detail}; {cure}")
    if outcome.ending in NOBODYS_FAULT:
        return outcome
    why = _wrong(outcome, lease.gpu_uuid or "")
    return replace(outcome, ending=Ending.REFUSED, detail=why, log_tail="") if why else None


def is_check(job: Job) -> bool:
    return job.role is Role.PROBE and job.command[-1] == PROGRAM


def answer(*uuids: str, cuda: int = 0, nvml: str = "") -> str:
    """What `PROGRAM` prints where these GPUs are seen: for an engine without containers."""
    gpus = [{"uuid": uuid, "name": "Fake GPU 80GB", "memory_bytes": 80 << 30} for uuid in uuids]
    return json.dumps({"gpus": gpus, "driver": "580.65.06", "nvml": nvml, "cuda": cuda})


def _wrong(outcome: Outcome, leased: str) -> str:
    """What is not as it should be, and what to do; empty where all is well."""
    if outcome.ending is Ending.TIMED_OUT:
        return f"the driver of {leased} gave no answer within {outcome.seconds:.0f} s; run nvidia-smi, look for Xid in dmesg"
    seen = _read(outcome.log_tail)
    if seen is None:
        return f"a container for {leased} could not look for its GPU (exit code {outcome.exit_code}); rebuild the images"
    uuids = [str(gpu.get("uuid")) for gpu in seen["gpus"]]
    if not uuids:
        why = f" ({seen['nvml']})" if seen["nvml"] else ""
        return (
            f"a container saw no GPU where {leased} was leased for it{why}; if it stays so, run `autoresearch doctor` and look at "
            "nvidia-container-toolkit"
        )
    if uuids != [leased]:
        return (
            f"a container saw {', '.join(uuids)} where {leased} alone was leased for it; update nvidia-container-toolkit, and set "
            "accept-nvidia-visible-devices-envvar-when-unprivileged=false in its config.toml"
        )
    if cuda := seen["cuda"]:
        why = _CUDA.get(cuda, "run nvidia-smi, look for Xid in dmesg")
        return f"CUDA does not start on {leased} (error {cuda}): {why}"
    return ""


def _read(log: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads((log.strip().splitlines() or [""])[-1])
        return {
            "gpus": list(found["gpus"]),
            "nvml": str(found["nvml"]),
            "cuda": int(found["cuda"]),
            "driver": str(found["driver"]),
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
