"""What early stopping saves and costs in simulated overnight runs ("nights") of real trainings of a tiny model (0.1 s each).

    .venv/bin/python -m benchmarks.early_stopping --nights 10 --trials 60

The model predicts a character from the four before it (Bengio et al. 2003), in numpy, by Adam with a schedule like train.py's; wider models
and larger batches take fewer steps in the same time. A night changes one to three constants of the best script at random, 60
times. Every training runs to its end here, while the rule of `runner.scoring.early_stopping` reads its reports and records when it would
have ended it. As in a run, the rule learns nothing from what it would have ended, except for one training in ten.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runner.scoring.early_stopping import (
    CHECKPOINTS,
    Finished,
    Rule,
    TrainingMonitor,
    differences,
    in_sample,
)
from runner.scoring.learning_curve import Curve, Telemetry

CONTEXT, EMBED = 4, 8
REPORTS = 20
WORK = 400.0
"""Steps of a training with 32 hidden units and batches of 64."""
BASELINE_RUNS = 3
Recipe = Mapping[str, float]
BASELINE: Recipe = {
    "rate": 0.01,
    "warmdown": 0.5,
    "beta1": 0.8,
    "beta2": 0.99,
    "batch": 64,
    "width": 32,
    "init": 1.0,
    "decay": 0.0,
}


def draw(name: str, rng: random.Random) -> float:
    """A value of one constant, from about the range that a tuner would be given."""
    ranges = {"rate": (0.0003, 0.3), "init": (0.2, 5.0)}
    if name in ranges:
        low, high = ranges[name]
        return math.exp(rng.uniform(math.log(low), math.log(high)))
    if name in {"batch", "width"}:
        return rng.choice([16, 32, 64, 128])
    low, high = {"warmdown": (0.0, 0.95), "beta1": (0.5, 0.97), "beta2": (0.9, 0.999), "decay": (0.0, 0.3)}[
        name
    ]
    return rng.uniform(low, high)


@dataclass(frozen=True)
class Text:
    """Characters as numbers, split in two."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    vocabulary: int

    @classmethod
    def of(cls, text: str) -> Text:
        known = {character: number for number, character in enumerate(sorted(set(text)))}
        codes = np.array([known[character] for character in text])
        cut = len(codes) * 9 // 10
        return cls(codes[:cut], codes[cut:], len(known))


