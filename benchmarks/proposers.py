"""What the proposers of constants find in simulated runs: many runs in minutes, without an engine.

    .venv/bin/python -m benchmarks.proposers [--nights 60] [--arms random,tpe] [--trials 40] [--spread 2]

A simulated run (`--nights` is their number) has train.py's constants and a bowl-shaped loss over them: each constant costs its weight
times the squared distance from its best value, as a share of its range. Best values are drawn around the present ones. Weights are
log-normal with `--spread`, so a few constants matter and most do not. At most `--worth` bits per byte can be gained; the noise of one
training is SIGMA. Everything else is real: the proposers, the loop, what it adopts and confirms. benchmarks/search.py measures
the same with real trainings.

The arm `optuna` takes one to three constants at random from what that library's sampler suggests; it needs `pip install optuna`. All
arms get the same runs.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.simulated_run import SimulatedRun
from runner.parsing.client import shared
from runner.parsing.facts import Constant
from runner.proposers.choose_constants import ALL_TRIED, ATTEMPTS, place, proposal, rounded
from runner.proposers.registry import make_proposer
from runner.protocols import Context, Proposal, Proposer
from sandbox.fake_engine import Script
from sandbox.spec import Job, Role

TRAIN = Path(__file__).resolve().parents[1] / "trainer_jax" / "train.py"
SIGMA = 0.017


class Bowl:
    """The true loss of one simulated run. `script` has the constants and nothing else."""

    def __init__(self, constants: Sequence[Constant], seed: int, spread: float, worth: float) -> None:
        rng = random.Random(seed)
        self.script = "".join(map(_line, constants))
        self._noise = random.Random(f"{seed}/noise")
        self._best = {c.name: min(max(_share(c) + rng.gauss(0, 0.3), 0), 1) for c in constants}
        self._weights = {c.name: rng.lognormvariate(0, spread) for c in constants}
        self._scale = worth / self._cost(self.script)

    def _cost(self, source: str) -> float:
        return sum(self._weights[c.name] * (_share(c) - self._best[c.name]) ** 2 for c in find(source))

    def loss(self, source: str) -> float:
        return 2 + self._scale * self._cost(source)

    def train(self, source: str) -> float:
        return self.loss(source) + self._noise.gauss(0, SIGMA)


@dataclass(frozen=True, slots=True)
class Result:
    """`gain` is by how much the last kept script is truly better than the baseline, in bits per byte."""

    gain: float
    kept: int
    confirmed: int
    trainings: int


class SimulatedSearch(SimulatedRun):
    """A run in a bowl."""

    def __init__(self, folder: Path, bowl: Bowl, proposer: Proposer) -> None:
        super().__init__(folder, [])
        self._bowl = bowl
        self.workspace.script.write_text(bowl.script)
        self.proposals: Any = proposer

    def train(self, job: Job) -> Script:
        if job.role is Role.PROBE:
            return Script()
        self.clock.sleep(self.train_s)
        source = next(mount.source for mount in job.mounts if mount.target == "/work/train.py").read_text()
        (job.destination / "model.stablehlo").write_text("model")
        (job.destination / "params.safetensors").write_text(repr(self._bowl.train(source)))
        return Script()


def simulated_search(proposer: Proposer, bowl: Bowl, trials: int) -> Result:
    with tempfile.TemporaryDirectory(prefix="autoresearch-proposers-") as folder:
        run = SimulatedSearch(Path(folder), bowl, proposer)
        run.loop(max_experiments=trials).go()
        experiments = run.ledger.experiments("simulated")
        kept = [e for e in experiments if e.kept]
        claims = [c for c in run.ledger.confirmations("simulated") if c.verdict == "confirmed"]
        trainings = sum(len(e.attempts) for e in experiments)
        found = Result(
            bowl.loss(bowl.script) - bowl.loss(kept[-1].source), len(kept) - 1, len(claims), trainings
        )
        run.ledger.close()
        return found


class Optuna:
    name = "optuna"

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def propose(self, context: Context) -> Proposal:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        constants = context.best_constants
        space = {}
        for c in constants:
            if c.kind == "cat":
                space[c.name] = optuna.distributions.CategoricalDistribution(list(c.choices))
            elif c.kind == "int":
                space[c.name] = optuna.distributions.IntDistribution(int(c.low), int(c.high))
            else:
                space[c.name] = optuna.distributions.FloatDistribution(c.low, c.high, log=c.kind == "log")
        rng = random.Random(f"{self._seed}/{context.number}")
        for _ in range(ATTEMPTS):
            sampler = optuna.samplers.TPESampler(seed=rng.randrange(1 << 31), n_startup_trials=8)
            study = optuna.create_study(sampler=sampler)
            for past in context.history:
                params = {c.name: c.value for c in past.constants}
                study.add_trial(
                    optuna.trial.create_trial(params=params, distributions=space, value=past.val_bpb)
                )
            params = study.ask(space).params
            chosen = rng.sample(constants, rng.randint(1, 3))
            values = {
                c.name: params[c.name] if c.kind == "cat" else rounded(c, params[c.name]) for c in chosen
            }
            if (found := proposal(context, values, shared())) is not None:
                return found
        return ALL_TRIED


def find(source: str) -> Sequence[Constant]:
    return shared().facts(source).constants


def _line(constant: Constant) -> str:
    low_high = (f"{constant.low:g}", f"{constant.high:g}")
    words = map(str, constant.choices) if constant.kind == "cat" else low_high
    return f"{constant.name} = {constant.value!r}  # tune: {constant.kind} {' '.join(words)}\n"


def _share(constant: Constant) -> float:
    where = place(constant, constant.value)
    assert where is not None
    return where / max(1, len(constant.choices) - 1) if constant.kind == "cat" else where


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nights", type=int, default=60)
    parser.add_argument("--arms", default="random,tpe", help="the first is what the others are compared with")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--spread", type=float, default=2.0)
    parser.add_argument("--worth", type=float, default=0.5)
    options = parser.parse_args()
    constants = find(TRAIN.read_text())
    print("arm      mean gain  median gain  better than the first arm in  adopted  confirmed  trainings")
    first: list[Result] = []
    for arm in options.arms.split(","):
        found = []
        for seed in range(options.nights):
            proposer = Optuna(seed) if arm == "optuna" else make_proposer(arm, seed=seed)
            bowl = Bowl(constants, seed, options.spread, options.worth)
            found.append(simulated_search(proposer, bowl, options.trials))
        first = first or found
        gains = [item.gain for item in found]
        better = statistics.fmean(a.gain > b.gain for a, b in zip(found, first, strict=True))
        kept, confirmed, trainings = (
            statistics.fmean(getattr(item, name) for item in found)
            for name in ("kept", "confirmed", "trainings")
        )
        print(
            f"{arm:8s} {statistics.fmean(gains):9.4f}  {statistics.median(gains):11.4f}  {better:28.0%}"
            f"  {kept:7.1f}  {confirmed:9.1f}  {trainings:9.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
