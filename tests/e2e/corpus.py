"""The attack corpus: what each script says must come of it, and the one pipeline that evaluates all of them.

The pipeline is the one of `autoresearch try` (check, sandbox, collect, judge), driven in this process over one connection:
a command for each script would spend most of its time on imports. The limits are a small machine's.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from docker.errors import NotFound
from engine_resources import Meter

from judge.heldout import load
from judge.judge import Judge, JudgeLimits
from runner.data.tokenizer import load_tokenizer
from runner.evaluation.pipeline import OUTPUTS, Ids
from runner.evaluation.setup import Environment, set_up
from runner.parsing import client as parser
from runner.parsing.static_check import check
from runner.protocols import Evaluation, EvaluationOutcome
from runner.store.config import Config
from sandbox import job_user
from sandbox.docker_engine import DockerEngine
from sandbox.spec import MIB, Limits

ATTACKS = Path(__file__).parents[1] / "attacks"
GROUPS = ("resources", "lifecycle", "files", "metric", "escape", "llm")
HONEST = ATTACKS / "honest.py"
WALL_CLOCK_S, JUDGE_S = 25.0, 60.0
MEMORY, PIDS = 1024 * MIB, 128
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
KEPT = {
    "train.py",
    "log.txt",
    "document_nats.npy",
    "document_bytes.npy",
    "position_nats.npy",
    *(output.name for output in OUTPUTS),
}
CANDIDATE = job_user.WIDE[0]
"""One of the users that attacks run as."""
ENGINE_PROCESSES = ("dockerd", "containerd")
_DISK_BYTES, _PROCESSES = 256 * MIB, 60
_SETTLING_S = 10.0
MORE_BYTES = {"dockerd": 64 * MIB, "containerd": 32 * MIB, "shim": 32 * MIB, "runner": 128 * MIB}
"""How much a process may grow while an attack is on. Seen: 6, 1, 14 and 13; with the log driver `local` dockerd grew by
1,000 MiB in three seconds of empty lines."""
ENGINE_CPU_S = 4.0
"""Of dockerd, containerd and all shims together, for all containers of one attack. Seen: 0.2 where nothing is judged,
0.6 where it is; with the log driver `local` 12."""


def scripts(group: str) -> list[Path]:
    return sorted((ATTACKS / group).glob("*.py"))


@dataclass(frozen=True)
class Expected:
    """The words of a script's first line: `# EXPECT: outcome=... [reason=] [wall=] [judge=] [says=] [exact=yes] ...`."""

    outcomes: frozenset[str]
    """Usually one; more only where the kernel decides which."""
    reason: str | None = None
    wall: float | None = None
    judge: float = JUDGE_S
    says: tuple[str, ...] = ()
    """What must be in the log: that the attack was made, and held. `_` stands for a space."""
    exact: bool = False
    """The score is that of constant logits, to the last digit that the manifest gives: no recorded score is worse."""
    at_most: float = math.inf
    """Seconds of training."""


def expected(script: Path) -> Expected:
    first = script.read_text().splitlines()[0]
    assert first.startswith("# EXPECT: "), f"{script.name} does not say what must come of it"
    words = dict(word.split("=", 1) for word in first.removeprefix("# EXPECT: ").split())
    found = Expected(
        outcomes=frozenset(words.pop("outcome").split(",")),
        reason=words.pop("reason", None),
        wall=float(words.pop("wall")) if "wall" in words else None,
        judge=float(words.pop("judge", JUDGE_S)),
        says=tuple(word.replace("_", " ") for word in words.pop("says", "").split(",") if word),
        exact=words.pop("exact", "no") == "yes",
        at_most=float(words.pop("at_most", math.inf)),
    )
    assert not words, f"{script.name} says what nobody reads: {words}"
    assert found.outcomes <= {str(outcome) for outcome in EvaluationOutcome}, found
    return found


def uniform_bpb(dataset: Path) -> float:
    """Bits per byte of guessing every token evenly, on val."""
    manifest = json.loads((dataset / "manifest.json").read_text())
    val = manifest["splits"]["val"]
    return math.log2(manifest["vocab_size"]) * (val["tokens"] - val["documents"]) / val["bytes"]


