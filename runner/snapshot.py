"""A kept experiment as an image: the candidate image's digest plus what the host stored. Never `docker commit`.

The image holds the script exactly as it was stored before launch, the weights the judge scored, the verdict and the
data manifest; labels repeat what is needed to run it again.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runner.data.manifest import manifest_sha256
from runner.road import MODEL, PARAMS
from sandbox.engine import LABEL, BuildContext, Engine, Image, ImageMissing

HOME = "/opt/autoresearch/snapshot"
PREFIX = f"{LABEL}.snapshot"
SCRIPT, VERDICT, MANIFEST = "train.py", "verdict.json", "manifest.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is frozen. Scores in bits per byte, `sigma` the noise floor when it was kept."""

    run: str
    number: int
    title: str
    seed: int
    val_bpb: float
    mean_val_bpb: float
    repeats: int
    sigma: float
    freedom: int
    test_bpb: float | None
    wall_clock_s: float
    params_sha256: str
    judge_version: str
    kept_at: float


def tag_of(run: str, number: int) -> str:
    return f"autoresearch/{run}:{number:04d}"


def freeze(engine: Engine, base: Image, kept: Kept, folder: Path, data_manifest: Path) -> Image:
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
        "wall-clock-s": kept.wall_clock_s,
        "train-sha256": hashlib.sha256(source).hexdigest(),
        "params-sha256": kept.params_sha256,
        "data-sha256": manifest_sha256(data_manifest),
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
        "ref.name": tag_of(kept.run, kept.number),
    }
    with suppress(ImageMissing):  # of an attempt to keep it that a crash cut off
        engine.remove_image(engine.image(tag_of(kept.run, kept.number)).id)
    return engine.build(
        BuildContext(
            dockerfile=f"FROM {base.id}\nCOPY snapshot {HOME}\n",
            files=files,
            tags=(tag_of(kept.run, kept.number),),
            labels={
                f"{LABEL}.image": "snapshot",
                **{f"{PREFIX}.{name}": str(value) for name, value in facts.items()},
                **{f"org.opencontainers.image.{name}": value for name, value in opencontainers.items()},
            },
        )
    )
