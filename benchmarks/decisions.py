"""How often `decide` keeps a useless script and discards a better one: many simulated runs, printed as a table.

    .venv/bin/python -m benchmarks.decisions [--nights 200] [--candidates 40] [--retests 4] [--baseline-repeats 3] [--drift 0]

Scores are drawn from a normal distribution with a standard deviation of SIGMA. All candidates of a run (`--nights` is the number of
runs) have the same true gain, in standard deviations; the incumbent stays the baseline. With `--drift` the machine becomes
quieter after the baseline: every later score, the incumbent's too, is better by that many standard deviations.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np

from runner.protocols import Decision
from runner.scoring.acceptance import Measurements, decide
from runner.scoring.noise import pooled

SIGMA = 0.01
SIZES = np.full(50, 1000, np.int64)


def decide_candidate(
    candidate: Callable[[], float],
    again: Callable[[], float],
    incumbent: list[float],
    others: Sequence[Sequence[float]],
    retests: int,
) -> tuple[bool, list[float]]:
    """Whether the runner would keep the candidate, and its scores. Before a keep the incumbent runs once more (`again`), as in
    runner/search/loop.py; that score is added to `incumbent`. `others` are the scores of all other scripts."""
    scores, retested_since, decision = list[float](), False, Decision.RETEST
    while decision is Decision.RETEST or (decision is Decision.KEEP and not retested_since):
        if decision is Decision.KEEP:
            incumbent.append(again())
            retested_since = True
        else:
            scores.append(candidate())
        noise = pooled([*others, incumbent, scores])
        assert noise is not None
        left = retests + 1 - len(scores)
        decision = decide(_measured(scores), _measured(incumbent), noise, SIZES, retests_left=left).decision
    return decision is Decision.KEEP, scores


def simulated_run(
    gain: float, drift: float, candidates: int, retests: int, repeats: int, rng: np.random.Generator
) -> tuple[int, int]:
    """The number of kept candidates, and of trainings of all candidates."""

    def score(better: float) -> float:
        return float(rng.normal(2.0 - better * SIGMA, SIGMA))

    incumbent, others, kept = [score(0.0) for _ in range(repeats)], list[list[float]](), 0
    for _ in range(candidates):
        keeps, scores = decide_candidate(
            lambda: score(gain + drift), lambda: score(drift), incumbent, others, retests
        )
        others.append(scores)
        kept += keeps
    return kept, sum(map(len, others)) + len(incumbent) - repeats


def _measured(scores: list[float]) -> Measurements:
    return Measurements(scores, [SIZES * score * np.log(2) for score in scores], 100)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nights", type=int, default=200)
    parser.add_argument("--candidates", type=int, default=40)
    parser.add_argument("--retests", type=int, default=4)
    parser.add_argument("--baseline-repeats", type=int, default=3)
    parser.add_argument("--drift", type=float, default=0.0, help="in standard deviations")
    options = parser.parse_args()
    print("true gain (sigma)  kept    nights with a keep  runs per candidate")
    for gain in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0):
        found = [
            simulated_run(
                gain,
                options.drift,
                options.candidates,
                options.retests,
                options.baseline_repeats,
                np.random.default_rng([int(gain * 10), seed]),
            )
            for seed in range(options.nights)
        ]
        kept, runs = np.array(found).T
        total = options.nights * options.candidates
        print(
            f"{gain:17.1f}  {kept.sum() / total:6.2%}  {np.mean(kept > 0):18.1%}  {runs.sum() / total:18.2f}"
        )


if __name__ == "__main__":
    main()
