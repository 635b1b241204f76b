"""The blind probe: what does the model predict where there was nothing to peek at?

Random cut points in real hidden rows; everything after the cut is replaced by other real text, and the rows that
share the batch are others than in the full score. The container that runs the probe is never given the text after
the cut, so its loss there is honest by construction (a strict prefix, in the words of openai/parameter-golf #1017);
the full score, which sees everything, must agree with it position by position.

Real text, because a leak can be switched on by natural-looking rows only; random unaligned cuts, because a block
summary leaks nothing at its own border (karpathy/nanochat #844); other rows, because of batch statistics and expert choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judge.rows import Rows

# The same program on the same device gives the same bits for a row whatever its neighbours hold (measured:
# difference 0.0 on XLA:CPU in float32 and bfloat16). The room below is for devices whose kernels choose by
# content; a leak worth 0.002 bits per byte is about 0.004 nats per token, well above MEAN.
MAX_NATS = 0.02
MEAN_NATS = 0.001


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """`inputs` int32[K, T] may be shown; `row`, `cut`, `target` (int[K] each) are known to the host alone."""

    inputs: NDArray[np.int32]
    row: NDArray[np.int64]
    cut: NDArray[np.int64]
    target: NDArray[np.int64]


def plan(rows: Rows, count: int, rng: np.random.Generator) -> Plan:
    """`count` probes at scored positions, spread over the rows. At cut t the function sees x[:t+1] and predicts y[t]."""
    x, y = rows.tokens[:, :-1], rows.tokens[:, 1:]
    order = np.concatenate([rng.permutation(len(x)) for _ in range(-(-count // len(x)))])[:count]
    cut = np.array([rng.choice(np.flatnonzero(rows.scored[row])) for row in order])
    inputs = x[order].copy()
    positions = np.arange(x.shape[1])
    for index in range(count):
        donor = x[rng.integers(len(x))]
        shifted = np.roll(donor, int(rng.integers(len(donor))))  # other text, also at the same offset
        after = positions > cut[index]
        inputs[index, after] = shifted[after]
    return Plan(inputs, order, cut, y[order, cut].astype(np.int64))


def blind_nats(logits: NDArray[np.float32], target: NDArray[np.int64]) -> NDArray[np.float64]:
    """Cross-entropy (nats) at the cuts, normalised here in float64 over all of V."""
    wide = logits.astype(np.float64)
    top = wide.max(axis=1, keepdims=True)
    total = np.log(np.exp(wide - top).sum(axis=1)) + top[:, 0]
    nats: NDArray[np.float64] = total - wide[np.arange(len(target)), target]
    return nats


def agrees(blind: NDArray[np.float64], full: NDArray[np.float64]) -> bool:
    """Whether the full score at the probed positions is the blind one."""
    difference = np.abs(blind - full)
    return bool(
        np.isfinite(difference).all() and difference.max() <= MAX_NATS and difference.mean() <= MEAN_NATS
    )
