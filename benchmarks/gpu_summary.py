"""The report of benchmarks/gpu.py in lines that a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

GIB = 1 << 30
Found = Mapping[str, Any]


def summary(report: Found) -> str:
    """Markdown. What is missing is left out, what failed says so."""
    return "\n".join(_lines(report))


def _lines(report: Found) -> Iterator[str]:
    around = report["environment"]
    names = ", ".join(gpu["name"] for gpu in around.get("gpus", ())) or "no GPU asked for"
    driver = f", driver {around['driver']['version']}" if around.get("driver") else ""
    versions = ", ".join(f"{name} {version}" for name, version in around["versions"].items() if version)
    yield f"{around['date']}, {names}{driver}, {versions}"
    if report["dry_run"]:
        yield "A dry run on the CPU: these numbers say nothing."
    for part, found in report.items():
        if isinstance(found, dict) and "failed" in found:
            yield f"- {part}: {found['failed']}"
    if "matmul_tflops" in (canary := report.get("canary", {})):
        yield f"- matrix product: {canary['matmul_tflops']:.3g} TFLOP/s; attention {_attention(canary)}"
    training = report.get("training", {})
    if "stages" in training:
        told = ", ".join(
            f"{name} {at:.1f}" for name, at in sorted(training["stages"].items(), key=lambda item: item[1])
        )
        yield f"- seconds from the start to: {told}"
        rate = f", {training['tokens_per_s']:,.0f} tokens/s" if "tokens_per_s" in training else ""
        yield (
            f"- training of {training['wall_clock_s']:.0f} s: {training['step']} steps, {training['tokens']:,} tokens{rate}, "
            f"ended by {training['ended_by']}"
        )
    if report.get("judge", {}).get("val_bpb") is not None:
        yield f"- val_bpb {report['judge']['val_bpb']:.4f}, judged in {report['judge']['verdict_s']:.1f} s"
    forward = report.get("forward", {})
    if "tokens_per_s" in forward:
        yield (
            f"- judge's forward pass: {forward['seconds_of_the_validation_text']:.2f} s for the validation text, "
            f"{forward['tokens_per_s']:,.0f} tokens/s, {_same(forward)}"
        )
    yield from _speed(report.get("speed", {}))
    if "equal" in (determinism := report.get("determinism", {})):
        yield f"- the same five steps in two processes: {_same(determinism)}"
    yield from _choices(report.get("choices", {}))
    yield f"- {report.get('seconds', 0):.0f} s in all"


def _attention(canary: Found) -> str:
    attention = canary.get("attention")
    if not attention:
        return f"failed ({canary.get('attention_failed')})"
    return f"{attention['forward_ms']:.2f} ms forward, {attention['backward_ms']:.2f} ms with gradients, error {attention['error']:.1%}"


def _same(found: Found) -> str:
    return {True: "equal by hash", False: "NOT equal by hash", None: "no hash to compare"}[found["equal"]]


def _speed(speed: Found) -> Iterator[str]:
    if "train.py" not in speed:
        return
    mfu = ", ".join(f"{value:.1%} {name}" for name, value in speed["mfu"].items())
    yield f"- train.py: {speed['train.py']['tokens_per_s']:,.0f} tokens/s{'; MFU ' + mfu if mfu else ''}"
    for name in ("torch eager", "torch.compile"):
        found = speed.get(name, {})
        if "tokens_per_s" in found:
            yield (
                f"- {name}: {found['tokens_per_s']:,.0f} tokens/s, train.py is {found['train.py is times']:.2f} x "
                f"({found['micro_batches']} micro-batches), first loss apart by {found['loss_apart']:.1e}"
            )
        elif "failed" in found:
            yield f"- {name}: {found['failed']}"
    for name, losses in speed.get("losses", {}).items():
        yield f"- loss of the first steps, {name}: {', '.join(f'{loss:.5f}' for loss in losses)}"


def _choices(choices: Found) -> Iterator[str]:
    if not choices.get("micro_batches") and not choices.get("variants"):
        return
    yield ""
    yield "| choice | compile, s | s a step | peak GiB |"
    yield "|---|---|---|---|"
    rows = {f"{number} micro-batches": found for number, found in choices.get("micro_batches", {}).items()}
    for name, found in (rows | dict(choices.get("variants", {}))).items():
        if "seconds_a_step" in found:
            peak = found.get("peak_bytes_in_use")
            memory = f"{peak / GIB:.1f}" if peak else "not said"
            yield f"| {name} | {found['compile_s']:.1f} | {found['seconds_a_step']:.3f} | {memory} |"
        else:
            yield f"| {name} | {found.get('failed', 'nothing')} | | |"
    yield ""
