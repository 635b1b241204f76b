"""train.py's GPU preset, as far as a machine without a GPU can show it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("gpu_preset.py")
ROOT = Path(__file__).parents[2]


def test_the_whole_step_lowers_for_cuda_with_fused_attention_in_every_layer(
    dataset: Path, tmp_path: Path
) -> None:
    """Forward and backward, in bfloat16, with the vocabulary and the rows of the data for GPUs."""
    data, out = tmp_path / "train", tmp_path / "out"
    shutil.copytree(dataset / "train", data)
    out.mkdir()
    meta = json.loads((data / "meta.json").read_text())
    (data / "meta.json").write_text(json.dumps({**meta, "vocab_size": 8192, "seq_len": 2048}))
    environment = {**os.environ, "AUTORESEARCH_DATA": str(data), "AUTORESEARCH_OUT": str(out)}
    environment |= {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    layers = found["layers"]
    assert found["attention"] == {"__cudnn$fmhaSoftmax": layers, "__cudnn$fmhaSoftmaxBackward": layers}
    assert (found["dtype"], found["tokens"]) == ("bfloat16", 2**19)
    assert found["weights_and_state_bytes"] < 1 << 30
