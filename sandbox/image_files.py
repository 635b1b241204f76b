"""Reads the files of an image on the host as data: nothing is extracted, nothing runs."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

import requests
from docker.errors import DockerException, ImageNotFound

from sandbox.engine import LABEL, ImageMissing, SandboxError
from sandbox.reaper import remove_container
from sandbox.sanitise import one_line

_LONGEST_S = 1800.0
"""Seconds after which a reaper may remove the container."""


@contextmanager
def archive(client: Any, image: str, *, owner: str, now: float) -> Iterator[IO[bytes]]:
    """A tar stream of all files that a container of `image` would see in its root.

    The engine exports the root of a container, so one is created, never started, and removed at the end. The stream shows the merged
    layers: without files that a later layer removed, with files that a volume of the image would start with. Raises ImageMissing or
    SandboxError.
    """
    name = f"ar-files-{secrets.token_hex(8)}"
    marks = {"owner": owner, "role": "files", "deadline": f"{now + _LONGEST_S:.0f}"}
    config = {
        "Image": image,
        "Cmd": ["none"],
        "Labels": {f"{LABEL}.{key}": value for key, value in marks.items()},
        "NetworkDisabled": True,
        "HostConfig": {"NetworkMode": "none"},
    }
    try:
        container = client.create_container_from_config(config, name)["Id"]
        stream = _Chunks(client.export(container))
        yield cast("IO[bytes]", io.BufferedReader(stream, 1 << 20))
    except ImageNotFound as error:
        raise ImageMissing(f"there is no image {image}; run `autoresearch build`") from error
    except (DockerException, requests.exceptions.RequestException) as error:
        raise SandboxError(
            f"the engine could not show the files of {image}: {one_line(str(error))}"
        ) from error
    finally:
        remove_container(client, name)


class _Chunks(io.RawIOBase):
    """An iterator of bytes as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = iter(chunks), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                return 0
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
