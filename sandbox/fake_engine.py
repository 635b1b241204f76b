"""An engine without containers, for tests. It is part of the package, so that users can test with it, too.

    def behaviour(job: Job) -> Script:
        (job.destination / "params.safetensors").write_bytes(b"...")
        return Script(log="step 1\\n")

    engine = FakeEngine(behaviour)
    engine.run(job)                                   # as if a container had written that to /out
    engine.inject(Point.COLLECT, Ending.ENGINE_FAILED)  # the next collection fails

What a behaviour leaves in `job.destination` is treated as a candidate's /out: the collector's rules decide what remains, and
everything else is removed. A job's monitor gets its file line by line, as if the lines had been written evenly over the container's
life. `tests/conformance` tests it and the real engine alike.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import IO

from sandbox import gpu_check
from sandbox.cpu_use import CpuUse
from sandbox.engine import BuildContext, Image, ImageMissing, Remnant, SandboxError
from sandbox.gpu import GpuUse
from sandbox.images import context_blocks
from sandbox.job_validation import refuse_malformed
from sandbox.live_file import MOST_BYTES
from sandbox.mounts import unreadable
from sandbox.outcome import NOBODYS_FAULT, CollectedFile, Ending, Outcome, Refusal
from sandbox.owner import Owner, parse_owner, this_process
from sandbox.sanitise import one_line, sanitise
from sandbox.spec import Job, Output, Role

_GRACE_S = 300.0


@dataclass(frozen=True, slots=True)
class Script:
    """How a simulated container ends. `seconds` defaults to the wall clock for a timeout, else to 1."""

    ending: Ending = Ending.EXITED
    exit_code: int | None = 0
    log: str | bytes = ""
    seconds: float | None = None
    memory_peak_bytes: int | None = None
    detail: str = ""
    cpu: CpuUse | None = None
    gpu: GpuUse | None = None


Behaviour = Callable[[Job], Script | Outcome]
"""May write into `job.destination`. An `Outcome` is returned as it is."""


class Point(StrEnum):
    """Where a fault can be injected."""

    START = "start"
    """Nothing has run yet."""
    RUNNING = "running"
    """The container runs."""
    COLLECT = "collect"
    """It is dead; nothing has been collected."""
    BUILD = "build"
    IMAGE = "image"
    REAP = "reap"


class Crash(BaseException):
    """Injected at a point of `run`, it leaves the container and the volume behind, as `kill -9` of the runner does."""


@dataclass
class _Memory:
    images: dict[str, Image] = field(default_factory=dict)
    remnants: dict[str, Remnant] = field(default_factory=dict)


class FakeEngine:
    """See `sandbox.engine.Engine`. `jobs` and `builds` record all calls in order."""

    def __init__(
        self,
        behaviour: Behaviour = lambda _: Script(),
        *,
        owner: Owner | None = None,
        registry: Mapping[str, Image] | None = None,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`sleep` is called with the seconds of each container that ran."""
        self.gpu_answer: Callable[[Job], str | Outcome] = lambda job: gpu_check.answer(
            job.lease.gpu_uuid or ""
        )
        """What a container prints that looks for its GPU (`sandbox.gpu_check`)."""
        self.jobs: list[Job] = []
        self.builds: list[BuildContext] = []
        self._behaviour = behaviour
        self._owner = owner or this_process()
        self._registry = dict(registry or {})
        self._now, self._sleep = now, sleep
        self._memory = _Memory()
        self._contexts: dict[str, BuildContext] = {}
        self._faults: dict[Point, deque[BaseException | Ending]] = defaultdict(deque)

    def inject(self, point: Point, fault: BaseException | Ending) -> None:
        """The next call that reaches `point` raises `fault` or (points of `run` only) ends with it."""
        if isinstance(fault, Ending) and point not in {Point.START, Point.RUNNING, Point.COLLECT}:
            raise ValueError(f"only a container can end; inject an exception at {point}")
        self._faults[point].append(fault)

    def add_remnant(self, remnant: Remnant) -> None:
        """Add a remnant, as if another process had left it."""
        self._memory.remnants[remnant.id] = remnant

    def run(self, job: Job) -> Outcome:
        refuse_malformed(job)
        self.jobs.append(job)
        if found := unreadable(job.mounts):
            return _failed(Ending.REFUSED, found)
        if job.image not in self._memory.images:
            return _failed(Ending.REFUSED, f"there is no image {job.image}; run `autoresearch build`")
        names = self._create(job)
        if gpu_check.is_check(job):
            self._forget(names)
            said = self.gpu_answer(job)
            return said if isinstance(said, Outcome) else Outcome(Ending.EXITED, 0, 0.0, log_tail=said)
        before = set(job.destination.iterdir())
        try:
            outcome = self._live(job, before)
        except Crash:
            raise
        except BaseException:
            self._forget(names)
            raise
        self._forget(names)
        return outcome

    def _live(self, job: Job, before: set[Path]) -> Outcome:
        if (fault := self._fault(Point.START)) is not None:
            return _failed(fault, "injected at start")
        script = self._behaviour(job)
        if isinstance(script, Outcome):
            return script
        script = _monitored(job, script)
        self._sleep(_seconds(job, script))
        for point in (Point.RUNNING, Point.COLLECT):
            if (fault := self._fault(point)) is not None:
                _clear(job.destination, before)
                return _failed(fault, f"injected at {point}")
        if script.ending in NOBODYS_FAULT:
            _clear(job.destination, before)
            return _failed(script.ending, script.detail)
        files, refusals = _collect(job.destination, job.outputs)
        _clear(job.destination, before | {file.path for file in files.values()})
        killed = script.ending in {Ending.TIMED_OUT, Ending.STOPPED_EARLY, Ending.OUT_OF_MEMORY}
        return Outcome(
            ending=script.ending,
            exit_code=137 if killed else script.exit_code,
            seconds=_seconds(job, script),
            log_tail=sanitise(script.log),
            files=files,
            refusals=refusals,
            memory_peak_bytes=script.memory_peak_bytes,
            detail=script.detail,
            cpu=script.cpu,
            gpu=script.gpu,
        )

    def build(self, context: BuildContext, progress: Callable[[str], None] | None = None) -> Image:
        self._fault(Point.BUILD)
        self.builds.append(context)
        if progress:
            progress("built in memory")
        digest = hashlib.sha256(
            repr((context.dockerfile, context.target, sorted(context.labels.items()))).encode()
        )
        digest.update(repr(sorted(context.arguments.items())).encode())
        for name, content in sorted(context.files.items()):
            digest.update(name.encode() + b"\0")
            for block in _contents(content):
                digest.update(hashlib.sha256(block).digest())
        identifier = f"sha256:{digest.hexdigest()}"
        self._contexts[identifier] = context
        return self._store_image(Image(identifier, tuple(context.tags), dict(context.labels)))

    def pull(self, reference: str) -> Image:
        if reference not in self._registry:
            raise SandboxError(f"could not pull {reference}: no registry answers")
        return self._store_image(self._registry[reference])

    def import_root(self, folder: Path, tag: str) -> Image:
        return self._store_image(Image(f"sha256:{hashlib.sha256(str(folder).encode()).hexdigest()}", (tag,)))

    def image(self, reference: str) -> Image:
        self._fault(Point.IMAGE)
        for image in self._memory.images.values():
            if reference == image.id or reference in image.tags:
                return image
        raise ImageMissing(f"there is no image {reference}; run `autoresearch build`")

    def images(self, labels: Mapping[str, str]) -> Sequence[Image]:
        return [image for image in self._memory.images.values() if labels.items() <= image.labels.items()]

    @contextmanager
    def image_archive(self, image_id: str) -> Iterator[IO[bytes]]:
        """The files in the build context of an image that was built here."""
        self.image(image_id)
        with tempfile.TemporaryFile() as archive:
            archive.writelines(context_blocks(self._contexts.get(image_id, BuildContext("", {}))))
            archive.seek(0)
            yield archive

    def remove_image(self, image_id: str) -> None:
        self._memory.images.pop(image_id, None)

    def storage(self) -> Path | None:
        return None

    def remnants(self, run: str | None = None) -> Sequence[Remnant]:
        ours = [
            item
            for item in self._memory.remnants.values()
            if (owner := parse_owner(item.owner)) and owner.uid == self._owner.uid
        ]
        return [item for item in ours if run in {None, item.run}]

    def reap(
        self, *, now: float, everything_of_run: str | None = None, dry_run: bool = False
    ) -> Sequence[Remnant]:
        self._fault(Point.REAP)
        reaped = []
        for item in self.remnants():
            owner = parse_owner(item.owner)
            if everything_of_run is not None and item.run == everything_of_run:
                reaped.append(replace(item, reason="its run is over"))
            elif item.deadline < now:
                reaped.append(replace(item, reason="past its deadline"))
            elif owner is not None and owner.dead(engine_is_local=True):
                reaped.append(replace(item, reason="its owner is dead"))
        if not dry_run:
            self._forget([item.id for item in reaped])
        return reaped

    def _store_image(self, image: Image) -> Image:
        """Store an image. Other images lose the tags that it has."""
        for other in list(self._memory.images.values()):
            tags = tuple(tag for tag in other.tags if tag not in image.tags)
            self._memory.images[other.id] = replace(other, tags=tags)
        known = self._memory.images.get(image.id)
        merged = replace(image, tags=(*(known.tags if known else ()), *image.tags))
        self._memory.images[image.id] = merged
        return merged

    def _fault(self, point: Point) -> Ending | None:
        if not self._faults[point]:
            return None
        fault = self._faults[point].popleft()
        if isinstance(fault, Ending):
            return fault
        raise fault

    def _create(self, job: Job) -> list[str]:
        """The remnants that exist while the job runs: the container, its holder and the volume of /out."""
        names = []
        for kind, role in (("container", job.role), ("container", Role.HOLDER), ("volume", Role.HOLDER)):
            name = f"ar-{job.run}-{job.experiment}-{job.attempt}-{role}-{kind}-{len(self.jobs)}"
            deadline = self._now() + job.limits.wall_clock_s + _GRACE_S
            self.add_remnant(Remnant(kind, name, name, str(self._owner), deadline, job.run, str(role)))
            names.append(name)
        return names

    def _forget(self, names: Sequence[str]) -> None:
        for name in names:
            self._memory.remnants.pop(name, None)


