"""What `--gpus` and the key `gpus` may say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from runner.errors import UsageError
from runner.suggestions import did_you_mean

NUMBER = "[0-9]{1,9}"
FORMS = "auto, all, none, a number of GPUs, or a list with commas: `0,2`, `GPU-…,MIG-…`"


class Mode(StrEnum):
    AUTO = "auto"
    """GPUs if there are any, else the CPU."""
    ALL = "all"
    NONE = "none"
    COUNT = "count"
    LISTED = "listed"


@dataclass(frozen=True, slots=True)
class GpuRequest:
    """`count` is how many at once (COUNT), `entries` name GPUs (LISTED): numbers of nvidia-smi ("0"; "0:1" is a part of a GPU that is
    split), UUIDs or beginnings of UUIDs."""

    mode: Mode
    count: int = 0
    entries: tuple[str, ...] = ()


def parse_gpu_request(text: str) -> GpuRequest:
    """An empty text means none. Raises UsageError."""
    word = text.strip()
    if word in {"", Mode.NONE}:
        return GpuRequest(Mode.NONE)
    if word in {Mode.AUTO, Mode.ALL}:
        return GpuRequest(Mode(word))
    if re.fullmatch(NUMBER, word):
        if int(word) == 0:
            raise UsageError("0 may mean two things: write none, or 0, (with a comma) for GPU number 0")
        return GpuRequest(Mode.COUNT, count=int(word))
    entries = tuple(part.strip() for part in word.removesuffix(",").split(","))
    if wrong := [entry for entry in entries if not _is_entry(entry)]:
        raise UsageError(f"{wrong[0][:80]!r} is not {FORMS}{did_you_mean(wrong[0], Mode)}")
    if twice := [entry for entry in entries if entries.count(entry) > 1]:
        raise UsageError(f"{twice[0][:80]!r} is named twice")
    return GpuRequest(Mode.LISTED, entries=entries)


def _is_entry(entry: str) -> bool:
    return (
        re.fullmatch(rf"{NUMBER}(:{NUMBER})?", entry) is not None
        or re.fullmatch(r"(GPU|MIG)-[\w/-]+", entry) is not None
    )
