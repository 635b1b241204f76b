"""How much noise do two scripts with the same seed share? Trainings of train.py and a few changes of it with several seeds.

    .venv/bin/python -m benchmarks.common_seeds [--data FOLDER] [--epochs 0.05] [--rounds 7] [--seconds 480]

A round trains train.py and every change of CHANGES once with one seed, in this process without containers. It needs JAX; train.py
takes the preset of the device (CPU or GPU). A training ends by its share of the text (`--epochs`, the script's MAX_EPOCHS), not by the
clock, so the load of the machine does not change the result. The score is bits per byte of the data set's validation text.
`--seconds` ends the benchmark after the last whole round that fits.

Printed for every change:

- the mean difference to train.py;
- the standard deviation of a difference if the two had different seeds, sqrt(var(change) + var(train.py));
- the standard deviation of the difference with the same seed;
- the ratio of the two;
- rho, the share of a run's variance that both share under one seed: 1 - paired / unpaired variance.

The last row trains train.py twice with one seed: that difference is what the device itself does not repeat.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_DATA = Path.home() / ".cache" / "autoresearch" / "data" / "default-cpu"
BASE, AGAIN = "train.py", "train.py again"
CHANGES: dict[str, tuple[str, float]] = {
    "MATRIX_LR x 1.1": ("MATRIX_LR", 1.1),
    "WARMDOWN x 1.2": ("WARMDOWN", 1.2),
    "MOMENTUM x 0.99": ("MOMENTUM", 0.99),
    "ROPE_BASE x 0.8": ("ROPE_BASE", 0.8),
}
"""Each change multiplies a constant, after the preset is chosen."""


def variant(source: str, change: tuple[str, float] | None, epochs: float) -> types.ModuleType:
    """train.py as a module, with one constant multiplied and MAX_EPOCHS replaced."""
    marker = "HEADS = max(WIDTH // HEAD_WIDTH, 1)"
    lines = [f"MAX_EPOCHS = {epochs!r}", *([f"{change[0]} *= {change[1]!r}"] if change else []), marker]
    assert marker in source
    module = types.ModuleType("train")
    exec(compile(source.replace(marker, "\n".join(lines), 1), "train.py", "exec"), module.__dict__)
    return module


class Arm:
    """One script, compiled once, trained with any seed."""

    def __init__(self, source: str, change: tuple[str, float] | None, epochs: float, data: Path) -> None:
        import jax
        import jax.numpy as jnp
        import numpy as np

        from trainer_jax.packing import Rows

        self.train, self.data = variant(source, change, epochs), data
        self.step_fn, self.init, self.shared_out = self.train.make_step(self.train.make_optimizer())
        t, harness = self.train, self.train.harness

        def nats(params: Any, rows: Any) -> Any:
            logits = t.forward(params, rows[:, :-1]).astype(jnp.float32)
            losses = -jnp.take_along_axis(jax.nn.log_softmax(logits), rows[:, 1:, None], axis=-1)[..., 0]
            return jnp.sum(jnp.where(rows[:, 1:] != harness.bos_id, losses, 0.0))

        self.nats = jax.jit(nats)
        tokens = np.fromfile(data / "heldout" / "val" / "tokens.bin", "<u2")
        self.rows = np.stack(list(Rows(tokens, harness.bos_id, t.T, 0).epoch()))
        self.bytes = int(np.load(data / "heldout" / "val" / "document_bytes.npy").sum())

    def score(self, seed: int) -> tuple[float, float]:
        """val_bpb after training with `seed`, and the mean seconds of a step without the first."""
        import jax
        import numpy as np

        t, harness = self.train, self.train.harness
        harness.seed = seed
        batches, (params, state) = harness.batches(t.BATCH), self.init(jax.random.key(seed))
        step, started, total, before = 0, 0.0, t.MAX_EPOCHS * harness.train_tokens, None
        while (progress := step * t.BATCH * t.T / total) < 1.0:
            rows = jax.device_put(next(batches), self.shared_out)
            params, state, loss = self.step_fn(params, state, rows, np.float32(progress))
            step += 1
            if before is not None:
                before.block_until_ready()  # at most one step ahead, as in train.py: XLA's CPU devices wait for each other
            before = loss
            if step == 1:
                loss.block_until_ready()
                started = time.perf_counter()
        loss.block_until_ready()
        seconds = (time.perf_counter() - started) / max(step - 1, 1)
        nats, few = 0.0, 16
        for first in range(0, len(self.rows), few):
            part = self.rows[first : first + few]
            part = np.pad(part, ((0, few - len(part)), (0, 0)), constant_values=harness.bos_id)
            nats += float(self.nats(params, part))
        return nats / self.bytes / float(np.log(2)), seconds


def table(scores: dict[str, list[float]]) -> list[dict[str, Any]]:
    """A row for each arm but the base: see the module's docstring. Bits per byte."""
    import numpy as np

    base, found = np.array(scores[BASE]), []
    for name, values in scores.items():
        if name == BASE:
            continue
        other = np.array(values)
        difference = other - base[: len(other)]
        own = float(np.sqrt(base.var(ddof=1) + other.var(ddof=1)))
        paired = float(difference.std(ddof=1))
        found.append(
            {
                "change": name,
                "seeds": len(other),
                "mean": float(difference.mean()),
                "sd_own_seeds": own,
                "sd_same_seed": paired,
                "ratio": own / paired if paired else float("inf"),
                "rho": 1 - (paired / own) ** 2 if own else 0.0,
            }
        )
    return found