def rows(codes: NDArray[np.int64], places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return codes[places[:, None] + np.arange(CONTEXT)], codes[places + CONTEXT]


def train(recipe: Recipe, text: Text, seed: int) -> tuple[list[bytes], float]:
    """Lines of telemetry, and bits per character on the held-out text."""
    rng = np.random.default_rng(seed)
    width, batch, vocabulary = int(recipe["width"]), int(recipe["batch"]), text.vocabulary
    steps = max(int(WORK / (0.4 + 0.6 * (batch / 64) * (0.5 + 0.5 * width / 32))), 2 * REPORTS)
    scale = recipe["init"]
    weights = [
        scale * rng.normal(size=(vocabulary, EMBED)),
        scale * rng.normal(size=(CONTEXT * EMBED, width)) / math.sqrt(CONTEXT * EMBED),
        np.zeros((width, vocabulary)),
        np.zeros(vocabulary),
    ]
    first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    lines, losses = [], list[float]()
    for step in range(steps):
        progress = step / steps
        x, y = rows(text.train, rng.integers(0, len(text.train) - CONTEXT, batch))
        loss, gradients = loss_and_gradients(weights, x, y)
        losses.append(loss)
        down = recipe["warmdown"]
        rate = recipe["rate"] * (min((1 - progress) / down, 1.0) if down else 1.0)
        b1, b2 = recipe["beta1"], recipe["beta2"]
        first = [m + (1 - b1) * (g - m) for m, g in zip(first, gradients, strict=True)]
        second = [v + (1 - b2) * (g * g - v) for v, g in zip(second, gradients, strict=True)]
        share1, share2 = 1 - b1 ** (step + 1), 1 - b2 ** (step + 1)
        weights = [
            w - rate * (m / share1 / (np.sqrt(v / share2) + 1e-8) + recipe["decay"] * w)
            for w, m, v in zip(weights, first, second, strict=True)
        ]
        if step == 0 or (step + 1) * REPORTS // steps > step * REPORTS // steps:
            report = {"loss": math.fsum(losses) / len(losses), "progress": progress}
            lines.append(json.dumps(report).encode() + b"\n")
            losses = []
    x, y = rows(text.val, np.arange(0, len(text.val) - CONTEXT, 3))
    return lines, loss_and_gradients(weights, x, y)[0] / math.log(2)


def loss_and_gradients(
    weights: Sequence[NDArray[np.float64]], x: NDArray[np.int64], y: NDArray[np.int64]
) -> tuple[float, list[NDArray[np.float64]]]:
    """Mean cross-entropy (nats) of softmax(tanh(embeddings W) U + b), with its gradients."""
    embed, inner, outer, bias = weights
    h = embed[x].reshape(len(x), -1)
    a = np.tanh(h @ inner)
    logits = a @ outer + bias
    logits -= logits.max(axis=1, keepdims=True)
    exp = np.exp(logits)
    total = exp.sum(axis=1, keepdims=True)
    loss = float(np.mean(np.log(total[:, 0]) - logits[np.arange(len(y)), y]))
    slope = exp / total
    slope[np.arange(len(y)), y] -= 1
    slope /= len(y)
    back = (slope @ outer.T) * (1 - a * a)
    by_embed = np.zeros_like(embed)
    np.add.at(by_embed, x, (back @ inner.T).reshape(*x.shape, EMBED))
    return loss, [by_embed, h.T @ back, a.T @ slope, slope.sum(axis=0)]


@dataclass(frozen=True)
class Tally:
    """Of all trials of some nights."""

    trials: int = 0
    ended: int = 0
    time_saved: float = 0.0
    """In trainings."""
    better: int = 0
    """Scored better than the best script of its time."""
    better_ended: int = 0
    kept: int = 0
    kept_ended: int = 0
    """Would have been kept, but for the rule."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def night(text: Text, trials: int, seed: int) -> Tally:
    """One run: the baseline, then changes of the best script."""
    rng = random.Random(seed)
    best = dict(BASELINE)
    runs = [train(best, text, 1000 * seed + number) for number in range(BASELINE_RUNS)]
    scores = [score for _, score in runs]
    sigma = float(np.std(scores, ddof=1))
    curve, best_score = Curve.of([heard(lines) for lines, _ in runs]), float(np.mean(scores))
    finished: list[Finished] = []
    tally = Tally()
    for number in range(1, trials + 1):
        names = rng.sample(sorted(BASELINE), rng.choice([1, 1, 2, 3]))
        recipe = {**best, **{name: draw(name, rng) for name in names}}
        with np.errstate(over="ignore", invalid="ignore"):
            lines, score = train(recipe, text, 1000 * seed + 100 + number)
        monitor = TrainingMonitor(
            Telemetry(1.0), Rule.learned(curve, finished, noise=sigma, uniform=math.log(text.vocabulary))
        )
        read = next((place for place, line in enumerate(lines, 1) if monitor.see(line)), len(lines))
        ended = bool(monitor.reason)
        better = score < best_score
        kept = score < best_score - 3 * sigma
        tally += Tally(
            trials=1,
            ended=ended,
            time_saved=1 - read / len(lines) if ended else 0.0,
            better=better,
            better_ended=better and ended,
            kept=kept,
            kept_ended=kept and ended,
        )
        if ended and not in_sample(seed, number):
            continue
        if curve is not None and math.isfinite(score):
            finished.append(Finished(differences(heard(lines), curve), score - best_score))
        if kept:
            again = train(recipe, text, 1000 * seed + 500 + number)
            best, curve = recipe, Curve.of([heard(lines), heard(again[0])])
            best_score = (score + again[1]) / 2
    return tally


def heard(lines: Sequence[bytes]) -> Telemetry:
    telemetry = Telemetry(1.0)
    telemetry.add(b"".join(lines))
    return telemetry


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--trials", type=int, default=60)
    options = parser.parse_args()
    text = Text.of("".join(p.read_text() for p in sorted(Path(__file__).parents[1].glob("docs/*.md"))))
    total = Tally()
    for seed in range(options.nights):
        total += night(text, options.trials, seed)
    print(
        f"looks at {', '.join(f'{100 * c:.0f} %' for c in CHECKPOINTS)}; {options.nights} nights of {options.trials} trials"
    )
    print(f"ended early      {total.ended} of {total.trials} ({100 * total.ended / total.trials:.0f} %)")
    print(f"time saved       {100 * total.time_saved / total.trials:.0f} % of the trainings' time")
    print(f"better and ended {total.better_ended} of {total.better} that scored better than the best")
    print(f"kept and ended   {total.kept_ended} of {total.kept} that would have been kept")


if __name__ == "__main__":
    main()
