"""benchmarks/search.py: what is begun goes on, what is finished is not run again, and the table says what the ledgers say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import search, search_table
from benchmarks.search import Plan, drive, next_command, preset
from benchmarks.simulated_run import SimulatedRun, source
from runner.errors import NothingEvaluated, UsageError
from runner.parsing.client import shared
from runner.protocols import Event

BETTER, WORSE = source(1.9, "a = [1, 2, 3]\n"), source(2.2, "a = [1, 2, 3]\n")
WORST = source(2.3, "a = [1, 2, 3]\n")
SIMPLER = source(2.0)
FAKE = """
import os, pathlib, sys, time
verb, here = sys.argv[1], pathlib.Path.cwd()
if verb == "init":
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True)
    (folder / "autoresearch.toml").touch()
    sys.exit()
(here / "began").write_text(str(os.getpgrp()))
try:
    time.sleep(60 if "long" in here.name else 0.3)
except KeyboardInterrupt:
    time.sleep(0.3)
    (here / "ended").touch()
sys.exit(3 if "broken" in here.name else 0)
"""


def plan(folder: Path, experiments: int = 2) -> Plan:
    return Plan(folder, experiments, wall_clock="20s", budget="1h", data=folder / "data", cpus=1)


def simulated(folder: Path, arm: str, seed: int, sources: list[str], wall_clock: str = "20s") -> SimulatedRun:
    """A workspace as the benchmark leaves it, its simulated not yet begun."""
    folder.mkdir(exist_ok=True)
    made = SimulatedRun(folder / f"{arm}-{seed}", sources)
    (made.workspace.folder / "autoresearch.toml").write_text("cpus = 1\n")
    made.ledger._db.execute("UPDATE runs SET seed = ?", (seed,))
    made.ledger.change_settings("simulated", {"config": {"proposer": arm, "wall_clock": wall_clock}})
    return made


def go(made: SimulatedRun, trials: int = 2) -> None:
    made.loop(max_experiments=trials, retests=1).go()
    made.ledger.finish_run("simulated", now=made.clock.time(), reason="all experiments done")


def done(folder: Path, arm: str, seed: int, sources: list[str]) -> search_table.Found:
    go(simulated(folder, arm, seed, sources))
    return search_table.read(folder / f"{arm}-{seed}")


class Killed(BaseException):
    """As kill -9: nothing after it runs."""


def test_a_fresh_arm_is_begun_with_its_seed_and_the_preset(tmp_path: Path) -> None:
    command = next_command(plan(tmp_path), "tpe", 7)
    assert command is not None
    assert "--resume" not in command
    for words in ("--proposer tpe", "--seed 7", "--wall-clock 20s", "--max-experiments 2"):
        assert words in " ".join(command)
    workspace = tmp_path / "tpe-7"
    assert "MAX_EPOCHS = 0.01 " in (workspace / "train.py").read_text()
    assert (workspace / "autoresearch.toml").read_text() == "cpus = 1\n"


def test_a_ledger_without_a_run_is_begun_afresh(tmp_path: Path) -> None:
    made = simulated(tmp_path, "tpe", 1, [BETTER])
    made.ledger._db.execute("DELETE FROM runs")
    command = next_command(plan(tmp_path), "tpe", 1)
    assert command is not None
    assert "--resume" not in command


def test_an_arm_whose_baseline_failed_is_begun_afresh(tmp_path: Path) -> None:
    made = simulated(tmp_path, "tpe", 1, [BETTER])
    made.workspace.script.write_text("CRASH = True\n")
    with pytest.raises(NothingEvaluated):
        made.loop().go()
    command = next_command(plan(tmp_path), "tpe", 1)
    assert command is not None
    assert "--resume" not in command


def test_a_finished_arm_is_not_run_again_but_goes_on_when_more_is_asked_of_it(tmp_path: Path) -> None:
    done(tmp_path, "tpe", 1, [BETTER, WORSE])
    before = (tmp_path / "tpe-1" / "train.py").read_text()
    assert next_command(plan(tmp_path), "tpe", 1) is None
    more = next_command(plan(tmp_path, experiments=3), "tpe", 1)
    assert more is not None
    assert "--resume" in more
    assert (tmp_path / "tpe-1" / "train.py").read_text() == before, "the best script was overwritten"


@pytest.mark.parametrize("kind", ["proposed", "judged", "decided"])
def test_an_arm_that_was_interrupted_goes_on(tmp_path: Path, kind: str) -> None:
    made = simulated(tmp_path, "tpe", 1, [BETTER, WORSE])

    def die(event: Event) -> None:
        if event.kind == kind and event.data["number"] == 2:
            raise Killed

    with pytest.raises(Killed):
        made.loop(max_experiments=2, emit=die).go()
    command = next_command(plan(tmp_path), "tpe", 1)
    assert command is not None
    assert "--resume" in command
    go(made)
    assert next_command(plan(tmp_path), "tpe", 1) is None


def test_arms_of_two_wall_clocks_are_not_mixed(tmp_path: Path) -> None:
    simulated(tmp_path, "tpe", 1, [BETTER], wall_clock="30s")
    with pytest.raises(UsageError, match="begun with --wall-clock 30s"):
        next_command(plan(tmp_path), "tpe", 1)


def test_an_arm_that_fails_is_named_and_the_others_run(tmp_path: Path) -> None:
    (tmp_path / "fake.py").write_text(FAKE)
    arms = [("broken", 1), ("tpe", 1), ("random", 1)]
    made = Plan(tmp_path, 2, "20s", "1h", tmp_path, 1, (sys.executable, str(tmp_path / "fake.py")))
    (failure,) = drive(made, arms, 2, poll_s=0.05)
    assert failure.startswith("broken-1: exit code 3")
    assert all((tmp_path / f"{arm}-{seed}" / "began").exists() for arm, seed in arms)


@pytest.mark.parametrize("ending", ["SIGTERM", "Ctrl-C"])
def test_what_ends_the_benchmark_ends_its_runs_once_and_waits_for_them(tmp_path: Path, ending: str) -> None:
    (tmp_path / "fake.py").write_text(FAKE)
    code = (
        "import signal; from pathlib import Path; from benchmarks import search\n"
        "signal.signal(signal.SIGTERM, search._stop)\n"
        f"command = ({sys.executable!r}, {str(tmp_path / 'fake.py')!r})\n"
        f"plan = search.Plan(Path({str(tmp_path)!r}), 2, '20s', '1h', Path(), 1, command)\n"
        "search.drive(plan, [('long', 1), ('long', 2), ('tpe', 1)], 2, poll_s=0.05)\n"
    )
    script = subprocess.Popen([sys.executable, "-c", code], cwd=search.ROOT, start_new_session=True)
    until = time.monotonic() + 30
    while len(list(tmp_path.glob("long-*/began"))) < 2:
        assert time.monotonic() < until, "the runs never began"
        time.sleep(0.05)
    if ending == "SIGTERM":
        script.send_signal(signal.SIGTERM)
    else:
        for began in tmp_path.glob("long-*/began"):
            assert began.read_text() != str(script.pid), "the terminal's SIGINT would be its second"
        os.killpg(script.pid, signal.SIGINT)  # as a terminal does
    script.wait(30)
    assert len(list(tmp_path.glob("long-*/ended"))) == 2
    assert not (tmp_path / "tpe-1").exists(), "a run was begun after the end"


def test_the_table_says_what_the_ledgers_say(tmp_path: Path) -> None:
    tpe = done(tmp_path, "tpe", 1, [BETTER, WORSE])
    random = done(tmp_path, "random", 1, [WORSE, SIMPLER])
    crashing = "CRASH = True\n" + BETTER
    repeat = done(tmp_path, "repeat", 1, [crashing, WORSE])
    assert (tpe.kept, tpe.simpler, tpe.failed, tpe.trials) == (1, 0, 0, 2)
    assert (random.kept, random.simpler) == (0, 1)
    assert (repeat.failed, repeat.false_claims, tpe.false_claims) == (1, 0, None)
    assert tpe.confirmed == 1
    assert tpe.trainings == 3 + 1 + 1 + 2, "three baselines, a winner, a loser, one pair to confirm"
    assert tpe.best == pytest.approx(1.9, abs=1e-3)
    assert tpe.best_test == pytest.approx(1.9, abs=1e-3)
    assert tpe.baseline_test == pytest.approx(2.0, abs=1e-3)
    assert tpe.wall_clock_s == 20

    printed = search_table.table([repeat, random, tpe]).splitlines()
    assert printed[0].count("|") == printed[1].count("|") == printed[2].count("|")
    (row,) = (line for line in printed if line.startswith("| tpe | 1 |"))
    assert f" {tpe.baseline:.4f} " in row
    assert row.split(" | ")[5:10] == [f"{tpe.best:.4f}", "1", "1", "–", "0"]
    assert "wall clock of one training: 20s" in printed


def test_the_promises_hold_or_are_named(tmp_path: Path) -> None:
    tpe = done(tmp_path, "tpe", 1, [BETTER, WORSE])
    random = done(tmp_path, "random", 1, [WORSE, WORST])
    repeat = done(tmp_path, "repeat", 1, [WORSE, WORST])
    arms = [(item.arm, item.seed) for item in (tpe, random, repeat)]
    assert search_table.broken([tpe, random, repeat], arms, 2) == []

    assert search_table.broken([tpe, random, repeat], arms, 3) == [
        f"{arm}-{seed} has not come to its end" for arm, seed in arms
    ]
    assert search_table.broken([tpe, repeat], arms, 2) == ["random-1 has not come to its end"]
    keeps = done(tmp_path / "2", "repeat", 1, [BETTER, WORSE])
    assert search_table.broken([tpe, random, keeps], arms, 2) == ["repeat-1 changed nothing and confirmed 1"]
    worse = done(tmp_path / "3", "tpe", 1, [WORSE, WORST])
    (sentence,) = search_table.broken([worse, random, repeat], arms, 2)
    assert "is not better than random's" in sentence
    (sentence,) = search_table.broken([tpe, random, replace(repeat, script="another")], arms, 2)
    assert "different scripts" in sentence


def test_the_preset_fits_the_present_train_py() -> None:
    shipped = (search.ROOT / "trainer_jax" / "train.py").read_text()
    before, after = (
        {c.name: c for c in shared().facts(text).constants} for text in (shipped, preset(shipped))
    )
    assert set(before) - set(after) == {"MAX_EPOCHS"}, "a proposer could buy more training"
    assert after["UNEMBED_LR"].value == 0.004
    assert after["UNEMBED_LR"].high == before["UNEMBED_LR"].high
    assert after["DEPTH"].high == 3
    with pytest.raises(UsageError, match="no constant DEPTH"):
        preset("WIDTH = 64\n")
