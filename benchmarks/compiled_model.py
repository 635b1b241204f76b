"""Real trainings of train.py in about a second, for benchmarks of the search: compiled once, with its constants as arguments.

Model, loss, optimizer and schedule are train.py's own functions, on the text of `data prepare --demo`. What differs from a training
in a container:

- The constants that change the size of an array keep their values (SIZES), because another size is another compilation. All other
  constants with a `# tune:` comment are tuned, from the values that benchmarks/search.py begins with: rates of the GPU
  preset, plausible and not tuned for so few steps.
- The clock is the number of steps: STEPS times the pace of that training, which stands for a machine that is never equally fast. So
  two trainings of one script with one seed differ, as on a real machine.
- Of twenty documents that follow each other one is held out for val and one for test, of each its first HELD_OUT tokens, so both are of
  the same kind. The data set's own held-out texts are a few long documents each, and what is learned of one says less of the
  other. They are packed into rows by the judge's code, and scored here, in the same process.
- `ramp` is written without an `if` on a constant.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import sys
import tempfile
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.search import preset

ROOT = Path(__file__).resolve().parents[1]
SIZES = {
    "DEPTH": "2",
    "WIDTH": "32",
    "HEAD_WIDTH": "16",
    "MLP_RATIO": "4",
    "WINDOWS": '"SSSL"',
    "SHORT_WINDOW": "16",
    "VALUE_GATE_WIDTH": "16",
    "CONV_REACH": "3",
    "BATCH": "8",
    "CHUNK": "64",
    "MAX_EPOCHS": "1.0",
}
"""Not tuned here. The clock alone ends a training, so MAX_EPOCHS does nothing."""
STEPS, REPORTS = 200, 20
MOST_STEPS = 2 * STEPS
HELD_OUT = 300
Recipe = Mapping[str, Any]


def script(source: str) -> str:
    """The lines of the constants that are tuned here, in train.py's order. `source` is train.py."""
    lines = [line for line in preset(source).splitlines() if "  # tune: " in line]
    return "".join(f"{line}\n" for line in lines if line.split(" ")[0] not in SIZES)


def module(source: str) -> types.ModuleType:
    """train.py with the presets' constants."""
    text = preset(source)
    for name, value in SIZES.items():
        text, found = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", text, count=1)
        assert found, name
    made = types.ModuleType("train")
    exec(compile(text, "train.py", "exec"), made.__dict__)
    return made


