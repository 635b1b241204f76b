"""What the judge would refuse after the training is one sentence in the first minute, and honest models hear nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import model_zoo
import numpy as np
import pytest

from judge.inside import exported_program, op_allowlist, safetensors_reader
from judge.limits import ProgramLimits
from trainer_jax import artifact_check, program_check

HONEST = (
    "plain",
    "weights on two devices",
    "a seed of its own",
    "nnx, the weights",
    "linen",
    "bfloat16",
    "saved before",
)
ONE_DEVICE = ("the judge has one device", "jax.set_mesh")
SENTENCES = {
    "a bias made at the top": (
        "ALIBI, float32[8, 256, 256],",
        "2 MiB",
        "1 MiB of constants",
        "inside forward",
    ),
    "a bias in a dict": ("SETTINGS['bias'][0], float32[1024, 1024],", "4 MiB", "1 MiB"),
    "a bias by numpy": ("f32[1024, 1024]", "numpy", "4 MiB", "1 MiB"),
    "a program of 16 MB": ("HUGE, float32[4, 1024, 1024],", "16 MiB", "1 MiB"),
    "whole numbers": ("int32[16, 64, 512]", "floating array [16, 64, 512]"),
    "a tuple": ("tuple of 2 arrays", "[16, 64, 512]"),
    "too few words": ("float32[16, 64, 100]", "[16, 64, 512]"),
    "the last position alone": ("float32[16, 512]", "[16, 64, 512]"),
    "a callback": ("calls back into Python",),
    "a print": ("jax.debug",),
    "random bits": ("stablehlo.rng_bit_generator at refused_scripts.py:", "no random numbers"),
    "LAPACK": ("lapack", "no custom calls"),
    "approximate top-k": ("'ApproxTopK' at refused_scripts.py:", "no custom calls"),
    "two devices": ("2 devices", *ONE_DEVICE),
    "a mesh set at the top": ("2 devices", *ONE_DEVICE),
    "an array of 8 GB": ("f32[100000, 20000]", "7.45 GiB", " at refused_scripts.py:", "4 GiB"),
    "a million calls": ("operations", "200000", "jax.lax.scan"),
    "float64": ("params['w'] is float64[512, 512]", "jnp.float32"),
    "a Python number": ("params['scale'] is a float",),
    "a random key": ("params['key'] is a random key", "nnx.Param"),
    "nnx, everything": ("params['drop/rngs/key/value'] is a random key", "nnx.state(model, nnx.Param)"),
    "nine axes": ("params['deep']", "8 axes"),
    "5 GB": ("4.47 GiB", "2 GiB", "'table'"),
    "a name of 2 MB": ("names in params are too long", "1 MiB"),
    "a name of safetensors": ("__metadata__",),
    "no name": ("needs a name",),
    "not a number": ("params['w'], float32[512, 512], holds NaN", "saved before stay"),
    "not a number in bfloat16": ("params['w'], bfloat16[512, 512], holds NaN",),
    "given away": ("params['w'] was given away", "donate_argnums"),
    "another dtype": ("params['w'] was exported as float32[512, 512] and is saved as bfloat16[512, 512]",),
    "another shape": ("exported as float32[512, 512] and is saved as float32[511, 512]",),
    "another name": ("params['w'] was exported and is not saved",),
    "one more": ("params['v'] is saved and was not exported",),
}
"""By case (refused_scripts.py): what its one sentence must hold."""


@pytest.fixture(scope="module")
def said(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("out")
    env = {
        **os.environ,
        "AUTORESEARCH_DATA": str(dataset / "train"),
        "AUTORESEARCH_OUT": str(out),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    program = Path(__file__).with_name("refused_scripts.py")
    done = subprocess.run(
        [sys.executable, str(program)], env=env, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return answers


def test_every_case_is_told_in_one_sentence_with_name_size_and_limit(said: dict[str, str]) -> None:
    assert set(said) == {*HONEST, *SENTENCES}
    for case, parts in SENTENCES.items():
        assert all(part in said[case] for part in parts), (case, said[case])
        assert "\n" not in said[case]


def test_honest_scripts_hear_nothing(said: dict[str, str]) -> None:
    assert [said[case] for case in HONEST] == [""] * len(HONEST)


@pytest.mark.parametrize("name", sorted(model_zoo.HONEST))
def test_no_honest_model_of_the_zoo_is_warned_about(name: str) -> None:
    params = model_zoo.init(0)
    artifact_check.check_leaves(list(params), list(params.values()))
    artifact_check.check_values(list(params), [np.asarray(leaf) for leaf in params.values()])
    program_check.check_program(model_zoo.exported(model_zoo.HONEST[name], params), model_zoo.HONEST[name])


def test_its_limits_and_its_list_are_the_judges_own() -> None:
    limits = ProgramLimits()
    assert (limits.model_bytes, limits.params_bytes) == (
        artifact_check.MODEL_BYTES,
        artifact_check.PARAMS_BYTES,
    )
    ours = program_check.CONSTANT_BYTES, program_check.TENSOR_BYTES
    assert ours == (limits.constant_bytes, limits.tensor_bytes)
    assert (limits.ops, limits.depth) == (program_check.OPS, program_check.DEPTH)
    stored = safetensors_reader.MAX_HEADER, safetensors_reader.MAX_TENSORS, safetensors_reader.MAX_RANK
    assert stored == (artifact_check.HEADER_BYTES, artifact_check.TENSORS, artifact_check.RANK)
    assert {str(dtype) for dtype in safetensors_reader.DTYPES.values()} == artifact_check.WEIGHTS
    assert exported_program.LOGITS == program_check.LOGITS
    ops = {f"stablehlo.{name}" for name in program_check.OPERATIONS} | program_check.FUNCTIONS
    assert ops == op_allowlist.ALLOWED_OPS
    assert set(op_allowlist.ALLOWED_ATTRIBUTES) == program_check.ATTRIBUTES
    assert program_check.BYTES.items() <= op_allowlist.WIDTHS.items()


def test_weights_that_the_output_folder_cannot_hold_twice_are_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda _: True)
    monkeypatch.setattr(
        artifact_check.os, "statvfs", lambda _: type("Room", (), {"f_blocks": 1 << 18, "f_frsize": 4096})
    )
    leaf = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (150_000, 1024), (0, 0))
    with pytest.raises(artifact_check.WouldBeRefused, match=r"586 MiB.*room for 1 GiB.*at most 508 MiB"):
        artifact_check.check_leaves(["w"], [leaf], tmp_path)


def test_the_memo_and_the_harness_name_the_limits() -> None:
    from runner.llm.prompt import harness_api
    from runner.parsing.client import shared

    memo = (Path(__file__).parents[2] / "program.md").read_text()
    for text in (memo, harness_api(shared())):
        for limit in ("1 MiB", "200,000", "4 GiB", "8 MiB", "2 GiB", "jax.set_mesh"):
            assert limit in text
