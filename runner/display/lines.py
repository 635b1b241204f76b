"""One line per event: for people (plain, on stderr), for programs (json, on stdout), or not at all (none)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from runner.protocols import REASON_NOISE_TOO_LARGE, Event
from runner.scoring.claim_text import claim_sentence
from sandbox.sanitise import one_line

_QUIET = frozenset({"trained", "collected"})
_OF_A_MODEL = {
    "model_answers": "answers",
    "request_adapted": "turned a request away, and is asked as it wants from now on ({refusal})",
    "usage_above_reservation": "counted {tokens} tokens where at most {reserved_tokens} were expected; they are booked",
    "prompt_cut": "read {read} of about {sent} tokens of the prompt: {advice}",
}


class LineDisplay:
    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        """`stream` is for plain lines; stderr if not said."""
        self._name, self._stream = name, stream

    def __enter__(self) -> Callable[[Event], None]:
        return self._show

    def __exit__(self, *_: object) -> None:
        pass

    def _show(self, event: Event) -> None:
        if self._name == "json":
            print(json.dumps({"event": event.kind, "at": event.at, **event.data}), flush=True)
        elif self._name == "plain" and event.data.get("state") not in _QUIET:
            stamp = time.strftime("%H:%M:%S", time.localtime(event.at))
            print(f"{stamp}  {sentence(event)}", file=self._stream or sys.stderr, flush=True)


def _estimate(data: dict[str, Any]) -> str:
    if data.get("delta_error") is None:
        return f"({data['delta']:+.4f})"
    return f"({data['delta']:+.4f} ± {data['delta_error']:.4f}, better with probability {data['better']:.2f})"


def _harmless(data: dict[str, Any]) -> dict[str, str]:
    return {name: one_line(str(value)) for name, value in data.items()}


def sentence(event: Event) -> str:
    """An event as a sentence. Text that a proposer or a candidate wrote is sanitised."""
    data: dict[str, Any] = event.data
    number = data.get("number")
    what = "baseline" if number == 0 else f"experiment {number}"
    if event.kind == "launch":
        disk = (
            f"; {data['disk_free_gb']:g} GB of disk free, at most {data['disk_gb']:g} for this run, nothing begins below "
            f"{data['disk_floor_gb']:g}"
            if "disk_gb" in data
            else ""  # of an older version
        )
        on = f"; on {one_line(str(data['devices']))}" if data.get("devices") else ""
        return f"run {data['run']}: budget {data['budget_s']:.0f} s, wall clock {data['wall_clock_s']:.0f} s{on}{disk}"
    if event.kind == "proposed":
        return f"{what}: {one_line(str(data['title']))}"
    if event.kind == "state":
        return f"{what}: {data['state']} (attempt {data['attempt']})"
    if event.kind == "judged":
        score = (
            f"val_bpb {data['val_bpb']:.4f}"
            if data.get("val_bpb") is not None
            else one_line(str(data.get("reason") or ""))
        )
        return f"{what}: {data['outcome']} {score} after {data['seconds']:.1f} s {one_line(str(data.get('detail') or ''))}".rstrip()
    if event.kind == "decided" and data["reason"] == REASON_NOISE_TOO_LARGE:
        return f"{what}: {data['decision']}, {data['reason']}"
    if event.kind == "decided":
        return f"{what}: {data['decision']}, {data['reason']} {_estimate(data)}"
    if event.kind == "confirming":
        return f"confirming {what} against experiment {data['reference']}: at most {data['most_pairs']} pairs of new runs"
    if event.kind == "confirmation":
        return f"{what}: {claim_sentence(data)}"
    if event.kind == "withdrawn":
        return f"{what}: withdrawn, {one_line(str(data['reason']))}"
    if event.kind == "kept":
        return f"{what}: kept as {data['tag']}"
    if event.kind == "failed":
        return f"{what}: {data['status']} {one_line(str(data.get('reason') or ''))}"
    if event.kind == "stopped_early":
        return f"{what}: ended early, {data['reason']}"
    if event.kind == "recovered":
        return f"{what}: attempt {data['attempt']} was cut off and does not count"
    if event.kind == "call_failed":
        wait = "" if data.get("wait_s") is None else f"; again in {data['wait_s']:.0f} s"
        return f"{one_line(str(data['model']))}: {data['cause']}{wait}"
    if event.kind == "answer_saved":
        return f"{what}: the answer of {one_line(str(data['model']))} from before the crash is used"
    if event.kind == "llm_paused":
        reason = one_line(str(data["reason"]))
        return f"{reason}: no model is asked for {data['seconds']} s; the optimiser stands in if it has something to tune"
    if event.kind in _OF_A_MODEL:
        return f"{one_line(str(data['model']))}: {_OF_A_MODEL[event.kind].format_map(_harmless(data))}"
    if event.kind == "not_frozen":
        return f"{what}: kept, but it cannot be stored as an image: {one_line(', '.join(data['missing']))} is gone"
    if event.kind == "images_changed":
        return "other images than when this run was started: what a script scores may have changed with their packages"
    if event.kind == "not_reported":
        return f"the report could not be written ({data['error']}); `autoresearch report` writes it later"
    if event.kind == "left_open":
        if data.get("asked"):
            return f"{what} is left open, as the run was asked to end; `autoresearch resume` goes on with it"
        return f"{what} is left open: the budget has no time for another training; `autoresearch resume --budget` goes on with it"
    if event.kind == "cut_short":
        return f"{what}: a training was cut short by the wall clock ({data['left']} more may be); is the machine busy?"
    if event.kind == "contended":
        follows = "it counts, because the machine stays busy" if data["counts"] else "it does not count"
        return f"{what}: {data['why']} (attempt {data['attempt']}); {follows}"
    if event.kind == "busy":
        return str(data["why"])
    if event.kind in {"waiting", "window_closed"}:
        return str(data["why"])
    if event.kind == "gpu_left_out":
        why = one_line(str(data["why"]))
        return f"{data['gpu']} failed three times in a row and is not used any more ({why}); GPUs left: {data['left']}"
    if event.kind == "slot_lost":
        return f"trainings at once from now on: {data['left']}, because {one_line(str(data['why']))}"
    if event.kind == "window_open":
        return "the nightly window is open: it goes on"
    if event.kind == "dropped":
        return f"dropped: {one_line(str(data['title']))} ({data['reason']})"
    if event.kind == "done":
        said = [str(data[name]) for name in ("explanation", "claim") if data.get(name)]
        sentences = "".join(f". {one_line(text.rstrip('.'), max_chars=2000)}" for text in said)
        return f"run {data['run']} ended: {one_line(str(data['reason']))}{sentences}{'.' if said else ''}"
    return event.kind
