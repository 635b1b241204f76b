"""What the ledger's attempts say about a script: its scores, its mean, and the noise of a run. Bits per byte."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from runner.store.records import Experiment

if TYPE_CHECKING:
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


def missing_files(experiment: Experiment) -> list[str]:
    """Paths of files that `measurements` needs and that do not exist."""
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


MOST_EARLIER = 60
"""Runs of earlier searches that the noise is learned from: the newest."""


def repeated_runs(searches: Iterable[Sequence[Experiment]]) -> list[list[tuple[int, float]]]:
    """The runs of each script that ran more than once, of several searches, oldest first."""
    groups = [runs(e) for experiments in searches for e in experiments if len(e.attempts) > 1]
    kept: list[list[tuple[int, float]]] = []
    for group in reversed([group for group in groups if len(group) > 1]):
        if sum(map(len, kept)) + len(group) > MOST_EARLIER:
            break
        kept.insert(0, group)
    return kept


def noise_floor(
    experiments: Iterable[Experiment], earlier: Sequence[Sequence[tuple[int, float]]] = ()
) -> Noise | None:
    """Training noise, pooled over all that ran more than once, in `earlier` searches too. Runs of several scripts under one seed
    share a part of it, so the degrees of freedom are at most one less than there were seeds."""
    from runner.scoring.noise import Noise, pooled

    groups = [*earlier, *(runs(experiment) for experiment in experiments if len(experiment.attempts) > 1)]
    groups = [group for group in groups if len(group) > 1]
    found = pooled([[score for _, score in group] for group in groups])
    seeds = len({seed for group in groups for seed, _ in group})
    return found and Noise(found.sigma, min(found.freedom, max(seeds - 1, 1)))


STEADY = 0.2
"""A script whose runs spread by less than this share of the baseline's spread hardly heeds its seed: it lends nobody its spread."""


def claim_noise(
    experiments: Sequence[Experiment], earlier: Sequence[Sequence[tuple[int, float]]] = ()
) -> Noise | None:
    """The noise that a claim is held against: at least the baseline's own, which no proposal can make smaller."""
    from runner.scoring.noise import Noise, pooled

    own = pooled([[score for _, score in runs(experiment)] for experiment in experiments[:1]])
    if own is None:
        return noise_floor(experiments, earlier)
    heeding = [e for e in experiments if len(runs(e)) < 2 or _spread(runs(e)) >= STEADY * own.sigma]
    found = noise_floor(heeding, [group for group in earlier if _spread(group) >= STEADY * own.sigma])
    return own if found is None else Noise(max(found.sigma, own.sigma), found.freedom)


def _spread(group: Sequence[tuple[int, float]]) -> float:
    from runner.scoring.noise import pooled

    found = pooled([[score for _, score in group]])
    return found.sigma if found else math.inf
