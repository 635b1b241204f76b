"""A kept experiment again, from its image tag: same script, same limits, same judge, PASS or FAIL.

A time-budgeted run does not repeat exactly, because the clock decides the number of steps; so PASS means within the
noise band that was measured when it was kept. `exact` plays back the clock's recorded answers instead: the same
script on the same kind of device then takes the same steps, and the weights must be the same byte for byte.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from runner.data.manifest import manifest_sha256
from runner.decide import Noise
from runner.errors import CannotReproduce
from runner.protocols import Trip, TripOutcome
from runner.road import PYTHON, Ids, Road
from runner.snapshot import HOME, PREFIX, SCRIPT
from sandbox.engine import Engine, Image, SandboxError
from sandbox.outcome import CollectedFile
from sandbox.spec import MIB, Job, Limits, Output, Role

MIN_BAND = 0.002
"""Bits per byte: no band is narrower, since two machines of one kind differ by about this much in speed alone."""
TAPE = "clock.f64"


class RoadFor(Protocol):
    """Makes the road for an image and a wall clock (seconds): the limits belong to the snapshot, not to today."""

    def __call__(self, image: str, wall_clock_s: float) -> Road: ...


@dataclass(frozen=True, slots=True)
class Reproduction:
    """`band` is how far (bits per byte) the new score may lie from the recorded one."""

    tag: str
    passed: bool
    recorded: float
    measured: float | None
    band: float
    exact: bool
    weights_equal: bool | None
    trip: Trip


def reproduce(
    engine: Engine, tag: str, road_for: RoadFor, folder: Path, *, exact: bool, manifest: Path
) -> Reproduction:
    """Run the snapshot `tag` once more. Raises CannotReproduce when there is nothing to run or to compare."""
    try:
        image = engine.image(tag)
    except SandboxError as error:
        raise CannotReproduce(f"{error}; `autoresearch ls` shows the tags of kept experiments") from error
    facts = _facts(image, tag)
    if manifest_sha256(manifest) != facts["data-sha256"]:
        raise CannotReproduce(
            f"{tag} was measured on other data than what is prepared here; prepare the same data"
        )
    road = road_for(image.id, float(facts["wall-clock-s"]))
    folder.mkdir(parents=True)
    source, tape = _extract(engine, image, road, folder, facts["train-sha256"], exact=exact)
    ids = Ids("reproduce", facts["experiment"], 1)
    trip = road.travel(source, ids, seed=int(facts["seed"]), folder=folder / "trip", replay=tape)
    if trip.outcome is TripOutcome.INFRASTRUCTURE:
        raise CannotReproduce(f"the engine failed before there was a result: {trip.detail or trip.reason}")
    noise = Noise(float(facts["sigma"]), int(facts["freedom"]))
    band = max(MIN_BAND, noise.repeat_quantile * noise.sigma * math.sqrt(1 + 1 / int(facts["repeats"])))
    recorded = float(facts["val-bpb"] if exact else facts["mean-val-bpb"])
    within = trip.val_bpb is not None and abs(trip.val_bpb - recorded) <= band
    equal = trip.params_sha256 == facts["params-sha256"] if exact else None
    return Reproduction(tag, within and equal is not False, recorded, trip.val_bpb, band, exact, equal, trip)


def _facts(image: Image, tag: str) -> dict[str, str]:
    facts = {
        name.removeprefix(f"{PREFIX}."): value
        for name, value in image.labels.items()
        if name.startswith(PREFIX)
    }
    needed = {"experiment", "seed", "val-bpb", "mean-val-bpb", "repeats", "sigma", "freedom", "wall-clock-s"}
    needed |= {"train-sha256", "params-sha256", "data-sha256"}
    if missing := needed - set(facts):
        raise CannotReproduce(
            f"{tag} is not a snapshot of ours: it lacks the labels {', '.join(sorted(missing))}"
        )
    return facts


def _extract(
    engine: Engine, image: Image, road: Road, folder: Path, train_sha256: str, *, exact: bool
) -> tuple[bytes, Path | None]:
    """The script (and the clock's tape) out of the image, by a container like any other."""
    home = folder / "extracted"
    home.mkdir()
    names = [SCRIPT, *([TAPE] if exact else [])]
    program = f"import shutil\nfor name in {names!r}: shutil.copyfile('{HOME}/' + name, '/out/' + name)"
    with road.leases.acquire() as lease:
        outcome = engine.run(
            Job(
                run="reproduce",
                experiment="extract",
                attempt=1,
                role=Role.EXTRACT,
                image=image.id,
                command=(PYTHON, "-I", "-B", "-c", program),
                limits=replace(Limits(wall_clock_s=60.0), out_bytes=32 * MIB),
                lease=lease,
                destination=home,
                outputs=tuple(Output(name, 16 * MIB) for name in names),
            )
        )
    script: CollectedFile | None = outcome.files.get(SCRIPT)
    if script is None or script.sha256 != train_sha256:
        raise CannotReproduce(
            f"the script in the image is not the one its label names ({outcome.detail or outcome.ending})"
        )
    if exact and TAPE not in outcome.files:
        raise CannotReproduce(
            "the image holds no recording of the clock, so it cannot be played back exactly"
        )
    return script.path.read_bytes(), outcome.files[TAPE].path if exact else None
