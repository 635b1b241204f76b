"""The fixed library and the shipped train.py, run outside a container on a small data set."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.results.clock_replay import interrupted, read
from trainer_jax.packing import Rows, best_fit, pieces

TRAIN = Path(__file__).parents[2] / "trainer_jax" / "train.py"
BOS = 9
documents = st.lists(st.lists(st.integers(0, 8), max_size=40), min_size=1, max_size=30)


@given(documents, st.integers(1, 16))
@settings(deadline=None)
def test_packing_loses_no_token_and_starts_every_row_with_bos(texts: list[list[int]], seq_len: int) -> None:
    tokens = np.array([token for text in texts for token in (BOS, *text)], np.uint16)
    if not any(texts):
        with pytest.raises(ValueError):
            Rows(tokens, BOS, seq_len, 0)
        return
    rows = list(Rows(tokens, BOS, seq_len, 0).epoch())
    assert all(len(row) == seq_len + 1 and row[0] == BOS for row in rows)
    seen = sorted(int(token) for row in rows for token in row if token != BOS)
    assert seen == sorted(token for text in texts for token in text)


@given(documents, st.integers(1, 16))
@settings(deadline=None)
def test_a_piece_never_crosses_a_document(texts: list[list[int]], seq_len: int) -> None:
    tokens = np.array([token for text in texts for token in (BOS, *text)], np.uint16)
    starts, lengths = pieces(tokens, BOS, seq_len)
    for start, length in zip(starts, lengths, strict=True):
        assert 1 <= length <= seq_len
        assert BOS not in tokens[start : start + length]


@given(st.lists(st.integers(1, 16), min_size=1, max_size=60))
def test_rows_are_never_overfull(lengths: list[int]) -> None:
    rows = best_fit(np.array(lengths), 17)
    assert sorted(piece for row in rows for piece in row) == list(range(len(lengths)))
    assert all(sum(lengths[piece] + 1 for piece in row) <= 17 for row in rows)


def train(dataset: Path, out: Path, *, script: Path = TRAIN, **environment: str) -> str:
    out.mkdir()
    env = {
        **os.environ,
        "AUTORESEARCH_DATA": str(dataset / "train"),
        "AUTORESEARCH_OUT": str(out),
        **environment,
    }
    command = [sys.executable, str(script)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=120).stdout


EPOCHS = 0.02
"""Of the text, after which the short training ends: some tens of steps."""


@dataclass(frozen=True)
class Training:
    script: Path
    out: Path
    said: str


@pytest.fixture(scope="module")
def short(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """train.py with one layer, so that it compiles quickly, and few epochs. Its first steps follow the clock, the others the epochs."""
    folder = tmp_path_factory.mktemp("short")
    source = TRAIN.read_text()
    for shipped, ours in (
        ("\nDEPTH = 4 ", "\nDEPTH = 1 "),
        ("\nMAX_EPOCHS = 4.0 ", f"\nMAX_EPOCHS = {EPOCHS} "),
    ):
        assert shipped in source
        source = source.replace(shipped, ours)
    (folder / "train.py").write_text(source)
    said = train(dataset, folder / "out", script=folder / "train.py", AUTORESEARCH_WALL_CLOCK="120")
    return Training(folder / "train.py", folder / "out", said)


def test_the_same_tape_gives_the_same_weights_byte_for_byte(
    short: Training, dataset: Path, tmp_path: Path
) -> None:
    weights = (short.out / "params.safetensors").read_bytes()
    tape = str(short.out / "clock.f64")
    clock = {"AUTORESEARCH_CLOCK_REPLAY": tape, "AUTORESEARCH_WALL_CLOCK": "120"}
    train(dataset, tmp_path / "again", script=short.script, **clock)
    assert (tmp_path / "again" / "params.safetensors").read_bytes() == weights
    assert read(tmp_path / "again" / "clock.f64") == read(short.out / "clock.f64")
    train(dataset, tmp_path / "other", script=short.script, **clock, AUTORESEARCH_SEED="1")
    assert (tmp_path / "other" / "params.safetensors").read_bytes() != weights


SAVES_EVERY_THIRD = """
import os
import numpy as np
from trainer_jax import harness
weight, step = 0.0, 0
while harness.clock.progress() < 1.0:
    weight, step = weight + harness.clock.seconds_left(), step + 1
    if step % 3 == 0:
        harness.save_params({"w": np.array([weight], np.float32)})
    if step == 8 and "KILLED" in os.environ:
        os._exit(9)
