"""What the proposers of constants find where trainings are real and take seconds or less: whole runs without containers.

    OPENBLAS_NUM_THREADS=1 .venv/bin/python -m benchmarks.quick_search [--arms random,tpe] [--nights 20] [--trials 40]

`--script small` is the numpy model of benchmarks/small_model.py, 0.15 s a training; `--script train.py` is benchmarks/train_py_trainings.py,
two seconds a training, and needs JAX. Both learn this project's documentation. Everything but the engine and the judge's
container is real: the proposers, the loop, early stopping by the reports (`--no-early-stopping` turns it off), what it adopts and
confirms, and the sealed test text, on which only the first and the kept scripts are scored.

Trainings an hour are on a clock on which a training takes a minute; one that is ended early takes its share of it.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.simulated_run import SimulatedRun
from runner.proposers.registry import make_proposer
from runner.protocols import Proposer
from sandbox.fake_engine import Script
from sandbox.spec import Job, Role

SEEDS, NEW_SEEDS = 6, 1 << 20
"""How often a kept script is trained again afterwards, and from which seed on."""
PIECE = 4000
"""Bytes of a document."""


class Model(Protocol):
    """What is trained. `script` is the first script."""

    script: str
    vocabulary: int

    def result(self, recipe: Mapping[str, Any], seed: int) -> tuple[list[bytes], dict[str, float]]: ...


def small(text: str) -> Model:
    from benchmarks.small_model import SmallModel

    return SmallModel(_split(text))


def train_py(text: str) -> Model:
    from benchmarks.train_py_trainings import TrainPy

    def pieces(part: str) -> list[bytes]:
        octets = part.encode()
        return [octets[at : at + PIECE] for at in range(0, len(octets), PIECE)]

    return TrainPy({split: pieces(part) for split, part in _split(text).items()})


MODELS = {"small": small, "train.py": train_py}


def _split(text: str) -> dict[str, str]:
    first, second = len(text) * 8 // 10, len(text) * 9 // 10
    return {"train": text[:first], "val": text[first:second], "test": text[second:]}


class Trainings:
    """Of one run: what a script scores with a seed, val and test, and what it reports."""

    def __init__(self, model: Model, night: int) -> None:
        self.model, self._night = model, night
        self._means: dict[str, float] = {}

    def result(self, source: str, seed: int) -> tuple[list[bytes], dict[str, float]]:
        recipe: dict[str, Any] = {}
        exec(source, {}, recipe)
        return self.model.result(recipe, (seed + 7919 * self._night) % (1 << 31))

    def mean_test(self, source: str) -> float:
        """Of SEEDS trainings with seeds that the search has not met."""
        if source not in self._means:
            scores = [self.result(source, NEW_SEEDS + number)[1]["test"] for number in range(SEEDS)]
            self._means[source] = statistics.fmean(scores)
        return self._means[source]


class RealSearch(SimulatedRun):
    """A run whose trainings are real, on a clock on which each takes `train_s`."""

    def __init__(self, folder: Path, trainings: Trainings, proposer: Proposer) -> None:
        super().__init__(folder, [])
        self._trainings = trainings
        self.proposals: Any = proposer
        self.workspace.script.write_text(trainings.model.script)
        (self.data / "train" / "meta.json").write_text(json.dumps({"vocab_size": trainings.model.vocabulary}))

    def train(self, job: Job) -> Script:
        if job.role is Role.PROBE:
            return Script()
        source = next(mount.source for mount in job.mounts if mount.target == "/work/train.py").read_text()
        lines, scores = self._trainings.result(source, int(job.environment["AUTORESEARCH_SEED"]))
        (job.destination / "telemetry.jsonl").write_bytes(b"".join(lines))
        if not math.isfinite(sum(scores.values())):
            return Script(exit_code=1, log="the loss is not finite", seconds=self.train_s)
        (job.destination / "model.stablehlo").write_text("model")
        (job.destination / "params.safetensors").write_text(f"{scores['val']!r} {scores['test']!r}")
        return Script(seconds=self.train_s)


@dataclass(frozen=True, slots=True)
class Result:
    """Scores in bits per byte (small: per character). `test` are the ledger's sealed scores of the first and the last kept script, `fresh` their means
    over SEEDS new trainings. A false claim is a confirmed script that is not better than its reference in that mean."""

    val: tuple[float, float]
    test: tuple[float, float]
    fresh: tuple[float, float]
    kept: int
    confirmed: int
    false: int
    stopped: int
    trainings: int
    hours: float

    @property
    def gain(self) -> float:
        return self.fresh[0] - self.fresh[1]


def search(arm: str, model: Model, night: int, trials: int, *, early_stopping: bool) -> Result:
    with tempfile.TemporaryDirectory(prefix="autoresearch-quick-") as folder:
        trainings = Trainings(model, night)
        run = RealSearch(Path(folder), trainings, make_proposer(arm, seed=night))
        run.loop(max_experiments=trials, early_stopping=early_stopping).go()
        experiments = run.ledger.experiments("simulated")
        claims = [c for c in run.ledger.confirmations("simulated") if c.verdict == "confirmed"]
        sources = {e.number: e.source for e in experiments}
        spent = run.ledger.run("simulated").spent_s
        run.ledger.close()
    first, last = experiments[0], [e for e in experiments if e.status == "keep"][-1]

    def fresh(number: int) -> float:
        return trainings.mean_test(sources[number])

    assert first.val_bpb and last.val_bpb and first.test_bpb and last.test_bpb
    return Result(
        val=(first.val_bpb, last.val_bpb),
        test=(first.test_bpb, last.test_bpb),
        fresh=(fresh(first.number), fresh(last.number)),
        kept=sum(e.status == "keep" for e in experiments) - 1,
        confirmed=len(claims),
        false=sum(fresh(c.candidate) >= fresh(c.reference) for c in claims),
        stopped=sum(e.status == "stopped_early" for e in experiments),
        trainings=sum(len(e.attempts) for e in experiments),
        hours=spent / 3600,
    )


HEADS = (
    *("arm", "val", "sealed test", "retrained: test", "gain", "standard error", "better than the first arm"),
    *("adopted", "confirmed", "false", "ended early", "trainings", "trainings an hour"),
)


def row(arm: str, found: Sequence[Result], first: Sequence[Result]) -> str:
    """Means over the runs; `better` is the share of runs that ended better than those of the first arm."""

    def mean(values: Sequence[float]) -> float:
        return statistics.fmean(values)

    gains = [item.gain for item in found]
    error = statistics.stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 else math.nan
    better = mean([a.fresh[1] < b.fresh[1] for a, b in zip(found, first, strict=True)])
    counts = [f"{mean([getattr(item, name) for item in found]):.1f}" for name in ("kept", "confirmed")]
    trainings = sum(item.trainings for item in found)
    cells = [
        *(
            arm,
            *(f"{mean([getattr(item, name)[1] for item in found]):.4f}" for name in ("val", "test", "fresh")),
        ),
        *(f"{mean(gains):.4f}", f"{error:.4f}", f"{better:.0%}", *counts),
        str(sum(item.false for item in found)),
        f"{mean([item.stopped for item in found]):.1f}",
        f"{trainings / len(found):.1f}",
        f"{trainings / sum(item.hours for item in found):.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arms", default="random,tpe", help="the first is what the others are compared with")
    parser.add_argument("--script", choices=MODELS, default="small")
    parser.add_argument("--nights", type=int, default=20)
    parser.add_argument("--first-night", type=int, default=0)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--no-early-stopping", action="store_true")
    options = parser.parse_args()
    text = "".join(p.read_text() for p in sorted(Path(__file__).parents[1].glob("docs/*.md")))
    model = MODELS[options.script](text)
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    first: list[Result] = []
    for arm in options.arms.split(","):
        found = [
            search(arm, model, night, options.trials, early_stopping=not options.no_early_stopping)
            for night in range(options.first_night, options.first_night + options.nights)
        ]
        first = first or found
        print(row(arm, found, first), flush=True)


if __name__ == "__main__":
    main()
