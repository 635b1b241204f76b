"""Which GPUs this process may use: what a scheduler, a container or the user has said in the environment.

An engine's containers are outside of a scheduler's cgroup, so the driver would hand them any GPU: the variables are obeyed here.
Which of the permitted GPUs are used is decided in `runner.evaluation.device_selection`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.gpu import Gpu

CUDA, NVIDIA, ORDER = "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
SLURM_JOB, SLURM_GPUS = "SLURM_JOB_ID", ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS")
_SAYS_NOTHING = frozenset({"", "all", "void"})
"""Of NVIDIA_VISIBLE_DEVICES: "void" is what a container that got its GPUs through CDI has
(https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html)."""


@dataclass(frozen=True, slots=True)
class Permission:
    """The GPUs that may be used and, where those are not all, why, as the beginning of a sentence: "CUDA_VISIBLE_DEVICES"."""

    gpus: tuple[Gpu, ...]
    why: str = ""


def permitted(
    gpus: Sequence[Gpu], environment: Mapping[str, str], slurm_rules_here: Callable[[], bool] = lambda: False
) -> Permission:
    """`slurm_rules_here` says whether Slurm hands out this machine's GPUs; asked only where no variable says anything."""
    in_container = environment.get(NVIDIA, "")
    if in_container in _SAYS_NOTHING or _shows_just_these(in_container, gpus):
        return _by_scheduler(gpus, environment, slurm_rules_here)
    shown = _by(f"{NVIDIA}={in_container}", named(in_container, gpus, whole=True), gpus)
    if not shown.gpus:
        return shown
    narrowed = _by_scheduler(shown.gpus, environment, slurm_rules_here)
    return Permission(narrowed.gpus, "; ".join(why for why in (shown.why, narrowed.why) if why))


def _by_scheduler(
    gpus: Sequence[Gpu], environment: Mapping[str, str], slurm_rules_here: Callable[[], bool]
) -> Permission:
    if (cuda := environment.get(CUDA)) is not None:
        if _is_ambiguous(cuda, gpus, environment.get(ORDER, "")):
            return Permission(
                (),
                f"{CUDA}={cuda} may mean other GPUs than the numbers of nvidia-smi, because there are several kinds of them: set {ORDER}=PCI_BUS_ID "
                "or use UUIDs",
            )
        return _by(f"{CUDA}={cuda}", named(cuda, gpus), gpus)
    for name in SLURM_GPUS:
        if of_the_job := environment.get(name):
            if _shows_just_these(of_the_job, gpus):
                return Permission(tuple(gpus))
            return _by(f"{name}={of_the_job}", named(of_the_job, gpus), gpus)
    if SLURM_JOB in environment:
        return Permission((), "this Slurm job was given no GPU; ask for one with `--gpus=1`")
    if gpus and slurm_rules_here():
        return Permission(
            (), "Slurm hands out the GPUs of this machine; start inside an allocation (`salloc --gpus=1`)"
        )
    return Permission(tuple(gpus))


def named(entries: str, gpus: Sequence[Gpu], *, whole: bool = False) -> list[Gpu]:
    """The GPUs of a list of positions, UUIDs or beginnings of UUIDs, separated by commas. CUDA's rules: an entry that names none, or
    several, ends the list, and a GPU that is split counts as its first part
    (https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html). With `whole` it counts as all parts."""
    found: list[Gpu] = []
    wholes = _wholes(gpus)
    for word in (part.strip() for part in entries.split(",")):
        if re.fullmatch(r"[0-9]{1,9}", word):
            number = int(word)
            matching = [wholes[number]] if number < len(wholes) else []
        else:
            matching = matching_uuid(word, gpus)
        if len(matching) != 1:
            break
        parts = matching[0]
        found += [gpu for gpu in (parts if whole else parts[:1]) if gpu not in found]
    return found


def _is_ambiguous(entries: str, gpus: Sequence[Gpu], order: str) -> bool:
    """Whether positions count in an order that the driver does not tell: CUDA's own is FASTEST_FIRST, NVML's is that of the bus. GPUs of
    one kind have one order, and all of them are the same in any."""
    kinds = {gpu.name.partition(" MIG ")[0] for gpu in gpus}
    positions = {word.strip() for word in entries.split(",") if word.strip().isdecimal()}
    return order != "PCI_BUS_ID" and len(kinds) > 1 and 0 < len(positions) < len(_wholes(gpus))


def matching_uuid(word: str, gpus: Sequence[Gpu]) -> list[list[Gpu]]:
    """The GPUs whose UUID begins with `word`, each alone, and those that are split, each as its parts."""
    if not word.startswith(("GPU-", "MIG-")):
        return []
    found = [[gpu] for gpu in gpus if gpu.uuid.startswith(word)]
    return found + [parts for parts in _wholes(gpus) if parts[0].parent and parts[0].parent.startswith(word)]


def _shows_just_these(entries: str, gpus: Sequence[Gpu]) -> bool:
    """Whether the numbers are the host's and this process sees no other GPUs anyway, numbered from 0: it is in a container or in
    Slurm's cgroup."""
    words = [word.strip() for word in entries.split(",")]
    return all(word.isdecimal() for word in words) and len(words) == len(_wholes(gpus))


def _wholes(gpus: Sequence[Gpu]) -> list[list[Gpu]]:
    """The GPUs in order, one that is split as the list of its parts."""
    groups: dict[int, list[Gpu]] = {}
    for gpu in gpus:
        groups.setdefault(gpu.index, []).append(gpu)
    return list(groups.values())


def _by(variable: str, allowed: Sequence[Gpu], gpus: Sequence[Gpu]) -> Permission:
    if len(allowed) == len(gpus):
        return Permission(tuple(allowed))
    return Permission(tuple(allowed), f"{variable} permits {len(allowed) or 'none'} of {len(gpus)}")


def slurm_runs_here(proc: Path = Path("/proc")) -> bool:
    """Whether Slurm's daemon of a compute node is alive on this machine."""
    for folder in proc.iterdir():
        try:
            if folder.name.isdecimal() and (folder / "comm").read_bytes().strip() == b"slurmd":
                return True
        except OSError:  # it has ended, or is hidden
            continue
    return False