class CompiledModel:
    """For one prepared data set; see `result`. There can be one in a process, because the harness reads its folder from the environment."""

    def __init__(self, data: Path) -> None:
        os.environ.update(
            AUTORESEARCH_DATA=str(data / "train"), AUTORESEARCH_OUT=tempfile.mkdtemp(prefix="compiled-")
        )
        sys.path.insert(0, str(ROOT))
        import jax
        import numpy as np

        from judge.rows import pack

        source = (ROOT / "trainer_jax" / "train.py").read_text()
        self.script, self._train = script(source), module(source)
        self.names = [line.split(" ")[0] for line in self.script.splitlines()]
        self.vocabulary = int(self._train.V)
        tokens = np.fromfile(data / "train" / "tokens.bin", dtype="<u2")
        token_bytes = np.load(data / "heldout" / "token_bytes.npy")
        starts = np.flatnonzero(tokens == self._train.harness.bos_id)
        lengths = np.diff(np.append(starts, len(tokens)))
        document = np.arange(len(starts)) % 20
        self._tokens = tokens[np.repeat(~np.isin(document, (3, 8)), lengths)]
        self._held_out = dict[str, tuple[Any, int]]()
        for split, part in (("val", 3), ("test", 8)):
            chosen = document == part
            text = np.concatenate(
                [
                    tokens[at : at + min(n, HELD_OUT)]
                    for at, n in zip(starts[chosen], lengths[chosen], strict=True)
                ]
            )
            rows = pack(text, self._train.harness.bos_id, self._train.T)
            self._held_out[split] = (rows, int(token_bytes[text].sum()))
        mesh = jax.make_mesh((1,), ("devices",), devices=jax.devices()[:1])
        here = jax.sharding.PartitionSpec()
        whole = jax.shard_map(self._whole_training, mesh=mesh, in_specs=here, out_specs=here, check_vma=False)
        self._run, self._nats = jax.jit(whole), jax.jit(self._document_nats)
        self._rows: dict[int, Any] = {}

    def result(self, recipe: Recipe, seed: int, pace: float = 1.0) -> tuple[list[bytes], dict[str, float]]:
        """Lines of telemetry, and bits per byte on both held-out texts."""
        import jax
        import numpy as np

        steps = min(max(round(STEPS * pace), REPORTS), MOST_STEPS)
        values = {name: np.float32(recipe[name]) for name in self.names}
        rows = self._rows_of(seed)
        params, losses = self._run(values, jax.random.key(seed), rows, np.int32(steps))
        losses, lines, at = np.asarray(losses), [], 0
        for step in range(1, steps + 1):
            if step == 1 or step * REPORTS // steps > (step - 1) * REPORTS // steps:
                mean = float(np.mean(losses[at:step]))
                report = {"step": step, "loss": mean, "progress": (step - 1) / steps}
                lines.append(json.dumps(report).encode() + b"\n")
                at = step
        return lines, {split: self._bits(values, params, split) for split in ("val", "test")}

    def _rows_of(self, seed: int) -> Any:
        import numpy as np

        from trainer_jax.packing import Rows

        if seed not in self._rows:
            t = self._train
            rows = Rows(self._tokens, t.harness.bos_id, t.T, seed)
            endless = itertools.chain.from_iterable(rows.epoch() for _ in itertools.count())
            flat = list(itertools.islice(endless, MOST_STEPS * t.BATCH))
            self._rows[seed] = np.stack(flat).reshape(MOST_STEPS, t.BATCH, t.T + 1)
            if len(self._rows) > 64:
                del self._rows[next(iter(self._rows))]
        return self._rows[seed]

    def _with(self, values: Mapping[str, Any]) -> types.ModuleType:
        """train.py, whose constants are these while it is traced."""
        import jax.numpy as jnp

        def ramp(progress: Any, share: Any) -> Any:
            return jnp.where(share > 0, jnp.minimum(progress / jnp.maximum(share, 1e-9), 1.0), 1.0)

        self._train.__dict__.update(values, ramp=ramp)
        return self._train

    def _whole_training(self, values: Mapping[str, Any], key: Any, rows: Any, steps: Any) -> tuple[Any, Any]:
        """Parameters after `steps` steps, and the loss of each step. `rows` are int32[MOST_STEPS, B, T + 1]."""
        import jax
        import jax.numpy as jnp

        t = self._with(values)
        optimizer = t.make_optimizer()

        def one(step: Any, carried: Any) -> Any:
            params, state, losses = carried
            progress = step / steps
            loss, grads = t.loss_and_grads(params, rows[step])
            updates, state = optimizer.update(grads, state, params, progress=progress)
            scale = t.learning_rate_scale(progress)
            params = jax.tree.map(lambda w, u: w + scale * u, params, updates)
            return params, state, losses.at[step].set(loss)

        params = t.init_params(key)
        start = (params, optimizer.init(params), jnp.zeros(MOST_STEPS))
        params, _, losses = jax.lax.fori_loop(0, steps, one, start)
        return params, losses

    def _document_nats(self, values: Mapping[str, Any], params: Any, rows: Any, document: Any) -> Any:
        """Summed over the targets that belong to a document, as the judge does."""
        import jax
        import jax.numpy as jnp

        logits = self._with(values).forward(params, rows[:, :-1]).astype(jnp.float32)
        nats = -jnp.take_along_axis(jax.nn.log_softmax(logits), rows[:, 1:, None], axis=-1)[..., 0]
        return jnp.sum(jnp.where(document >= 0, nats, 0.0))

    def _bits(self, values: Mapping[str, Any], params: Any, split: str) -> float:
        rows, count = self._held_out[split]
        return float(self._nats(values, params, rows.tokens, rows.document)) / count / math.log(2)
