"""What benchmarks/gpu.py measures in processes of their own: `python -m benchmarks.gpu_measurements NAME ARGUMENTS RESULT`.

ARGUMENTS is a JSON object, RESULT a file that is written anew with each finding, so that a process that is ended leaves what it found.
"""

from __future__ import annotations

import gc
import hashlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.trainer import (
    MFU,
    Jax,
    TorchAlone,
    datasheet_peak,
    flops_per_token,
    load_train,
    matmul_peak,
)

BFLOAT16 = 2.0**-8
"""Rounding of one bfloat16 number, relative: two sums of many of them should not be further apart."""
Save = Callable[[dict[str, Any]], None]
"""Adds to the result."""
HASHED_STEPS = 5
COMPILE_S = 70.0
"""Least time for torch.compile: its first step and a round by turns."""


def sentence(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]


def steps(save: Save, data: str, micro_batches: list[int], count: int) -> None:
    """train.py's step, for each number of micro-batches (0: the preset's): seconds of compiling, seconds of a step, device memory, and
    the SHA-256 of the parameters after HASHED_STEPS steps of seed 0.

    The peak of the memory is that of the whole process so far, so numbers that need less memory come first.
    """
    train = load_train(Path(data))
    batches = train.harness.batches(train.BATCH)
    rows = [next(batches) for _ in range(HASHED_STEPS + count)]
    for number in micro_batches:
        train.MICRO_BATCHES = number or train.MICRO_BATCHES
        try:
            found = _step(train, rows)
        except Exception as error:  # too little memory for this one is a finding
            found = {"failed": sentence(error)}
        save({str(train.MICRO_BATCHES): found})
        gc.collect()


def _step(train: Any, batches: list[Any]) -> dict[str, Any]:
    import jax
    import numpy as np

    step, init, shared_out = train.make_step(train.make_optimizer())
    params, state = init(jax.random.key(0))
    rows = jax.device_put(batches[0], shared_out)
    started = time.perf_counter()
    compiled = step.lower(params, state, rows, np.float32(0)).compile()
    found: dict[str, Any] = {"compile_s": time.perf_counter() - started}
    if (planned := compiled.memory_analysis()) is not None:
        found["planned_temporary_bytes"] = int(planned.temp_size_in_bytes)
    for number, batch in enumerate(batches):
        if number == HASHED_STEPS:
            loss.block_until_ready()  # noqa: F821 - of the step before
            found["loss"] = float(loss)  # noqa: F821
            found["sha256"] = _digest(jax.device_get(params))
            started = time.perf_counter()
        rows = jax.device_put(batch, shared_out)
        params, state, loss = compiled(params, state, rows, np.float32(0.01 * number))
    loss.block_until_ready()
    found["seconds_a_step"] = (time.perf_counter() - started) / (len(batches) - HASHED_STEPS)
    found["tokens_per_s"] = train.BATCH * train.T / found["seconds_a_step"]
    found["peak_bytes_in_use"] = _peak_bytes()
    return found


