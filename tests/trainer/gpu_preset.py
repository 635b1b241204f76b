"""Lowers train.py's step of the GPU preset for CUDA on a machine without a GPU, and prints what the program asks of the device.

    gpu_preset.py MODULE BYTES          # trainer_jax's module; the memory that JAX may use on the GPU
    gpu_preset.py MODULE BYTES --only-micro-batches

Run as a program with AUTORESEARCH_DATA and AUTORESEARCH_OUT: the preset is chosen when train.py is imported. Where JAX asks the machine for
cuDNN's version, the GPU's compute capability and its memory, this program answers: 9.10 and 9.0, as on an H100, and BYTES.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax._src.cudnn import fused_attention_stablehlo as cudnn


def main() -> None:
    cudnn.check_cudnn_version = lambda: 91000
    cudnn.check_compute_capability = lambda _: True
    gpu = SimpleNamespace(memory_stats=lambda: {"bytes_limit": int(sys.argv[2])})
    real = jax.default_backend, jax.devices
    jax.default_backend, jax.devices = lambda: "gpu", lambda: [gpu]
    train = importlib.import_module(f"trainer_jax.{sys.argv[1]}")
    jax.default_backend, jax.devices = real
    if "--only-micro-batches" in sys.argv:
        json.dump(train.MICRO_BATCHES, sys.stdout)
        return
    step, init, shared_out = train.make_step(train.make_optimizer())
    params, state = init.eval_shape(jax.random.key(0))
    rows = jax.ShapeDtypeStruct((train.BATCH, train.T + 1), jnp.int32, sharding=shared_out)
    progress = jax.ShapeDtypeStruct((), jnp.float32)
    text = step.trace(params, state, rows, progress).lower(lowering_platforms=("cuda",)).as_text()

    def size(tree: Any) -> int:
        return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))

    scatters = re.findall(r'"stablehlo.scatter".*?}\) : \(tensor<[\dx]*x(\w+)>', text, re.DOTALL)
    calls = re.findall(r"custom_call @(\S*?fmha\S*?)\(", text)
    json.dump(
        {
            "attention": {name: calls.count(name) for name in sorted(set(calls))},
            "scatters": scatters,
            "tables": 1 + len(train.VALUE_LAYERS),
            "layers": train.DEPTH,
            "dtype": str(jnp.dtype(train.COMPUTE_DTYPE)),
            "micro_batches": train.MICRO_BATCHES,
            "tokens": train.BATCH * train.T,
            "weights_and_state_bytes": size((params, state)),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