@dataclass
class Arena:
    """One pipeline, and the names of everything that the engine made for it."""

    environment: Environment
    dataset: Path
    containers: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    layers: list[Path] = field(default_factory=list)
    """Where the engine keeps what each container changed of its image."""

    @classmethod
    def open(cls, dataset: Path) -> Arena:
        config = Config(cpus=1)
        arena = cls(set_up(config, data=dataset, wall_clock_s=WALL_CLOCK_S), dataset)
        engine = arena.environment.engine
        assert isinstance(engine, DockerEngine)
        create_container, create_volume = (
            engine.client.create_container_from_config,
            engine.client.create_volume,
        )

        def container(config: Any, name: str) -> Any:
            answer = create_container(config, name)
            arena.containers.append(answer["Id"])
            report = engine.client.inspect_container(answer["Id"])
            arena.layers += [Path(path) for path in layers_of(report)]
            return answer

        def volume(name: str, **options: Any) -> Any:
            arena.volumes.append(name)
            return create_volume(name, **options)

        engine.client.create_container_from_config = container
        engine.client.create_volume = volume
        return arena

    @property
    def client(self) -> Any:
        return self.environment.engine.client  # type: ignore[attr-defined]

    def evaluate(self, source: bytes, expectation: Expected, folder: Path) -> Evaluation:
        checked = check(source, parser.shared())
        if checked.rejection is not None:
            return Evaluation(
                EvaluationOutcome.REJECTED, str(checked.rejection), None, 0.0, 0, "", None, "", folder
            )
        limits = Limits(
            wall_clock_s=expectation.wall or WALL_CLOCK_S,
            memory_bytes=MEMORY,
            pids=PIDS,
            out_bytes=64 * MIB,
            tmp_bytes=64 * MIB,
            shm_bytes=64 * MIB,
        )
        judge = Judge(
            self.environment.engine,
            self.environment.images.judge.id,
            {"val": load(self.dataset, "val")},
            limits=JudgeLimits(wall_clock_s=expectation.judge, memory_bytes=MEMORY),
        )
        pipeline = replace(self.environment.pipeline, limits=limits, judge=judge)
        return pipeline.evaluate(source, Ids(f"attack-{secrets.token_hex(4)}", "0", 1), seed=0, folder=folder)

    def passages(self) -> list[str]:
        """Hexadecimal: one of the training tokens, then hidden ones as tokens and as text, and the hidden documents' own list."""
        table = load_tokenizer(self.dataset / "train" / "tokenizer.json")
        train = (self.dataset / "train" / "tokens.bin").read_bytes()
        found = [train[2000:2064]]
        for split in ("val", "test"):
            folder = self.dataset / "heldout" / split
            tokens = (folder / "tokens.bin").read_bytes()
            found += [tokens[at : at + 64] for at in (2, len(tokens) // 4 * 2, len(tokens) - 64)]
            found.append(np.load(folder / "document_bytes.npy").tobytes()[:64])
            starts = np.flatnonzero(np.frombuffer(tokens, "<u2") == table.bos_id)[:6]
            for ids in (np.frombuffer(tokens, "<u2")[start + 1 : start + 40] for start in starts):
                found.append(b"".join(table.tokens[token] for token in ids if token != table.bos_id))
        return [passage.hex() for passage in found]

    @property
    def socket_path(self) -> str:
        """Of an engine on this machine; there is no other way to see its processes."""
        endpoint = self.environment.engine.endpoint  # type: ignore[attr-defined]
        return str(endpoint.url.removeprefix("unix://"))

    @contextlib.contextmanager
    def nothing_left(self) -> Iterator[None]:
        """No container, volume, layer or process of what was made inside the `with`; disk and process table as before,
        and the engine took no more than it may.

        Others may fill or clear the same disk meanwhile, so where the engine's own folders can be read it is asked what
        an attack could have left there or in a temporary folder, and not how much of the disk is free.
        """
        containers, volumes = len(self.containers), len(self.volumes)
        disk, processes = self._held(), _process_count()
        with Meter(self.socket_path, lambda: self.containers[containers:]).measuring() as meter:
            yield
        made = self.containers[containers:]
        for kind, names, look in (
            ("container", made, self.client.inspect_container),
            ("volume", self.volumes[volumes:], self.client.inspect_volume),
        ):
            for name in names:
                with contextlib.suppress(NotFound):
                    raise AssertionError(f"a {kind} is left: {look(name)}")
        if found := spent(meter):
            raise TooMuchSpent("; ".join(found))
        assert _in_cgroups_of(made) == []
        assert [layer for layer in self.layers if layer.exists()] == []
        end = time.monotonic() + _SETTLING_S
        while time.monotonic() < end:
            lost, more = self._held() - disk, _process_count() - processes
            if lost < _DISK_BYTES and more < _PROCESSES:
                return
            time.sleep(0.2)
        raise AssertionError(f"{lost} bytes of the host's disk and {more} processes are not back")

    def _held(self) -> int:
        """Bytes of the host's disk and memory that are, or may be, an attack's."""
        root = Path(self.client.info()["DockerRootDir"])
        if not os.access(
            root / "containers", os.R_OK | os.X_OK
        ):  # not root: all that can be seen is the whole disk
            found = os.statvfs(root if root.is_dir() else "/")
            return -found.f_bavail * found.f_frsize
        ours = [root / "containers", root / "volumes"]
        for shared in {Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/dev/shm")}:
            with contextlib.suppress(OSError):
                ours += [path for path in shared.iterdir() if _may_be_an_attacks(path)]
        return sum(map(_bytes_below, ours)) + _bytes_of_open_files_without_a_name(ENGINE_PROCESSES)


class TooMuchSpent(AssertionError):
    """A process that the attack made work took more than it may. The engine's own processes work for everybody: beside
    another test with the engine this may be the other's doing."""


def spent(meter: Meter) -> list[str]:
    """What took more than it may, one phrase each: of memory by process, of CPU the engine's processes together."""
    found = [
        f"{name} grew by {meter.more_bytes(name) / MIB:.0f} MiB, of at most {most / MIB:.0f}"
        for name, most in MORE_BYTES.items()
        if meter.more_bytes(name) > most
    ]
    if (cpu_s := meter.cpu_s("dockerd", "containerd", "shim")) > ENGINE_CPU_S:
        found.append(f"the engine took {cpu_s:.1f} s of CPU, of at most {ENGINE_CPU_S:.0f}")
    return found


def layers_of(report: dict[str, Any]) -> list[str]:
    data = (report.get("GraphDriver") or {}).get("Data") or {}
    return [data[name] for name in ("UpperDir", "WorkDir") if data.get(name)]


def _may_be_an_attacks(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.name.startswith("autoresearch-") or path.lstat().st_uid in (
            *job_user.WIDE,
            *job_user.NARROW,
        )
    return False


def _bytes_below(path: Path) -> int:
    """What it takes of the disk it is on; no link is followed, and what is mounted below it does not count."""
    with contextlib.suppress(OSError):  # others come and go while we look
        found = path.lstat()
        size = found.st_blocks * 512
        if stat.S_ISDIR(found.st_mode):
            for below in path.iterdir():
                if not below.is_mount():
                    size += _bytes_below(below)
        return size
    return 0


def _bytes_of_open_files_without_a_name(names: tuple[str, ...]) -> int:
    """What the engine's processes keep open although it was removed."""
    size = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "comm").read_text().strip().startswith(names):
                for descriptor in (folder / "fd").iterdir():
                    found = descriptor.stat()
                    size += (
                        found.st_blocks * 512 if found.st_nlink == 0 and stat.S_ISREG(found.st_mode) else 0
                    )
    return size


def _process_count() -> int:
    return sum(name.isdigit() for name in os.listdir("/proc"))


def _in_cgroups_of(containers: list[str]) -> list[str]:
    """Host processes in a cgroup of one of these containers, alive or not."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            groups = (folder / "cgroup").read_text()
            if any(container in groups for container in containers):
                found.append(f"{folder.name}: {(folder / 'cmdline').read_bytes()[:200]!r}")
    return found
