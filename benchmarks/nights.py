"""What the keep rule brings home: simulated runs through the real loop, acceptance and ledger, no engine needed.

    .venv/bin/python -m benchmarks.nights --landscape FILE.py [--sigma 0.0005] [--rho 0.5] [--nights 300] [--slots 96] [--json]

FILE.py has `draw(rng, k) -> float`: the true change of val_bpb (bits per byte, negative is better) that the k-th proposal makes to the
script it starts from. A training's score is the truth plus noise of standard deviation `--sigma`: the share `--rho` of its
variance belongs to the seed and is the same for every script, half of the rest is fixed by script and seed together, the other half
differs at every run. A run has `--slots` trainings.

Arms: `greedy` is upstream's rule (one run each with one fixed seed, keep what scores below the best score so far); `ours` is
this project's loop with a fake engine and a fake clock, confirmations included. Both see the same draws. `--workers` runs
several nights at once. `--landscape` may also name one of this module's own: tails, drought, barren. `--drift` adds a slow
wave to all scores, as of a machine that is busier at some hours.

`--player` replaces the proposals by those of a player of the rule, none of which is truly better than the first script:
`stubborn` ignores the seed it is given, so its scores repeat; `lucky` saves nothing unless its own loss is among the best
tenth; `shrinking` is each time shorter and a tenth of sigma worse. What counts is what is claimed, and how much worse the last
adopted script is.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.simulated_run import SimulatedRun
from runner.protocols import Context, Event, Proposal
from sandbox.fake_engine import Script
from sandbox.spec import Job, Role

PLAYERS = ("stubborn", "lucky", "shrinking")
LUCKY = -1.28
"""In sigma: the best tenth."""
FIRST = 1.0
"""True score of the first script, bits per byte."""
SLOT_S, ENGINE_S = 60.0, 1.0
"""Of one training; what the fake engine takes of it to start and end a container."""
Draw = Callable[[np.random.Generator, int], float]


def tails(rng: np.random.Generator, _: int) -> float:
    """Heavy tails: most changes do little, a few win or lose a hundred times as much."""
    size = 0.0002 * float(rng.pareto(1.1))
    return -min(size, 0.1) if rng.random() < 0.15 else size


def drought(rng: np.random.Generator, k: int) -> float:
    """Some early gains, then 50 proposals without one, then some again."""
    if rng.random() < 0.25 and not 8 <= k < 58:
        return -float(rng.exponential(0.0015))
    return float(rng.exponential(0.002))


def barren(rng: np.random.Generator, _: int) -> float:
    """Nothing left to win: a third of the changes do nothing at all, the rest lose."""
    return 0.0 if rng.random() < 1 / 3 else float(rng.exponential(0.002))


OWN: dict[str, Draw] = {"tails": tails, "drought": drought, "barren": barren}


@dataclass(frozen=True, slots=True)
class Options:
    landscape: str
    sigma: float
    rho: float
    slots: int
    drift: float
    player: str = ""


class World:
    """One night's draws: what proposals change, and what seeds, scripts and runs add to a score."""

    def __init__(self, number: int, options: Options) -> None:
        self._options, self._draw = options, _landscape(options.landscape)
        self._changes, self._seeds, self._runs = (np.random.default_rng((number, part)) for part in (1, 2, 3))
        self._of_seed: dict[int, float] = {}
        self._of_pair: dict[tuple[float, int], float] = {}
        self._fixed: dict[str, float] = {}
        self.proposed = self.trained = 0

    def change(self) -> float:
        self.proposed += 1
        return float(self._draw(self._changes, self.proposed - 1))

    def score(self, truth: float, seed: int) -> float:
        options = self._options
        own = math.sqrt((1.0 - options.rho) / 2.0) * options.sigma
        if seed not in self._of_seed:
            self._of_seed[seed] = self._seeds.normal() * options.sigma * math.sqrt(options.rho)
        if (truth, seed) not in self._of_pair:
            self._of_pair[truth, seed] = self._runs.normal() * own
        drift = options.drift * options.sigma * math.sin(2.0 * math.pi * self.trained / options.slots)
        self.trained += 1
        return truth + self._of_seed[seed] + self._of_pair[truth, seed] + self._runs.normal() * own + drift

    def fixed_score(self, truth: float, source: str) -> float:
        """Of a script that ignores the seed: the same at every run."""
        self.trained += 1
        return truth + self._fixed.setdefault(source, self._runs.normal() * self._options.sigma)


