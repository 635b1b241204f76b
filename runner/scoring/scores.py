"""What the ledger's attempts say about a script: its scores and their mean, in bits per byte, and whether it heeds its seed."""

from __future__ import annotations

import math

from runner.store.records import Experiment


def scores(experiment: Experiment) -> list[float]:
    """Of the attempts that count."""
    return [a.val_bpb for a in experiment.counted if a.val_bpb is not None]


def mean(experiment: Experiment) -> float:
    found = scores(experiment)
    return math.fsum(found) / len(found)


def missing_files(experiment: Experiment) -> list[str]:
    """Paths of files of losses by document that a comparison needs and that do not exist."""
    files = [
        a.folder / name for a in experiment.counted for name in ("document_nats.npy", "document_bytes.npy")
    ]
    return [str(path) for path in files if not path.is_file()]


def runs(experiment: Experiment, *, before: float = math.inf) -> list[tuple[int, float]]:
    """Seed and score of each attempt that counts and was begun before the attempt of order `before`. A script that scores the
    same, or writes the same weights, under two seeds ignores them: its first run is all that it says, and it shares nothing
    with other scripts under that seed, so it gets one of its own (negative)."""
    found = [(a.seed, a.val_bpb) for a in experiment.counted if a.order < before and a.val_bpb is not None]
    return [(-1 - experiment.number, found[0][1])] if found and ignores_seed(experiment) else found


def ignores_seed(experiment: Experiment) -> bool:
    """Whether runs with different seeds came to the same weights or the same score."""
    counted = experiment.counted
    by_weights = {(a.params_sha256, a.seed) for a in counted if a.params_sha256}
    by_score = {(a.val_bpb, a.seed) for a in counted}
    return any(len({result for result, _ in found}) < len(found) for found in (by_weights, by_score))
