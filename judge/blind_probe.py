"""The blind probe: the loss of a model where it cannot see the target or what follows it.

A probe is a (row, cut). The program gets x[:cut+1] of a hidden row, followed by other real text, and predicts y[cut]. From a strict
prefix it cannot read the target (openai/parameter-golf #1017). The full score, which runs on the whole row, must give the same
loss at each probed position.

- The text after the cut is real, because a leak may be active only on rows that look natural.
- Cuts are random, because a block summary leaks nothing at its own border (karpathy/nanochat #844).
- A batch holds other rows than in the full score, because of batch statistics and expert choice.

Half of the rows are cut once. The text after these cuts is nowhere in the blind container, so even a program that broke out of
XLA cannot find it. The other half supplies the text after the cuts, and is cut as often as `count` requires. The text after those
cuts is in the container, but never in the same batch as its cut (except for data of fewer rows than a batch). A leak at a share f of
the scored positions is missed with probability (1 - f)^count.

A second blind probe, in a new container, asks at the positions where the full score looks too good, compared with the best script or
for the rarity of the target. It finds leaks at few positions, which random probes miss. New random positions are mixed in, so
that being asked about a position reveals nothing. docs/judge.md says what both detect, in bits per byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judge.rows import Rows


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Whole batches of probes. `inputs` (int32[M, T]) and `cut` (int64[M]) go to the container; `row` and `target` (int64[M]) stay
    on the host. A filler, which completes a batch, has row -1."""

    inputs: NDArray[np.int32]
    cut: NDArray[np.int64]
    row: NDArray[np.int64]
    target: NDArray[np.int64]

    @property
    def probed(self) -> NDArray[np.bool_]:
        return self.row >= 0


def plan(rows: Rows, count: int, batch: int, rng: np.random.Generator) -> Plan:
    """The first blind probe: `count` probes, or as many as there are positions to cut at. `rows` needs at least four rows."""
    order = rng.permutation(len(rows.tokens))
    once, lenders = order[: len(order) // 2], order[len(order) // 2 :]
    return _shown(rows, _batches(rows.scored, once, lenders, count, batch, rng), lenders, batch, rng)


def suspicious(
    rows: Rows, nats: NDArray[np.float32], count: int, reference: NDArray[np.float32] | None = None
) -> NDArray[np.int64]:
    """The `count` positions (row * T + cut), sorted, at which the score looks too good. `nats` is the model's full score,
    `reference` that of the best script so far, both float[N, T].

    Half are the positions where the model is better than the reference by most; the others, and all without a reference, those
    where it is best for the rarity of the target. A leak at the few positions where it gains most is among them.
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
    """The second blind probe: at `positions` (row * T + cut) and at `fresh` random others, mixed, so that being asked about a
    position tells a program nothing about its score there."""
    length = rows.document.shape[1]
    others = np.setdiff1d(np.flatnonzero(rows.scored), positions)
    drawn = rng.choice(others, min(fresh, len(others)), replace=False)
    row, cut = np.divmod(np.sort(np.concatenate([positions, drawn])), length)
    order = rng.permutation(len(rows.tokens))[row].argsort(
        kind="stable"
    )  # rows in any order, a row's cuts together
    row, cut = row[order], cut[order]
    _, begin, sizes = np.unique(row, return_index=True, return_counts=True)
    nth = np.empty(len(row), np.int64)  # number of a probe within its row: no row twice in a batch
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
    """The plan of batches of (row, cut): each row up to its cut, then text of a lender."""
    x, y = rows.tokens[:, :-1], rows.tokens[:, 1:]
    length = x.shape[1]
    batches = []
    for probes in probed:
        fillers = np.tile([[-1, 0]], (batch - len(probes), 1))
        row, cut = np.concatenate([probes, fillers]).T
        # the lender's text begins at a random offset, not at the position that it has in its own row
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
    """Batches int64[<= batch, 2] of (row, cut): no row twice in a batch, no position twice, at most `count` probes in total."""
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
    """For each member of a batch a lender outside the batch; in data of fewer rows than a batch, at least another row."""
    outside = np.setdiff1d(lenders, members)
    if len(outside):
        return rng.choice(outside, len(members))
    return np.array([rng.choice(lenders[lenders != member]) for member in members])


def blind_nats(logits: NDArray[np.float32], target: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64[K]: the cross-entropy (nats) of `target` (int64[K]) under `logits` (float32[K, V]), normalised in float64."""
    nats = np.empty(len(target))
    for start in range(0, len(target), 256):  # float64 of all the logits at once would be gigabytes
        wide = logits[start : start + 256].astype(np.float64)
        wide -= wide.max(axis=1, keepdims=True)
        picked = wide[np.arange(len(wide)), target[start : start + 256]]
        nats[start : start + 256] = np.log(np.exp(wide).sum(axis=1)) - picked
    return nats