@dataclass(frozen=True, slots=True)
class Night:
    """`true_gain` in bits per byte; `claims` and `true_claims` count confirmations and those that were right."""

    true_gain: float
    adopted: int
    claims: int = 0
    true_claims: int = 0
    trainings: int = 0


def greedy(number: int, options: Options) -> Night:
    """karpathy/autoresearch: one run each, one seed, keep whatever scores lower than the best so far."""
    world = World(number, options)
    truth, best, adopted = FIRST, world.score(FIRST, 0), 0
    for _ in range(options.slots - 1):
        candidate = truth + world.change()
        score = world.score(candidate, 0)
        if score < best:
            truth, best, adopted = candidate, score, adopted + 1
    return Night(FIRST - truth, adopted, trainings=options.slots)


class Landscape:
    """A proposer whose changes come from the world."""

    name = "landscape"

    def __init__(self, world: World) -> None:
        self._world = world

    def propose(self, context: Context) -> Proposal:
        truth = _truth(context.best_source) + self._world.change()
        return Proposal(_source(truth, self._world.proposed), f"change {self._world.proposed}")


class Player:
    """A proposer that plays the rule instead of improving the script."""

    name = "player"

    def __init__(self, world: World, options: Options) -> None:
        self._world, self._options = world, options

    def propose(self, context: Context) -> Proposal:
        number = self._world.proposed = self._world.proposed + 1
        truth, padding = _truth(context.best_source), _padding(context.best_source)
        if self._options.player == "shrinking":
            truth, padding = truth + 0.1 * self._options.sigma, int(0.9 * padding)
        return Proposal(_source(truth, number, padding, self._options.player), f"player's {number}")


class SimulatedNight(SimulatedRun):
    """A run whose trainings score what the world says."""

    def __init__(self, folder: Path, world: World, options: Options) -> None:
        super().__init__(folder, [])
        self._world, self._options = world, options
        self.workspace.script.write_text(_source(FIRST, 0))
        self.proposals: Any = Player(world, options) if options.player else Landscape(world)
        self.train_s = SLOT_S - ENGINE_S

    def train(self, job: Job) -> Script:
        if job.role is Role.PROBE:
            return Script()
        self.clock.sleep(self.train_s)
        source = next(mount.source for mount in job.mounts if mount.target == "/work/train.py").read_text()
        seed, truth = int(job.environment["AUTORESEARCH_SEED"]), _truth(source)
        if "'stubborn'" in source:
            score = self._world.fixed_score(truth, source)
        else:
            score = self._world.score(truth, seed)
        if "'lucky'" in source and score - truth > LUCKY * self._options.sigma:
            return Script(log="not this time")
        (job.destination / "model.stablehlo").write_text("model")
        (job.destination / "params.safetensors").write_text(repr(score))
        return Script(log="fine")


def ours(number: int, options: Options) -> Night:
    with tempfile.TemporaryDirectory(prefix="autoresearch-night-") as folder:
        night = SimulatedNight(Path(folder), World(number, options), options)
        events: list[Event] = []
        loop = night.loop(
            budget_s=options.slots * SLOT_S + 1.0,
            expected_s=SLOT_S,
            emit=events.append,
            infrastructure_pause_s=0.0,
        )
        loop.go()
        experiments = night.ledger.experiments("simulated")
        truths = [_truth(e.source) if e.status in {"keep", "discard"} else math.inf for e in experiments]
        kept = [e.number for e in experiments if e.kept]
        claims = [c for c in night.ledger.confirmations("simulated") if c.verdict == "confirmed"]
        right = sum(truths[c.candidate] < truths[c.reference] for c in claims)
        trainings = sum(len(e.attempts) for e in experiments)
        night.ledger.close()
        return Night(FIRST - truths[kept[-1]], len(kept) - 1, len(claims), right, trainings)


