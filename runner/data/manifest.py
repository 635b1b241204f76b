"""The manifest: what a prepared data set holds, and the SHA-256 of every file in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runner.data.errors import DataError, missing
from runner.errors import UsageError

SCHEMA = "autoresearch/data/1"


@dataclass(frozen=True, slots=True)
class Split:
    """Sizes of one split. `tokens` counts the BOS of every document; `bytes` are UTF-8 bytes of the documents."""

    documents: int
    tokens: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """`recipe` is the digest of everything the data was made from; the same recipe gives the same files."""

    name: str
    source: str
    recipe: str
    vocab_size: int
    seq_len: int
    bos_id: int
    pattern: str
    splits: Mapping[str, Split]
    files: Mapping[str, Mapping[str, Any]]
    """Relative path -> {"sha256": hex, "bytes": int}."""
    sources: Mapping[str, str]
    """What it was made from: name -> SHA-256 (hex)."""
    skipped: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What was left out or mended: reason -> {"count": n, "first": [names]}."""
    shared_bytes: int = 0
    """How much was cut from what is held out, because a candidate could read it elsewhere."""

    def write(self, folder: Path) -> None:
        (folder / "manifest.json").write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n")


def manifest_sha256(path: Path) -> str:
    """SHA-256 (hex) of a manifest, which holds that of every file: it stands for the whole data set."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def require_no_file(folder: Path) -> None:
    """Raises UsageError where a file is named as the folder of a data set."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder; name the folder of a data set that was prepared")


def load_manifest(folder: Path) -> Manifest:
    """Read the manifest. Raises DataError when there is none or it is not one, UsageError when `folder` is a file."""
    require_no_file(folder)
    path = folder / "manifest.json"
    try:
        content = json.loads(path.read_text())
        if content.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        content["splits"] = {name: Split(**split) for name, split in content["splits"].items()}
        return Manifest(**content)
    except FileNotFoundError:
        raise DataError(missing(folder)) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is not a data manifest; name another folder, or prepare the data anew"
        ) from error


def file_entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}


def verify(folder: Path) -> list[str]:
    """What is not as the manifest says, one sentence each; empty when all is well."""
    problems = []
    for name, entry in load_manifest(folder).files.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif file_entry(path) != dict(entry):
            problems.append(f"{name} is not what was prepared")
    return problems
