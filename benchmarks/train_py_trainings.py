"""Trainings of train.py in this process, without containers: compiled once, for all values of the constants that change no shape.

It needs JAX. The model is that of benchmarks/search.py's PRESET and reads the bytes of a text in rows of ROW. All of its
tunable constants but those of SHAPES are inputs of the compiled step, so one training takes about two seconds instead of fifteen, and a
run of 40 experiments a few minutes.
"""

from __future__ import annotations

import functools
import json
import math
import os
import tempfile
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.proposers import find, line
from benchmarks.search import preset

ROOT = Path(__file__).resolve().parents[1]
ROW, TOKENS, REPORTS, ROWS_JUDGED = 128, 100_000, 20, 128
SHAPES = frozenset(
    "DEPTH WIDTH HEAD_WIDTH MLP_RATIO WINDOWS SHORT_WINDOW VALUE_GATE_WIDTH CONV_REACH BATCH MAX_EPOCHS".split()
)


class TrainPy:
    """Compiled for a text; see `result`. `script` has the constants and nothing else."""

    def __init__(self, texts: Mapping[str, list[bytes]]) -> None:
        """`texts` are the documents of train, val and test."""
        folder = Path(tempfile.mkdtemp(prefix="autoresearch-train-py-"))
        tokens = {
            split: np.concatenate([[256, *document] for document in documents]).astype("<u2")
            for split, documents in texts.items()
        }
        tokens["train"].tofile(folder / "tokens.bin")
        meta = {"vocab_size": 257, "bos_id": 256, "seq_len": ROW, "tokens": len(tokens["train"])}
        (folder / "meta.json").write_text(json.dumps(meta))
        os.environ.update(AUTORESEARCH_DATA=str(folder), AUTORESEARCH_OUT=str(folder))
        import jax

        source = preset((ROOT / "trainer_jax" / "train.py").read_text())
        constants = [constant for constant in find(source) if constant.name not in SHAPES]
        self.script, self.vocabulary = "".join(map(line, constants)), 257
        self._module = types.ModuleType("train")
        exec(compile(source, "train.py", "exec"), self._module.__dict__)
        self._module.ramp = _ramp
        from trainer_jax.packing import Rows

        self._rows = functools.partial(Rows, tokens["train"], 256, ROW)
        self._judged = {
            split: np.stack(list(Rows(tokens[split], 256, ROW, 0).epoch()))[:ROWS_JUDGED]
            for split in ("val", "test")
        }
        self._init, self._step, self._nats = (jax.jit(f) for f in (self._first, self._next, self._loss))

    def result(self, recipe: Mapping[str, Any], seed: int) -> tuple[list[bytes], dict[str, float]]:
        """Lines of telemetry, and bits per byte on both held-out texts."""
        import jax

        values = {name: np.float32(value) for name, value in recipe.items()}
        params, state = self._init(values, jax.random.key(seed))
        batch = self._module.BATCH
        steps = TOKENS // (batch * ROW)
        lines, losses, batches = list[bytes](), list[Any](), self._batches(batch, seed)
        for step in range(steps):
            progress = step / steps
            params, state, loss = self._step(values, params, state, next(batches), np.float32(progress))
            losses.append(loss)
            if step == 0 or (step + 1) * REPORTS // steps > step * REPORTS // steps:
                mean = float(np.mean(jax.device_get(losses)))
                lines.append(json.dumps({"loss": mean, "progress": progress}).encode() + b"\n")
                losses = []
        scores = {}
        for split, rows in self._judged.items():
            counted = int(np.sum(rows[:, 1:] != 256))
            scores[split] = float(self._nats(values, params, rows)) / counted / math.log(2)
        return lines, scores

    def _batches(self, batch: int, seed: int) -> Any:
        rows, gathered = self._rows(seed), list[Any]()
        while True:
            for row in rows.epoch():
                gathered.append(row)
                if len(gathered) == batch:
                    yield np.stack(gathered)
                    gathered = []

    # While they are traced, the module's constants are the inputs.
    def _first(self, values: Mapping[str, Any], key: Any) -> Any:
        self._module.__dict__.update(values)
        params = self._module.init_params(key)
        return params, self._module.make_optimizer().init(params)

    def _next(self, values: Mapping[str, Any], params: Any, state: Any, rows: Any, progress: Any) -> Any:
        import jax

        self._module.__dict__.update(values)
        count = jax.numpy.maximum(jax.numpy.sum(rows[:, 1:] != 256), 1)
        loss, grads = jax.value_and_grad(self._module.loss_fn)(params, rows)
        grads = jax.tree.map(lambda g: g / count, grads)
        updates, state = self._module.make_optimizer().update(grads, state, params, progress=progress)
        scale = self._module.learning_rate_scale(progress)
        return jax.tree.map(lambda w, u: w + scale * u, params, updates), state, loss / count

    def _loss(self, values: Mapping[str, Any], params: Any, rows: Any) -> Any:
        self._module.__dict__.update(values)
        return self._module.loss_fn(params, rows)


def _ramp(progress: Any, share: Any) -> Any:
    """train.py's, for a share that is known only later."""
    import jax.numpy as jnp

    return jnp.where(share > 0, jnp.minimum(progress / jnp.maximum(share, 1e-9), 1.0), 1.0)