def summary(nights: list[Night]) -> dict[str, float]:
    gains = np.array([night.true_gain for night in nights])
    return {
        "true_gain": float(gains.mean()),
        "stderr": float(gains.std(ddof=1) / math.sqrt(len(gains))) if len(gains) > 1 else 0.0,
        "adopted": float(np.mean([night.adopted for night in nights])),
    }


def compare(options: Options, nights: int, workers: int) -> dict[str, Any]:
    numbers = range(nights)
    with ProcessPoolExecutor(workers) as pool:
        mine = list(pool.map(ours, numbers, [options] * nights))
    theirs = [greedy(number, options) for number in numbers]
    claims, right = sum(night.claims for night in mine), sum(night.true_claims for night in mine)
    confirmed = {"confirmed": claims / nights, "confirmed_true_share": right / claims if claims else None}
    assert max(night.trainings for night in mine) <= options.slots, (
        "a run had more trainings than there are slots"
    )
    arms = {"greedy": summary(theirs), "ours": {**summary(mine), **confirmed}}
    return {"sigma": options.sigma, "rho": options.rho, "nights": nights, "arms": arms}


def _landscape(name: str) -> Draw:
    if name in OWN:
        return OWN[name]
    spec = importlib.util.spec_from_file_location("landscape", name)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{name} is no Python file; own landscapes are {', '.join(OWN)}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    draw: Draw = module.draw
    return draw


def _source(truth: float, number: int, padding: int = 100, kind: str = "") -> str:
    return f"SCORE = {truth!r}\nNUMBER = {number}\nKIND = {kind!r}\nPADDING = {[0] * padding}\n"


def _padding(source: str) -> int:
    return source.count(" 0,") + 1


def _truth(source: str) -> float:
    return float(source.split("\n", 1)[0].removeprefix("SCORE = "))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--landscape", required=True, help=f"a Python file, or {', '.join(OWN)}")
    parser.add_argument("--sigma", type=float, default=0.0005)
    parser.add_argument("--rho", type=float, default=0.5)
    parser.add_argument("--nights", type=int, default=300)
    parser.add_argument("--slots", type=int, default=96)
    parser.add_argument("--drift", type=float, default=0.0, help="amplitude over the run, in sigma")
    parser.add_argument("--player", choices=PLAYERS, default="")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    options = Options(given.landscape, given.sigma, given.rho, given.slots, given.drift, given.player)
    found = compare(options, given.nights, given.workers)
    if given.json:
        print(json.dumps(found))
        return
    theirs, mine = found["arms"]["greedy"], found["arms"]["ours"]
    if given.player:
        print(
            f"{given.player}: the last adopted script is {-mine['true_gain'] / given.sigma:+.2f} sigma worse than the first; "
            f"{mine['confirmed']:.3f} claims a run, none of them right"
        )
        return
    for name, arm in found["arms"].items():
        gain = f"{arm['true_gain']:.5f} ± {arm['stderr']:.5f}"
        print(f"{name:7} true gain {gain} bits per byte, {arm['adopted']:.1f} adopted")
    share = mine["confirmed_true_share"]
    right = "-" if share is None else f"{share:.1%}"
    ratio = mine["true_gain"] / theirs["true_gain"] if theirs["true_gain"] else math.nan
    print(f"ours / greedy {ratio:.3f}; {mine['confirmed']:.2f} confirmed a run, {right} of them right")


if __name__ == "__main__":
    main()