harness.save_params({"w": np.array([-1.0], np.float32)})
"""


def test_a_replay_gives_the_weights_that_counted_when_the_recorded_run_was_killed(tmp_path: Path) -> None:
    """The kill came two steps after the newest weights: what a replay would save later was never judged."""
    outs = [tmp_path / "first", tmp_path / "second"]
    for out, more in zip(
        outs,
        ({"KILLED": "1"}, {"AUTORESEARCH_CLOCK_REPLAY": str(outs[0] / "clock.f64")}),
        strict=True,
    ):
        out.mkdir()
        env = {**os.environ, "AUTORESEARCH_OUT": str(out), "AUTORESEARCH_WALL_CLOCK": "60", **more}
        ended = subprocess.run([sys.executable, "-c", SAVES_EVERY_THIRD], env=env, check=False, timeout=120)
        assert ended.returncode == (9 if "KILLED" in more else 0)
    assert (outs[0] / "params.safetensors").read_bytes() == (outs[1] / "params.safetensors").read_bytes()
    recorded, replayed = (read(out / "clock.f64") for out in outs)
    assert (recorded.answers, recorded.needed, recorded.saves) == (16, 12, 2)
    assert interrupted(recorded, replayed, timed_out=False) is None


def test_the_tapes_marks_mean_the_same_on_both_sides() -> None:
    from runner.results import clock_replay
    from trainer_jax import wallclock

    names = ("SAVING", "SAVED", "EXPORTED")
    assert [getattr(clock_replay, name) for name in names] == [getattr(wallclock, name) for name in names]


def test_a_short_text_ends_before_it_is_learned_by_heart(short: Training, dataset: Path) -> None:
    """Of its two minutes it takes seconds."""
    tokens = json.loads((dataset / "train" / "meta.json").read_text())["tokens"]
    assert f"done: {math.ceil(EPOCHS * tokens / (8 * 64))} steps" in short.said


def test_a_compile_check_takes_two_steps_exports_and_saves(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = train(dataset, out, AUTORESEARCH_WALL_CLOCK="3600", AUTORESEARCH_COMPILE_CHECK="1")
    assert "done: 2 steps" in said
    assert {path.name for path in out.iterdir()} >= {"model.stablehlo", "params.safetensors"}
    telemetry = (out / "telemetry.jsonl").read_text()
    assert '"device_memory_bytes": null' in telemetry, "a CPU does not count"
    lines = [json.loads(line) for line in telemetry.splitlines()]
    stages = {line["stage"]: line["seconds"] for line in lines if "stage" in line}
    compiling = ["imports", "trace", "compile", "first_save", "last_save"]  # on a thread beside the others
    beside = ["imports", "batches", "init", "export", "first_save", "last_save"]
    assert set(stages) == {*compiling, *beside}
    for order in (compiling, beside):
        assert [stages[name] for name in order] == sorted(stages[name] for name in order)


def test_a_half_written_file_never_has_the_artifacts_name(tmp_path: Path) -> None:
    """Killed between two writes, the newest complete weights are there under their name."""
    program = (
        "import os\nimport numpy as np\nfrom trainer_jax import harness\n"
        "harness.save_params({'w': np.ones(4, np.float32)})\n"
        "real = harness.Path.replace\n"
        "harness.Path.replace = lambda *_: os._exit(9)\n"
        "harness.save_params({'w': np.zeros(400_000, np.float32)})\n"
    )
    env = {**os.environ, "AUTORESEARCH_OUT": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", program], env=env, check=False).returncode == 9
    from safetensors.numpy import load_file

    np.testing.assert_array_equal(load_file(tmp_path / "params.safetensors")["w"], np.ones(4))
