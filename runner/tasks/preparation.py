"""The data of a task: prepare.py is run once and writes public/ and private/; a manifest holds the SHA-256 of every file.

prepare.py is the task author's and runs on the host like any program of theirs. It gets two empty folders and a random seed, so that
generated hidden data cannot be generated again by a candidate that knows the program. Every use verifies the manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.errors import PrerequisiteMissing, UsageError
from runner.tasks.definition import PREPARE, SOURCE, Task
from sandbox.sanitise import sanitise

SCHEMA = "autoresearch/task-data/1"
PUBLIC, PRIVATE, INPUTS, CANARY = "public", "private", "inputs", "CANARY"
MOST_BYTES, MOST_FILES = 2**32, 5000
"""Of public/ and private/ together. Stages get copies of their own, so more would delay each of them."""
_LIMIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class PreparedData:
    """`folder` holds public/, private/ and the manifest, and is closed to other users of the machine. `files` maps the path of each
    file in it to its SHA-256 (hex)."""

    folder: Path
    canary: str
    files: Mapping[str, str]

    @property
    def public(self) -> Path:
        return self.folder / PUBLIC

    @property
    def private(self) -> Path:
        return self.folder / PRIVATE

    def hidden(self, name: str) -> Path:
        """The hidden input of this name, a file or a folder."""
        return self.private / INPUTS / name

    def require_unchanged(self) -> None:
        """Reads every file. Raises PrerequisiteMissing where one was changed, added or removed since it was prepared."""
        if (now := _hashes(self.folder)) != self.files:
            name = min(path for path in {*now, *self.files} if now.get(path) != self.files.get(path))
            raise PrerequisiteMissing(
                f"{self.folder / name} is not what prepare.py wrote; remove {self.folder}, and it will be prepared again"
            )


def prepared(
    task: Task,
    cache: Path,
    *,
    seed: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> PreparedData:
    """The task's data in `cache`, prepared now unless they are there, and verified. Raises UsageError for a prepare.py that fails or
    leaves out what a stage needs, PrerequisiteMissing for data that were changed since."""
    folder = cache / f"{task.name}-{_digest(task)[:16]}"
    if not (folder / "manifest.json").is_file():
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        progress(f"preparing the data of {task.name}")
        _prepare(task, folder, secrets.randbelow(2**63) if seed is None else seed)
    data = _load(folder)
    data.require_unchanged()
    return data


def _digest(task: Task) -> str:
    """Of what the data follow from: prepare.py and the files of source/."""
    digest = hashlib.sha256((task.folder / PREPARE).read_bytes())
    source = task.folder / SOURCE
    for path in sorted(source.rglob("*")) if source.is_dir() else ():
        if path.is_file():
            digest.update(
                f"\0{path.relative_to(source)}\0".encode() + hashlib.sha256(path.read_bytes()).digest()
            )
    return digest.hexdigest()


def _prepare(task: Task, folder: Path, seed: int) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{task.name}-", dir=folder.parent) as name:  # mode 0700
        new = Path(name) / "data"
        for path in (new, new / PUBLIC, new / PRIVATE):
            path.mkdir(mode=0o700)
        _run(task, new, seed)
        canary = f"autoresearch-canary-{secrets.token_hex(16)}"
        (new / PRIVATE / CANARY).write_text(canary + "\n")
        _check(task, new)
        _open(new)
        manifest = {
            "schema": SCHEMA,
            "task": task.name,
            "seed": seed,
            "canary": canary,
            "files": _hashes(new),
        }
        (new / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        shutil.rmtree(folder, ignore_errors=True)  # without a manifest: what a killed process left
        new.rename(folder)


def _run(task: Task, folder: Path, seed: int) -> None:
    command = [
        sys.executable,
        "-I",
        "-B",
        str(task.folder / PREPARE),
        str(folder / PUBLIC),
        str(folder / PRIVATE),
    ]
    try:
        done = subprocess.run(
            [*command, str(seed)],
            cwd=task.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{PREPARE} of {task.name} took more than an hour; make it do less") from error
    if done.returncode != 0:
        said = sanitise(done.stdout, max_chars=1000).strip() or "nothing"
        raise UsageError(f"{PREPARE} of {task.name} failed with exit code {done.returncode}; it said: {said}")


def _check(task: Task, folder: Path) -> None:
    """Raises UsageError."""
    total = count = 0
    for path in folder.rglob("*"):
        mode, size = path.lstat().st_mode, path.lstat().st_size
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise UsageError(
                f"{PREPARE} of {task.name} made {path.name}, a link or a special file; copy the content"
            )
        total, count = total + size, count + 1
    if total > MOST_BYTES or count > MOST_FILES:
        raise UsageError(
            f"{PREPARE} of {task.name} wrote {total:,} bytes in {count:,} files; at most {MOST_BYTES:,} in {MOST_FILES:,} are allowed"
        )
    there = {path.name for path in (folder / PRIVATE / INPUTS).glob("*")}
    named = {name for stage in task.stages for name in stage.hidden}
    if missing := sorted(named - there):
        raise UsageError(
            f"a stage of {task.name} names the hidden input {missing[0]}, but {PREPARE} wrote no {PRIVATE}/{INPUTS}/{missing[0]}"
        )
    if unused := sorted(there - named):
        raise UsageError(
            f"{PREPARE} of {task.name} wrote {PRIVATE}/{INPUTS}/{unused[0]}, which no stage names as hidden; name it or remove it"
        )


def _open(folder: Path) -> None:
    """Readable for the containers' users, whatever the umask; `folder` lies in one that is closed to other users."""
    for path in (folder / PUBLIC, folder / PRIVATE):
        for each in (path, *path.rglob("*")):
            each.chmod(0o755 if each.is_dir() else 0o644)


def _hashes(folder: Path) -> dict[str, str]:
    found = {}
    for part in (PUBLIC, PRIVATE):
        for place, _, names in os.walk(folder / part):
            for name in names:
                path = Path(place, name)
                with path.open("rb") as file:
                    found[path.relative_to(folder).as_posix()] = hashlib.file_digest(
                        file, "sha256"
                    ).hexdigest()
    return dict(sorted(found.items()))


def _load(folder: Path) -> PreparedData:
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        if manifest["schema"] != SCHEMA:
            raise ValueError("another schema")
        return PreparedData(folder, str(manifest["canary"]), dict(manifest["files"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PrerequisiteMissing(
            f"{folder / 'manifest.json'} cannot be used; remove {folder}, and it will be prepared again"
        ) from error
