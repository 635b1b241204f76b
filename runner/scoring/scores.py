"""What the ledger's attempts say about a script: its scores, its mean, and the noise of a run. Bits per byte."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from runner.store.records import Experiment

if TYPE_CHECKING:  # decide imports numpy
    from runner.scoring.acceptance import Measurements
    from runner.scoring.noise import Noise


def scores(experiment: Experiment) -> list[float]:
    """Of the attempts that count."""
    return [a.val_bpb for a in experiment.counted if a.val_bpb is not None]


def mean(experiment: Experiment) -> float:
    found = scores(experiment)
    return math.fsum(found) / len(found)


def best(experiments: Sequence[Experiment]) -> Experiment:
    """The newest kept experiment: every keep was better than (or simpler than) the one before."""
    return next(e for e in reversed(experiments) if e.status == "keep")


def measurements(experiment: Experiment) -> Measurements:
    """With the losses on every document, as the judge left them beside the attempts."""
    import numpy as np

    from runner.scoring.acceptance import Measurements

    nats = [np.load(a.folder / "document_nats.npy") for a in experiment.counted]
    return Measurements(scores(experiment), nats, experiment.nodes)


def missing_files(experiment: Experiment) -> list[str]:
    """Files that `measured` needs and that are gone: their paths."""
    files = [
        a.folder / name for a in experiment.counted for name in ("document_nats.npy", "document_bytes.npy")
    ]
    return [str(path) for path in files if not path.is_file()]


def retested_since(incumbent: Experiment, challenger: Experiment) -> bool:
    """Whether the incumbent ran again after the challenger's first run. What it scored long ago says little of a machine on
    which others work: a candidate that only met a quieter hour must not look better."""
    first = challenger.attempts[0].order
    return any(
        a.order > first and a.outcome not in {None, "infrastructure"} and not a.contended
        for a in incumbent.attempts
    )


def noise_floor(experiments: Iterable[Experiment]) -> Noise | None:
    """Training noise, pooled over all that ran more than once."""
    from runner.scoring.noise import pooled

    return pooled([scores(experiment) for experiment in experiments if len(experiment.attempts) > 1])