def _seconds(job: Job, script: Script) -> float:
    if script.seconds is not None:
        return script.seconds
    return job.limits.wall_clock_s if script.ending is Ending.TIMED_OUT else 1.0


def _monitored(job: Job, script: Script) -> Script:
    """The script, ended early if the job's monitor says so after a line of its file."""
    path = job.destination / job.monitor.name if job.monitor else None
    if job.monitor is None or path is None or script.ending in NOBODYS_FAULT or _refusal(path, MOST_BYTES):
        return script
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        if why := one_line(job.monitor.see(line)):
            path.write_bytes(b"".join(lines[:number]))
            seconds = _seconds(job, script) * number / len(lines)
            return replace(script, ending=Ending.STOPPED_EARLY, seconds=seconds, detail=why)
    return script


def _collect(folder: Path, outputs: Sequence[Output]) -> tuple[dict[str, CollectedFile], dict[str, Refusal]]:
    """The rules of `sandbox.collect.PROGRAM`, applied in place."""
    files: dict[str, CollectedFile] = {}
    refusals: dict[str, Refusal] = {}
    for output in outputs:
        path = folder / output.name
        if refusal := _refusal(path, output.max_bytes):
            refusals[output.name] = refusal
            continue
        path.chmod(0o644)
        content = path.read_bytes()
        files[output.name] = CollectedFile(path, len(content), hashlib.sha256(content).hexdigest())
    return files, refusals


def _refusal(path: Path, cap: int) -> Refusal | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return Refusal.MISSING
    if stat.S_ISLNK(found.st_mode):
        return Refusal.SYMLINK
    if not stat.S_ISREG(found.st_mode):
        return Refusal.NOT_REGULAR
    if found.st_nlink != 1:
        return Refusal.HARD_LINKED
    if found.st_size > cap:
        return Refusal.TOO_LARGE
    return Refusal.SPARSE if found.st_blocks * 512 < found.st_size - 4096 else None


def _clear(folder: Path, keep: set[Path]) -> None:
    for path in set(folder.iterdir()) - keep:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _contents(content: bytes | Path) -> list[bytes]:
    if isinstance(content, bytes):
        return [content]
    if content.is_file():
        return [content.read_bytes()]
    return [
        os.fsencode(path.name) + path.read_bytes() for path in sorted(content.rglob("*")) if path.is_file()
    ]


def _failed(ending: Ending, detail: str) -> Outcome:
    return Outcome(ending=ending, exit_code=None, seconds=0.0, detail=detail)
