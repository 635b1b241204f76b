"""The blind probe: what does the model predict where there is nothing to peek at?

A probe is a (row, cut): the function sees x[:cut+1] of a hidden row, then other real text, and predicts y[cut]. Its loss
there is honest by construction (a strict prefix: openai/parameter-golf #1017), and the full score, which sees
everything, must agree with it position by position.

Real text, because a leak can be switched on by natural-looking rows only; random cuts, because a block summary
leaks nothing at its own border (karpathy/nanochat #844); other neighbours in the batch than in the full score, because
of batch statistics and expert choice.

Half of the rows are cut once: what follows their cut is nowhere in the blind container, so that even a program that
broke out of XLA would not find it. The other half lends the text after the cuts and is cut as often as it takes to
reach `count`; there, the text after a cut is in the container but never in the same batch as the cut (but for data of
fewer rows than a batch). Sparse leaks are found by number: a leak at a share f of the scored positions is missed with
probability (1 - f)^count. See docs/judge.md for what that means in bits per byte.

Afterwards the same is asked again, in a third container, where the full score looks too good beside the best model's or for
the rarity of its targets: a leak gathered at the dearest positions, too few to be met at random, is found there. Positions
drawn anew are among them, so that being asked about is no sign of being suspected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judge.rows import Rows

# The same program compiled for the same shape gives the same bits for a row whatever its neighbours hold; docs/judge.md
# has the measurements. The room below is what a device needs that picks other kernels in the other container.
# A leak as small as MEAN_NATS at every position is worth MEAN_NATS / ln 2 / (bytes per token): under 0.0003 bits
# per byte at the 2.5 bytes a token of the default data.
MAX_NATS = 0.01
MEAN_NATS = 0.0005


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Whole batches of probes. `inputs` (int32[M, T]) and `cut` (int64[M]) may be shown; `row` and `target` (int64[M])
    are known to the host alone. A filler, which completes a batch, has row -1."""

    inputs: NDArray[np.int32]
    cut: NDArray[np.int64]
    row: NDArray[np.int64]
    target: NDArray[np.int64]

    @property
    def probed(self) -> NDArray[np.bool_]:
        return self.row >= 0


