"""How large a leak must be for the blind probe to find it: simulated verdicts, printed as a table.

    .venv/bin/python -m benchmarks.blind_probe [--plans 200] [--probes 2560] [--suspects 512] [--rows 800] [--seq-len 256]

The plans are the judge's own (`judge.probe.plan` and `suspects`), and so is the comparison (`judge.probe.agrees`); the default
size is that of the default data for CPUs: 800 rows of 256 tokens of 2,048 kinds, 2.5 bytes a token. How rare a token is
follows Zipf's law. Without the leak it costs what its rarity says times a number from a Beta(0.5, 0.45) distribution, so that
an honest model, too, is nearly sure of many rare tokens, and an exponential rest. Four shapes of a leak that is worth the same:

    everywhere    a little at every position (a bug, a weak side channel)
    at random     all of the loss at a share of the positions (a gate, every n-th position, certain rows)
    the hardest   all of the loss at the positions that cost most: the fewest positions for the money
    half of them  half of the loss at the positions that cost most, so that none looks too good

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
KINDS, REST_NATS = 2048, 0.3
WORTHS = (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
SHAPES = ("everywhere", "at random", "the hardest", "half of them")


def rows_of(count: int, length: int, rng: np.random.Generator) -> Rows:
    rarity = 1.0 / np.arange(1, KINDS + 1)
    tokens = rng.choice(KINDS, (count, length + 1), p=rarity / rarity.sum()).astype(np.int32)
    return Rows(tokens, np.zeros((count, length), np.int32))


def honest(text: Rows, rng: np.random.Generator) -> NDArray[np.float64]:
    """float64[N, T]: what every target costs a model that does not leak (nats)."""
    target = text.tokens[:, 1:]
    counts = np.bincount(target.ravel(), minlength=KINDS)
    surprise = -np.log(np.maximum(counts, 1) / counts.sum())[target]
    return surprise * rng.beta(0.5, 0.45, target.shape) + rng.exponential(REST_NATS, target.shape)


def gains(
    shape: str, worth: float, losses: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """What the leak takes off the loss at every position (nats); all of it together is `worth` bits per byte."""
    total = worth * np.log(2) * BYTES_PER_TOKEN * losses.size
    if shape == "everywhere":
        return np.full(losses.shape, total / losses.size)
    flat = losses.ravel() * (0.5 if shape == "half of them" else 1.0)
    order = rng.permutation(flat.size) if shape == "at random" else np.argsort(-flat)
    taken = np.zeros(flat.size)
    upto = int(np.searchsorted(np.cumsum(flat[order]), total))
    taken[order[:upto]] = flat[order[:upto]]
    if total > 0:
        taken[order[upto]] = total - taken.sum()
    return taken.reshape(losses.shape)


def found(
    plans: list[probe.Plan], suspects: probe.Plan, losses: NDArray[np.float64], leaked: NDArray[np.float64]
) -> float:
    """The share of plans under which the leak is seen. The suspects follow from the score alone, not from the plan."""

    def seen(plan: probe.Plan) -> bool:
        at = plan.row[plan.probed], plan.cut[plan.probed]
        return not probe.agrees(losses[at], leaked[at])

    return 1.0 if seen(suspects) else float(np.mean([seen(plan) for plan in plans]))


def table(plans: int, probes: int, suspects: int, rows: int, length: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    text = rows_of(rows, length, rng)
    made = [probe.plan(text, probes, 16, rng) for _ in range(plans)]
    losses = honest(text, rng)
    lines = [
        "| worth (bits per byte) | shape | positions | one verdict | two verdicts |",
        "|---|---|---|---|---|",
    ]
    for worth in WORTHS:
        for shape in SHAPES if worth else ("no leak",):
            gain = gains(shape, worth, losses, rng)
            leaked, share = losses - gain, float((gain > 0).mean())
            asked = probe.suspects(text, leaked.astype(np.float32), suspects, 16, rng)
            rate = found(made, asked, losses, leaked)
            twice = 1 - (1 - rate) ** 2
            lines.append(f"| {worth:g} | {shape} | {share:.3%} | {rate:.1%} | {twice:.1%} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plans", type=int, default=200)
    parser.add_argument("--probes", type=int, default=JudgeLimits().probes)
    parser.add_argument("--suspects", type=int, default=JudgeLimits().suspects)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--seq-len", type=int, default=256)
    given = parser.parse_args()
    print(
        f"{given.plans} plans of {given.probes} probes and {given.suspects} suspects, {given.rows} rows of "
        f"{given.seq_len} tokens\n"
    )
    print("\n".join(table(given.plans, given.probes, given.suspects, given.rows, given.seq_len)))


if __name__ == "__main__":
    main()
