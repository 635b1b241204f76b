"""progress.png: every experiment a dot, kept ones labelled, the running best a step, the noise floor a band."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.scoring.repeat_noise import noise_floor
from runner.store.records import Experiment
from sandbox.sanitise import one_line

_LABEL = 45


def write_plot(path: Path, experiments: Sequence[Experiment]) -> None:
    """After karpathy/autoresearch's analysis notebook, with the noise band and the failures added."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    scored = [(e.number, e.val_bpb, e.status, e.title) for e in experiments if e.val_bpb is not None]
    kept = [(n, v, t) for n, v, s, t in scored if s == "keep"]
    others = [(n, v) for n, v, s, _ in scored if s != "keep"]
    stopped = [e.number for e in experiments if e.status == "stopped_early"]
    failed = [e.number for e in experiments if e.status not in {"keep", "discard", "open", "stopped_early"}]
    noise = noise_floor(experiments)
    last = max((e.number for e in experiments), default=0)
    figure, axes = plt.subplots(figsize=(12, 6))
    axes.plot(
        [n for n, _ in others], [v for _, v in others], "o", color="0.75", markersize=4, label="discarded"
    )
    axes.plot(
        [n for n, *_ in kept],
        [v for _, v, _ in kept],
        "o",
        color="tab:green",
        markeredgecolor="black",
        label="adopted",
    )
    confirmed = [(e.number, e.val_bpb) for e in experiments if e.confirmed and e.val_bpb is not None]
    if confirmed:
        axes.plot(
            [n for n, _ in confirmed],
            [v for _, v in confirmed],
            "*",
            color="tab:blue",
            markeredgecolor="black",
            markersize=15,
            label="confirmed",
        )
    if kept:
        steps = [*((n, v) for n, v, _ in kept), (last, kept[-1][1])]
        xs, ys = [n for n, _ in steps], [v for _, v in steps]
        axes.step(xs, ys, where="post", color="tab:green", alpha=0.7, label="running best")
        if noise:
            low, high = [v - 2 * noise.sigma for v in ys], [v + 2 * noise.sigma for v in ys]
            axes.fill_between(xs, low, high, step="post", color="tab:green", alpha=0.12, label="noise ±2σ")
        for number, value, title in kept:
            text = one_line(title, max_chars=_LABEL).replace("$", r"\$")
            axes.annotate(
                text, (number, value), rotation=30, fontsize=7, xytext=(4, 4), textcoords="offset points"
            )
        worst, best = kept[0][1], min(v for _, v, _ in kept)
        span = max(worst - best, 4 * noise.sigma if noise else 0.0, 1e-3)
        axes.set_ylim(best - 0.3 * span, worst + 0.6 * span)
    for numbers, color, label in ((stopped, "tab:orange", "ended early"), (failed, "tab:red", "failed")):
        if numbers:
            axes.plot(
                numbers,
                [0.01] * len(numbers),
                "|",
                color=color,
                transform=axes.get_xaxis_transform(),
                label=label,
            )
    total = sum(e.number > 0 for e in experiments)
    axes.set_title(
        f"Autoresearch Progress: {total} Experiments, {max(len(kept) - 1, 0)} Kept Improvements, {len(confirmed)} Confirmed"
    )
    axes.set_xlabel("experiment")
    axes.set_ylabel("val_bpb (lower is better)")
    axes.legend(loc="upper right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
