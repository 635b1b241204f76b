"""How many trainings a run finishes in one slot and in several, with real containers, by turns.

    .venv/bin/python -m benchmarks.slots                     # one slot and two, 90 s each, twice; needs engine, images, data
    .venv/bin/python -m benchmarks.slots --slots 1 4 --budget 5m --cpus 2

The candidate uses one CPU for `--train` seconds of CPU time and is judged like any other. A proposal takes no time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runner.store.ledger import Ledger

SCRIPT = """
import time
import jax.numpy as jnp
from trainer_jax import harness

IDEA = {idea}
params = {{"logits": jnp.zeros((harness.vocab_size,), jnp.float32)}}
harness.export_model(lambda p, t: jnp.broadcast_to(p["logits"], (*t.shape, harness.vocab_size)), params)
end = time.process_time() + {train}
while time.process_time() < end:
    pass
harness.save_params(params)
"""


def trainings(folder: Path, slots: int, given: argparse.Namespace) -> tuple[int, float]:
    """How many finished after the baseline, and the seconds from the first of them to the end of the last."""
    command = [sys.executable, "-m", "runner.cli"]
    subprocess.run([*command, "init", str(folder)], check=True, capture_output=True)
    (folder / "ideas").mkdir()
    for idea in range(1000):
        (folder / "ideas" / f"{idea:04}.py").write_text(SCRIPT.format(idea=idea, train=given.train))
    (folder / "train.py").write_text(SCRIPT.format(idea=-1, train=given.train))
    settings = {
        "data": given.data,
        "proposer": f"scripted:{folder / 'ideas'}",
        "wall_clock": "15s",
        "retests": 0,
    }
    settings |= {"cpus": given.cpus, "baseline_repeats": 2, "memory_gb": 2.0, "gpus": "none"}
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items() if value != ""]
    (folder / "autoresearch.toml").write_text("".join(lines))
    words = ["run", "--parallel", str(slots), "--budget", given.budget, "--display", "none"]
    subprocess.run([*command, *words, "--unsafe-unheld-limits"], cwd=folder, check=True, capture_output=True)
    ledger = Ledger(folder / ".autoresearch" / "ledger.db", read_only=True)
    run = ledger.run().id
    events = [(at, data) for at, kind, data in ledger.events(run) if kind == "judged" and data["number"] > 0]
    began = min(a.started_at for e in ledger.experiments(run) if e.number for a in e.attempts)
    contended = sum(a.contended for e in ledger.experiments(run) for a in e.attempts)
    if contended:
        print(f"{contended} trainings of {slots} slots were contended and made again", file=sys.stderr)
    counted = [at for at, data in events if data["outcome"] == "ok"]
    return len(counted) - contended, max(counted) - began


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--slots", type=int, nargs="+", default=[1, 2])
    options.add_argument("--budget", default="110s")
    options.add_argument("--cpus", type=int, default=1, help="of one training")
    options.add_argument("--train", type=float, default=8.0, help="CPU seconds of one training")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--data", default="")
    given = options.parse_args()
    found: dict[int, list[tuple[int, float]]] = {slots: [] for slots in given.slots}
    for _ in range(given.rounds):
        for slots in given.slots:
            with tempfile.TemporaryDirectory(prefix="autoresearch-bench-") as name:
                Path(name).chmod(0o755)
                began = time.monotonic()
                found[slots].append(trainings(Path(name) / "w", slots, given))
                print(
                    f"{slots} slots: {found[slots][-1]} in {time.monotonic() - began:.0f} s", file=sys.stderr
                )
    rates = {slots: sum(n for n, _ in rows) / sum(s for _, s in rows) for slots, rows in found.items()}
    first = rates[given.slots[0]]
    print("| slots | trainings | seconds | trainings a minute | ratio |\n|---|---|---|---|---|")
    for slots, rows in found.items():
        count, seconds = sum(n for n, _ in rows), sum(s for _, s in rows)
        print(f"| {slots} | {count} | {seconds:.0f} | {60 * rates[slots]:.1f} | {rates[slots] / first:.2f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
