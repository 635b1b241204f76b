"""The verb that measures noise: calibrate."""

from __future__ import annotations

import os
import secrets
from typing import Annotated

import typer

from runner.cli.options import Gpus, Workspace
from runner.cli.output import envelope, say
from runner.durations import format_duration
from runner.evaluation import setup
from runner.scoring.claim_text import few_repeats
from runner.store import workspace as workspaces
from runner.store.config import override


def calibrate(
    repeats: Annotated[int, typer.Option(help="How often train.py runs.", min=2, max=1000)] = 5,
    gpus: Gpus = None,
    workspace: Workspace = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """How much is noise? Run train.py several times with fresh seeds; nothing is recorded."""
    from runner.cli.signals import signals
    from runner.evaluation.calibration import calibrate as measure
    from runner.store.temporary_folder import scratch
    from runner.store.workspace import open_state, read_script
    from runner.store.workspace_lock import lock

    place = workspaces.named(workspace)
    config = override(place.config(), gpus=gpus)
    open_state(place)
    seeds = [secrets.randbelow(1 << 31) for _ in range(repeats)]
    with (
        signals(),
        lock(place.state, "calibrate"),
        scratch("calibrate") as home,
    ):
        load, cpus = os.getloadavg()[0], len(os.sched_getaffinity(0))
        environment = setup.set_up(config, progress=say)
        say(
            f"{repeats} runs of at most {format_duration(environment.pipeline.limits.wall_clock_s)}, and as many judgements"
        )
        found = measure(
            read_script(place.script),
            environment.pipeline,
            seeds,
            home,
            run=f"calibrate-{secrets.token_hex(4)}",
            progress=lambda evaluation: say(
                f"val_bpb {evaluation.val_bpb:.6f} after {evaluation.seconds:.1f} s (seed {evaluation.seed})"
            ),
        )
    loaded = load + environment.devices.cpus > 1.25 * cpus
    gains = {str(pairs): found.confirmed_gain(pairs) for pairs in (1, 2, 4, 8)}
    if json:
        envelope(
            "calibrate",
            scores=found.scores,
            seconds=found.seconds,
            seeds=found.seeds,
            contended=found.contended,
            sigma=found.noise.sigma,
            low=found.low,
            high=found.high,
            confirmed_gain=gains,
            load=load,
            loaded=loaded,
        )
        return
    print(
        f"sigma {found.noise.sigma:.6f} bits per byte (95 %: {found.low:.6f} to {found.high:.6f}, {len(found.scores)} runs)"
    )
    for pairs, gain in gains.items():
        plural = "" if pairs == "1" else "s"
        print(f"with {pairs} pair{plural} of runs a script is confirmed if better by more than {gain:.4f}")
    if why := few_repeats(found.noise):
        print(f"with 2 pairs: {why[0].lower()}{why[1:]}")
    print(
        f"a run took {min(found.seconds):.1f} to {max(found.seconds):.1f} s; load {load:.1f} on {cpus} CPUs before the first"
    )
    if loaded or found.contended:
        print("this machine looks busy: somebody else computed here, so the noise may be smaller than this")