def plan(rows: Rows, count: int, batch: int, rng: np.random.Generator) -> Plan:
    """`count` probes, or as many as there are positions that may be cut at. `rows` must have four rows or more."""
    order = rng.permutation(len(rows.tokens))
    once, lenders = order[: len(order) // 2], order[len(order) // 2 :]
    return _shown(rows, _batches(rows.scored, once, lenders, count, batch, rng), lenders, batch, rng)


def suspicious(
    rows: Rows, nats: NDArray[np.float32], count: int, reference: NDArray[np.float32] | None = None
) -> NDArray[np.int64]:
    """The `count` positions (row * T + cut) at which the score looks too good. `nats` is the model's full score, `reference`
    that of the best model so far, both float[N, T].

    A leak that is gathered at the few positions where it pays most is there, however few they are: half of them are those
    where the model is better than the reference by most, since what leaks there is no merit of the model; the others,
    and all where there is no reference, those where it did best for how rare the target is.
    """
    target = rows.tokens[:, 1:]
    counts = np.bincount(target[rows.scored], minlength=int(target.max()) + 1)
    surprise = -np.log(np.maximum(counts, 1) / counts.sum())
    expected = [surprise[target]]
    if reference is not None and reference.shape == nats.shape:
        expected.append(reference)
    left = rows.scored.ravel().copy()
    count = min(count, int(left.sum()))
    found: list[NDArray[np.int64]] = []
    for lists_left, loss in zip((2, 1) if len(expected) > 1 else (1,), reversed(expected), strict=True):
        wanted = (count - sum(map(len, found))) // lists_left
        gain = np.where(left, loss.ravel() - nats.ravel(), -np.inf)
        found.append(np.argsort(-gain, kind="stable")[:wanted])
        left[found[-1]] = False
    return np.sort(np.concatenate(found))


def again(rows: Rows, positions: NDArray[np.int64], fresh: int, batch: int, rng: np.random.Generator) -> Plan:
    """Probes at `positions` (row * T + cut) and at `fresh` others, mixed: that it is asked about a position tells a program
    nothing about what its score said there."""
    length = rows.document.shape[1]
    others = np.setdiff1d(np.flatnonzero(rows.scored), positions)
    drawn = rng.choice(others, min(fresh, len(others)), replace=False)
    row, cut = np.divmod(np.sort(np.concatenate([positions, drawn])), length)
    order = rng.permutation(len(rows.tokens))[row].argsort(
        kind="stable"
    )  # rows in any order, a row's cuts together
    row, cut = row[order], cut[order]
    _, begin, sizes = np.unique(row, return_index=True, return_counts=True)
    nth = np.empty(len(row), np.int64)  # of its row: no row twice in a batch
    for at, size in zip(begin, sizes, strict=True):
        nth[at : at + size] = rng.permutation(size)
    everyone = np.arange(len(rows.tokens))
    probes = np.stack([row, cut], axis=1)
    layers = (probes[nth == depth] for depth in range(int(nth.max(initial=-1)) + 1))
    split = (part for layer in layers for part in _split(layer, batch))
    return _shown(rows, split, everyone, batch, rng)


def _split(probes: NDArray[np.int64], batch: int) -> Iterator[NDArray[np.int64]]:
    return (probes[start : start + batch] for start in range(0, len(probes), batch))


def _shown(
    rows: Rows,
    probed: Iterator[NDArray[np.int64]],
    lenders: NDArray[np.int64],
    batch: int,
    rng: np.random.Generator,
) -> Plan:
    """Every batch of (row, cut) with what may be seen of its rows, and text of the lenders after the cuts."""
    x, y = rows.tokens[:, :-1], rows.tokens[:, 1:]
    length = x.shape[1]
    batches = []
    for probes in probed:
        fillers = np.tile([[-1, 0]], (batch - len(probes), 1))
        row, cut = np.concatenate([probes, fillers]).T
        # the lender's text from a random offset, so that it is other text also at the same position
        offset = rng.integers(length, size=(batch, 1))
        lent = x[_lent_by(lenders, row, rng)[:, None], (np.arange(length) + offset) % length]
        shown = (np.arange(length) <= cut[:, None]) & (row >= 0)[:, None]
        batches.append((np.where(shown, x[row], lent), cut, row, np.where(row >= 0, y[row, cut], 0)))
    inputs, cut, row, target = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return Plan(inputs.astype(np.int32), cut, row, target.astype(np.int64))


def _batches(
    scored: NDArray[np.bool_],
    once: NDArray[np.int64],
    lenders: NDArray[np.int64],
    count: int,
    batch: int,
    rng: np.random.Generator,
) -> Iterator[NDArray[np.int64]]:
    """int64[<= batch, 2] of (row, cut): no row twice in a batch, no position twice at all, at most `count` in total."""
    cuts = {int(row): rng.permutation(np.flatnonzero(scored[row])) for row in (*once, *lenders)}

    def batched(rows: NDArray[np.int64], depth: int) -> Iterator[NDArray[np.int64]]:
        yield from _split(np.array([(row, cuts[int(row)][depth]) for row in rows], np.int64), batch)

    once = once[:count]
    yield from batched(once, 0)
    left, depth = count - len(once), 0
    while left > 0 and (deep := [row for row in lenders if len(cuts[int(row)]) > depth]):
        now = rng.permutation(deep)[:left]
        yield from batched(now, depth)
        left, depth = left - len(now), depth + 1


def _lent_by(
    lenders: NDArray[np.int64], members: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """For every member of a batch a row that is not in the batch; in tiny data, one that is at least another row."""
    outside = np.setdiff1d(lenders, members)
    if len(outside):
        return rng.choice(outside, len(members))
    return np.array([rng.choice(lenders[lenders != member]) for member in members])


def blind_nats(logits: NDArray[np.float32], target: NDArray[np.int64]) -> NDArray[np.float64]:
    """Cross-entropy (nats) at the cuts, normalised here in float64 over all of V."""
    nats = np.empty(len(target))
    for start in range(0, len(target), 256):  # float64 of all the logits at once would be gigabytes
        wide = logits[start : start + 256].astype(np.float64)
        wide -= wide.max(axis=1, keepdims=True)
        picked = wide[np.arange(len(wide)), target[start : start + 256]]
        nats[start : start + 256] = np.log(np.exp(wide).sum(axis=1)) - picked
    return nats


def agrees(blind: NDArray[np.float64], full: NDArray[np.float64]) -> bool:
    """Whether the full score at the probed positions is the blind one."""
    difference = np.abs(blind - full)
    return bool(
        np.isfinite(difference).all() and difference.max() <= MAX_NATS and difference.mean() <= MEAN_NATS
    )
