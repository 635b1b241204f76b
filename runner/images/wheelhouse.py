"""Wheels that are downloaded by the host's pip and checked against hash-pinned lock files."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from runner.cache import cache_folder
from runner.errors import PrerequisiteMissing, UsageError
from runner.resources import VARIANTS, resource
from runner.suggestions import unknown

IMAGE_PYTHON = "3.11"


Progress = Callable[[str], None]


def wheelhouse_folder(variant: str) -> Path:
    return cache_folder() / "wheelhouse" / variant


def lock_file(variant: str) -> Path:
    """Raises UsageError for an unknown variant."""
    if variant not in VARIANTS:
        raise UsageError(unknown("variant", variant, VARIANTS))
    return resource(f"image-{variant}.lock")


def locked_hashes(lock: str) -> dict[str, frozenset[str]]:
    """The requirement lines of a pip lock file, each with its allowed SHA-256 digests (hex)."""
    found: dict[str, frozenset[str]] = {}
    for block in re.split(r"\n(?=\S)", lock):
        head = block.split(maxsplit=1)[0] if block.strip() else ""
        digests = re.findall(r"--hash=sha256:([0-9a-f]{64})", block)
        if head and digests:
            found[head] = frozenset(digests)
    return found


def missing_wheels(lock: str, folder: Path) -> list[str]:
    """Requirements of `lock` for which `folder` holds no file with an allowed digest."""
    present = {sha256_of(path) for path in sorted(folder.glob("*.whl"))}
    return [name for name, digests in locked_hashes(lock).items() if not digests & present]


def fill_wheelhouse(variant: str, progress: Progress) -> Path:
    """Download what the image's lock names and the wheelhouse lacks; pip checks every hash.

    Raises PrerequisiteMissing when a wheel cannot be had.
    """
    return _fill(lock_file(variant), wheelhouse_folder(variant), f"the {variant} image", progress)


def fill_text_wheels(progress: Progress) -> Path:
    """The same for the wheels that the default text is read from. They are installed nowhere."""
    return _fill(
        resource("text.lock"),
        cache_folder() / "wheelhouse" / "text",
        "the default text",
        progress,
    )


def _fill(lock: Path, folder: Path, purpose: str, progress: Progress) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    missing = missing_wheels(lock.read_text(), folder)
    if missing:
        if find_spec("pip") is None:  # uv makes environments without it
            raise PrerequisiteMissing(
                f"wheels are downloaded with pip, which {sys.prefix} lacks: {sys.executable} -m ensurepip"
            )
        progress(f"downloading {len(missing)} wheels for {purpose}")
        machine = platform.machine()
        platforms = [f"manylinux_2_{minor}_{machine}" for minor in (28, 27, 26, 24, 17)]
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"),
            *("--only-binary=:all:", "--implementation", "cp", "--python-version", IMAGE_PYTHON),
            *(word for name in [*platforms, f"manylinux2014_{machine}"] for word in ("--platform", name)),
            *("--dest", str(folder), "--requirement", str(lock)),
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        still = missing_wheels(lock.read_text(), folder)
        if result.returncode or still:
            last = (result.stderr.strip().splitlines() or [f"missing: {', '.join(still)}"])[-1]
            raise PrerequisiteMissing(f"could not fill the wheelhouse from {lock.name}: {last}")
    for path in folder.glob("*.whl"):
        if sha256_of(path) not in frozenset().union(*locked_hashes(lock.read_text()).values()):
            path.unlink()  # of an older lock
    return folder


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
