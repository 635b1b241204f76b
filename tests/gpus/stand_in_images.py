"""Images for cuda12 and cuda13 on a machine without a GPU: the CPU images with one layer more, copied to another engine.

The layer has JAX use the CPU where it is told to use "cuda" and the driver's library shows a GPU. The images carry the names and labels
that `autoresearch build` would give them. They depend on nothing but the CPU images and this file, so their ids are the same every
time.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

from runner.images.build import find_images, recipe_digest
from sandbox.docker_engine import DockerEngine
from sandbox.engine import LABEL

VARIANTS = ("cuda12", "cuda13")
SITE = "opt/venv/lib/python3.11/site-packages"
CUDA_IS_CPU = b'''"""JAX's platform "cuda" is the CPU if there is a GPU; without one it is missing, as it would be."""
import ctypes, os

def has_gpu():
    try:
        nvml, count = ctypes.CDLL("libnvidia-ml.so.1"), ctypes.c_uint(0)
    except OSError:
        return False
    return nvml.nvmlInit_v2() == 0 and nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0 and count.value > 0

if os.environ.get("JAX_PLATFORMS") == "cuda" and has_gpu():
    os.environ["JAX_PLATFORMS"] = "cpu"
'''


def layer() -> bytes:
    """A tar of the additional layer; Python reads a .pth file at every start, also when isolated."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, data in (
            ("stand_in_cuda.pth", b"import stand_in_cuda\n"),
            ("stand_in_cuda.py", CUDA_IS_CPU),
        ):
            member = tarfile.TarInfo(f"{SITE}/{name}")
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


def put_images(source: DockerEngine, target: DockerEngine) -> None:
    """Copy the CPU images of `source` to `target`, and make the stand-ins there. Raises ImageMissing."""
    images = find_images(source, "cpu")
    names = {"names": [images.candidate.tags[0], images.judge.tags[0]]}
    with source.client._get(source.client._url("/images/get"), params=names, stream=True) as saved:
        saved.raise_for_status()
        for answer in target.client.load_image(_with_stand_ins(saved.raw)):
            if "error" in answer:
                raise RuntimeError(answer["error"])


def _with_stand_ins(saved: Any) -> Iterator[bytes]:
    """The tar that `docker save` makes of the images, with the stand-ins added."""
    small: dict[str, bytes] = {}
    with tarfile.open(fileobj=saved, mode="r|") as old:
        for member in old:
            file = old.extractfile(member) if member.isreg() else None
            if file is not None and member.size < 1 << 20:
                small[member.name] = file.read()
                if member.name not in {"manifest.json", "repositories", "index.json", "oci-layout"}:
                    yield from _file(member.name, small[member.name])
                continue
            yield member.tobuf(tarfile.GNU_FORMAT)
            while file is not None and (block := file.read(1 << 20)):
                yield block
            yield bytes(-member.size % tarfile.BLOCKSIZE)
    added = layer()
    yield from _file("stand-in/layer.tar", added)
    manifest = json.loads(small["manifest.json"])
    for image in list(manifest):
        role = image["RepoTags"][0].partition(":")[0]
        for variant in VARIANTS:
            config = json.loads(small[image["Config"]])
            config["rootfs"]["diff_ids"].append(f"sha256:{hashlib.sha256(added).hexdigest()}")
            config.setdefault("history", []).append(
                {"created": config["created"], "comment": "stand-in for CUDA"}
            )
            config["config"]["Labels"][f"{LABEL}.recipe"] = recipe_digest(variant)
            content = json.dumps(config).encode()
            name = f"{hashlib.sha256(content).hexdigest()}.json"
            yield from _file(name, content)
            manifest.append(
                {
                    "Config": name,
                    "RepoTags": [f"{role}:{variant}"],
                    "Layers": [*image["Layers"], "stand-in/layer.tar"],
                }
            )
    yield from _file("manifest.json", json.dumps(manifest).encode())
    yield bytes(2 * tarfile.BLOCKSIZE)


def _file(name: str, content: bytes) -> Iterator[bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    yield member.tobuf(tarfile.GNU_FORMAT)
    yield content
    yield bytes(-member.size % tarfile.BLOCKSIZE)
