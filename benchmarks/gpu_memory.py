"""Memory of train.py's step on a GPU, from XLA's compiler for CUDA: no GPU is needed.

    pip install --no-deps --target CUDA -r requirements/image-cuda12.lock     # 5 GB
    PYTHONPATH=CUDA .venv/bin/python -m benchmarks.gpu_memory [--micro-batches 1,2,4,8,16] [WIDTH=768 ...]

Compiles the step of the GPU preset for an H100 with the flags of a training, for each number of micro-batches, and prints what XLA
allocates (weights, optimizer state and temporaries) beside the estimate that train.py chooses by. A constant may be given another
value. Compiling takes half a minute on two CPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import types
from pathlib import Path
from typing import Any

from runner.evaluation.pipeline import GPU_XLA_FLAGS

GIB = 1 << 30
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98 l2_cache_size: 52428800
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 device_memory_size: 84942979072
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  cuda_compute_capability { major: 9 }
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
"""A target of XLA's, as xla/backends/gpu/target_config/specs/h100_sxm.txtpb describes it."""


def gpu_preset(devices: list[Any], constants: dict[str, str]) -> types.ModuleType:
    """train.py as on `devices`, with other values of some of its constants, on data of the usual sizes of GPUs."""
    import jax
    from jax._src.cudnn import fused_attention_stablehlo as cudnn

    cudnn.check_cudnn_version = lambda: 91000
    cudnn.check_compute_capability = lambda _: True
    jax.default_backend, jax.devices = lambda: "gpu", lambda: devices  # type: ignore[assignment]
    source = (Path(__file__).parents[1] / "trainer_jax" / "train.py").read_text()
    begin = "\nHEADS = "  # after the presets
    assert begin in source
    changes = "".join(f"\n{name} = {value}" for name, value in constants.items())
    train = types.ModuleType("train")
    exec(compile(source.replace(begin, changes + begin, 1), "train.py", "exec"), train.__dict__)
    return train


def compiled_bytes(train: Any) -> int:
    """What XLA allocates for a step of `train`, in bytes."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import NamedSharding, PartitionSpec

    step, init, rows_sharding = train.make_step(train.make_optimizer())
    copied = NamedSharding(rows_sharding.mesh, PartitionSpec())

    def described(x: Any) -> Any:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=copied)

    params, state = jax.tree.map(described, init.eval_shape(jax.random.key(0)))
    rows = jax.ShapeDtypeStruct((train.BATCH, train.T + 1), jnp.int32, sharding=rows_sharding)
    progress = jax.ShapeDtypeStruct((), jnp.float32, sharding=copied)
    return int(step.lower(params, state, rows, progress).compile().memory_analysis().peak_memory_in_bytes)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("constants", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--micro-batches", default="1,2,4,8,16")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gpu-memory-"))
    meta = {"vocab_size": 8192, "bos_id": 8191, "seq_len": 2048, "tokens": 10**8, "documents": 1}
    (folder / "meta.json").write_text(json.dumps(meta))
    os.environ.update(AUTORESEARCH_DATA=str(folder), AUTORESEARCH_OUT=str(folder))
    os.environ.update(JAX_PLATFORMS="cpu", XLA_FLAGS=GPU_XLA_FLAGS)
    from jax.experimental import topologies

    devices = topologies.get_topology_desc(platform="cuda", target_config=H100, topology="1x1x1").devices
    fake = [types.SimpleNamespace(memory_stats=dict)]
    train = gpu_preset(fake, dict(word.split("=", 1) for word in options.constants))
    import jax

    jax.devices = lambda: devices  # type: ignore[assignment]
    print("micro-batches  XLA allocates  train.py expects  compiled in", flush=True)
    for number in map(int, options.micro_batches.split(",")):
        train.MICRO_BATCHES = number  # type: ignore[attr-defined]
        started = time.perf_counter()
        found = compiled_bytes(train) / GIB
        expected = train.ACTIVATION_BYTES / number / GIB + 1
        seconds = time.perf_counter() - started
        print(f"{number:13d}  {found:9.1f} GiB  {expected:12.1f} GiB  {seconds:9.0f} s", flush=True)


if __name__ == "__main__":
    main()
