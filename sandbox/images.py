"""Images: built without network by the Engine API's own builder, addressed by content id."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from sandbox.api_client import user_credentials
from sandbox.engine import BuildContext, Image, ImageMissing, SandboxError
from sandbox.sanitise import one_line

_BLOCK_BYTES = 1 << 20


def build(client: Any, context: BuildContext, progress: Callable[[str], None] | None) -> Image:
    """Build without network from exactly the files in `context`. Raises SandboxError with the last lines of the output."""
    lines: list[str] = []
    image_id = ""
    try:
        stream = client.build(
            fileobj=filter(None, context_blocks(context)),
            custom_context=True,
            tag=context.tags[0] if context.tags else None,
            labels=dict(context.labels),
            buildargs=dict(context.arguments),
            target=context.target,
            network_mode="none",
            rm=True,
            forcerm=True,
            decode=True,
        )
        for message in stream:
            if line := one_line(str(message.get("stream") or message.get("error") or "")):
                lines.append(line)
                if progress:
                    progress(line)
            if "error" in message:
                raise SandboxError("the image could not be built: " + " | ".join(lines[-5:]))
            image_id = (message.get("aux") or {}).get("ID", image_id)
        image = find(client, image_id or (context.tags[0] if context.tags else ""))
        for tag in context.tags[1:]:
            client.tag(image.id, *tag.rsplit(":", 1))
    except (DockerException, requests.exceptions.RequestException, OSError) as error:
        raise SandboxError(f"the image could not be built: {one_line(str(error))}") from error
    return find(client, image.id)


def pull(client: Any, reference: str) -> Image:
    """Fetch from the registry, with the user's credentials for it if they exist and can be read. Raises SandboxError if no registry
    answers."""
    credentials, unread = user_credentials(reference)
    try:
        # an empty mapping prevents docker-py from looking for credentials itself
        client.pull(reference, auth_config=credentials or {})
    except (DockerException, requests.exceptions.RequestException) as error:
        why = "; ".join(filter(None, [one_line(str(error)), unread]))
        raise SandboxError(f"could not pull {reference}: {why}") from error
    return find(client, reference)


def import_root(client: Any, folder: Path, tag: str) -> Image:
    """An image of a root file system, with its owners and modes."""
    repository, _, version = tag.partition(":")
    try:
        with tempfile.TemporaryFile() as archive:
            with tarfile.open(fileobj=archive, mode="w") as tar:
                tar.add(folder, arcname=".")
            archive.seek(0)
            client.import_image_from_data(archive, repository=repository, tag=version)
    except (DockerException, requests.exceptions.RequestException, OSError) as error:
        raise SandboxError(f"could not import the base image: {one_line(str(error))}") from error
    return find(client, tag)


def find(client: Any, reference: str) -> Image:
    """Look up by id or tag. Raises ImageMissing."""
    try:
        found = client.inspect_image(reference)
    except ImageNotFound as error:
        raise ImageMissing(f"there is no image {reference}; run `autoresearch build`") from error
    except (APIError, requests.exceptions.RequestException) as error:
        raise SandboxError(f"the engine could not look up {reference}: {one_line(str(error))}") from error
    labels = (found.get("Config") or {}).get("Labels") or {}
    return Image(id=found["Id"], tags=_tags(found), labels=labels, bytes=int(found.get("Size") or 0))


def with_labels(client: Any, labels: Mapping[str, str]) -> Sequence[Image]:
    try:
        found = client.images(filters={"label": [f"{name}={value}" for name, value in labels.items()]})
    except (APIError, requests.exceptions.RequestException) as error:
        raise SandboxError(f"the engine could not list images: {one_line(str(error))}") from error
    return [
        Image(
            id=item["Id"],
            tags=_tags(item),
            labels=item.get("Labels") or {},
            bytes=int(item.get("Size") or 0),
        )
        for item in found
    ]


def _tags(found: Mapping[str, Any]) -> tuple[str, ...]:
    """The tags as they were given: podman prepends the registry that it would ask."""
    return tuple(str(tag).removeprefix("docker.io/") for tag in found.get("RepoTags") or ())


def remove(client: Any, image_id: str) -> None:
    try:
        client.remove_image(image_id, force=True, noprune=False)
    except NotFound:  # podman does not say of what
        return
    except (APIError, requests.exceptions.RequestException) as error:
        raise SandboxError(f"could not remove image {image_id}: {one_line(str(error))}") from error


def context_blocks(context: BuildContext) -> Iterator[bytes]:
    """The context as a tar that depends on names and contents only, so that layers can be cached. Streamed, so that weights need no
    second copy in a temporary file. Raises OSError."""
    yield from _member("Dockerfile", context.dockerfile.encode())
    # else the engine would create these folders with its own umask
    parents = {str(parent) for name in context.files for parent in PurePosixPath(name).parents}
    for folder in sorted(parents - {"."}):
        yield from _member(folder, None)
    for name, content in sorted(context.files.items()):
        if isinstance(content, bytes) or content.is_file():
            yield from _member(name, content)
        else:
            yield from _tree(name, content)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _tree(name: str, folder: Path) -> Iterator[bytes]:
    """Regular files and folders only, without Python's compiled files."""
    yield from _member(name, None)
    for path in sorted(folder.iterdir()):
        if path.name == "__pycache__" or path.is_symlink():
            continue
        if path.is_dir():
            yield from _tree(f"{name}/{path.name}", path)
        elif path.is_file():
            yield from _member(f"{name}/{path.name}", path)


def _member(name: str, content: bytes | Path | None) -> Iterator[bytes]:
    """The tar entry of a file, or of a folder (None), with fixed owner, time and modes."""
    member = tarfile.TarInfo(name)
    member.type, member.mode = (tarfile.DIRTYPE, 0o755) if content is None else (tarfile.REGTYPE, 0o644)
    if isinstance(content, Path):
        with content.open("rb") as file:
            member.size = left = os.fstat(file.fileno()).st_size
            yield member.tobuf(tarfile.GNU_FORMAT)
            while left:
                block = file.read(min(left, _BLOCK_BYTES))
                if not block:
                    raise OSError(f"{content} shrank while it was read")
                left -= len(block)
                yield block
    else:
        member.size = len(content or b"")
        yield member.tobuf(tarfile.GNU_FORMAT)
        yield content or b""
    yield bytes(-member.size % tarfile.BLOCKSIZE)
