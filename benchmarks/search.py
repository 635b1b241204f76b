"""Does the search find better scripts, and does it keep useless ones? The proposers tpe, random and repeat with several seeds.

    .venv/bin/python -m benchmarks.search [--workspaces FOLDER] [--parallel 2] [--check]

Every arm and seed has its own workspace on the real engine and judge: `autoresearch init`, then `autoresearch run`. The same command
continues after a Ctrl-C: an unfinished run is resumed, a finished one is not run again. `--table` only prints the table of what is
there. `--check` fails if `repeat` kept anything, or if tpe's median is not better than random's. Each arm gets its own CPUs (`cpus`,
all of them divided by `--parallel`).

`repeat` changes nothing, so all its keeps are false. `random` is the control of tpe: both change one to five constants of the best script
at a time. The script is the CPU preset of train.py, changed by PRESET to fit a short wall clock:

- It is smaller, and the sizes may not grow far, because on one core the first step ends only after 6 to 9 s.
- It ends by its share of the text (MAX_EPOCHS, which is not tuned here) long before the wall clock. Otherwise the load of the
  machine decides how many of its few hundred steps are made: with other work on the machine the standard deviation of the score over
  eight seeds was 0.3 by the clock and 0.017 by the text, and a well chosen rate gains 0.2.
- The wall clock is five times the time of a training, because train.py's schedule follows the clock until the share of the
  text is larger. At half as much, baselines trained under load were worse by 0.05 than scripts trained without.
- The rates are those of the GPU preset, which are upstream's: plausible, and not tuned for so few steps. From the tuned rates of the CPU
  preset 40 trials can gain little.

The text is the default one with a small vocabulary, short rows and less held-out text, so that the judge is faster.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import search_table
from runner.cache import cache_folder
from runner.durations import parse_duration
from runner.errors import PrerequisiteMissing, RunnerError, UsageError

ROOT = Path(__file__).resolve().parents[1]
ARMS = ("tpe", "random", "repeat")
WALL_CLOCK = "60s"
STOPPED = "stopping what runs; the same command goes on"
VOCABULARY, ROW, HELD_OUT_BYTES = 512, 128, 100_000
PRESET = {
    "DEPTH": "2  # tune: int 1 3",
    "WIDTH": "48  # tune: cat 32 48 64",
    "MLP_RATIO": "4  # tune: int 2 5",
    "CHUNK": "128",
    "EMBED_LR": "0.6",
    "VALUE_EMBED_LR": "0.6",
    "UNEMBED_LR": "0.004",
    "MATRIX_LR": "0.04",
    "MAX_EPOCHS": "0.01  # 350 thousand tokens of the default text",
}
"""Replaces what follows `NAME = ` in the workspace's train.py. A value without a comment keeps train.py's comment."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of all arms. `command` starts autoresearch."""

    workspaces: Path
    experiments: int
    wall_clock: str
    budget: str
    data: Path
    cpus: int
    command: Sequence[str] = (sys.executable, "-m", "runner.cli")

    def folder(self, arm: str, seed: int) -> Path:
        return self.workspaces / f"{arm}-{seed}"


def preset(source: str) -> str:
    """train.py with PRESET's values. Raises UsageError if it lacks one of the constants."""
    for name, value in PRESET.items():
        comment = "" if "#" in value else r"\g<comment>"
        line = rf"(?m)^{name} = [^#\n]*?(?P<comment>  #.*)?$"
        source, found = re.subn(line, f"{name} = {value}{comment}", source, count=1)
        if not found:
            raise UsageError(f"train.py has no constant {name}: change PRESET in benchmarks/search.py")
    return source


def prepare_data(folder: Path) -> None:
    """Prepare the default text in `folder`. Raises DataError or PrerequisiteMissing."""
    from runner.data.prepare import prepare
    from runner.images.wheelhouse import fill_text_wheels

    prepare(
        "default",
        folder,
        wheels=fill_text_wheels(_say),
        vocab_size=VOCABULARY,
        seq_len=ROW,
        val_bytes=HELD_OUT_BYTES,
        test_bytes=HELD_OUT_BYTES,
        progress=_say,
    )


