"""Whether a training had its leased CPUs or its GPU to itself, and how much CPU time a training may have at all.

On CPUs the fair clock is CPU time: the script's clock (trainer_jax/wallclock.py) is at its end when the container has had its CPU
budget, and at the latest when the wall clock ends it. The budget is a share of what the leased CPUs have within the
wall clock: what is not budgeted is what others may take before a training becomes smaller.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.cpu_use import STAT, busy_share
from sandbox.gpu import GpuUse
from sandbox.outcome import Outcome
from sandbox.spec import Lease

if TYPE_CHECKING:
    from runner.evaluation.pipeline import Leases

CPU_SHARE = 0.75
"""CPU budget, as a share of the leased CPUs' time within the wall clock (docs/runner.md says how it was chosen)."""
OTHERS_SHARE = 1.0 - CPU_SHARE
"""Share of the leased CPUs' time from which on others have disturbed a training, or would: what the budget leaves free."""
STRANGERS_SHARE, SLOWED_SHARE = 0.05, 0.1
"""Shares of the samples from which on a training on a GPU does not decide: others' processes were there, or its clocks were lowered
for heat, by the hardware or by the power supply. Ten looks in five minutes may be strays, since the driver lists a process a while longer."""
_REACHED = 0.98
_LOOK_S = 3.0


def cpu_budget(lease: Lease, wall_clock_s: float, share: float = CPU_SHARE) -> float:
    """Seconds of CPU for a training; 0, which is none, on a GPU."""
    return 0.0 if lease.gpu_uuid else share * len(lease.cpus) * wall_clock_s


def contention(outcome: Outcome, lease: Lease, budget_s: float) -> str:
    """What others did to a training, for a sentence about it; empty when they did nothing or the host cannot tell.

    On CPUs either others had a large share of its CPUs, or it did not get its CPU budget and would have without them.
    """
    if lease.gpu_uuid:
        return _on_a_gpu(outcome.gpu)
    use = outcome.cpu
    if use is None:
        return ""
    if use.others_share >= OTHERS_SHARE:
        return f"others had {use.others_share:.0%} of the time of its CPUs"
    missing = _REACHED * budget_s - use.own_s
    if 0.0 < missing <= use.others_s:
        return f"the wall clock ended it {missing:.0f} CPU seconds early, and others had as many"
    return ""


def beside_strangers(use: GpuUse | None) -> bool:
    """Whether others computed on its GPU for more than a stray moment."""
    return use is not None and use.strangers_share >= STRANGERS_SHARE


def _on_a_gpu(use: GpuUse | None) -> str:
    if use is None:
        return ""
    if beside_strangers(use):
        return f"others computed on its GPU for {use.strangers_share:.0%} of the time"
    if use.slowed_share >= SLOWED_SHARE:
        return f"its GPU was slowed down for {use.slowed_share:.0%} of the time ({use.slowed_by})"
    return ""


def busy_machine(leases: Leases, sleep: Callable[[float], object] = time.sleep, stat: Path = STAT) -> str:
    """A sentence when others use the CPUs that a training would get, before there is one; else empty. Takes some seconds."""
    with leases.acquire() as lease:
        share = busy_share(lease.cpus, _LOOK_S, sleep, stat)
    if share < OTHERS_SHARE:
        return ""
    return (
        f"this machine is busy: others use {share:.0%} of the {len(lease.cpus)} CPUs that a training gets, so scripts can hardly "
        "be told apart; better run when it is free"
    )
