"""A kept experiment as an image: the candidate image's digest plus what the host stored. Never `docker commit`.

The image holds the script exactly as it was stored before launch, the weights the judge scored, the verdict and the
data manifest; labels repeat what is needed to run it again.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runner.data.manifest import manifest_sha256
from runner.errors import CannotReproduce, UsageError
from runner.evaluation.pipeline import MODEL, PARAMS
from runner.protocols import Conditions
from runner.scoring.repeat_noise import Noise
from sandbox.engine import LABEL, BuildContext, Engine, Image, ImageMissing, SandboxError
from sandbox.spec import Limits

HOME = "/opt/autoresearch/snapshot"
PREFIX = f"{LABEL}.snapshot"
SCRIPT, VERDICT, MANIFEST = "train.py", "verdict.json", "manifest.json"


_NEEDED = frozenset(
    "experiment seed val-bpb mean-val-bpb repeats sigma freedom wall-clock-s train-sha256 params-sha256 data-sha256".split()
)


@dataclass(frozen=True, slots=True)
class SnapshotContents:
    """What is frozen. Scores in bits per byte, `sigma` the noise floor when it was kept, `gain` what it was better by than the
    script it was kept over (0: it claims none, a baseline or a simplification)."""

    run: str
    number: int
    title: str
    seed: int
    val_bpb: float
    mean_val_bpb: float
    repeats: int
    sigma: float
    freedom: int
    gain: float
    test_bpb: float | None
    limits: Limits
    preset: str
    cpu_share: float
    conditions: Conditions
    params_sha256: str
    judge_version: str
    kept_at: float


def snapshot_tag(run: str, number: int) -> str:
    return f"autoresearch/{run}:{number:04d}"


def build_snapshot(
    engine: Engine, base: Image, kept: SnapshotContents, folder: Path, data_manifest: Path
) -> Image:
    """Build and tag the snapshot of the attempt in `folder`. Raises SandboxError."""
    source = (folder / "train.py").read_bytes()
    facts = {
        "run": kept.run,
        "experiment": kept.number,
        "seed": kept.seed,
        "val-bpb": kept.val_bpb,
        "mean-val-bpb": kept.mean_val_bpb,
        "repeats": kept.repeats,
        "sigma": kept.sigma,
        "freedom": kept.freedom,
        "gain": kept.gain,
        "wall-clock-s": kept.limits.wall_clock_s,
        "memory-bytes": kept.limits.memory_bytes,
        "pids": kept.limits.pids,
        "preset": kept.preset,
        "cpu-share": kept.cpu_share,
        "variant": kept.conditions.variant,
        "cpus": kept.conditions.cpus,
        "cpu-model": kept.conditions.cpu_model,
        "device": kept.conditions.device,
        "judge-wall-clock-s": kept.conditions.judge_wall_clock_s,
        "train-sha256": hashlib.sha256(source).hexdigest(),
        "params-sha256": kept.params_sha256,
        "data-sha256": manifest_sha256(data_manifest),
        "data-path": str(data_manifest.parent.resolve()),
        "judge-version": kept.judge_version,
    }
    verdict = {"schema": "autoresearch/snapshot/1", "title": kept.title, "test_bpb": kept.test_bpb, **facts}
    files: dict[str, bytes | Path] = {
        "snapshot/train.py": source,
        f"snapshot/{PARAMS}": folder / PARAMS,
        f"snapshot/{MODEL}": folder / MODEL,
        f"snapshot/{VERDICT}": (json.dumps(verdict, indent=1) + "\n").encode(),
        f"snapshot/{MANIFEST}": data_manifest,
    }
    if (folder / "clock.f64").exists():
        files["snapshot/clock.f64"] = folder / "clock.f64"
    opencontainers = {
        "created": datetime.fromtimestamp(kept.kept_at, UTC).isoformat(timespec="seconds"),
        "title": kept.title,
        "base.digest": base.id,
        "ref.name": snapshot_tag(kept.run, kept.number),
    }
    with suppress(ImageMissing):  # of an attempt to keep it that a crash cut off
        engine.remove_image(engine.image(snapshot_tag(kept.run, kept.number)).id)
    return engine.build(
        BuildContext(
            dockerfile=f"FROM {base.id}\nCOPY snapshot {HOME}\n",
            files=files,
            tags=(snapshot_tag(kept.run, kept.number),),
            labels={
                f"{LABEL}.image": "snapshot",
                **{f"{PREFIX}.{name}": str(value) for name, value in facts.items()},
                **{f"org.opencontainers.image.{name}": value for name, value in opencontainers.items()},
            },
        )
    )


@dataclass(frozen=True, slots=True)
class SnapshotLabels:
    """What a snapshot's labels say. `memory_bytes`, `pids`, `cpus` `cpu_share` and the judge's wall clock are 0 in an older one, `gain`
    (bits per byte) and `judge_version` None."""

    image: Image
    tag: str
    experiment: str
    seed: int
    val_bpb: float
    mean_val_bpb: float
    repeats: int
    noise: Noise
    gain: float | None
    wall_clock_s: float
    memory_bytes: int
    pids: int
    cpus: int
    cpu_model: str
    device: str
    judge_wall_clock_s: float
    variant: str
    preset: str
    cpu_share: float
    train_sha256: str
    params_sha256: str
    data_sha256: str
    data_path: str
    judge_version: str | None


def read_labels(engine: Engine, tag: str) -> SnapshotLabels:
    """Raises UsageError for what is no tag, CannotReproduce where there is no such image, or it is no snapshot."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.:/@-]{0,300}", tag, re.ASCII):
        raise UsageError(f"{tag[:80]!r} is no image tag; `autoresearch best` prints one")
    try:
        image = engine.image(tag)
    except ImageMissing as error:
        raise CannotReproduce(
            f"the engine has no image {tag}: `autoresearch ls --json` lists the tags of kept experiments, and where one of "
            "their images was removed, `autoresearch resume` makes it again"
        ) from error
    except SandboxError as error:
        raise CannotReproduce(str(error)) from error
    found = {
        name.removeprefix(f"{PREFIX}."): value
        for name, value in image.labels.items()
        if name.startswith(PREFIX)
    }
    if missing := _NEEDED - set(found):
        raise CannotReproduce(
            f"{tag} is not a snapshot of ours: it lacks the labels {', '.join(sorted(missing))}"
        )
    try:
        return _facts(image, tag, found)
    except ValueError as error:
        raise CannotReproduce(f"{tag} has a label that is not a number: {error}") from error


