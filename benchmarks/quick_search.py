"""What the proposers of constants find where a training is real and takes a second or less: whole runs without containers.

    OPENBLAS_NUM_THREADS=1 .venv/bin/python -m benchmarks.quick_search [--model train.py] [--arms random,tpe] [--nights 8] [--trials 40]

The training is that of benchmarks/small_model.py on this project's documentation (`--model characters`), or train.py's own on the text of
`data prepare --demo` (`--model train.py`, benchmarks/compiled_model.py). Everything but the engine and the judge's container is real: the
proposers, the loop, early stopping by the reports (`--no-early-stopping` turns it off), what it adopts and confirms, and the sealed
test text, on which only the first and the kept scripts are scored. A night is a run with seeds of its own; all arms have the same nights.
The fake judge gives all documents of a text the same score, so a confirmation knows no error over documents.

A machine is never equally fast: `--pace` is the standard deviation of the number of steps of a training, so that the same script with the
same seed does not score the same.

Trainings an hour are on a clock on which a training takes a minute; one that is ended early takes its share of it.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.simulated_run import SimulatedRun
from benchmarks.small_model import SmallModel
from runner.cache import cache_folder
from runner.errors import UsageError
from runner.proposers.registry import make_proposer
from runner.protocols import Proposer
from sandbox.fake_engine import Script
from sandbox.spec import Job, Role

SEEDS, NEW_SEEDS = 3, 1 << 20
"""How often a kept script is trained again afterwards, and from which seed on."""
PIECE = 2000
"""Characters."""
Texts = Mapping[str, Sequence[str]]
"""The pieces of train, val and test."""


def split(text: str) -> Texts:
    """Of ten pieces that follow each other one is held out for val and one for test, so both are of the same kind."""
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    held_out = {"val": pieces[3::10], "test": pieces[8::10]}
    return {"train": [p for n, p in enumerate(pieces) if n % 10 not in {3, 8}], **held_out}


class Model(Protocol):
    """`script` is the first script. `result` gives lines of telemetry, and bits per character or byte on both held-out texts."""

    script: str
    vocabulary: int

    def result(
        self, recipe: Mapping[str, Any], seed: int, pace: float = 1.0
    ) -> tuple[list[bytes], dict[str, float]]: ...


class Trainings:
    """Of one run: what a script scores with a seed, val and test, and what it reports. `spread` is that of the number of steps, as a
    share of it."""

    def __init__(self, model: Model, night: int, spread: float = 0.0) -> None:
        self.model, self._night, self._spread = model, night, spread
        self._means: dict[str, float] = {}
        self._machine = random.Random(night)

    def result(self, source: str, seed: int) -> tuple[list[bytes], dict[str, float]]:
        recipe: dict[str, Any] = {}
        exec(source, {}, recipe)
        pace = math.exp(self._spread * self._machine.gauss(0.0, 1.0)) if self._spread else 1.0
        return self.model.result(recipe, (seed + 7919 * self._night) % (1 << 31), pace)

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
    """Scores in bits per character. `test` are the ledger's sealed scores of the first and the last kept script, `fresh` their means
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


def search(
    proposer: Proposer, model: Model, night: int, trials: int, *, early_stopping: bool, spread: float = 0.0
) -> Result:
    with tempfile.TemporaryDirectory(prefix="autoresearch-quick-") as folder:
        trainings = Trainings(model, night, spread)
        run = RealSearch(Path(folder), trainings, proposer)
        run.loop(max_experiments=trials, early_stopping=early_stopping).go()
        experiments = run.ledger.experiments("simulated")
        claims = [c for c in run.ledger.confirmations("simulated") if c.verdict == "confirmed"]
        sources = {e.number: e.source for e in experiments}
        spent = run.ledger.run("simulated").spent_s
        run.ledger.close()
    first, last = experiments[0], [e for e in experiments if e.kept][-1]

    def fresh(number: int) -> float:
        return trainings.mean_test(sources[number])

    assert first.val_bpb
    assert last.val_bpb
    assert first.test_bpb
    assert last.test_bpb
    return Result(
        val=(first.val_bpb, last.val_bpb),
        test=(first.test_bpb, last.test_bpb),
        fresh=(fresh(first.number), fresh(last.number)),
        kept=sum(e.kept for e in experiments) - 1,
        confirmed=len(claims),
        false=sum(fresh(c.candidate) >= fresh(c.reference) for c in claims),
        stopped=sum(e.status == "stopped_early" for e in experiments),
        trainings=sum(len(e.attempts) for e in experiments),
        hours=spent / 3600,
    )


HEADS = (
    *("arm", "val", "sealed test", "retrained: test", "gain", "more than the first arm"),
    *("adopted", "confirmed", "false", "ended early", "trainings", "trainings an hour"),
)


def row(arm: str, found: Sequence[Result], first: Sequence[Result]) -> str:
    """Means over the runs. `more than the first arm` is the mean difference of the gains in the same runs, with its standard
    error."""

    def mean(values: Sequence[float]) -> float:
        return statistics.fmean(values)

    def error(values: Sequence[float]) -> float:
        return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan

    gains = [item.gain for item in found]
    more = [a.gain - b.gain for a, b in zip(found, first, strict=True)]
    counts = [f"{mean([getattr(item, name) for item in found]):.1f}" for name in ("kept", "confirmed")]
    trainings = sum(item.trainings for item in found)
    cells = [
        *(
            arm,
            *(f"{mean([getattr(item, name)[1] for item in found]):.4f}" for name in ("val", "test", "fresh")),
        ),
        f"{mean(gains):.4f} ± {error(gains):.4f}",
        "" if found is first else f"{mean(more):+.4f} ± {error(more):.4f}",
        *counts,
        str(sum(item.false for item in found)),
        f"{mean([item.stopped for item in found]):.1f}",
        f"{trainings / len(found):.1f}",
        f"{trainings / sum(item.hours for item in found):.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def made(model: str) -> Model:
    """ "characters" or "train.py". Raises UsageError where the text of `data prepare --demo` is missing."""
    if model == "characters":
        text = "".join(p.read_text() for p in sorted(Path(__file__).parents[1].glob("docs/*.md")))
        return SmallModel({name: "".join(pieces) for name, pieces in split(text).items()})
    from benchmarks.compiled_model import CompiledModel

    data = cache_folder() / "data" / "demo-cpu"
    if not (data / "manifest.json").exists():
        raise UsageError("there is no text yet: `autoresearch data prepare --demo` makes it")
    return CompiledModel(data)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arms", default="random,tpe", help="the first is what the others are compared with")
    parser.add_argument("--nights", type=int, default=8)
    parser.add_argument("--first-night", type=int, default=0)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--no-early-stopping", action="store_true")
    parser.add_argument("--model", choices=("characters", "train.py"), default="characters")
    parser.add_argument("--pace", type=float, default=0.0, help="0.02: steps differ by 2 %% (default: 0)")
    options = parser.parse_args()
    model = made(options.model)
    arms = options.arms.split(",")
    found: dict[str, list[Result]] = {arm: [] for arm in arms}
    for night in range(options.first_night, options.first_night + options.nights):
        for arm in arms:
            result = search(
                make_proposer(arm, seed=night),
                model,
                night,
                options.trials,
                early_stopping=not options.no_early_stopping,
                spread=options.pace,
            )
            found[arm].append(result)
            print(f"night {night} {arm}: gain {result.gain:.4f}, {result}", file=sys.stderr, flush=True)
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for arm in arms:
        print(row(arm, found[arm], found[arms[0]]))


if __name__ == "__main__":
    main()
