"""The real engine: Docker (20.10 and newer) or anything that speaks its API.

One container per job, from request to verified death. `run` removes container, holder and volume whatever happens. What a crash of this
process leaves behind has labels for `sandbox.reaper`.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import requests
from docker.errors import DockerException, ImageNotFound, NotFound

from sandbox import collect, cpu_use, image_files, images, job_user, launcher, podman, reaper
from sandbox.api_client import Client
from sandbox.configuration_check import differences
from sandbox.deadline import Death, Watch, deadline
from sandbox.dialect import Dialect, detect
from sandbox.endpoint import Endpoint, find
from sandbox.engine import BuildContext, EngineUnavailable, Image, Remnant
from sandbox.exec_stream import output_of
from sandbox.exit_cause import ending
from sandbox.gpu import GpuProbe
from sandbox.gpu_use import meter as gpu_meter
from sandbox.host_config import OUT, container_config, holder_config, labels, volumes
from sandbox.job_validation import refuse_malformed
from sandbox.live_file import LiveFile
from sandbox.mounts import unreadable
from sandbox.outcome import CollectedFile, Ending, Outcome, Refusal
from sandbox.owner import Owner, this_process
from sandbox.sanitise import one_line
from sandbox.spec import Job, Output, Role
from sandbox.watchdog.client import Clock, NoWatchdog, Record, clock_of
from sandbox.watchdog.endpoint import NoEndpoint, endpoint_of

ENGINE_ERRORS = (DockerException, requests.exceptions.RequestException, OSError, collect.BrokenStream)
_REQUEST_TIMEOUT_S = 60
_LABEL_GRACE_S = 300.0
"""Seconds after the wall clock for killing, collecting and removing, before a reaper in another process may remove the container."""
_COLLECT_S = 60.0
_COLLECT_BYTES_PER_S = 20e6
_RECORD_LOOKS, _RECORD_PAUSE_S = 40, 0.05
"""Time limit for the watchdog to see a death that the runner has seen."""


class DockerEngine:
    """See `sandbox.engine.Engine`. `python` is an interpreter inside every image, for the collector.

    The clocks and the process that owns what is made are passed in; use `connect` to get one for this process.
    """

    def __init__(
        self,
        client: Any,
        *,
        dialect: Dialect | None = None,
        python: str = "/opt/venv/bin/python",
        owner: Owner | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.client = client
        self.endpoint: Endpoint | None = None
        """Where the engine was found, and why there; None if a client was passed in."""
        self.dialect = dialect or Dialect()
        self.gpus: GpuProbe | None = None
        """Asked while a container has a GPU; None: nothing is measured."""
        self.python = python
        self._owner = owner or this_process()
        self._not_removed: deque[tuple[Callable[[Any, str], bool], str]] = deque()
        """What could not be removed because the engine was away. Removing it is tried again before the next job."""
        self._watchdog: Clock | None = None
        self._reaper = reaper.Reaper(client, self._owner.uid, self.dialect.local)
        self._monotonic, self._now, self._sleep = monotonic, now, sleep

    @classmethod
    def connect(
        cls, host: str | None = None, *, runtime: str | None = None, python: str = "/opt/venv/bin/python"
    ) -> DockerEngine:
        """Reach an engine: `host`, else the one `sandbox.endpoint` finds. `runtime` is an OCI runtime that the
        engine knows, for example "runsc". Raises EngineUnavailable, which says what to do."""
        endpoint = Endpoint(host, "it was named") if host else find()
        try:
            client = Client(endpoint, timeout_s=_REQUEST_TIMEOUT_S, pool_size=32)
            version, info = client.version(), client.info()
        except (*ENGINE_ERRORS, ValueError) as error:  # ValueError: an address that is none
            raise EngineUnavailable(_advice(error, endpoint)) from error
        known = info.get("Runtimes") or {}
        if runtime and runtime not in known:
            raise EngineUnavailable(
                f"the engine has no runtime {runtime!r}; it knows {', '.join(sorted(known))}"
            )
        dialect = detect(version, info, base_url=client.base_url, runtime=runtime)
        engine = cls(client, dialect=dialect, python=python)
        engine.endpoint = endpoint
        return engine

    def run(self, job: Job) -> Outcome:
        refuse_malformed(job)
        if found := unreadable(job.mounts):
            return _failed(Ending.REFUSED, found)
        if job.lease.gpu_uuid is not None and self.dialect.gpu_driver is None:
            return _failed(
                Ending.REFUSED, "the engine cannot hand out a GPU: install nvidia-container-toolkit"
            )
        self._remove_what_is_left()
        asked_at, few = self._monotonic(), self.dialect.few_users
        try:
            self._clock().ensure()  # first, so that somebody removes what is created
            with (
                job_user.claimed(job_user.NARROW if few else job_user.WIDE, remapped=few) as uid,
                self._volume(job, uid) as volume,
                self._container(job, volume, uid, Role.HOLDER) as holder,
            ):
                if found := self._differences(*holder):
                    return _failed(Ending.REFUSED, found)
                self.client.start(holder[0])
                with self._container(job, volume, uid, job.role) as container:
                    if found := self._differences(*container):
                        return _failed(Ending.REFUSED, found)
                    return self._live(job, container[0], holder[0])
        except job_user.NoUser as error:
            return _failed(Ending.REFUSED, str(error))
        except ImageNotFound:
            return _failed(Ending.REFUSED, f"there is no image {job.image}; run `autoresearch build`")
        except (NoWatchdog, NoEndpoint) as error:
            return _failed(Ending.REFUSED, str(error))
        except ENGINE_ERRORS as error:
            return _failed(Ending.ENGINE_FAILED, str(error), self._monotonic() - asked_at)

    def _clock(self) -> Clock:
        """The watchdog of the wall clock of this process and engine. Raises NoEndpoint."""
        if self._watchdog is None:
            self._watchdog = clock_of(endpoint_of(self.client), str(self._owner))
        return self._watchdog

    def _live(self, job: Job, container: str, holder: str) -> Outcome:
        clock = self._clock()
        started = self._monotonic()
        end = deadline(started, job.limits)
        meter = cpu_use.meter(container, job.lease.cpus)
        on_gpu = gpu_meter(job.lease, self.gpus if self.dialect.local else None, container)
        clock.register(container, end)
        try:
            self.client.start(container)
            clock.started(container)
            with (
                self._monitoring(job, holder) as reason_to_stop,
                meter.looking() if self.dialect.local else nullcontext(),
                on_gpu.looking() if on_gpu else nullcontext(),
            ):
                watch = Watch(
                    self.client,
                    container,
                    self._monotonic,
                    self._sleep,
                    self.dialect.local,
                    clock.replace_if_gone,
                    reason_to_stop,
                )
                death = watch.until_dead(end)
            death = death.with_record(self._record(container))
            if not death.dead:
                return _failed(
                    Ending.UNKILLABLE, "the container survived SIGKILL", self._monotonic() - started
                )
            clock.forget(container)  # one that may still live is kept until it is removed
            seconds = (death.died_at or self._monotonic()) - started
            outcome = self._after_death(job, container, holder, death, seconds, end)
            return replace(outcome, cpu=meter.use, gpu=on_gpu.use if on_gpu else None)
        except NotFound:
            return _failed(Ending.LOST, "somebody else removed the container", self._monotonic() - started)

    @contextmanager
    def _monitoring(self, job: Job, holder: str) -> Iterator[Callable[[], str]]:
        """A function that passes what was added to the file since its last call to the job's monitor and returns the reason to stop."""
        monitor = job.monitor
        if monitor is None:
            yield lambda: ""
            return
        file = LiveFile(
            self.client,
            holder,
            python=self.python,
            place=OUT,
            name=monitor.name,
            monotonic=self._monotonic,
        )
        try:
            yield lambda: one_line(monitor.see(found)) if (found := file.more()) else ""
        finally:
            file.close()

    def _record(self, container: str) -> Record:
        """The watchdog's record, which may learn of a death a moment later than the runner."""
        record = None
        for _ in range(_RECORD_LOOKS):
            record = self._clock().record(container)
            if record is None or record.died_at is not None:
                break
            self._sleep(_RECORD_PAUSE_S)
        return record or Record()

    def _after_death(
        self, job: Job, container: str, holder: str, death: Death, seconds: float, end: float
    ) -> Outcome:
        log = ""
        files: dict[str, CollectedFile] = {}
        refusals: dict[str, Refusal] = {}
        try:
            state = self.client.inspect_container(container)["State"]
            if state.get("Error"):
                return _failed(Ending.ENGINE_FAILED, str(state["Error"]), seconds)
            how, note = ending(self.client, container, state, death, end)
            if how not in {Ending.LOST, Ending.LATE}:
                log, files, refusals = self._collect(job, holder)
        except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError):
            if death.killed:
                raise
            # an engine that shuts down kills its containers, reports it, and is gone
            return _failed(Ending.LOST, "the engine went away as the container died", seconds)
        peak = job.limits.memory_bytes if how is Ending.OUT_OF_MEMORY else death.memory_peak_bytes
        return Outcome(
            ending=how,
            exit_code=int(state["ExitCode"]),
            seconds=seconds,
            log_tail=log,
            files=files,
            refusals=refusals,
            memory_peak_bytes=peak,
            detail=note,
        )

    def _collect(self, job: Job, holder: str) -> tuple[str, dict[str, CollectedFile], dict[str, Refusal]]:
        """The log as harmless text, and the outputs. Called only after every process of the candidate is dead."""
        log = Output(launcher.NAME, launcher.file_bytes(job.limits.log_bytes))
        patience = _COLLECT_S + job.limits.out_bytes / _COLLECT_BYTES_PER_S
        stream = output_of(
            self.client,
            holder,
            [self.python, "-I", "-B", "-c", collect.PROGRAM],
            stdin=collect.request({launcher.FOLDER: [log], OUT: job.outputs}),
            deadline=self._monotonic() + patience,
            monotonic=self._monotonic,
        )
        with closing(stream):
            raw, rest = collect.receive_log(stream, log)
            files, refusals = collect.receive(rest, job.outputs, job.destination)
        return launcher.text(raw, job.limits.log_bytes), files, refusals

    @contextmanager
    def _volume(self, job: Job, uid: int) -> Iterator[str]:
        """The name of the volume for /out; that of the log's volume follows from it."""
        made = f"ar-{secrets.token_hex(8)}"
        wanted = volumes(made, job.limits, uid=uid, dialect=self.dialect)
        try:
            for name, options in wanted.items():
                marks = self._labels(job, Role.HOLDER)
                self.client.create_volume(name, driver="local", driver_opts=options, labels=marks)
            yield made
        finally:
            for name in wanted:
                self._remove(reaper.remove_volume, name)

    @contextmanager
    def _container(
        self, job: Job, volume: str, uid: int, role: Role
    ) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Id, configuration and the engine's warnings. The container is removed by name, which is known even if an interrupt loses the
        answer."""
        marks = self._labels(job, role)
        made = holder_config if role is Role.HOLDER else container_config
        config = made(job, volume=volume, uid=uid, labels=marks, dialect=self.dialect, python=self.python)
        name = _container_name(job, role)
        try:
            sent = config
            if self.dialect.podman:
                sent = podman.asked(config, cgroup_v1=self.dialect.cgroup_v1)
            answer = self.client.create_container_from_config(sent, name)
            yield answer["Id"], config, "; ".join(answer.get("Warnings") or [])
        finally:
            self._remove(reaper.remove_container, name)

    def _remove(self, remove: Callable[[Any, str], bool], name: str) -> None:
        if not remove(self.client, name):
            self._not_removed.append((remove, name))

    def _remove_what_is_left(self) -> None:
        for _ in range(len(self._not_removed)):
            self._remove(*self._not_removed.popleft())

    def _differences(self, container: str, config: Mapping[str, Any], warnings: str) -> str:
        """Why the container must not be started, in one sentence; empty if it may."""
        report = self.client.inspect_container(container)
        if self.dialect.podman:
            own = podman.inspect(self.client, container)
            report = podman.in_dockers_form(config, report, own, cgroup_v1=self.dialect.cgroup_v1)
        found = differences(config, report)
        if not found:
            return ""
        return "the engine would not run what was asked: " + "; ".join([*found, *filter(None, [warnings])])

    def _labels(self, job: Job, role: Role) -> dict[str, str]:
        deadline = self._now() + job.limits.wall_clock_s + _LABEL_GRACE_S
        return labels(job, owner=str(self._owner), deadline=deadline, role=role)

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

    def image_archive(self, image_id: str) -> AbstractContextManager[IO[bytes]]:
        return image_files.archive(self.client, image_id, owner=str(self._owner), now=self._now())

    def remove_image(self, image_id: str) -> None:
        images.remove(self.client, image_id)

    def storage(self) -> Path | None:
        with _engine_errors():
            root = str(self.client.info().get("DockerRootDir") or "")
        return Path(root) if self.dialect.local and root and Path(root).is_dir() else None

    def remnants(self, run: str | None = None) -> Sequence[Remnant]:
        with _engine_errors():
            return self._reaper.remnants(run)

    def reap(
        self, *, now: float, everything_of_run: str | None = None, dry_run: bool = False
    ) -> Sequence[Remnant]:
        with _engine_errors():
            return self._reaper.reap(now=now, everything_of_run=everything_of_run, dry_run=dry_run)


@contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except ENGINE_ERRORS as error:
        raise EngineUnavailable(f"the container engine failed: {one_line(str(error))}") from error


def _advice(error: Exception, endpoint: Endpoint) -> str:
    where, why = f"{endpoint.url} ({endpoint.why})", str(error)
    if "Permission denied" in why:
        return f"you may not use the container engine at {where}: ask to join the docker group, then log in again"
    return (
        f"no container engine answers at {where}: install docker.io and start dockerd, or run script/bootstrap "
        f"({one_line(why)})"
    )


def _container_name(job: Job, role: Role) -> str:
    parts = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{job.run}-{job.experiment}-{job.attempt}-{role}")
    return f"ar-{parts[:100]}-{secrets.token_hex(4)}"


def _failed(ending: Ending, detail: str, seconds: float = 0.0) -> Outcome:
    return Outcome(ending=ending, exit_code=None, seconds=seconds, detail=one_line(detail, max_chars=1000))
