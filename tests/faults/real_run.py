"""A workspace on disk, a runner as a process of its own, and what must hold whatever happened to it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docker.errors import NotFound

from runner.store.ledger import Ledger
from runner.store.records import Confirmation, Experiment
from sandbox.docker_engine import DockerEngine

BASELINE = """
import time
import jax.numpy as jnp
from trainer_jax import harness

params = {"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
time.sleep(1.5)
harness.save_params(params)
"""
BETTER = """# title: count the tokens
import time
import jax.numpy as jnp
import numpy as np
from trainer_jax import harness

tokens = np.fromfile(harness.DATA / "tokens.bin", "<u2")
counts = np.bincount(tokens, minlength=harness.vocab_size) + 1.0
params = {"logits": jnp.asarray(np.log(counts), jnp.float32)}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
time.sleep(1.5)
harness.save_params(params)
"""
NOISY_BETTER = BETTER.replace(
    "np.log(counts)",
    "np.log(counts) + 0.05 * np.random.default_rng(harness.seed).standard_normal(harness.vocab_size)",
)
"""Its score depends on its seed."""
NOISY_BASELINE = NOISY_BETTER.replace("bincount(tokens,", "bincount(tokens[:2000],")
Event = dict[str, Any]
SILENCE_S = 120.0
"""A runner that tells nothing for so long hangs: no step of these runs takes half of it. What a run takes as a whole has no
limit, because beside other work on the machine it may be several times what it is alone."""
LEASE_S = 1200.0
"""The same while it waits for CPUs that another run of this machine has leased: for as long as trainings of that one last."""


def write_workspace(folder: Path, dataset: Path, baseline: str, proposals: list[str]) -> None:
    """As `autoresearch init` makes it, with scripted proposals and small limits."""
    command = [sys.executable, "-m", "runner.cli", "init", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "ideas").mkdir()
    for number, source in enumerate(proposals, 1):
        (folder / "ideas" / f"{number:02}.py").write_text(source)
    (folder / "train.py").write_text(baseline)
    (folder / "autoresearch.toml").write_text(
        f'data = "{dataset}"\nproposer = "scripted:{folder / "ideas"}"\nwall_clock = "25s"\n'
        "memory_gb = 2.0\nbaseline_repeats = 3\nretests = 0\ncpus = 1\ndisk_floor_gb = 0.0\n"
    )


class Runner:
    """One `autoresearch run --json`. Its events are read as they come."""

    def __init__(self, folder: Path, words: tuple[str, ...], environment: dict[str, str]) -> None:
        self._log = folder / f"stderr-{time.monotonic_ns()}.txt"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "runner.cli", "run", "--json", *words],
                cwd=folder,
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self.seen: list[Event] = []
        self._events: queue.Queue[Event | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)

    def _next(self) -> Event | None:
        """The next event, or None when the runner has ended. Fails when there is none for SILENCE_S, or LEASE_S."""
        last = self.seen[-1] if self.seen else {"event": "start"}
        limit_s = LEASE_S if last.get("event") == "waiting" else SILENCE_S
        try:
            return self._events.get(timeout=limit_s)
        except queue.Empty:
            raise AssertionError(f"silent for {limit_s:.0f} s after {last}: {self.errors()}") from None

    def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The first new event for which `wanted` holds."""
        while True:
            event = self._next()
            assert event is not None, f"the runner ended (exit {self.process.wait()}): {self.errors()}"
            self.seen.append(event)
            if wanted(event):
                return event

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def finish(self, *, within: float | None = None) -> int:
        """Its exit code. Fails when it does not end `within` seconds (None: falls silent), or ends with a traceback."""
        if within is not None:
            self.process.wait(within)
        while (event := self._next()) is not None:
            self.seen.append(event)
        code = self.process.wait(SILENCE_S)
        assert "Traceback" not in self.errors(), self.errors()
        return code

    def end(self) -> None:
        """Whatever it is at: it clears up after itself."""
        self.process.terminate()
        try:
            self.process.wait(SILENCE_S)
        finally:
            self.process.kill()

    def errors(self) -> str:
        return self._log.read_text()[-3000:]


class Search:
    """A workspace with a run in it, seen from outside."""

    def __init__(self, folder: Path, engine: DockerEngine) -> None:
        self.folder, self.engine = folder, engine
        self.started: list[Runner] = []

    def start(self, *words: str, **environment: str) -> Runner:
        """`words` are those of `autoresearch run`. The engine's limits were tested when the template began (5 s)."""
        if "--resume" in words:
            words = (*words, "--unsafe-unheld-limits")
        self.started.append(Runner(self.folder, words, environment))
        return self.started[-1]

    def resume(self, **environment: str) -> Runner:
        """Go on to the end of the one proposal."""
        runner = self.start("--resume", "--budget", "1h", "--max-experiments", "1", **environment)
        assert runner.finish() == 0, runner.errors()
        return runner

    @property
    def run(self) -> str:
        return self._read(lambda ledger: ledger.run().id)

    def experiments(self) -> list[Experiment]:
        return self._read(lambda ledger: ledger.experiments(ledger.run().id))

    def confirmations(self) -> list[Confirmation]:
        return self._read(lambda ledger: ledger.confirmations(ledger.run().id))

    def _read(self, ask: Callable[[Ledger], Any]) -> Any:
        ledger = Ledger(self.folder / ".autoresearch" / "ledger.db", read_only=True)
        try:
            return ask(ledger)
        finally:
            ledger.close()

    def container(self, role: str, *, within: float = 20.0) -> str:
        """The id of the run's container of that role, as soon as it runs."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            for item in self.engine.remnants(self.run):
                if item.kind == "container" and item.role == role and self._running(item.id):
                    return item.id
            time.sleep(0.05)
        raise AssertionError(f"no {role} container is running")

    def training(self) -> list[str]:
        """The ids of the run's containers in which a script trains now."""
        found = [
            item.id
            for item in self.engine.remnants(self.run)
            if item.kind == "container" and item.role == "train"
        ]
        return [container for container in found if self._running(container)]

    def _running(self, container: str) -> bool:
        try:
            return bool(self.engine.client.inspect_container(container)["State"]["Running"])
        except NotFound:  # gone since it was listed
            return False

    def check(self, *, over: bool = True, slots: int = 1) -> list[Experiment]:
        """What must hold after every fault; `over` says that no runner should be left at work, `slots` how many trainings ran at
        once."""
        run, experiments = self.run, self.experiments()
        if over:
            assert self.engine.remnants(run) == [], "something was left behind"
        assert [e.number for e in experiments] == list(range(len(experiments))), "a number twice or missing"
        for experiment in experiments:
            assert [a.attempt for a in experiment.attempts] == list(range(1, len(experiment.attempts) + 1))
            assert len({a.seed for a in experiment.counted}) == len(experiment.counted), "counted twice"
        measured = [a.seconds for e in experiments for a in e.counted]
        assert self._read(lambda ledger: ledger.run(run).spent_s) * slots >= sum(filter(None, measured)), (
            "spend forgotten"
        )
        events = self._read(lambda ledger: ledger.events(run))
        judged = [(data["number"], data["attempt"]) for _, kind, data in events if kind == "judged"]
        assert len(set(judged)) == len(judged), "an attempt was judged twice"
        kept = [e for e in experiments if e.status == "keep" and e.image]
        for experiment in kept:
            assert experiment.image is not None
            assert self.engine.image(experiment.image).id == experiment.image
            assert (experiment.counted[0].folder / "params.safetensors").stat().st_size > 0
            assert experiment.git_commit
        scores = [e.val_bpb for e in kept if e.val_bpb is not None]
        assert scores == sorted(scores, reverse=True), "the best became worse"
        return experiments