def status(plan: Plan, folder: Path) -> dict[str, Any] | None:
    """The answer of `autoresearch status --json`; None if no run has begun there."""
    if not search_table.begun(folder):
        return None
    command = [*plan.command, "status", "--json"]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise PrerequisiteMissing(f"{folder}: {answer.stderr.strip()}")
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def next_command(plan: Plan, arm: str, seed: int) -> list[str] | None:
    """The command that starts or continues this arm, to be run in its folder, which is prepared; None if the arm is finished.

    Raises UsageError if a runner is at work there, or the arm began with another wall clock.
    """
    folder = plan.folder(arm, seed)
    now = status(plan, folder)
    run = [*plan.command, "run", "--display", "plain", "--budget", plan.budget]
    run += ["--max-experiments", str(plan.experiments)]
    if now is not None:
        if now["running"]:
            raise UsageError(f"a runner is at work in {folder}: `autoresearch stop` ends it")
        begun_with = search_table.read(folder).wall_clock_s
        if begun_with != parse_duration(plan.wall_clock):
            raise UsageError(
                f"{folder} was begun with --wall-clock {begun_with:g}s: give that, or --workspaces"
            )
        return None if search_table.finished(now, plan.experiments) else [*run, "--resume"]
    if not (folder / "autoresearch.toml").exists():
        subprocess.run([*plan.command, "init", str(folder)], check=True, capture_output=True)
    (folder / "train.py").write_text(preset((ROOT / "trainer_jax" / "train.py").read_text()))
    (folder / "autoresearch.toml").write_text(f"cpus = {plan.cpus}\n")
    run += ["--proposer", arm, "--seed", str(seed), "--wall-clock", plan.wall_clock]
    return [*run, "--data", str(plan.data)]


def drive(plan: Plan, arms: Sequence[tuple[str, int]], parallel: int, *, poll_s: float = 1.0) -> list[str]:
    """Run all arms to their end in this order, `parallel` at a time. Returns a sentence for each that failed.

    If this is interrupted, it sends SIGINT to the runs and waits until they have cleaned up.
    """
    waiting, running, failures = list(arms), dict[subprocess.Popen[bytes], str](), list[str]()
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                arm, seed = waiting.pop(0)
                name = f"{arm}-{seed}"
                try:
                    command = next_command(plan, arm, seed)
                except RunnerError as error:
                    failures.append(f"{name}: {error}")
                    continue
                if command is None:
                    _say(f"{name} is finished already")
                    continue
                _say(f"{name} {'goes on' if '--resume' in command else 'begins'}")
                with (plan.workspaces / f"{name}.log").open("ab") as log:
                    # its own session: a Ctrl-C in this terminal reaches it only once, through the signal sent below
                    child = subprocess.Popen(
                        command,
                        cwd=plan.folder(arm, seed),
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        stdin=subprocess.DEVNULL,
                        start_new_session=True,
                    )
                running[child] = name
            for child in [child for child in running if child.poll() is not None]:
                name = running.pop(child)
                _say(f"{name} has ended ({child.returncode})")
                if child.returncode:
                    log_file = plan.workspaces / f"{name}.log"
                    failures.append(f"{name}: exit code {child.returncode}, see {log_file}")
            if running:
                time.sleep(poll_s)
    finally:
        for child in running:
            child.send_signal(signal.SIGINT)
        for child in running:
            child.wait()
    return failures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workspaces", type=Path, default=Path("search-benchmark"))
    parser.add_argument("--arms", default=",".join(ARMS), help="proposers, separated by commas")
    parser.add_argument("--seeds", type=_numbers, default="1,2,3", help="separated by commas")
    parser.add_argument("--experiments", type=_count, default=40, help="of each arm and seed")
    parser.add_argument("--wall-clock", default=WALL_CLOCK, help="of one training")
    parser.add_argument("--budget", default="12h", help="of each arm and seed")
    parser.add_argument(
        "--parallel", type=_count, default=2, help="arms side by side, each on its share of the CPUs"
    )
    parser.add_argument("--data", type=Path, default=cache_folder() / "data" / "search-benchmark")
    parser.add_argument("--table", action="store_true", help="print the table of what is there and stop")
    parser.add_argument("--check", action="store_true", help="exit code 1 when the promises do not hold")
    options = parser.parse_args(arguments)
    parse_duration(options.wall_clock)
    # repeat last: it is the shortest, and the last of an odd number runs alone
    arms = [(arm, seed) for seed in options.seeds for arm in options.arms.split(",")]
    arms.sort(key=lambda item: item[0] == "repeat")
    plan = Plan(
        workspaces=options.workspaces.resolve(),
        experiments=options.experiments,
        wall_clock=options.wall_clock,
        budget=options.budget,
        data=options.data.resolve(),
        cpus=max(1, len(os.sched_getaffinity(0)) // options.parallel),
    )
    failures: list[str] = []
    if not options.table:
        if not (plan.data / "manifest.json").exists():
            prepare_data(plan.data)
        plan.workspaces.mkdir(parents=True, exist_ok=True)
        failures = drive(plan, arms, options.parallel)
    found = [search_table.read(plan.folder(*arm)) for arm in arms if status(plan, plan.folder(*arm))]
    print(search_table.table(found))
    if options.check:
        failures += search_table.broken(found, arms, options.experiments)
    for failure in failures:
        _say(failure)
    return 1 if failures else 0


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _stop(number: int, _: object) -> None:
    _say(STOPPED)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        _say(STOPPED)
        sys.exit(130)
    except RunnerError as problem:
        _say(str(problem))
        sys.exit(problem.exit_code)
