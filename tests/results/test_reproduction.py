"""A kept experiment again: when its score tells something, and when a replay was one. A fake engine and written scores."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulated_run import OneLease, WrittenScore
from runner.cli.reproduce import require_device
from runner.cli.reproduction_text import explain
from runner.data.manifest import manifest_sha256
from runner.errors import CannotReproduce
from runner.evaluation.pipeline import Pipeline
from runner.protocols import Conditions
from runner.report.reproduce_command import reproduce_command
from runner.results.data_lookup import locate
from runner.results.reproduction import Reproduction, reproduce
from runner.results.snapshot import HOME, SnapshotContents, build_snapshot, read_labels
from sandbox.engine import BuildContext
from sandbox.fake_engine import FakeEngine, Script
from sandbox.outcome import Ending
from sandbox.spec import Job, Limits, Role

EXPORTED, SAVING, SAVED = -3.0, -1.0, -2.0
KEPT = (0.1, EXPORTED, 0.2, SAVING, SAVED, 0.3, 0.4, SAVING, SAVED, 0.5)
"""Five answers, of which the last came after the newest weights."""


def tape(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


class Machine:
    """An engine whose trainings reach `score` with the weights `params` after playing `played`, and a kept image in it."""

    def __init__(self, folder: Path, **kept: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.score, self.played, self.ending = 2.0, KEPT[:-1], Ending.EXITED
        self.asked: list[Job] = []
        self.engine = FakeEngine(self.run)
        self.folder = folder
        base = self.engine.build(BuildContext("FROM scratch", {}))
        attempt, data = folder / "attempt", folder / "data"
        attempt.mkdir()
        self.train_data = data / "train"
        self.train_data.mkdir(parents=True)
        (data / "manifest.json").write_text("{}")
        (attempt / "train.py").write_text("the script")
        (attempt / "model.stablehlo").write_text("model")
        (attempt / "params.safetensors").write_text("2.0")
        self.recorded = tape(*kept.pop("tape", KEPT))
        (attempt / "clock.f64").write_bytes(self.recorded)
        facts = SnapshotContents(
            run="run",
            number=3,
            title="kept",
            seed=7,
            val_bpb=2.0,
            mean_val_bpb=2.0,
            repeats=4,
            sigma=0.001,
            freedom=10,
            gain=0.1,
            test_bpb=2.1,
            limits=Limits(wall_clock_s=60.0),
            preset="cpu",
            cpu_share=0.75,
            conditions=Conditions(cpus=1, cpu_model="some"),
            params_sha256=hashlib.sha256(b"2.0").hexdigest(),
            judge_version="3",
            kept_at=0.0,
        )
        build_snapshot(self.engine, base, replace(facts, **kept), attempt, data / "manifest.json")

    def run(self, job: Job) -> Script:
        self.asked.append(job)
        if job.role is Role.EXTRACT:
            (job.destination / "train.py").write_text("the script")
            (job.destination / "clock.f64").write_bytes(self.recorded)
            return Script()
        (job.destination / "model.stablehlo").write_text("model")
        (job.destination / "params.safetensors").write_text(repr(self.score))
        (job.destination / "clock.f64").write_bytes(tape(*self.played))
        return Script(ending=self.ending)

    def again(self, **words: Any) -> Reproduction:
        def pipeline_for(image: str, wall_clock_s: float) -> Pipeline:
            limits = Limits(wall_clock_s=wall_clock_s)
            return Pipeline(self.engine, image, WrittenScore(), OneLease(), self.train_data, limits)

        words = {"exact": False, "cpu_model": "some", **words}
        facts = read_labels(self.engine, "autoresearch/run:0003")
        return reproduce(self.engine, facts, pipeline_for, self.folder / "again", **words)


@pytest.fixture(autouse=True)
def this_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.results.reproduction.JUDGE_VERSION", "3")


@pytest.mark.parametrize(
    ("kept", "score", "verdict", "reason"),
    [
        ({}, 2.003, "PASS", None),
        ({}, 2.3, "FAIL", "outside_band"),
        ({"gain": 0.001}, 2.0, "INCONCLUSIVE", "band_wider_than_gain"),
        ({"gain": 0.001}, 2.3, "FAIL", "outside_band"),
        ({"gain": 0.0}, 2.003, "PASS", None),
        ({"gain": 0.0, "sigma": 0.5, "mean_val_bpb": 2.38}, 2.38, "INCONCLUSIVE", "band_too_wide"),
        (
            {"gain": 0.1, "sigma": 0.327, "freedom": 2, "repeats": 3},
            2.0,
            "INCONCLUSIVE",
            "band_wider_than_gain",
        ),
    ],
)
def test_a_score_counts_only_where_the_band_is_narrower_than_the_gain(
    kept: dict[str, float], score: float, verdict: str, reason: str | None, tmp_path: Path
) -> None:
    machine = Machine(tmp_path, **kept)
    machine.score = score
    found = machine.again()
    assert (str(found.verdict), found.reason) == (verdict, reason)


def test_a_tag_that_the_engine_does_not_have_is_not_answered_with_build() -> None:
    with pytest.raises(
        CannotReproduce, match="no image autoresearch/x:0001: `autoresearch ls --json`"
    ) as error:
        read_labels(FakeEngine(), "autoresearch/x:0001")
    assert "autoresearch build" not in str(error.value)


def test_a_label_that_is_no_number_is_no_fact(tmp_path: Path) -> None:
    with pytest.raises(CannotReproduce, match="not a number"):
        Machine(tmp_path, sigma=float("nan")).again()


def test_more_runs_make_the_band_narrower(tmp_path: Path) -> None:
    machine = Machine(tmp_path, gain=0.0032)
    assert machine.again().reason == "band_wider_than_gain"
    machine.folder = tmp_path / "more"
    machine.folder.mkdir()
    found = machine.again(repeats=4)
    assert (str(found.verdict), len(found.evaluations)) == ("PASS", 4)
    assert len({evaluation.seed for evaluation in found.evaluations}) == 4
    assert found.evaluations[0].seed == 7


@pytest.mark.parametrize(
    ("machine", "verdict", "reason"),
    [
        ({"score": 2.0}, "PASS", None),
        ({"score": 2.0, "played": (), "ending": Ending.TIMED_OUT}, "PASS", None),
        ({"score": 2.1}, "FAIL", "weights_differ"),
        ({"score": 2.1, "ending": Ending.TIMED_OUT}, "INCONCLUSIVE", "replay_cut_short"),
        (
            {"score": 2.1, "played": (0.1, EXPORTED, 0.2, SAVING, SAVED)},
            "INCONCLUSIVE",
            "replay_stopped_early",
        ),
        ({"score": 2.1, "played": ()}, "INCONCLUSIVE", "replay_stopped_early"),
        (
            {"score": 2.1, "played": (*KEPT, 1.0, 1.0, SAVING, SAVED)},
            "INCONCLUSIVE",
            "replay_past_the_tape",
        ),
    ],
)
def test_only_a_whole_replay_says_that_weights_differ(
    machine: dict[str, Any], verdict: str, reason: str | None, tmp_path: Path
) -> None:
    made = Machine(tmp_path)
    for name, value in machine.items():
        setattr(made, name, value)
    found = made.again(exact=True)
    assert (str(found.verdict), found.reason) == (verdict, reason)
    assert found.weights_equal is (machine["score"] == 2.0)
    assert "None" not in explain(found)


def test_a_replay_has_time_but_is_told_the_recorded_wall_clock(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.again(exact=True).time_limit_s == 360.0
    training = machine.asked[-1]
    assert training.limits.wall_clock_s == 360.0
    assert training.environment["AUTORESEARCH_WALL_CLOCK"] == "60"
    machine.folder = tmp_path / "said"
    machine.folder.mkdir()
    assert machine.again(exact=True, time_limit_s=99.0).time_limit_s == 99.0


@pytest.mark.parametrize("exact", [True, False])
def test_a_script_that_runs_again_finds_nothing_of_its_snapshot(exact: bool, tmp_path: Path) -> None:
    """The weights, the tape and the scores are in the image: a script could hand them over again without any training."""
    machine = Machine(tmp_path)
    machine.again(exact=exact)
    extraction, training = machine.asked
    assert all(mount.target != HOME for mount in extraction.mounts)
    (cover,) = (mount for mount in training.mounts if mount.target == HOME)
    assert list(cover.source.iterdir()) == []


@pytest.mark.parametrize("here", [{"cpu_model": "another"}, {"kept": Conditions(cpus=2, cpu_model="some")}])
def test_other_weights_from_another_processor_prove_nothing(here: dict[str, Any], tmp_path: Path) -> None:
    machine = Machine(tmp_path, **({"conditions": here.pop("kept")} if "kept" in here else {}))
    machine.score = 2.1
    found = machine.again(exact=True, **here)
    assert (str(found.verdict), found.reason) == ("INCONCLUSIVE", "other_device")


def test_what_was_trained_on_another_kind_of_device_is_not_compared(tmp_path: Path) -> None:
    machine = Machine(tmp_path, conditions=Conditions(device="NVIDIA H100 80GB HBM3"))
    facts = read_labels(machine.engine, "autoresearch/run:0003")
    require_device(facts, "NVIDIA H100 80GB HBM3")
    require_device(replace(facts, device=""), "cpu")
    with pytest.raises(
        CannotReproduce, match="was trained on NVIDIA H100 80GB HBM3, and this is NVIDIA A100"
    ):
        require_device(facts, "NVIDIA A100-SXM4-80GB")


def test_a_run_that_was_killed_while_it_replaced_its_weights_is_not_blamed(tmp_path: Path) -> None:
    machine = Machine(tmp_path, tape=(0.1, EXPORTED, 0.2, SAVING, SAVED, 0.3, SAVING))
    machine.score, machine.played = 2.1, (0.1, EXPORTED, 0.2, SAVING, SAVED, 0.3, SAVING, SAVED)
    assert machine.again(exact=True).reason == "last_save_unknown"


def test_scores_of_another_judge_are_not_compared_but_weights_are(tmp_path: Path) -> None:
    machine = Machine(tmp_path, judge_version="2", val_bpb=2.5)
    with pytest.raises(CannotReproduce, match="--exact compares the weights"):
        machine.again()
    assert str(machine.again(exact=True).verdict) == "PASS"


def test_an_image_of_an_older_version_can_be_run_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    image = machine.engine.image("autoresearch/run:0003")
    new = ("gain", "memory-bytes", "pids", "preset", "variant", "cpus", "cpu-model", "judge-wall-clock-s")
    for name in (*new, "data-path"):
        image.labels.pop(f"dev.autoresearch.snapshot.{name}")  # type: ignore[attr-defined]
    assert str(machine.again().verdict) == "PASS"


def test_the_data_set_is_found_wherever_it_was_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "cache"))
    moved, other = tmp_path / "cache" / "data" / "wiki", tmp_path / "other"
    for folder, content in ((moved, "{}"), (other, "[]")):
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(content)
    digest = manifest_sha256(moved / "manifest.json")
    assert locate("tag", digest, named=None, likely=[tmp_path / "gone", other]) == moved
    assert locate("tag", digest, named=moved, likely=[]) == moved
    with pytest.raises(CannotReproduce, match=f"{moved} holds it"):
        locate("tag", digest, named=other, likely=[])
    with pytest.raises(CannotReproduce, match="say where it is with --data DIR"):
        locate("tag", "0" * 64, named=None, likely=[other])


def test_the_printed_command_names_what_the_run_was_told() -> None:
    config = {"data": "/my data/it's", "gpus": "GPU-1", "runtime": "runsc", "variant": "cuda12"}
    assert (
        reproduce_command("autoresearch/run:0003", {"config": config})
        == "autoresearch reproduce autoresearch/run:0003 --data '/my data/it'\"'\"'s' --gpus GPU-1 --runtime runsc"
    )
    assert reproduce_command("t:1", {}) == "autoresearch reproduce t:1"
