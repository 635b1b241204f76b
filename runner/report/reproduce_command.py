"""The command that runs a kept experiment again, ready to paste: from any folder, with the options of its run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any


def reproduce_command(tag: str, settings: Mapping[str, Any]) -> str:
    """`settings` are the run's in the ledger: data, GPUs and OCI runtime that were named for it are named again."""
    config = settings.get("config", {})
    words = ["autoresearch", "reproduce", tag]
    for option in ("data", "gpus", "runtime"):
        if (value := config.get(option)) not in {None, "", "auto"}:
            words += [f"--{option}", str(value)]
    return shlex.join(words)
