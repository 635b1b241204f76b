"""The real engine: Docker (20.10 and newer) or anything that speaks its API.

One container per job, from request to verified death. Nothing survives `run`: container, holder and volume are
removed on every path, and what a crash of this process leaves behind carries labels for `sandbox.reaper`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import DockerException, NotFound

from sandbox import collect, deadline, images, reaper
from sandbox.engine import BuildContext, EngineUnavailable, Image, Remnant
from sandbox.host_config import USER, container_config, holder_config, labels, volume_options
from sandbox.outcome import CollectedFile, Ending, Outcome, Refusal
from sandbox.owner import Owner, this_process
from sandbox.posture import differences
from sandbox.spec import Job, Role
from sandbox.text import one_line, sanitise

ENGINE_ERRORS = (DockerException, requests.exceptions.RequestException, OSError, collect.BrokenStream)
_LABEL_GRACE_S = 120.0
_LOG_LINES = 300


class DockerEngine:
    """See `sandbox.engine.Engine`. `runtime` is an OCI runtime the engine knows, for example "runsc"."""

    def __init__(
        self,
        client: Any,
        *,
        runtime: str | None = None,
        python: str = "/opt/venv/bin/python",
        owner: Owner | None = None,
        log_driver: str = "local",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self._runtime = runtime
        self._python = python
        self._owner = owner or this_process()
        self._log_driver = log_driver
        self._monotonic = monotonic

    @classmethod
    def connect(cls, host: str | None = None, *, runtime: str | None = None) -> DockerEngine:
        """Reach an engine: `host`, else $DOCKER_HOST, else the local socket. Raises EngineUnavailable."""
        try:
            settings = {"base_url": host} if host else docker.utils.kwargs_from_env()
            client = docker.APIClient(version="auto", timeout=60, **settings)
            components = client.version().get("Components") or []
            known = client.info().get("Runtimes") or {}
        except (DockerException, requests.exceptions.RequestException, OSError) as error:
            raise EngineUnavailable(
                "no container engine answers: install docker.io and start dockerd (script/bootstrap does both "
                f"as root), or join the docker group ({one_line(str(error))})"
            ) from error
        if runtime and runtime not in known:
            raise EngineUnavailable(
                f"the engine has no runtime {runtime!r}; it knows {', '.join(sorted(known))}"
            )
        podman = any("podman" in str(part.get("Name", "")).lower() for part in components)
        return cls(client, runtime=runtime, log_driver="k8s-file" if podman else "local")

    def run(self, job: Job) -> Outcome:
        _refuse_malformed(job)
        asked_at = self._monotonic()
        try:
            with self._volume(job) as volume, self._container(job, volume, Role.HOLDER) as (holder, _):
                self.client.start(holder)
                with self._container(job, volume, job.role) as (container, config):
                    if found := differences(config, self.client.inspect_container(container)):
                        return _failed(
                            Ending.REFUSED, "the engine would not run what was asked: " + "; ".join(found)
                        )
                    return self._live(job, container, holder)
        except NotFound as error:
            return _failed(Ending.LOST, str(error), self._monotonic() - asked_at)
        except ENGINE_ERRORS as error:
            return _failed(Ending.ENGINE_FAILED, str(error), self._monotonic() - asked_at)

    def _live(self, job: Job, container: str, holder: str) -> Outcome:
        started = self._monotonic()
        self.client.start(container)
        death = deadline.await_death(
            self.client, container, deadline=started + job.limits.wall_clock_s, monotonic=self._monotonic
        )
        seconds = self._monotonic() - started
        if not death.dead:
            return _failed(Ending.UNKILLABLE, "the container survived SIGKILL", seconds)
        state = self.client.inspect_container(container)["State"]
        if state.get("Error"):
            return _failed(Ending.ENGINE_FAILED, str(state["Error"]), seconds)
        files, refusals = self._collect(job, holder)
        return Outcome(
            ending=_ending(state, timed_out=death.killed),
            exit_code=int(state["ExitCode"]),
            seconds=seconds,
            log_tail=sanitise(self.client.logs(container, tail=_LOG_LINES)),
            files=files,
            refusals=refusals,
            memory_peak_bytes=death.memory_peak_bytes,
        )

    def _collect(self, job: Job, holder: str) -> tuple[dict[str, CollectedFile], dict[str, Refusal]]:
        """Only now, with every process of the candidate dead, is anything it wrote looked at."""
        if not job.outputs:
            return {}, {}
        command = [self._python, "-I", "-B", "-c", collect.PROGRAM, collect.request(job.outputs)]
        execution = self.client.exec_create(holder, command, user=USER, stderr=True)["Id"]
        stream = self.client.exec_start(execution, stream=True, demux=True)
        return collect.receive((out for out, _ in stream if out), job.outputs, job.destination)

    @contextmanager
    def _volume(self, job: Job) -> Iterator[str]:
        name = f"ar-{secrets.token_hex(8)}"
        self.client.create_volume(
            name,
            driver="local",
            driver_opts=volume_options(job.limits),
            labels=labels(job, owner=str(self._owner), deadline=self._label_deadline(job)),
        )
        try:
            yield name
        finally:
            reaper.remove_volume(self.client, name)

    @contextmanager
    def _container(self, job: Job, volume: str, role: Role) -> Iterator[tuple[str, dict[str, Any]]]:
        marks = labels(job, owner=str(self._owner), deadline=self._label_deadline(job), role=role)
        common: dict[str, Any] = {
            "volume": volume,
            "labels": marks,
            "runtime": self._runtime,
            "log_driver": self._log_driver,
        }
        if role is Role.HOLDER:
            config = holder_config(job, python=self._python, **common)
        else:
            config = container_config(job, **common)
        name = f"ar-{job.run}-{job.experiment}-{job.attempt}-{role}-{secrets.token_hex(4)}"
        container = self.client.create_container_from_config(config, name)["Id"]
        try:
            yield container, config
        finally:
            reaper.remove_container(self.client, container)

    def _label_deadline(self, job: Job) -> float:
        return time.time() + job.limits.wall_clock_s + _LABEL_GRACE_S

    def build(self, context: BuildContext, progress: Callable[[str], None] | None = None) -> Image:
        return images.build(self.client, context, progress)

    def pull(self, reference: str) -> Image:
        return images.pull(self.client, reference)

    def import_root(self, folder: Path, tag: str) -> Image:
        return images.import_root(self.client, folder, tag)

    def image(self, reference: str) -> Image:
        return images.find(self.client, reference)

    def images(self, labels: Mapping[str, str]) -> Sequence[Image]:
        return images.with_labels(self.client, labels)

    def remove_image(self, image_id: str) -> None:
        images.remove(self.client, image_id)

    def remnants(self, run: str | None = None) -> Sequence[Remnant]:
        with _engine_errors():
            return reaper.remnants(self.client, self._owner.uid, run)

    def reap(
        self, *, now: float, everything_of_run: str | None = None, dry_run: bool = False
    ) -> Sequence[Remnant]:
        with _engine_errors():
            return reaper.reap(
                self.client, self._owner.uid, now=now, everything_of_run=everything_of_run, dry_run=dry_run
            )


@contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except ENGINE_ERRORS as error:
        raise EngineUnavailable(f"the container engine failed: {one_line(str(error))}") from error


def _refuse_malformed(job: Job) -> None:
    if not job.image.startswith("sha256:"):
        raise ValueError(f"address images by content id, not {job.image!r}: a tag can move")
    if not job.command or not job.lease.cpus:
        raise ValueError("a job needs a command and a lease of at least one CPU")
    if any("/" in output.name or output.name in {"", ".", ".."} for output in job.outputs):
        raise ValueError("outputs are plain names in /out")


def _ending(state: Mapping[str, Any], *, timed_out: bool) -> Ending:
    """137 is ambiguous (OOM kill, our kill, the candidate's own): the host's clock is asked first, then the kernel."""
    if timed_out:
        return Ending.TIMED_OUT
    if state.get("OOMKilled") and state["ExitCode"] != 0:
        return Ending.OUT_OF_MEMORY
    return Ending.EXITED


def _failed(ending: Ending, detail: str, seconds: float = 0.0) -> Outcome:
    return Outcome(ending=ending, exit_code=None, seconds=seconds, detail=one_line(detail, max_chars=500))
