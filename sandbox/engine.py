"""The interface of a container engine: everything that the rest of the project may ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from sandbox.outcome import Outcome
from sandbox.spec import Job

LABEL = "dev.autoresearch"
"""Prefix of all labels. What has no label `dev.autoresearch.owner` is not ours and is never touched."""


class SandboxError(Exception):
    """The engine cannot do what was asked. The message is one sentence with the next step."""


class EngineUnavailable(SandboxError):
    """No engine answers, or it answers with an error of its own."""


class ImageMissing(SandboxError):
    """The named image does not exist."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image as the engine knows it. `id` is "sha256:…" and is the only way images are addressed."""

    id: str
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    bytes: int = field(default=0, compare=False)
    """Including the images it is based on; 0 if the engine does not report it."""


@dataclass(frozen=True, slots=True)
class BuildContext:
    """A hermetic build: only these bytes and files are sent, and there is no network.

    `files` maps a path inside the context to bytes or to a host file or folder. `dockerfile` is the text
    of the Dockerfile, `target` its stage.
    """

    dockerfile: str
    files: Mapping[str, bytes | Path]
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Remnant:
    """Something with our labels that `reap` or `remnants` found. `kind` is container, volume or image."""

    kind: str
    id: str
    name: str
    owner: str
    deadline: float
    run: str
    role: str
    reason: str = ""


class Engine(Protocol):
    """A container engine. `sandbox.docker_engine.DockerEngine` is the real one, `sandbox.fake_engine.FakeEngine`
    the one for tests; both must pass tests/conformance."""

    def run(self, job: Job) -> Outcome:
        """Run one container to its verified death and collect its outputs. What the container or the engine does is an `Ending`,
        never an exception. Raises ValueError for a malformed job."""
        ...

    def build(self, context: BuildContext, progress: Callable[[str], None] | None = None) -> Image:
        """Build without network. Raises SandboxError with the last lines of the build's output."""
        ...

    def pull(self, reference: str) -> Image:
        """Fetch an image from its registry. Raises SandboxError when no registry answers."""
        ...

    def import_root(self, folder: Path, tag: str) -> Image:
        """Make an image of a root file system on the host (`docker import`). Needs to read all of it."""
        ...

    def image(self, reference: str) -> Image:
        """Look an image up by id or tag. Raises ImageMissing."""
        ...

    def images(self, labels: Mapping[str, str]) -> Sequence[Image]:
        """All images that carry all these labels."""
        ...

    def image_archive(self, image_id: str) -> AbstractContextManager[IO[bytes]]:
        """A tar stream of every file that a container of this image would see, to be read as data. No container runs. Raises
        ImageMissing or SandboxError."""
        ...

    def remove_image(self, image_id: str) -> None:
        """Untag and remove an image of ours. An image that is already gone is not an error."""
        ...

    def storage(self) -> Path | None:
        """The folder where an engine on this machine stores images and containers; None if that cannot be known. Raises
        SandboxError."""
        ...

    def remnants(self, run: str | None = None) -> Sequence[Remnant]:
        """Every labelled container and volume of this user that exists now."""
        ...

    def reap(
        self, *, now: float, everything_of_run: str | None = None, dry_run: bool = False
    ) -> Sequence[Remnant]:
        """Remove what is past its deadline or whose owner process is dead (and, when named, all of one run).
        `now` is unix seconds. Touches nothing without our labels. Returns what was (or would be) removed."""
        ...
