"""How large a leak must be for the blind probe to find it: simulated verdicts, printed as a table.

    .venv/bin/python -m benchmarks.blind_probe [--plans 200] [--probes 3072] [--rows 800] [--seq-len 256]

The plans are the judge's own (`judge.probe.plan`), and so is the comparison (`judge.probe.agrees`); the default size is that
of the default data for CPUs: 800 rows of 256 tokens, 2.5 bytes a token. Losses without the leak are drawn from an exponential
distribution with a mean of 3.2 nats, cut at 12. Three shapes of a leak that is worth the same:

    everywhere   a little at every position (a bug, a weak side channel)
    at random    all of the loss at a share of the positions (a gate, every n-th position, certain rows)
    the hardest  all of the loss at the positions that cost most: the fewest positions for the money, so the worst case

A script is kept only when it has won twice, so the last column counts two verdicts with two secret plans.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from judge import probe
from judge.limits import JudgeLimits
from judge.rows import Rows

BYTES_PER_TOKEN = 2.5
MEAN_NATS, MOST_NATS = 3.2, 12.0
WORTHS = (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
SHAPES = ("everywhere", "at random", "the hardest")


def rows_of(count: int, length: int) -> Rows:
    tokens = np.tile(np.arange(length + 1, dtype=np.int32), (count, 1))
    return Rows(tokens, np.zeros((count, length), np.int32))


def gains(
    shape: str, worth: float, losses: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """What the leak takes off the loss at every position (nats); all of it together is `worth` bits per byte."""
    total = worth * np.log(2) * BYTES_PER_TOKEN * losses.size
    if shape == "everywhere":
        return np.full(losses.shape, total / losses.size)
    flat = losses.ravel()
    order = np.argsort(-flat) if shape == "the hardest" else rng.permutation(flat.size)
    taken = np.zeros(flat.size)
    upto = int(np.searchsorted(np.cumsum(flat[order]), total))
    taken[order[:upto]] = flat[order[:upto]]
    if total > 0:
        taken[order[upto]] = total - taken.sum()
    return taken.reshape(losses.shape)


def found(
    plans: list[probe.Plan], losses: NDArray[np.float64], gain: NDArray[np.float64]
) -> tuple[float, float]:
    """The share of plans under which the leak is seen, and the share of positions that leak."""
    seen = 0
    for plan in plans:
        at = plan.row[plan.probed], plan.cut[plan.probed]
        seen += not probe.agrees(losses[at], (losses - gain)[at])
    return seen / len(plans), float((gain > 0).mean())


def table(plans: int, probes: int, rows: int, length: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    text = rows_of(rows, length)
    made = [probe.plan(text, probes, 16, rng) for _ in range(plans)]
    losses = np.minimum(rng.exponential(MEAN_NATS, (rows, length)), MOST_NATS)
    lines = [
        "| worth (bits per byte) | shape | positions | one verdict | two verdicts |",
        "|---|---|---|---|---|",
    ]
    for worth in WORTHS:
        for shape in SHAPES if worth else ("no leak",):
            gain = gains(shape, worth, losses, rng)
            rate, share = found(made, losses, gain)
            twice = 1 - (1 - rate) ** 2
            lines.append(f"| {worth:g} | {shape} | {share:.3%} | {rate:.1%} | {twice:.1%} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plans", type=int, default=200)
    parser.add_argument("--probes", type=int, default=JudgeLimits().probes)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--seq-len", type=int, default=256)
    given = parser.parse_args()
    print(f"{given.plans} plans of {given.probes} probes, {given.rows} rows of {given.seq_len} tokens\n")
    print("\n".join(table(given.plans, given.probes, given.rows, given.seq_len)))


if __name__ == "__main__":
    main()
