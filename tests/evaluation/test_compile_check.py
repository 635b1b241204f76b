"""Two steps before the minutes: what a check may end, what it must let pass, what it costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulated_run import Proposals, SimulatedRun, source
from runner.cli import main
from runner.errors import UsageError
from runner.evaluation.compile_check import CompileCheckedPipeline, checked
from runner.evaluation.compile_report import report_in, sentence
from runner.protocols import Context, Proposal
from runner.search.loop import Loop
from runner.store.config import config_from
from sandbox.fake_engine import Crash, Point, Script
from sandbox.outcome import Ending
from sandbox.spec import GIB, Job

CHECK_S, TRAIN_S = 20.0, 60.0


def checking(job: Job) -> bool:
    return job.environment.get("AUTORESEARCH_COMPILE_CHECK") == "1"


class Remembering(Proposals):
    """Knows what it was told."""

    def __init__(self, sources: list[str]) -> None:
        super().__init__(sources)
        self.contexts: list[Context] = []

    def propose(self, context: Context) -> Proposal:
        self.contexts.append(context)
        return super().propose(context)


class CheckedRun(SimulatedRun):
    """A script that says CHECK = "…" behaves so in the check; a check takes a sixth of a training."""

    def __init__(self, folder: Path, sources: list[str]) -> None:
        super().__init__(folder, sources)
        self.proposals = Remembering(sources)

    def train(self, job: Job) -> Script:
        if not checking(job):
            return super().train(job)
        names: dict[str, Any] = {}
        exec((job.destination.parent / "train.py").read_text(), names)
        (job.destination / "telemetry.jsonl").write_text(names.get("TELEMETRY", ""))
        what = names.get("CHECK", "good")
        if what in {"good", "too large"}:
            (job.destination / "model.stablehlo").write_text("model")
            (job.destination / "params.safetensors").write_text("0.0")
        if what == "too large":
            (job.destination / "params.safetensors").unlink()
            (job.destination / "params.safetensors").symlink_to("/etc/passwd")
        endings = {"slow": Ending.TIMED_OUT, "oom": Ending.OUT_OF_MEMORY}
        return Script(
            endings.get(what, Ending.EXITED),
            exit_code=1 if what == "crash" else 0,
            log="Traceback: no such axis",
            seconds=10.0,
            memory_peak_bytes=GIB,
        )

    def checked_loop(self, check_s: float = CHECK_S, **options: Any) -> Loop:
        loop = self.loop(**options)
        loop.attempts.pipeline = checked(loop.attempts.pipeline, check_s)
        return loop

    def jobs(self, number: int) -> list[str]:
        """What ran of an experiment: checks and trainings, in order."""
        jobs = [job for job in self.engine.jobs if job.experiment == str(number)]
        return ["check" if checking(job) else "train" for job in jobs]


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[CheckedRun]:
    made = CheckedRun(tmp_path / "w", [])
    yield made
    made.ledger.close()


def propose(simulated: CheckedRun, *extras: str) -> None:
    simulated.proposals.sources = [source(2.5, extra) for extra in extras]


def test_a_crash_in_the_check_is_the_scripts_and_costs_seconds_not_minutes(simulated: CheckedRun) -> None:
    propose(simulated, 'CHECK = "crash"\n', "x = 1\n")
    simulated.checked_loop(max_experiments=0).go()
    before = simulated.clock.now
    simulated.checked_loop(max_experiments=1).go()
    assert simulated.clock.now - before < TRAIN_S / 2
    simulated.checked_loop(max_experiments=2).go()
    crashed = simulated.ledger.experiments("simulated")[1]
    assert (crashed.status, crashed.reason) == ("failed", "crash")
    assert crashed.attempts[0].log_tail == "Traceback: no such axis"
    assert simulated.jobs(1) == ["check"]
    told = simulated.proposals.contexts[-1].history[1]
    assert (told.status, told.log_tail) == ("crash", "Traceback: no such axis"), "it can be mended"


def test_a_script_is_checked_once_however_often_it_trains(simulated: CheckedRun) -> None:
    propose(simulated, "CHECK = 'good'\n")
    simulated.proposals.sources = [source(1.5, "CHECK = 'good'\n")]
    simulated.checked_loop(max_experiments=1).go()
    assert simulated.jobs(0) == ["check", "train", "train", "train", "train"]
    assert simulated.jobs(1)[:3] == ["check", "train", "train"]
    assert "check" not in simulated.jobs(1)[1:]
    assert simulated.ledger.experiments("simulated")[1].status == "keep"


@pytest.mark.parametrize(
    ("what", "outcome"), [("crash", "crash"), ("oom", "oom"), ("too large", "bad_artifact")]
)
def test_what_could_never_have_a_score_ends_in_the_check(
    what: str, outcome: str, simulated: CheckedRun
) -> None:
    propose(simulated, f"CHECK = {what!r}\n")
    simulated.checked_loop(max_experiments=1).go()
    assert simulated.ledger.experiments("simulated")[1].reason == outcome
    assert simulated.jobs(1) == ["check"]


@pytest.mark.parametrize("what", ["slow", "nothing written"])
def test_what_the_check_cannot_tell_is_left_to_the_training(what: str, simulated: CheckedRun) -> None:
    propose(simulated, f"CHECK = {what!r}\n")
    simulated.checked_loop(max_experiments=1).go()
    assert simulated.ledger.experiments("simulated")[1].val_bpb == pytest.approx(2.5, abs=0.01)
    assert simulated.jobs(1) == ["check", "train"]


@pytest.mark.parametrize(("asked", "given"), [(CHECK_S, CHECK_S), (500.0, TRAIN_S)])
def test_a_check_is_never_longer_than_was_asked_nor_than_the_wall_clock(
    asked: float, given: float, simulated: CheckedRun
) -> None:
    simulated.checked_loop(asked, max_experiments=0).go()
    check, train = simulated.engine.jobs[:2]
    assert (check.limits.wall_clock_s, train.limits.wall_clock_s) == (given, TRAIN_S)
    assert check.environment["AUTORESEARCH_WALL_CLOCK"] == train.environment["AUTORESEARCH_WALL_CLOCK"]
    assert (check.limits.memory_bytes, check.lease, check.mounts) == (
        train.limits.memory_bytes, train.lease, train.mounts,
    )  # fmt: skip
    assert not checking(train)


def test_nothing_that_the_check_wrote_is_judged(simulated: CheckedRun) -> None:
    """Its weights would score 0.0."""
    propose(simulated, "CHECK = 'good'\nCRASH = True\n")
    simulated.checked_loop(max_experiments=1).go()
    crashed = simulated.ledger.experiments("simulated")[1]
    assert (crashed.reason, crashed.val_bpb) == ("crash", None)
    assert not (crashed.attempts[0].folder / "check").exists()


def test_an_engine_that_fails_in_the_check_is_not_the_scripts_fault(simulated: CheckedRun) -> None:
    propose(simulated, "CHECK = 'good'\n")
    simulated.checked_loop(max_experiments=0).go()
    simulated.engine.inject(Point.RUNNING, Ending.ENGINE_FAILED)
    simulated.checked_loop(max_experiments=1).go()
    experiment = simulated.ledger.experiments("simulated")[1]
    assert [a.outcome for a in experiment.attempts] == ["infrastructure", "ok"]
    assert simulated.jobs(1) == ["check", "check", "train"]


def test_a_runner_that_dies_in_the_check_pays_for_check_and_training(simulated: CheckedRun) -> None:
    propose(simulated, "CHECK = 'good'\n")
    simulated.checked_loop(max_experiments=0).go()
    before = simulated.ledger.run("simulated").spent_s
    simulated.engine.inject(Point.RUNNING, Crash())
    with pytest.raises(Crash):
        simulated.checked_loop(max_experiments=1).go()
    died = simulated.ledger.run("simulated").spent_s
    simulated.checked_loop(max_experiments=0).go()
    assert simulated.ledger.run("simulated").spent_s - max(died, before) >= TRAIN_S + CHECK_S


# -- the report ---------------------------------------------------------------------------------------------------
def test_the_report_says_what_it_took(
    simulated: CheckedRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    propose(simulated, "TELEMETRY = '{\"device_memory_bytes\": 2147483648}\\n'\n")
    simulated.checked_loop(max_experiments=1).go()
    report = report_in(simulated.ledger.experiments("simulated")[1].attempts[0].folder)
    assert report == {
        "outcome": "ok", "seconds": 10.0, "memory_peak_bytes": GIB, "device_memory_bytes": 2 * GIB, "model_bytes": 5,
    }  # fmt: skip
    assert sentence(report) == "compile check: ok after 10s, 1.00 GiB of memory, 2.00 GiB on the device"
    assert report_in(simulated.ledger.experiments("simulated")[0].attempts[1].folder) is None
    (simulated.workspace.folder / "autoresearch.toml").touch()
    monkeypatch.chdir(simulated.workspace.folder)
    with pytest.raises(SystemExit, match="0"):
        main(["show", "1"])
    assert sentence(report) in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main(["show", "1", "--json"])
    assert json.loads(capsys.readouterr().out)["attempts"][0]["compile_check"] == report


@pytest.mark.parametrize(
    "telemetry",
    ["", "[1]", "{", '{"device_memory_bytes": -1}', '{"device_memory_bytes": "9"}',
     '{"device_memory_bytes": 1e9}', '{"device_memory_bytes": ' + "9" * 5000 + "}", "[" * 100_000],
    ids=range(8),
)  # fmt: skip
def test_telemetry_can_be_anything(telemetry: str, simulated: CheckedRun) -> None:
    propose(simulated, f"TELEMETRY = {telemetry!r}\n")
    simulated.checked_loop(max_experiments=1).go()
    experiment = simulated.ledger.experiments("simulated")[1]
    assert experiment.val_bpb is not None
    report = report_in(experiment.attempts[0].folder)
    assert report is not None
    assert report["device_memory_bytes"] is None


# -- how it is asked for --------------------------------------------------------------------------------------------
def test_it_is_off_unless_a_time_is_given() -> None:
    assert config_from({}).compile_check == "off"
    assert config_from({"compile_check": "90s"}).compile_check == "90s"
    with pytest.raises(UsageError, match="not a duration"):
        config_from({"compile_check": "yes"})


def test_a_pipeline_with_a_compile_check_is_otherwise_the_same(simulated: CheckedRun) -> None:
    pipeline = simulated.loop().attempts.pipeline
    made = checked(pipeline, 5.0)
    assert isinstance(made, CompileCheckedPipeline)
    assert (made.engine, made.limits, made.train_data) == (
        pipeline.engine,
        pipeline.limits,
        pipeline.train_data,
    )
    assert made.longest_training_s == pipeline.longest_training_s + 5.0
    assert json.dumps(sorted(made.passed)) == "[]"
