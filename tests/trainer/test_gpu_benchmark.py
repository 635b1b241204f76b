"""benchmarks/gpu.py, the whole of it on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gpu_parts import DRY_RUN, SIZES, Session

ROOT = Path(__file__).parents[2]
MODULES = "gpu gpu_measurements gpu_parts local_judge trainer".split()
LACKING = "docker httpx libcst litellm pyarrow pydantic requests rich tenacity tokenizers torch typer".split()
"""What a machine with a GPU, JAX and PyTorch may lack; PyTorch is loaded where it is measured alone."""


def test_a_dry_run_fills_every_part_and_a_failed_choice_is_one_sentence(
    dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--dry-run", "--data", str(dataset), "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert {
        name: part["failed"] for name, part in report.items() if isinstance(part, dict) and "failed" in part
    } == {}
    assert report["environment"]["versions"]["jax"]
    assert report["canary"]["matmul_tflops"] > 0
    assert {"imports", "trace", "compile", "export", "first_save"} <= set(report["training"]["stages"])
    assert 0 < report["judge"]["val_bpb"] < 8
    assert report["forward"]["val_bpb"] == report["judge"]["val_bpb"]
    assert report["forward"]["tokens_per_s"] > 0
    assert report["speed"]["train.py"]["tokens_per_s"] > 0
    assert "12 x heads" in report["speed"]["mfu_formula"]
    assert report["forward"]["equal"] is report["determinism"]["equal"] is True
    assert report["choices"]["micro_batches"]["1"]["seconds_a_step"] > 0
    (refused,) = report["choices"]["variants"].values()
    assert "Unknown flag in XLA_FLAGS" in refused["failed"]
    assert f"val_bpb {report['judge']['val_bpb']:.4f}" in done.stdout


def test_without_time_every_part_says_so(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--dry-run", "--data", str(dataset), "--out", str(out)]
    subprocess.run([*command, "--limit-s", "0"], cwd=ROOT, check=True, capture_output=True, timeout=300)
    report = json.loads(out.read_text())
    assert [part["failed"] for part in report.values() if isinstance(part, dict) and "failed" in part] == [
        "no time: 0 s were left"
    ] * 7


def test_a_process_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    program = "import subprocess; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); p.wait()"
    session = Session(tmp_path, tmp_path, DRY_RUN, time.monotonic() + 600)
    for cap_s in (1, 4, 16, 64):  # on a busy machine it may take long to start
        out, why = session.process(["-c", program], {}, cap_s)
        assert why == f"it was ended after {cap_s} s"
        if out:
            break
    started, end = int(out), time.monotonic() + 20
    while _runs(started) and time.monotonic() < end:  # SIGKILL was sent; it takes effect a little later
        time.sleep(0.05)
    assert not _runs(started)


def _runs(pid: int) -> bool:
    """Whether there is such a process and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_images_xla_knows_every_flag_that_is_tried() -> None:
    flags = " ".join(variant.flags for variant in SIZES.variants.values())
    assert "xla_gpu_enable_command_buffer=+WHILE" in flags
    done = subprocess.run(
        [sys.executable, "-c", "import jax; jax.jit(lambda x: x + 1)(1)"],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_it_needs_nothing_that_a_bare_machine_lacks() -> None:
    program = f"import sys\nsys.modules.update(dict.fromkeys({LACKING}))\n" + "".join(
        f"import benchmarks.{name}\n" for name in MODULES
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
