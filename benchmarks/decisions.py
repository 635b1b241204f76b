"""How often `decide` keeps nothing and misses something: many simulated nights, printed as a table.

    .venv/bin/python benchmarks/decisions.py [--nights 200] [--candidates 40] [--retests 4] [--baseline-repeats 3]

Scores are drawn from a normal distribution with a standard deviation of 1 (scaled by 0.01). A night's candidates all have
the same true gain, in standard deviations; the incumbent stays the baseline, so keeps are independent of each other.
"""

from __future__ import annotations

import argparse

import numpy as np

from runner.decide import Measured, decide, pooled
from runner.protocols import Decision

SIGMA = 0.01
SIZES = np.full(50, 1000, np.int64)


def night(
    gain: float, candidates: int, retests: int, repeats: int, rng: np.random.Generator
) -> tuple[int, int]:
    """Kept candidates, and runs spent on all of them."""
    incumbent = list(rng.normal(2.0, SIGMA, repeats))
    groups, kept, runs = [incumbent], 0, 0
    for _ in range(candidates):
        scores: list[float] = []
        decision = Decision.RETEST
        while decision is Decision.RETEST:
            scores.append(float(rng.normal(2.0 - gain * SIGMA, SIGMA)))
            noise = pooled([*groups, scores])
            assert noise is not None
            decision = decide(
                _measured(scores), _measured(incumbent), noise, SIZES, retests_left=retests + 1 - len(scores)
            ).decision
        groups.append(scores)
        kept += decision is Decision.KEEP
        runs += len(scores)
    return kept, runs


def _measured(scores: list[float]) -> Measured:
    return Measured(scores, [SIZES * score * np.log(2) for score in scores], 100)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nights", type=int, default=200)
    parser.add_argument("--candidates", type=int, default=40)
    parser.add_argument("--retests", type=int, default=4)
    parser.add_argument("--baseline-repeats", type=int, default=3)
    options = parser.parse_args()
    print("true gain (sigma)  kept    nights with a keep  runs per candidate")
    for gain in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0):
        found = [
            night(
                gain,
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
