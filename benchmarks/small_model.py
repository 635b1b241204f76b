"""Real trainings of a tenth of a second, for benchmarks of the search.

The model predicts a character from the ones before it (Bengio et al. 2003), in numpy, by Adam with a rate for each kind of parameter and a
schedule like train.py's. Its script has 24 tunable constants and nothing else, with rates that are plausible and not tuned. Wider
models, longer contexts and larger batches take fewer steps in the same time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCRIPT = """\
WIDTH = 32  # tune: cat 16 24 32 48 64 96
EMBED = 8  # tune: int 3 16
CONTEXT = 4  # tune: int 2 8
BATCH = 64  # tune: cat 16 32 64 128
EMBED_RATE = 0.003  # tune: log 0.0003 0.3
INNER_RATE = 0.003  # tune: log 0.0003 0.3
SKIP_RATE = 0.003  # tune: log 0.0003 0.3
OUTER_RATE = 0.003  # tune: log 0.0003 0.3
BIAS_RATE = 0.003  # tune: log 0.0003 0.3
EMBED_INIT = 0.3  # tune: log 0.03 3
INNER_INIT = 1.0  # tune: log 0.1 5
OUTER_INIT = 0.1  # tune: log 0.001 1
WARMUP = 0.05  # tune: float 0 0.3
WARMDOWN = 0.5  # tune: float 0.2 0.95
FINAL_RATE = 0.0  # tune: float 0 0.2
BETA1 = 0.8  # tune: float 0.5 0.97
BETA2 = 0.99  # tune: float 0.9 0.999
EPSILON = 1e-8  # tune: log 1e-10 0.001
DECAY = 0.1  # tune: float 0 0.4
CLIP = 1.0  # tune: log 0.03 10
SMOOTHING = 0.0  # tune: float 0 0.2
DROPOUT = 0.0  # tune: float 0 0.4
SLOPE = 0.0  # tune: float 0 0.6
SOFT_CAP = 15.0  # tune: float 3 30
"""
REPORTS = 20
WORK = 300.0
"""Steps of a training with the first script's sizes."""
Array = NDArray[np.float32]
Recipe = Mapping[str, Any]


class SmallModel:
    """For a text; see `result`."""

    script = SCRIPT

    def __init__(self, texts: Mapping[str, str]) -> None:
        """`texts` are train, val and test."""
        known = {c: number for number, c in enumerate(sorted({*"".join(texts.values())}))}
        self._codes = {split: np.array([known[c] for c in text]) for split, text in texts.items()}
        self.vocabulary = len(known)

    def result(self, recipe: Recipe, seed: int, pace: float = 1.0) -> tuple[list[bytes], dict[str, float]]:
        """Lines of telemetry, and bits per character on both held-out texts. `pace` multiplies the number of steps."""
        with np.errstate(over="ignore", invalid="ignore"):
            lines, weights = train(recipe, self._codes["train"], self.vocabulary, seed, pace)
            return lines, {split: bits(weights, recipe, self._codes[split]) for split in ("val", "test")}


def steps_of(recipe: Recipe) -> int:
    """How many steps fit into the time: an overhead, and a part in proportion to the arithmetic of a step."""

    def cost(width: float, embed: float, context: float, batch: float) -> float:
        return 0.3 + 0.7 * (batch / 64) * (context * embed * (width + 100) + 100 * width) / (32 * 132 + 3200)

    return max(int(WORK / cost(*(recipe[name] for name in ("WIDTH", "EMBED", "CONTEXT", "BATCH")))), REPORTS)