def _peak_bytes() -> int | None:
    """None where the allocator does not say."""
    import jax

    return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def _digest(params: dict[str, Any]) -> str:
    import jax
    import numpy as np

    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def forward(save: Save, data: str, artifact: str, batch: int, repeats: int) -> None:
    """The judge's forward pass over the validation text, `repeats` times: seconds and tokens/s without compiling, SHA-256 of what every
    row costs, and the score by that."""
    import numpy as np
    from jax import export

    from judge import heldout
    from judge.inside import exported_program, safetensors_reader
    from judge.inside import forward as judged
    from judge.inside.refusal import Refused
    from judge.judge import JudgeLimits

    text = heldout.load(Path(data), "val")
    limits = asdict(JudgeLimits().program)
    question = {
        "batch": batch,
        "seq_len": text.seq_len,
        "vocab_size": text.vocab_size,
        "rows": 0,
        "limits": limits,
    }
    params = safetensors_reader.load(Path(artifact) / "params.safetensors", limits["params_bytes"])
    model = Path(artifact) / "model.stablehlo"
    try:
        program = exported_program.load(model, params, question)
    except (
        Refused
    ) as refusal:  # the checks know the JAX of the images; another may write what they do not allow
        save({"checks": f"refused: {refusal}"[:400]})
        program = export.deserialize(bytearray(model.read_bytes()))
    rows = text.rows.tokens
    padded = np.concatenate([rows, np.repeat(rows[:1], -len(rows) % batch, axis=0)])
    started = time.perf_counter()
    blocks, first = [], 0.0
    for block in judged.full(program, params, np.tile(padded, (repeats, 1)), batch):
        blocks.append(block)
        first = first or time.perf_counter()
    ended = time.perf_counter()
    timed = len(blocks)  # all but the first, and the first again at the end, which shows that it repeats
    nats = np.concatenate(blocks[: len(padded) // batch])[: len(rows)]
    scored = nats[text.rows.scored].astype(np.float64).sum()
    save(
        {
            "compile_and_first_batch_s": first - started,
            "seconds_of_the_validation_text": (ended - first) / timed * (len(padded) // batch),
            "tokens_per_s": timed * batch * text.seq_len / (ended - first),
            "rows": len(rows),
            "batch": batch,
            "scored_tokens": int(text.rows.scored.sum()),
            "sha256": hashlib.sha256(np.ascontiguousarray(nats).tobytes()).hexdigest(),
            "val_bpb": float(scored / np.log(2) / text.document_bytes.sum()),
            "peak_bytes_in_use": _peak_bytes(),
        }
    )


def speed(save: Save, data: str, seconds: float, count: int, rounds: int, torch: bool) -> None:
    """train.py's tokens/s and MFU, then PyTorch by turns with it: rounds of `count` steps each. The loss of the first three steps of both,
    from the same weights and batches."""
    deadline = time.monotonic() + seconds
    train = load_train(Path(data))
    import jax

    gpu = jax.default_backend() == "gpu"
    batches = train.harness.batches(train.BATCH)
    first = [next(batches) for _ in range(3)]
    ours = Jax(train)
    started = time.perf_counter()
    losses = {"train.py": [ours.steps([batch]) for batch in first]}
    save(
        {
            "first_steps_s": time.perf_counter() - started,
            "losses": losses,
            "tokens_a_step": first[0][:, 1:].size,
        }
    )
    kind = jax.devices()[0].device_kind
    per_token = flops_per_token(train, ours.initial)
    peaks = {"datasheet": datasheet_peak(kind)} | ({"measured": matmul_peak()} if gpu else {})

    def turns(arms: dict[str, Callable[[list[Any]], float]], rounds: int) -> dict[str, list[float]]:
        """Tokens/s of each round, the contestants by turns, as many rounds as there is time for."""
        found: dict[str, list[float]] = {name: [] for name in arms}
        for _ in range(rounds):
            started = time.monotonic()
            for name, arm in arms.items():
                rows = [next(batches) for _ in range(count)]
                began = time.perf_counter()
                arm(rows)
                found[name].append(count * train.BATCH * train.T / (time.perf_counter() - began))
            if time.monotonic() + (time.monotonic() - started) > deadline:
                break
        return found

    alone = turns({"train.py": ours.steps}, max(1, rounds - 1))["train.py"]
    rate = statistics.median(alone)
    save(
        {
            "device": kind,
            "train.py": {"tokens_per_s": rate, "rounds": alone, "peak_bytes_in_use": _peak_bytes()},
            "flops_per_token": per_token,
            "peak_flops": peaks,
            "mfu": _mfu(rate, per_token, peaks),
            "mfu_formula": MFU,
        }
    )
    if not torch:
        save({"torch": "not measured here: it needs PyTorch and a GPU"})
        return
    micro = train.MICRO_BATCHES
    for name, compiled in (("torch eager", False), ("torch.compile", True)):
        left = deadline - time.monotonic()
        if compiled and left < COMPILE_S:
            save({name: {"failed": f"no time: {left:.0f} s of {seconds:.0f} s were left"}})
            return
        rival = TorchAlone(train, ours.initial, "cuda" if gpu else "cpu", compiled=compiled, micro=micro)
        try:
            started = time.perf_counter()
            losses[name] = [rival.steps([batch], deadline - time.monotonic()) for batch in first]
            found: dict[str, Any] = {"first_steps_s": time.perf_counter() - started}
            micro = found["micro_batches"] = rival.micro_batches
            apart = abs(losses["train.py"][0] - losses[name][0]) / losses[name][0]
            found |= {"loss_apart": apart, "within_bfloat16": apart < BFLOAT16}
            save({name: found, "losses": losses})
            rates = turns({"train.py": ours.steps, name: rival.steps}, rounds)
            found |= {"tokens_per_s": statistics.median(rates[name]), "rounds": rates[name]}
            found |= {"train.py by turns": statistics.median(rates["train.py"])}
            found |= {"mfu": _mfu(found["tokens_per_s"], per_token, peaks)}
            found |= {"train.py is times": found["train.py by turns"] / found["tokens_per_s"]}
            save({name: found})
        except Exception as error:  # the other contestants go on
            save({name: {"failed": sentence(error)}})
        finally:
            rival.close()


def _mfu(rate: float, per_token: float, peaks: Mapping[str, float | None]) -> dict[str, float]:
    return {f"of the {name} peak": rate * per_token / peak for name, peak in peaks.items() if peak}


MEASUREMENTS = {"steps": steps, "forward": forward, "speed": speed}


def main() -> None:
    name, arguments, path = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])
    result: dict[str, Any] = {}

    def save(found: dict[str, Any]) -> None:
        result.update(found)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(result))
        temporary.replace(path)

    MEASUREMENTS[name](save, **arguments)


if __name__ == "__main__":
    main()
