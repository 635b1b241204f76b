"""Container images: a wheelhouse checked by hash, a base, and the two images built from them without network.

The lock files in requirements/ hold versions and hashes but no URLs. The host's pip fills the wheelhouse
(so the host's certificates, proxies and mirrors are used), and the build then sees nothing but those bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from runner.images.base_image import base_image
from runner.images.wheelhouse import Progress, fill_wheelhouse, lock_file, sha256_of
from runner.resources import VARIANTS, package_folder, resource
from sandbox.engine import LABEL, BuildContext, Engine, Image, ImageMissing


@dataclass(frozen=True, slots=True)
class Images:
    """The two images of one variant, by content id."""

    candidate: Image
    judge: Image
    variant: str


def find_images(engine: Engine, variant: str = "cpu") -> Images:
    """The images built earlier. Raises ImageMissing when `autoresearch build` has not run for this variant."""
    try:
        candidate, judge = (engine.image(f"autoresearch/{role}:{variant}") for role in ("candidate", "judge"))
    except ImageMissing as error:
        option = "" if variant == VARIANTS[0] else f" --variant {variant}"
        raise ImageMissing(
            f"the images for {variant} are not built; run `autoresearch build{option}`"
        ) from error
    return Images(candidate, judge, variant)


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
    named = base_image(engine, base, progress) if base not in {"auto", "airgap"} else None
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
    base_id = named or base_image(engine, base, progress)
    built = {}
    for role in ("candidate", "judge"):
        progress(f"building the {role} image for {variant}")
        files: dict[str, bytes | Path] = {
            "wheelhouse": wheels,
            "image.lock": lock_file(variant),
            "trainer_jax": package_folder("trainer_jax"),
            "judge": package_folder("judge"),
        }
        context = BuildContext(
            dockerfile=resource("Dockerfile").read_text(),
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
    lock = lock_file(variant)
    named = {"Dockerfile": resource("Dockerfile"), f"requirements/{lock.name}": lock}
    for package in ("trainer_jax", "judge"):
        folder = package_folder(package)
        named |= {f"{package}/{path.relative_to(folder)}": path for path in sorted(folder.rglob("*.py"))}
    for name, path in named.items():
        digest.update(f"{name}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()
