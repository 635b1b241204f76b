"""train.py's GPU preset, as far as a machine without a GPU can show it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from judge.container import GPU_ENVIRONMENT
from runner.evaluation.pipeline import GPU_XLA_FLAGS

PROGRAM = Path(__file__).with_name("gpu_preset.py")
ROOT = Path(__file__).parents[2]
GIB = 1 << 30


@pytest.fixture
def environment(dataset: Path, tmp_path: Path) -> dict[str, str]:
    """Of a training with the vocabulary and the rows of the data for GPUs."""
    data, out = tmp_path / "train", tmp_path / "out"
    shutil.copytree(dataset / "train", data)
    out.mkdir()
    meta = json.loads((data / "meta.json").read_text())
    (data / "meta.json").write_text(json.dumps({**meta, "vocab_size": 8192, "seq_len": 2048}))
    places = {"AUTORESEARCH_DATA": str(data), "AUTORESEARCH_OUT": str(out), "PYTHONPATH": str(ROOT)}
    return {**os.environ, **places, "JAX_PLATFORMS": "cpu"}


def on_a_gpu(environment: dict[str, str], total_gib: float, *words: str, module: str = "train") -> Any:
    """The answer of gpu_preset.py on a GPU of that size, of which JAX uses three quarters."""
    command = [sys.executable, str(PROGRAM), module, str(int(0.75 * total_gib * GIB)), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", ["train", "train_nnx"])
def test_the_whole_step_lowers_for_cuda_with_fused_attention_in_every_layer(
    module: str,
    environment: dict[str, str],
) -> None:
    """Forward and backward, in bfloat16, but the gradients of the lookups are summed in float32, because a GPU has no fast sum for less."""
    found = on_a_gpu(environment, 79.1, module=module)
    layers = found["layers"]
    assert found["attention"] == {"__cudnn$fmhaSoftmax": layers, "__cudnn$fmhaSoftmaxBackward": layers}
    assert (found["dtype"], found["tokens"]) == ("bfloat16", 2**19)
    assert found["scatters"] == ["f32"] * found["tables"]
    assert found["weights_and_state_bytes"] < GIB / 2


COMPILED_GIB = {1: 76.4, 2: 44.1, 4: 20.3, 8: 10.6, 16: 5.8}
"""What XLA allocates for a step of so many micro-batches (benchmarks/gpu_memory.py, 2026-11-27): weights, state and temporaries."""


@pytest.mark.parametrize(
    ("card", "total_gib", "micro_batches"),
    [
        ("H200, 141 GB", 139.8, 1),
        ("H100, 80 GB", 79.1, 2),
        ("A100, 40 GB", 39.4, 4),
        ("RTX 4090, 24 GB", 23.5, 8),
        ("RTX 4080, 16 GB", 15.6, 16),
    ],
)
def test_the_step_fits_the_gpus_memory_in_as_few_micro_batches_as_it_can(
    environment: dict[str, str], card: str, total_gib: float, micro_batches: int
) -> None:
    assert on_a_gpu(environment, total_gib, "--only-micro-batches") == micro_batches
    assert COMPILED_GIB[micro_batches] < 0.75 * total_gib


COMPILE_OPTIONS = (
    "from jax._src.lib import xla_client as x; print(x.CompileOptions().SerializeAsString().hex())"
)


def compile_options(flags: str) -> str:
    """XLA's options under these flags. It aborts for an unknown one."""
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", COMPILE_OPTIONS]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("flags", [GPU_XLA_FLAGS, GPU_ENVIRONMENT["XLA_FLAGS"]])
def test_the_pinned_xla_knows_every_flag_of_trainings_and_of_the_judge(flags: str) -> None:
    assert compile_options(flags) != compile_options("")
    with pytest.raises(subprocess.CalledProcessError):
        compile_options(f"{flags} --xla_gpu_no_such_flag=1")


def test_cuda_graphs_are_on_by_default_and_hold_no_collectives() -> None:
    """So nothing has to be set; docs/trainer.md says what each is for."""
    kinds = "CONDITIONAL,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,DYNAMIC_SLICE_FUSION,FUSION"
    default = compile_options("")
    assert compile_options(f"--xla_gpu_enable_command_buffer={kinds}") == default
    assert compile_options(f"--xla_gpu_enable_command_buffer={kinds},COLLECTIVES") != default
