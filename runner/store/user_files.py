"""Files that are written into a workspace under names that a file of the user's may have too: results.tsv, NOTES.md.

What was put there last is known by its SHA-256; anything else in its place (another file, a link, a folder) is the user's,
and is renamed before our file is written. A link is never followed.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.errors import UsageError
from runner.store.filesystem import relative

_KNOWN = "written.json"
_REMEMBERED = 4
"""Versions of each file: a crash may come between writing down what will be put there and putting it there."""


def put(state: Path, target: Path, content: bytes) -> Path | None:
    """Let `content` be the file `target`, at once or not at all; `state` is the workspace's folder for matters of its own.
    Returns where the user's was set aside; None where there was none. Raises OSError, UsageError."""
    if not target.parent.is_dir():
        raise UsageError(f"{target} cannot be written: there is no folder {target.parent}")
    target = target.parent.resolve() / target.name
    known, name = _known(state), relative(target, state.absolute().parent)
    mine, new = known.get(name, []), hashlib.sha256(content).hexdigest()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.new")
    try:
        with _named(target):
            temporary.write_bytes(content)
        _remember(state, {**known, name: [*mine, new][-_REMEMBERED:]})
        aside = None
        if os.path.lexists(target) and _sha256(target) not in {*mine, new}:
            aside = _free(target)
            target.rename(aside)
        with _named(target):
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return aside


@contextmanager
def _named(target: Path) -> Iterator[None]:
    """An error names the file that was asked for, not the temporary one beside it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error


def _sha256(path: Path) -> str:
    """Of a plain file; of anything else a word that is no digest."""
    if path.is_symlink() or not path.is_file():
        return "no plain file"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _free(path: Path) -> Path:
    for number in range(1, 10_000):
        if not os.path.lexists(copy := path.with_name(f"{path.name}.before-{number}")):
            return copy
    raise UsageError(f"there are too many copies of {path}; move some away")


def _known(state: Path) -> dict[str, list[str]]:
    """By the file's path from the workspace on: the digests of what was put there. Nothing where that cannot be read: then
    one copy too many is kept."""
    try:
        found = json.loads((state / _KNOWN).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    known = found if isinstance(found, dict) else {}
    return {name: value for name, value in known.items() if isinstance(value, list)}


def _remember(state: Path, known: dict[str, list[str]]) -> None:
    temporary = state / f"{_KNOWN}.{secrets.token_hex(4)}.new"
    with _named(state / _KNOWN):
        temporary.write_text(json.dumps(known, indent=1) + "\n")
        temporary.replace(state / _KNOWN)
