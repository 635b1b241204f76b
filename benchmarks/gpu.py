"""All that only a GPU can tell, in under nine minutes, into one JSON file: `python -m benchmarks.gpu --data FOLDER --out FILE.json`.

It needs a GPU, JAX and the packages of a candidate's image; PyTorch where it is to be compared; no container engine, no network. `--data` is
what `autoresearch data prepare --variant cuda13` makes. The parts, in this order, each with a limit of its own:

- canary: trainer_jax/canary.py, what `autoresearch doctor` asks of a GPU;
- training: train.py for 120 s, with the XLA flags of a training on a GPU: stages of the cold start, tokens/s;
- judge: val_bpb of that training by the judge's own code, its jobs as plain processes;
- forward: the judge's forward pass over the validation text, with the judge's XLA flags, twice in fresh processes: seconds, tokens/s, hash;
- speed: tokens/s and MFU of train.py, and PyTorch with its fused attention by turns with it;
- determinism: the same five steps of the same seed in two fresh processes;
- choices: seconds and device memory of a step with other numbers of micro-batches, XLA flags and allocators.

A part that fails or has no time left says so in one sentence under "failed", and the others go on. The file is written anew after every
part. `--parts judge,forward` runs some of them. `--dry-run` goes the same way on the CPU, in small sizes, in under two minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu_parts import DRY_RUN, PARTS, SIZES, Session, environment, gpus
from benchmarks.gpu_summary import summary

SCHEMA = "autoresearch/gpu-benchmark/1"
PREREQUISITE = 3
"""Exit code, as in docs/exit-codes.md."""


def write(path: Path, report: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(report, indent=1) + "\n")
    temporary.replace(path)


def small_data(folder: Path) -> Path:
    """A data set for a dry run, made of this project's own documentation and sources."""
    from runner.data.prepare import prepare

    root = Path(__file__).resolve().parents[1]
    texts = folder.with_suffix(".jsonl")
    paths = sorted([*root.glob("docs/*.md"), *root.glob("*/**/*.py")])
    texts.write_text("".join(json.dumps({"text": path.read_text()}) + "\n" for path in paths[:300]))
    prepare(
        str(texts),
        folder,
        vocab_size=512,
        seq_len=64,
        val_bytes=20_000,
        test_bytes=20_000,
        progress=lambda _: None,
    )
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="a prepared data set; a dry run makes a small one if not said"
    )
    parser.add_argument("--out", type=Path, default=Path("gpu-benchmark.json"))
    parser.add_argument("--limit-s", type=float, default=520.0, help="seconds for all of it")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of: %(default)s")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    names = options.parts.split(",")
    if unknown := set(names) - set(PARTS):
        parser.error(f"--parts: there is no part {min(unknown)!r}; there are {', '.join(PARTS)}")
    if options.data is None and not options.dry_run:
        parser.error(
            "--data: name a data set for GPUs; `autoresearch data prepare --variant cuda13 --out FOLDER` makes one"
        )
    started = time.monotonic()
    report: dict[str, Any] = {"schema": SCHEMA, "dry_run": options.dry_run, "limit_s": options.limit_s}
    with tempfile.TemporaryDirectory(prefix="autoresearch-gpu-") as scratch:
        data = (options.data or small_data(Path(scratch) / "data")).resolve()
        if not (data / "manifest.json").is_file():
            print(
                f"there is no prepared data set in {data}: `autoresearch data prepare --variant cuda13 --out {data}` makes one",
                file=sys.stderr,
            )
            return PREREQUISITE
        report["environment"] = environment(data)
        report["environment"] |= {} if options.dry_run else gpus()
        if report["environment"].get("gpus") == []:  # where the driver fails, JAX may still find one
            print(
                "the NVIDIA driver shows no GPU here: run nvidia-smi, or use --dry-run to try the program on the CPU",
                file=sys.stderr,
            )
            return PREREQUISITE
        session = Session(
            data, Path(scratch), DRY_RUN if options.dry_run else SIZES, started + options.limit_s
        )
        write(options.out, report)
        for name in names:
            began = time.monotonic()
            print(f"{name} ... ", end="", file=sys.stderr, flush=True)
            report[name] = session.run(name, report)
            report[name]["seconds"] = round(time.monotonic() - began, 2)
            report["seconds"] = round(time.monotonic() - started, 2)
            write(options.out, report)
            print(
                f"{report[name]['seconds']:.0f} s {report[name].get('failed', '')}",
                file=sys.stderr,
                flush=True,
            )
    report["environment"] |= {} if options.dry_run else {"gpus_afterwards": gpus().get("gpus")}
    write(options.out, report)
    print(summary(report))
    print(options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
