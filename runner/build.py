"""Container images: a wheelhouse checked by hash, a base, and the two images built from them without network.

The lock files in requirements/ hold versions and hashes but no URLs. The host's pip fills the wheelhouse
(so the host's certificates, proxies and mirrors are used), and the build then sees nothing but those bytes.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runner.errors import PrerequisiteMissing
from sandbox.engine import LABEL, BuildContext, Engine, Image, ImageMissing, SandboxError

REPOSITORY = Path(__file__).resolve().parents[1]
REGISTRY_BASE = "python:3.11-slim-bookworm"
AIRGAP_BASE = "autoresearch/base:bookworm"
VARIANTS = ("cpu", "cuda12", "cuda13")
IMAGE_PYTHON = "3.11"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Images:
    """The two images of one variant, by content id."""

    candidate: Image
    judge: Image
    variant: str


def cache_folder() -> Path:
    """Where the wheelhouse and the default data live: $AUTORESEARCH_CACHE, or XDG's cache folder. Raises
    PrerequisiteMissing where there is no home."""
    if chosen := os.environ.get("AUTORESEARCH_CACHE"):
        return Path(chosen)
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "autoresearch"
    try:
        return Path.home() / ".cache" / "autoresearch"
    except RuntimeError as error:  # neither HOME nor an entry for this user
        raise PrerequisiteMissing(
            "no home folder is known for this user: set HOME, or AUTORESEARCH_CACHE to a folder for wheels and data"
        ) from error


def wheelhouse_folder(variant: str) -> Path:
    return cache_folder() / "wheelhouse" / variant


def lock_file(variant: str) -> Path:
    if variant not in VARIANTS:
        raise PrerequisiteMissing(f"unknown image variant {variant!r}; choose one of {', '.join(VARIANTS)}")
    path = REPOSITORY / "requirements" / f"image-{variant}.lock"
    if not path.is_file():
        raise PrerequisiteMissing(
            f"{path.name} is not beside the package; install autoresearch from its repository with script/bootstrap"
        )
    return path


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
    present = {_sha256(path) for path in sorted(folder.glob("*.whl"))}
    return [name for name, digests in locked_hashes(lock).items() if not digests & present]


def fill_wheelhouse(variant: str, progress: Progress) -> Path:
    """Download what the image's lock names and the wheelhouse lacks; pip checks every hash.

    Raises PrerequisiteMissing when a wheel cannot be had.
    """
    return _fill(lock_file(variant), wheelhouse_folder(variant), f"the {variant} image", progress)


def fill_text_wheels(progress: Progress) -> Path:
    """The same for the wheels that the default text is read from. They are installed nowhere."""
    return _fill(
        REPOSITORY / "requirements" / "text.lock",
        cache_folder() / "wheelhouse" / "text",
        "the default text",
        progress,
    )


def _fill(lock: Path, folder: Path, purpose: str, progress: Progress) -> Path:
    if not lock.is_file():
        raise PrerequisiteMissing(
            f"{lock.name} is not beside the package; install autoresearch from its repository with script/bootstrap"
        )
    folder.mkdir(parents=True, exist_ok=True)
    missing = missing_wheels(lock.read_text(), folder)
    if missing:
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
        if _sha256(path) not in frozenset().union(*locked_hashes(lock.read_text()).values()):
            path.unlink()  # of an older lock
    return folder


def find_images(engine: Engine, variant: str = "cpu") -> Images:
    """The images built earlier. Raises ImageMissing when `autoresearch build` has not run."""
    return Images(
        candidate=engine.image(f"autoresearch/candidate:{variant}"),
        judge=engine.image(f"autoresearch/judge:{variant}"),
        variant=variant,
    )


def build_images(
    engine: Engine,
    *,
    variant: str = "cpu",
    base: str = "auto",
    force: bool = False,
    progress: Progress = print,
) -> Images:
    """Build both images unless the same recipe is there already, on `base` where that is a reference and not "auto" or
    "airgap".

    Raises PrerequisiteMissing or SandboxError, each with a sentence that says what to do.
    """
    recipe = recipe_digest(variant)
    named = _base_image(engine, base, progress) if base not in {"auto", "airgap"} else None
    if not force:
        try:
            images = find_images(engine, variant)
        except ImageMissing:
            pass
        else:
            if all(
                image.labels.get(f"{LABEL}.recipe") == recipe
                and named in {None, image.labels.get(f"{LABEL}.base")}
                for image in (images.candidate, images.judge)
            ):
                progress(f"the {variant} images are up to date")
                return images
    wheels = fill_wheelhouse(variant, progress)
    base_id = named or _base_image(engine, base, progress)
    built = {}
    for role in ("candidate", "judge"):
        progress(f"building the {role} image for {variant}")
        files: dict[str, bytes | Path] = {
            "wheelhouse": wheels,
            "image.lock": lock_file(variant),
            "trainer_jax": REPOSITORY / "trainer_jax",
            "judge": REPOSITORY / "judge",
        }
        context = BuildContext(
            dockerfile=(REPOSITORY / "Dockerfile").read_text(),
            files=files,
            tags=(f"autoresearch/{role}:{variant}",),
            labels={f"{LABEL}.image": role, f"{LABEL}.recipe": recipe, f"{LABEL}.base": base_id},
            arguments={"BASE": base_id},
            target=role,
        )
        built[role] = engine.build(context)
    return Images(built["candidate"], built["judge"], variant)


def recipe_digest(variant: str) -> str:
    """SHA-256 (hex) over everything an image is made from, the base apart."""
    digest = hashlib.sha256()
    paths = [REPOSITORY / "Dockerfile", lock_file(variant)]
    for room in ("trainer_jax", "judge"):
        paths += sorted((REPOSITORY / room).rglob("*.py"))
    for path in paths:
        digest.update(f"{path.relative_to(REPOSITORY)}\0{_sha256(path)}\n".encode())
    return digest.hexdigest()


def _base_image(engine: Engine, base: str, progress: Progress) -> str:
    """The content id of the base: named, pulled from a registry, or made here with debootstrap."""
    if base not in {"auto", "airgap"}:
        return engine.image(base).id if base.startswith("sha256:") else engine.pull(base).id
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
