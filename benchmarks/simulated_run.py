"""A whole run without containers, GPU or waiting: a fake engine, a fake judge, a fake clock and scripted proposals."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared_clock import SharedClock
from judge.verdict import Verdict
from runner.evaluation.pipeline import Pipeline
from runner.nightly_window import TimeInside, parse_window
from runner.protocols import Context, Event, Proposal
from runner.results import git_lineage
from runner.results.promotion import Promotion
from runner.search.background import Start, in_thread
from runner.search.loop import Loop, Settings
from runner.search.time_budget import Budget
from runner.store.ledger import Ledger
from runner.store.workspace import Workspace, open_state
from sandbox.engine import BuildContext
from sandbox.fake_engine import FakeEngine, Script
from sandbox.spec import Job, Lease, Limits, Role

DOCUMENTS = 40
START = 7.6
"""What an untrained model loses, nats."""


class Clock:
    """Time passes only in `sleep`."""

    zone: tzinfo | None = UTC

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class OneLease:
    def __init__(self, lease: Lease | None = None) -> None:
        """One CPU if not said."""
        self._lease = lease or Lease(cpus=(0,))

    @contextmanager
    def acquire(self) -> Iterator[Lease]:
        yield self._lease

    def available(self) -> bool:
        return True

    def stop_waiting(self) -> None:
        pass

    def with_contention(self, lease: Lease) -> Lease:
        return lease

    def quarantine(self, lease: Lease, why: str) -> None:
        raise AssertionError("nothing here survives SIGKILL")

    def leave_out(self, uuid: str) -> int:
        raise AssertionError(f"there is no {uuid}")


class SeveralLeases(OneLease):
    """One CPU each, `count` of them."""

    def __init__(self, count: int) -> None:
        self._free = deque(Lease(cpus=(cpu,)) for cpu in range(count))
        self.most_at_once, self._held = 0, 0

    @contextmanager
    def acquire(self) -> Iterator[Lease]:
        lease = self._free.pop()  # the one that was given back last; there are as many as slots
        self._held += 1
        self.most_at_once = max(self.most_at_once, self._held)
        try:
            yield lease
        finally:
            self._held -= 1
            self._free.append(lease)

    def available(self) -> bool:
        return bool(self._free)


class WrittenScore:
    """A judge that reads the score that a fake training wrote into the weights; a second one is that of the test split. All documents are equally hard, and so is the only
    position. `references` are the references it was given, for val and test."""

    references: list[float | None] | None = None

    def score(self, artifact: Path, split: str, *, reference: Any = None, **_: Any) -> Verdict:
        seen = self.references = self.references or []
        seen.append(None if reference is None else float(reference[0, 0]))
        written = (artifact / "params.safetensors").read_text().split()
        bpb = float(written[-1] if split == "test" else written[0])
        sizes = np.full(DOCUMENTS, 1000, np.int64)
        nats = sizes * bpb * np.log(2)
        position = np.full((1, 1), bpb, np.float32)
        return Verdict(val_bpb=bpb, document_nats=nats, document_bytes=sizes, position_nats=position)


class Proposals:
    """Proposes `sources` in order: scripts with a line `SCORE = x`, where x is the score that training will reach."""

    name = "scripted"

    def __init__(self, sources: list[str]) -> None:
        self.sources = sources

    def propose(self, context: Context) -> Proposal:
        index = context.number - 1
        if index >= len(self.sources):
            return Proposal(None, "none", failure="the scripted proposals are used up")
        return Proposal(self.sources[index], f"idea {index}")


def source(score: float, extra: str = "") -> str:
    return f"SCORE = {score}\n{extra}"


class SimulatedRun:
    """A workspace with everything a run needs. `noise` maps a seed to what it adds to a score. In `slots` so many trainings run at
    once."""

    def __init__(
        self,
        folder: Path,
        sources: list[str],
        *,
        noise: Callable[[int], float] | None = None,
        slots: int = 1,
    ) -> None:
        self.slots = slots
        self.clock: Clock | SharedClock = Clock() if slots == 1 else SharedClock()
        self.leases = OneLease() if slots == 1 else SeveralLeases(slots)
        self.train_s = 60.0
        self.crash_log = "Traceback: it broke"
        self.unheld = ""
        self.noise = noise or (lambda seed: ((seed * 0.6180339887) % 1 - 0.5) * 6e-4)
        folder.mkdir(exist_ok=True)
        self.workspace = Workspace(folder)
        self.workspace.script.write_text(source(2.0, "a = [1, 2, 3]\n"))
        open_state(self.workspace)
        git_lineage.initialise(folder)
        self.data = folder / "data"
        (self.data / "train").mkdir(parents=True, exist_ok=True)
        (self.data / "manifest.json").write_text("{}")
        self.engine = FakeEngine(self.train, now=self.clock.time, sleep=self.clock.sleep)
        self.base = self.engine.build(BuildContext("FROM scratch", {}, tags=("autoresearch/candidate:cpu",)))
        self.proposals = Proposals(sources)
        self.judge = WrittenScore()
        self.events: list[Event] = []
        self.ledger = Ledger(self.workspace.ledger)
        if not self.ledger.runs():
            self.ledger.start_run("simulated", now=self.clock.time(), seed=1, settings={})

    def train(self, job: Job) -> Script:
        if job.role is Role.PROBE:
            return Script(seconds=0.0)
        assert job.role is Role.TRAIN
        script = next(mount.source for mount in job.mounts if mount.target == "/work/train.py").read_text()
        names: dict[str, Any] = {}
        exec(script, names)
        seconds = names.get("SECONDS", self.train_s)
        if names.get("CRASH"):
            return Script(exit_code=1, log=self.crash_log, seconds=seconds)
        self.report(job, names)
        score = names["SCORE"] + self.noise(int(job.environment["AUTORESEARCH_SEED"]))
        (job.destination / "model.stablehlo").write_text("model")
        (job.destination / "params.safetensors").write_text(repr(score))
        return Script(log="fine", seconds=seconds)

    def report(self, job: Job, names: Mapping[str, Any]) -> None:
        """A script that says LOSS reports a loss that falls from START towards LOSS, or the REPORTS that it names."""
        if "LOSS" not in names and "REPORTS" not in names:
            return
        final, start = names.get("LOSS", 0.0), names.get("START", START)
        falling = [final + (start - final) * math.exp(-6 * step / 20) for step in range(21)]
        lines = [
            json.dumps({"step": step, "loss": loss, "progress": step / 20})
            for step, loss in enumerate(names.get("REPORTS", falling))
        ]
        (job.destination / "telemetry.jsonl").write_text("".join(f"{line}\n" for line in lines))

    def loop(
        self,
        *,
        budget_s: float = 1e6,
        expected_s: float = 70.0,
        emit: Callable[[Event], None] | None = None,
        start: Start | None = None,
        asked_to_end: Callable[[], bool] = lambda: False,
        between: str = "",
        **settings: Any,
    ) -> Loop:
        limits = Limits(wall_clock_s=60.0)
        window = parse_window(between, self.clock.zone) if between else None
        pipeline = Pipeline(self.engine, self.base.id, self.judge, self.leases, self.data / "train", limits)
        run = self.ledger.run("simulated")
        return Loop(
            run="simulated",
            seed=1,
            workspace=self.workspace,
            ledger=self.ledger,
            pipeline=pipeline,
            proposer=self.proposals,
            promotion=Promotion(pipeline, self.base, self.data, self.workspace.folder, self.clock),
            budget=Budget(
                budget_s,
                spent_s=run.spent_s,
                expected_s=expected_s,
                clock=TimeInside(window, self.clock) if window else self.clock,
                persist=lambda seconds: self.ledger.spend("simulated", seconds),
                slots=self.slots,
            ),
            settings=Settings(**settings),
            clock=self.clock,
            emit=emit or self.events.append,
            start=start or (self.clock.start if isinstance(self.clock, SharedClock) else in_thread),
            asked_to_end=asked_to_end,
            slots=self.slots,
            window=window,
        )
