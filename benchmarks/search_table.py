"""The results of benchmarks/search.py, read from the arms' ledgers: the table, and the checks that failed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.durations import format_duration, parse_duration
from runner.scoring.repeat_noise import pooled
from runner.store.ledger import Ledger
from runner.store.records import Experiment

LEDGER = Path(".autoresearch", "ledger.db")
NO_CHANGE = "repeat"
SIMPLER = "as good and simpler"
_HEADS = (
    *(
        "arm",
        "seed",
        "trials",
        "baseline",
        "sigma",
        "best",
        "adopted",
        "confirmed",
        "false claims",
        "simpler",
        "failed",
    ),
    *("trainings", "s each", "test of baseline", "test of best"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """One arm and seed. Scores in bits per byte. `sigma` is the standard deviation of one training, pooled as the
    runner does, with `freedom` degrees of freedom. `best` is the newest keep, as in `autoresearch best`."""

    arm: str
    seed: int
    wall_clock_s: float
    trials: int
    baseline: float | None
    sigma: float | None
    freedom: int
    best: float | None
    kept: int
    confirmed: int
    simpler: int
    failed: int
    trainings: int
    seconds_each: float
    baseline_test: float | None
    best_test: float | None
    script: str
    """SHA-256 of the baseline script; empty if there is no baseline yet."""
    first_scores: tuple[float, ...]
    """The score of the first training of every trial that has one."""

    @property
    def false_claims(self) -> int | None:
        """Every confirmation of an arm that changes nothing; unknown for the others."""
        return self.confirmed if self.arm == NO_CHANGE else None


def begun(workspace: Path) -> bool:
    """Whether there is a run that can be resumed or has ended. A run whose baseline failed (on a machine too busy for the wall clock)
    cannot be resumed, nor a ledger without a run (stopped in the first moment)."""
    if not (workspace / LEDGER).exists():
        return False
    ledger = Ledger(workspace / LEDGER, read_only=True)
    try:
        runs = ledger.runs()
        return bool(runs) and all(e.status != "failed" for e in ledger.experiments(runs[-1].id)[:1])
    finally:
        ledger.close()


def finished(status: Mapping[str, Any], trials: int) -> bool:
    """Whether a run has ended with that many trained trials. `status` is the answer of `autoresearch status --json`."""
    counts = status["counts"]
    untrained = sum(counts.get(word, 0) for word in ("open", "rejected", "proposer_failed"))
    decided = sum(counts.values()) - untrained - 1  # the baseline is no trial
    return status["finished_at"] is not None and decided >= trials


def read(workspace: Path) -> Found:
    """The newest run of a workspace. Raises UsageError if there is none."""
    ledger = Ledger(workspace / LEDGER, read_only=True)
    try:
        run = ledger.run()
        experiments = ledger.experiments(run.id)
        confirmed = sum(c.verdict == "confirmed" for c in ledger.confirmations(run.id))
    finally:
        ledger.close()
    config = run.settings["config"]
    baseline, trials = experiments[:1], experiments[1:]
    keeps = [e for e in trials if e.kept]
    simpler = sum(e.reason == SIMPLER for e in keeps)
    best = [*baseline, *keeps][-1:]
    noise = pooled([_scores(e) for e in experiments])
    trainings = sum(len(e.attempts) for e in experiments)
    return Found(
        arm=config["proposer"],
        seed=run.seed,
        wall_clock_s=parse_duration(config["wall_clock"]),
        trials=sum(e.status != "open" for e in trials),
        baseline=baseline[0].val_bpb if baseline else None,
        sigma=noise.sigma if noise else None,
        freedom=noise.freedom if noise else 0,
        best=best[0].val_bpb if best else None,
        kept=len(keeps) - simpler,
        confirmed=confirmed,
        simpler=simpler,
        failed=sum(e.status not in {"open", "keep", "discard", "stopped_early"} for e in trials),
        trainings=trainings,
        seconds_each=run.spent_s / max(trainings, 1),
        baseline_test=baseline[0].test_bpb if baseline else None,
        best_test=best[0].test_bpb if best else None,
        script=baseline[0].source_sha256 if baseline else "",
        first_scores=tuple(_scores(e)[0] for e in trials if e.counted),
    )


def _scores(experiment: Experiment) -> list[float]:
    return [a.val_bpb for a in experiment.counted if a.val_bpb is not None]


def table(found: Sequence[Found]) -> str:
    """Markdown: a row for each arm and seed, the medians of each arm, and the noise as `repeat` measured it."""
    if not found:
        return "nothing has been run yet"
    lines = [_row(_HEADS), _row(["---"] * len(_HEADS))]
    lines += [
        _row(_cells(item))
        for item in sorted(found, key=lambda item: (_arms(found).index(item.arm), item.seed))
    ]
    lines += [
        "",
        _row(
            (
                "arm",
                "median best",
                "median gain",
                "median gain on test",
                "adopted",
                "confirmed",
                "false claims",
                "trials",
            )
        ),
    ]
    lines.append(_row(["---"] * 8))
    for arm in _arms(found):
        rows = [item for item in found if item.arm == arm]
        false = sum(item.false_claims or 0 for item in rows) if arm == NO_CHANGE else None
        gains = [_minus(item.baseline, item.best) for item in rows]
        test_gains = [_minus(item.baseline_test, item.best_test) for item in rows]
        medians = [_number(_median(values)) for values in ([item.best for item in rows], gains, test_gains)]
        sums = [
            str(sum(item.kept for item in rows)),
            str(sum(item.confirmed for item in rows)),
            _count(false),
            str(sum(item.trials for item in rows)),
        ]
        lines.append(_row((arm, *medians, *sums)))
    clocks = sorted({item.wall_clock_s for item in found})
    lines += ["", f"wall clock of one training: {', '.join(map(format_duration, clocks))}"]
    noise = [item for item in found if item.arm == NO_CHANGE and len(item.first_scores) > 1]
    if noise:
        spread = [statistics.stdev(item.first_scores) for item in noise]
        number = sum(len(item.first_scores) for item in noise)
        lines.append(
            f"the same script again, {number} first trainings: standard deviation {_number(statistics.median(spread))}"
        )
    return "\n".join(lines)


def broken(found: Sequence[Found], arms: Sequence[tuple[str, int]], trials: int) -> list[str]:
    """The checks that failed, one sentence each: every arm has ended and all began with the same script, `repeat` confirmed nothing, and tpe is
    better than random in the median."""
    done = {(item.arm, item.seed): item for item in found if item.trials >= trials}
    sentences = [f"{arm}-{seed} has not come to its end" for arm, seed in arms if (arm, seed) not in done]
    if len({(item.script, item.wall_clock_s) for item in done.values()}) > 1:
        sentences.append("the arms began with different scripts or wall clocks: their scores do not compare")
    sentences += [
        f"{item.arm}-{item.seed} changed nothing and confirmed {item.false_claims}"
        for item in found
        if item.false_claims
    ]
    tpe, random = (
        _median([item.best for item in done.values() if item.arm == arm]) for arm in ("tpe", "random")
    )
    if tpe is not None and random is not None and not tpe < random:
        sentences.append(f"tpe's median {tpe:.4f} is not better than random's {random:.4f}")
    return sentences


def _arms(found: Sequence[Found]) -> list[str]:
    return list(dict.fromkeys(item.arm for item in found))


def _cells(item: Found) -> list[str]:
    sigma = "–" if item.sigma is None else f"{item.sigma:.4f} ({item.freedom})"
    return [
        *(item.arm, str(item.seed), str(item.trials), _number(item.baseline), sigma, _number(item.best)),
        *(
            str(item.kept),
            str(item.confirmed),
            _count(item.false_claims),
            str(item.simpler),
            str(item.failed),
            str(item.trainings),
        ),
        *(f"{item.seconds_each:.1f}", _number(item.baseline_test), _number(item.best_test)),
    ]


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _minus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _count(value: int | None) -> str:
    return "–" if value is None else str(value)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