def _facts(image: Image, tag: str, found: Mapping[str, str]) -> SnapshotLabels:
    gain = found.get("gain")
    return SnapshotLabels(
        image=image,
        tag=tag,
        experiment=found["experiment"],
        seed=int(found["seed"]),
        val_bpb=_finite(found["val-bpb"]),
        mean_val_bpb=_finite(found["mean-val-bpb"]),
        repeats=int(found["repeats"]),
        noise=Noise(_finite(found["sigma"]), int(found["freedom"])),
        gain=None if gain is None else _finite(gain),
        wall_clock_s=_finite(found["wall-clock-s"]),
        memory_bytes=int(found.get("memory-bytes", 0)),
        pids=int(found.get("pids", 0)),
        cpus=int(found.get("cpus", 0)),
        cpu_model=found.get("cpu-model", ""),
        device=found.get("device", ""),
        judge_wall_clock_s=_finite(found.get("judge-wall-clock-s", "0")),
        variant=found.get("variant", ""),
        preset=found.get("preset", ""),
        cpu_share=_finite(found.get("cpu-share", "0")),
        train_sha256=found["train-sha256"],
        params_sha256=found["params-sha256"],
        data_sha256=found["data-sha256"],
        data_path=found.get("data-path", ""),
        judge_version=found.get("judge-version"),
    )


def _finite(label: str) -> float:
    """Raises ValueError."""
    if not math.isfinite(value := float(label)):
        raise ValueError(label)
    return value