def rounds(
    arms: dict[str, Callable[[int], tuple[float, float]]],
    count: int,
    seconds: float,
    report: Callable[[dict[str, list[float]]], None],
) -> dict[str, list[float]]:
    """Scores of every arm with the seeds 1 .. count, in as many whole rounds as fit into `seconds`."""
    scores: dict[str, list[float]] = {name: [] for name in arms}
    began, longest = time.monotonic(), 0.0
    for seed in range(1, count + 1):
        started = time.monotonic()
        # the first round compiles, so its time does not predict the next
        if seed > 2 and started - began + longest > seconds:
            break
        for name, score in arms.items():
            began_arm = time.monotonic()
            bpb, step_s = score(seed)
            scores[name].append(bpb)
            print(
                f"seed {seed} {name:18s} {bpb:.6f} bpb  {step_s:.4f} s a step  {time.monotonic() - began_arm:.1f} s",
                flush=True,
            )
        longest = time.monotonic() - started if seed > 1 else 0.0
        report(scores)
    return scores


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--epochs", type=float, default=0.05)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument(
        "--changes", default=",".join([*CHANGES, AGAIN]), help="comma-separated names, or none"
    )
    parser.add_argument("--json", type=Path, help="write scores and table here after every round")
    options = parser.parse_args(arguments)
    os.environ.update(
        AUTORESEARCH_DATA=str(options.data / "train"), AUTORESEARCH_OUT=tempfile.mkdtemp(prefix="seeds-")
    )
    sys.path.insert(0, str(ROOT))
    source = (ROOT / "trainer_jax" / "train.py").read_text()
    wanted = [name for name in options.changes.split(",") if name and name != "none"]
    if unknown := [name for name in wanted if name not in {*CHANGES, AGAIN}]:
        parser.error(f"no such change: {', '.join(unknown)}; there are: {', '.join([*CHANGES, AGAIN])}")
    base = Arm(source, None, options.epochs, options.data)
    arms = {
        BASE: base.score,
        **{n: Arm(source, CHANGES[n], options.epochs, options.data).score for n in wanted if n != AGAIN},
        **({AGAIN: base.score} if AGAIN in wanted else {}),
    }

    import jax

    print(
        f"jax {jax.__version__} on {jax.devices()[0].device_kind}, {base.train.BATCH * base.train.T} tokens a step"
    )

    def report(scores: dict[str, list[float]]) -> None:
        if options.json and len(scores[BASE]) > 1:
            options.json.write_text(json.dumps({"scores": scores, "table": table(scores)}))

    scores = rounds(arms, options.rounds, options.seconds, report)
    if len(scores[BASE]) < 2:
        return 0
    print("| change | seeds | mean difference | sd, seeds of their own | sd, same seed | ratio | rho |")
    print("|---|---|---|---|---|---|---|")
    for row in table(scores):
        print(
            f"| {row['change']} | {row['seeds']} | {row['mean']:+.6f} | {row['sd_own_seeds']:.6f} "
            f"| {row['sd_same_seed']:.6f} | {row['ratio']:.2f} | {row['rho']:.2f} |"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
