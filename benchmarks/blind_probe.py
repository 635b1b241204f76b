"""How large a leak must be for the blind probe to find it: simulated verdicts, printed as a table.

    .venv/bin/python -m benchmarks.blind_probe [--plans 200] [--rows 800] [--seq-len 256]

Plans and comparison are the judge's own (`judge.blind_probe.plan`, `suspicious`; `judge.agreement.agrees`). The default size is that of the
default data for CPUs: 800 rows of 256 tokens, vocabulary 2,048, 2.5 bytes per token. Token frequencies follow Zipf's law.

The loss of a token without a leak is its rarity (nats) times a number from a Beta(0.5, 0.45) distribution, so that an honest model is
nearly sure of many rare tokens, too, plus an exponential rest. One target in a hundred costs three nats more on average, however
frequent it is. The losses of the best model so far are the same times a lognormal number (sigma 0.4) plus an exponential rest: two
different scripts differ by that much.

Shapes of a leak of the same worth:

    everywhere    a little at every position (a bug, a weak side channel)
    at random     all of the loss at a share of the positions (a gate, every n-th position, certain rows)
    the hardest   all of the loss at the positions that cost most: the fewest positions
    half of them  half of the loss at the positions that cost most, so that none looks too good
    frequent      all of the loss where targets that are no rarer than the median cost most: no rarity names them
    half of those half of the loss there
    best's worst  all of the loss where the best model so far does worst
    a nat each    one nat, at positions that cost more than that: no more than other scripts differ

With a reference, suspects are ranked against the best model's losses, too. Without one (the first script of a run, `try`) they are
ranked by rarity only. A script is kept only after two verdicts with two secret plans, so the last columns count two.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from judge import agreement, blind_probe
from judge.limits import JudgeLimits
from judge.rows import Rows

BYTES_PER_TOKEN = 2.5
KINDS, REST_NATS = 2048, 0.3
WORTHS = (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
HARD_SHARE, HARD_NATS = 0.01, 3.0
OTHER_SCRIPT, OTHER_REST = 0.4, 0.1
SHAPES = (
    "everywhere",
    "at random",
    "the hardest",
    "half of them",
    "frequent",
    "half of those",
    "best's worst",
    "a nat each",
)
HALVES = ("half of them", "half of those")


def rows_of(count: int, length: int, rng: np.random.Generator) -> Rows:
    rarity = 1.0 / np.arange(1, KINDS + 1)
    tokens = rng.choice(KINDS, (count, length + 1), p=rarity / rarity.sum()).astype(np.int32)
    return Rows(tokens, np.zeros((count, length), np.int32))


def honest(text: Rows, rng: np.random.Generator) -> NDArray[np.float64]:
    """float64[N, T]: what every target costs a model that does not leak (nats)."""
    target = text.tokens[:, 1:]
    hard = (rng.random(target.shape) < HARD_SHARE) * rng.exponential(HARD_NATS, target.shape)
    rest = rng.exponential(REST_NATS, target.shape) + hard
    return surprise(text) * rng.beta(0.5, 0.45, target.shape) + rest


def surprise(text: Rows) -> NDArray[np.float64]:
    """float64[N, T]: how rare every target is (nats)."""
    target = text.tokens[:, 1:]
    counts = np.bincount(target.ravel(), minlength=KINDS)
    return -np.log(np.maximum(counts, 1) / counts.sum())[target]


def another_script(losses: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """What the same targets cost a model of another script that is about as good."""
    return losses * rng.lognormal(0.0, OTHER_SCRIPT, losses.shape) + rng.exponential(OTHER_REST, losses.shape)


def gains(
    shape: str,
    worth: float,
    losses: NDArray[np.float64],
    best: NDArray[np.float64],
    rarity: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """What the leak subtracts from the loss at every position (nats), in all `worth` bits per byte."""
    total = worth * np.log(2) * BYTES_PER_TOKEN * losses.size
    if shape == "everywhere":
        return np.full(losses.shape, total / losses.size)
    flat = losses.ravel() * (0.5 if shape in HALVES else 1.0)
    if shape == "a nat each":
        order, flat = rng.permutation(np.flatnonzero(flat > 1)), np.ones(flat.size)
    elif shape == "at random":
        order = rng.permutation(flat.size)
    elif shape == "best's worst":
        order = np.argsort(-best.ravel())
    elif shape in ("frequent", "half of those"):
        order = np.argsort(-np.where(rarity.ravel() <= np.median(rarity), flat, flat - flat.max()))
    else:
        order = np.argsort(-flat)
    taken = np.zeros(flat.size)
    upto = int(np.searchsorted(np.cumsum(flat[order]), total))
    taken[order[:upto]] = flat[order[:upto]]
    if total > 0:
        taken[order[upto]] = total - taken.sum()
    return taken.reshape(losses.shape)


def found(
    plans: list[NDArray[np.int64]],
    suspects: NDArray[np.int64],
    losses: NDArray[np.float64],
    leaked: NDArray[np.float64],
) -> float:
    """The share of verdicts that find the leak. `plans` holds the random positions of each verdict (of both blind
    containers); the suspects depend on the scores only."""

    def seen(at: NDArray[np.int64]) -> bool:
        return not agreement.agrees(losses.ravel()[at], leaked.ravel()[at])

    return 1.0 if seen(suspects) else float(np.mean([seen(plan) for plan in plans]))


def table(plans: int, limits: JudgeLimits, rows: int, length: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    text = rows_of(rows, length, rng)
    made = []
    for _ in range(plans):
        plan = blind_probe.plan(text, limits.probes, 16, rng)
        first = (plan.row * length + plan.cut)[plan.probed]
        made.append(np.concatenate([first, rng.choice(rows * length, limits.fresh, replace=False)]))
    losses, rarity = honest(text, rng), surprise(text)
    best = another_script(losses, rng)
    lines = [
        "| worth (bits per byte) | shape | positions | one verdict | two verdicts | two, without a reference |",
        "|---|---|---|---|---|---|",
    ]
    for worth in WORTHS:
        for shape in SHAPES if worth else ("no leak",):
            gain = gains(shape, worth, losses, best, rarity, rng)
            leaked, share = losses - gain, float((gain > 0).mean())
            rates = []
            for reference in (best.astype(np.float32), None):
                asked = blind_probe.suspicious(text, leaked.astype(np.float32), limits.suspects, reference)
                rates.append(found(made, asked, losses, leaked))
            once, twice, without = rates[0], *(1 - (1 - rate) ** 2 for rate in rates)
            lines.append(f"| {worth:g} | {shape} | {share:.3%} | {once:.1%} | {twice:.1%} | {without:.1%} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plans", type=int, default=200)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--seq-len", type=int, default=256)
    given, limits = parser.parse_args(), JudgeLimits()
    print(
        f"{given.plans} plans of {limits.probes} probes, {limits.suspects} suspects and {limits.fresh} fresh positions, "
        f"{given.rows} rows of {given.seq_len} tokens\n"
    )
    print("\n".join(table(given.plans, limits, given.rows, given.seq_len)))


if __name__ == "__main__":
    main()
