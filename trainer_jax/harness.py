"""The fixed library of a training script: data, clock, seed and the functions that write the artifact.

    from trainer_jax import harness
    harness.seed, harness.vocab_size, harness.seq_len, harness.bos_id    # ints, set by the host
    harness.train_tokens                                                # number of tokens of all training documents
    harness.clock.progress() -> float in [0, 1]                         # used share of the usable wall clock
    harness.clock.seconds_left() -> float                               # use no other clock: only this one can be replayed
    harness.batches(batch_size, seq_len=None) -> iterator of int32[B, T+1]
    harness.export_model(forward, params)            # forward(params, int32[B, T]) -> floating[B, T, V]
    harness.save_params(params)                      # atomic; may be called often
    harness.log(step=, loss=, tokens=)               # telemetry: mean nats per token; may end a training, is never its score
    harness.stage(name)                              # telemetry only: time of a stage, once per name

The judge trusts nothing here. The environment variables are in docs/contracts.md; outside a container AUTORESEARCH_DATA and
AUTORESEARCH_OUT are the paths of the two folders.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from trainer_jax import artifact_check, program_check
from trainer_jax.packing import Rows
from trainer_jax.wallclock import EXPORTED, SAVED, SAVING, WallClock

DATA = Path(os.environ.get("AUTORESEARCH_DATA", "/data"))
OUT = Path(os.environ.get("AUTORESEARCH_OUT", "/out"))


def _keep_memory() -> None:
    """Make glibc keep freed memory (mallopt(3)). XLA on a CPU allocates its scratch memory anew in each step. If glibc returned
    it to the kernel each time, page faults would take up to half of a step."""
    arena_max, mmap_max, trim_threshold, top_pad = -8, -4, -1, -2
    with contextlib.suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in (
            (arena_max, 1),
            (mmap_max, 0),
            (trim_threshold, 2**31 - 1),
            (top_pad, 64 << 20),
        ):
            mallopt(option, value)


def _one_device_a_core() -> None:
    """On a CPU, give `jax.devices()` one device per leased core: splitting the rows among devices trains faster than splitting
    each matrix product among cores. What is not split runs on the first device, with all cores."""
    with contextlib.suppress(RuntimeError):  # JAX has started already
        jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))


_keep_memory()
_one_device_a_core()
seed = int(os.environ.get("AUTORESEARCH_SEED", "0"))
eval_batch = int(os.environ.get("AUTORESEARCH_EVAL_BATCH", "16"))
checking = os.environ.get("AUTORESEARCH_COMPILE_CHECK") == "1"  # a compile check: two steps only
clock = WallClock(
    float(os.environ.get("AUTORESEARCH_WALL_CLOCK", "300")),
    tape=OUT / "clock.f64",
    replay=os.environ.get("AUTORESEARCH_CLOCK_REPLAY"),
    cpu_budget=float(os.environ.get("AUTORESEARCH_CPU_SECONDS", "0")),
)


@functools.cache
def _meta() -> Mapping[str, int]:
    meta: Mapping[str, int] = json.loads((DATA / "meta.json").read_text())
    return meta


def __getattr__(name: str) -> int:
    """Properties of the data, read at the first use, so that importing the harness needs no data."""
    if name in {"vocab_size", "seq_len", "bos_id"}:
        return _meta()[name]
    if name == "train_tokens":
        return _meta()["tokens"]
    raise AttributeError(name)


def batches(batch_size: int, seq_len: int | None = None, *, prefetch: int = 8) -> Iterator[np.ndarray]:
    """Endless batches int32[batch_size, seq_len + 1], shuffled with `harness.seed`; a thread prepares `prefetch` of them.

    Each row starts with BOS. Documents longer than `seq_len` are cut, and each piece begins with BOS. The end of a row is filled
    with BOS. Mask targets equal to `harness.bos_id`: the judge does not score them.
    """
    meta = _meta()
    tokens = np.memmap(DATA / "tokens.bin", dtype="<u2", mode="r")
    stage("batches")
    rows = Rows(tokens, meta["bos_id"], seq_len or meta["seq_len"], seed).batches(batch_size, prefetch)
    return _two_steps(rows) if checking else rows


def _two_steps(rows: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """End the clock at the second batch. One step shows that it compiles, the second that it accepts its own output."""
    for number, row in enumerate(rows, 1):
        if number == 2:
            clock.end()
        yield row


def export_model(forward: Callable[..., Any], params: Any) -> None:
    """Write model.stablehlo: `forward` at the judge's batch size and length, with the weights as named arguments.

    `params` is any pytree of arrays. Only their shapes and dtypes matter, so call this before training. Raises ValueError with
    one sentence for what the judge would refuse. In the program: custom calls (cuDNN, Pallas, LAPACK), callbacks, random numbers,
    more than one device (jax.set_mesh), more than 1 MiB of constants (arrays made outside forward: compute them inside or put
    them into params), more than 200,000 operations, an array above 4 GiB, a program above 8 MiB, logits that are not one
    floating[B, T, V]. In params: anything but arrays, random keys, 64-bit or complex dtypes, more than 2 GiB in total.
    """
    names, leaves, treedef = _named(params)
    artifact_check.check_leaves(names, leaves, OUT)

    def flat_forward(flat: dict[str, Any], tokens: Any) -> Any:
        out = forward(jax.tree_util.tree_unflatten(treedef, [flat[name] for name in names]), tokens)
        program_check.check_logits(out, (*tokens.shape, _meta()["vocab_size"]))
        return out

    shapes = {
        name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in zip(names, leaves, strict=True)
    }
    tokens = jax.ShapeDtypeStruct((eval_batch, _meta()["seq_len"]), np.int32)
    try:
        exported = jax.export.export(jax.jit(flat_forward))(shapes, tokens)
    except NotImplementedError as error:
        raise program_check.not_exportable(error) from error
    program_check.check_program(exported, forward)
    _write("model.stablehlo", exported.serialize())
    _handed_over["export"] = artifact_check.described(names, leaves)
    if _handed_over.get("save", _handed_over["export"]) != _handed_over["export"]:
        print("harness: the weights saved before do not fit the program exported now; save again", flush=True)
    stage("export")
    clock.mark(EXPORTED)


def save_params(params: Any) -> None:
    """Write params.safetensors under a temporary name, then rename it: the newest complete weights are judged.

    Raises ValueError with one sentence for what the judge would refuse: names, shapes or dtypes other than in `export_model`, NaN
    or infinity, arrays that were donated. The weights saved before then stay.
    """
    from safetensors.numpy import save

    started = time.monotonic()
    names, leaves, _ = _named(params)
    artifact_check.check_leaves(names, leaves)
    found = artifact_check.described(names, leaves)
    artifact_check.check_same(_handed_over.get("export", found), found)
    host = [np.asarray(leaf, order="C") for leaf in jax.device_get(leaves)]
    artifact_check.check_values(names, host)
    content = save(dict(zip(names, host, strict=True)))
    _write("params.safetensors", content, before_it_counts=lambda: clock.mark(SAVING))
    _handed_over["save"] = found
    clock.note_save(time.monotonic() - started)
    stage("first_save")
    if checking:
        stats = jax.local_devices()[0].memory_stats() or {}  # None on a CPU
        _telemetry({"device_memory_bytes": stats.get("peak_bytes_in_use")})
    clock.mark(SAVED)


_handed_over: dict[str, dict[str, str]] = {}
"""Dtype and shape of each array by name, of the newest program ("export") and the newest weights ("save"). They must be equal."""


def log(*, step: int, loss: float, tokens: int) -> None:
    """Append a line to telemetry.jsonl. `loss` is the mean cross-entropy per token (nats), preferably over all steps since the last
    line. `tokens` is the number of tokens trained on so far.

    The runner compares the loss with that of the best script at the same progress and may end a training that is far behind
    (docs/runner.md). It is never a score. A script with another training loss logs the cross-entropy, or nothing.
    """
    _telemetry(
        {
            "step": int(step),
            "loss": float(loss),
            "tokens": int(tokens),
            "seconds": clock.measured(),
            "progress": round(clock.measured_progress(), 5),
        }
    )


def _named(params: Any) -> tuple[list[str], list[Any], Any]:
    """Names ("a/b/0"), leaves and structure of a pytree. Raises ValueError if a leaf has no name of its own."""
    paths, treedef = jax.tree_util.tree_flatten_with_path(params)
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in paths]
    if len(set(names)) != len(names) or "" in names:
        raise ValueError("every array in params needs a name of its own: use dicts, lists or dataclasses")
    return names, [leaf for _, leaf in paths], treedef


def _write(name: str, content: bytes, *, before_it_counts: Callable[[], None] = lambda: None) -> None:
    temporary = OUT / f".{name}.tmp"
    temporary.write_bytes(content)
    before_it_counts()
    temporary.replace(OUT / name)


_stages: set[str] = set()


def stage(name: str) -> None:
    """Telemetry: the time of a stage, in seconds since the container's start. Only the first call per name counts."""
    if name not in _stages:
        _stages.add(name)
        _telemetry({"stage": name, "seconds": clock.measured()})


def _telemetry(entry: dict[str, object]) -> None:
    with (OUT / "telemetry.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")