def train(
    recipe: Recipe, codes: NDArray[np.int64], vocabulary: int, seed: int, pace: float = 1.0
) -> tuple[list[bytes], dict[str, Array]]:
    """Lines of telemetry, and the parameters at the end."""
    rng = np.random.default_rng(seed)
    width, batch, context, embed = (recipe[name] for name in ("WIDTH", "BATCH", "CONTEXT", "EMBED"))
    inputs, steps = context * embed, max(round(pace * steps_of(recipe)), REPORTS)

    def normal(scale: float, *shape: int) -> Array:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    weights = {
        "EMBED": normal(recipe["EMBED_INIT"], vocabulary, embed),
        "INNER": normal(recipe["INNER_INIT"] / math.sqrt(inputs), inputs, width),
        "SKIP": np.zeros((inputs, vocabulary), np.float32),
        "OUTER": normal(recipe["OUTER_INIT"] / math.sqrt(width), width, vocabulary),
        "BIAS": np.zeros(vocabulary, np.float32),
    }
    first, second = ({name: np.zeros_like(w) for name, w in weights.items()} for _ in range(2))
    b1, b2, lines, losses = recipe["BETA1"], recipe["BETA2"], list[bytes](), list[float]()
    for step in range(steps):
        progress = step / steps
        places = rng.integers(0, len(codes) - context, batch)
        keep = None
        if recipe["DROPOUT"]:
            keep = (rng.random((batch, width)) >= recipe["DROPOUT"]) / np.float32(1 - recipe["DROPOUT"])
        loss, gradients = loss_and_gradients(weights, recipe, codes, places, keep)
        losses.append(loss)
        norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values()))
        clip = min(1.0, recipe["CLIP"] / norm) if norm else 1.0
        schedule = min(1.0, (progress + 1 / steps) / recipe["WARMUP"]) if recipe["WARMUP"] else 1.0
        schedule *= recipe["FINAL_RATE"] + (1 - recipe["FINAL_RATE"]) * min(
            (1 - progress) / recipe["WARMDOWN"], 1
        )
        share1, share2 = 1 - b1 ** (step + 1), 1 - b2 ** (step + 1)
        for name, unclipped in gradients.items():
            gradient = unclipped * np.float32(clip)
            first[name] += (1 - b1) * (gradient - first[name])
            second[name] += (1 - b2) * (gradient * gradient - second[name])
            rate = schedule * recipe[f"{name}_RATE"]
            move = first[name] / share1 / (np.sqrt(second[name] / share2) + recipe["EPSILON"])
            weights[name] -= rate * (move + recipe["DECAY"] * weights[name])
        if step == 0 or (step + 1) * REPORTS // steps > step * REPORTS // steps:
            lines.append(
                json.dumps({"loss": math.fsum(losses) / len(losses), "progress": progress}).encode() + b"\n"
            )
            losses = []
    return lines, weights


def loss_and_gradients(
    weights: Mapping[str, Array],
    recipe: Recipe,
    codes: NDArray[np.int64],
    places: NDArray[np.int64],
    keep: Array | None = None,
    *,
    smoothing: bool = True,
) -> tuple[float, dict[str, Array]]:
    """Mean cross-entropy (nats) of softmax(cap(f(e W) U + e S + b)) with its gradients. e are the embeddings of the characters
    before each place, f is the leaky rectifier, and cap(z) = c tanh(z / c)."""
    context, cap = recipe["CONTEXT"], np.float32(recipe["SOFT_CAP"])
    x, y, n = codes[places[:, None] + np.arange(context)], codes[places + context], len(places)
    e = weights["EMBED"][x].reshape(n, -1)
    h = e @ weights["INNER"]
    slope = np.where(h > 0, np.float32(1), np.float32(recipe["SLOPE"]))
    if keep is not None:
        slope = slope * keep
    a = h * slope
    t = np.tanh((a @ weights["OUTER"] + e @ weights["SKIP"] + weights["BIAS"]) / cap)
    p = np.exp(cap * t)
    total = p.sum(axis=1, keepdims=True)
    loss = float(np.mean(np.log(total[:, 0]) - cap * t[np.arange(n), y]))
    p /= total
    share = np.float32(recipe["SMOOTHING"] if smoothing else 0)
    p -= share / p.shape[1]
    p[np.arange(n), y] -= 1 - share
    p *= (1 - t * t) / np.float32(n)
    back = (p @ weights["OUTER"].T) * slope
    by_embed = np.zeros_like(weights["EMBED"])
    by_e = back @ weights["INNER"].T + p @ weights["SKIP"].T
    np.add.at(by_embed, x, by_e.reshape(*x.shape, -1))
    return loss, {
        "EMBED": by_embed,
        "INNER": e.T @ back,
        "SKIP": e.T @ p,
        "OUTER": a.T @ p,
        "BIAS": p.sum(axis=0),
    }


def bits(weights: Mapping[str, Array], recipe: Recipe, codes: NDArray[np.int64]) -> float:
    """Bits per character, on one in seven."""
    places = np.arange(0, len(codes) - recipe["CONTEXT"], 7)
    return loss_and_gradients(weights, recipe, codes, places)[0] / math.log(2)
