"""The base image: named by the user, pulled from a registry, or made here with debootstrap."""

from __future__ import annotations

import os
import shutil
import subprocess

from runner.cache import cache_folder
from runner.errors import PrerequisiteMissing
from runner.images.wheelhouse import Progress
from sandbox.engine import Engine, ImageMissing, SandboxError

REGISTRY_BASE = "python:3.11-slim-bookworm"
AIRGAP_BASE = "autoresearch/base:bookworm"


def base_image(engine: Engine, base: str, progress: Progress) -> str:
    """The content id of the base: named, pulled from a registry, or made here with debootstrap."""
    if base not in {"auto", "airgap"}:
        try:
            return engine.image(base).id if base.startswith("sha256:") else engine.pull(base).id
        except ImageMissing as error:
            raise PrerequisiteMissing(
                f"the engine has no image {base} to build on: name another --base"
            ) from error
    if base == "auto":
        progress(f"asking the registry for {REGISTRY_BASE}")
        try:
            return engine.pull(REGISTRY_BASE).id
        except SandboxError:
            progress("no registry answers: using an air-gapped base")
    try:
        return engine.image(AIRGAP_BASE).id
    except ImageMissing:
        return _debootstrap(engine, progress)


def _debootstrap(engine: Engine, progress: Progress) -> str:
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        raise PrerequisiteMissing(
            "no registry answers, and making a base image here needs root and debootstrap: "
            "run `autoresearch build` once as root after `apt-get install debootstrap`, "
            "or name a local image with Python 3.11: `autoresearch build --base IMAGE`"
        )
    progress("making the air-gapped base with debootstrap (about a minute)")
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"rootfs-{os.getpid()}"
    try:
        command = [
            "debootstrap",
            "--variant=minbase",
            "--include=python3,python3-venv",
            "bookworm",
            str(folder),
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False, umask=0o022)
        if result.returncode:
            last = (result.stdout.strip().splitlines() or ["no output"])[-1]
            raise PrerequisiteMissing(f"debootstrap could not make the base image: {last}")
        for waste in (
            "var/cache/apt",
            "var/lib/apt/lists",
            "usr/share/doc",
            "usr/share/man",
            "usr/share/locale",
        ):
            shutil.rmtree(folder / waste, ignore_errors=True)
        return engine.import_root(folder, AIRGAP_BASE).id
    finally:
        shutil.rmtree(folder, ignore_errors=True)
