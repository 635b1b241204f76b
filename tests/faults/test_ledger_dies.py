"""kill -9 inside the ledger's commits: what was said to be written is there, and nothing is there twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from real_run import Runner, Search

from runner.store.ledger import Ledger

WRITER = """
import sys
from pathlib import Path
from runner.store.ledger import Ledger
from runner.protocols import Evaluation, EvaluationOutcome
ledger = Ledger(Path(sys.argv[1]))
evaluation = Evaluation(EvaluationOutcome.OK, None, 1.0, 1.0, 1, "", None, "x" * 2000, Path("."))
ledger.lose_open_attempts("r", now=0.0)
while True:
    attempt = ledger.start_attempt("r", 0, seed=1, folder=Path("."), now=0.0)
    print("started", attempt, flush=True)
    ledger.finish_attempt("r", 0, attempt, evaluation, now=0.0)
    ledger.spend("r", 1.0)
    ledger.add_event("r", "judged", {"attempt": attempt}, now=0.0)
    print("judged", attempt, flush=True)
"""


def kill_often(folder: Path, times: int) -> None:
    path = folder / "ledger.db"
    ledger = Ledger(path)
    ledger.start_run("r", now=0.0, seed=1, settings={})
    ledger.add_experiment("r", 0, now=0.0, title="t", hypothesis="", category="c")
    ledger.close()
    rng, said = random.Random(7), set[str]()
    for _ in range(times):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        said.update(writer.stdout.readline().strip() for _ in range(rng.randint(1, 12)))
        writer.send_signal(signal.SIGKILL)
        said.update(line.strip() for line in writer.stdout if line.endswith("\n"))
        writer.wait()
    ledger = Ledger(path)
    (experiment,) = ledger.experiments("r")
    events = [data["attempt"] for _, _, data in ledger.events("r")]
    started = {int(line.split()[1]) for line in said if line.startswith("started")}
    judged = {int(line.split()[1]) for line in said if line.startswith("judged")}
    assert [a.attempt for a in experiment.attempts] == list(range(1, len(experiment.attempts) + 1))
    assert len(events) == len(set(events)), "an attempt was written down twice"
    assert started <= {a.attempt for a in experiment.attempts}, "an attempt that was begun is forgotten"
    assert judged <= set(events), "a result that was written down is gone"
    assert len(events) <= ledger.run("r").spent_s <= len(events) + times
    assert len(judged) >= times
    ledger.close()


def test_a_ledger_survives_kill_9_inside_its_commits(tmp_path: Path) -> None:
    kill_often(tmp_path, 12)


@pytest.mark.slow
def test_a_ledger_survives_two_hundred_kills_inside_its_commits(tmp_path: Path) -> None:
    kill_often(tmp_path, 200)


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.parametrize(
    "state", ["proposed", "training", "trained", "collected", "judged", "decided", "kept"]
)
def test_kill_9_in_every_state_and_the_run_comes_to_the_same_end(search: Search, state: str) -> None:
    runner: Runner = search.start("--resume", "--budget", "1h", "--max-experiments", "1")
    runner.until(lambda event: state in {event["event"], event.get("state")})
    runner.signal(signal.SIGKILL)
    runner.process.wait()
    search.check(over=False)
    search.resume()
    experiments = search.check()
    assert [e.status for e in experiments] == ["keep", "keep"]
    assert len(experiments[1].counted) == 1
    assert all(e.image for e in experiments)
