"""A workspace: `program.md`, `train.py`, `autoresearch.toml`, and `.autoresearch/` with the ledger and the artifacts."""

from __future__ import annotations

import shlex
import shutil
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from runner import own_files
from runner.durations import parse_duration
from runner.errors import UsageError
from runner.places import relative
from runner.reader.facts import MAX_NOTES_CHARS

CONFIG = "autoresearch.toml"
STATE = ".autoresearch"
LARGEST_NUMBER = 2**31 - 1
"""Of a seed, a count, a number in the configuration."""
_BOM = b"\xef\xbb\xbf"
_KINDS = {"str": "text in quotes", "int": "a whole number", "float": "a number"}
_TEMPLATES = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Config:
    """What `autoresearch.toml` may say. Every field has a default; an unknown key is refused by name."""

    data: str = ""
    """Folder of the prepared data set; empty means the default one."""
    variant: str = "cpu"
    """Which images: cpu, cuda12 or cuda13."""
    runtime: str = ""
    """OCI runtime of the engine, for example "runsc"; empty means the engine's default."""
    wall_clock: str = "5m"
    """Hard limit of one training, from container start to SIGKILL; imports and compilation count."""
    compile_check: str = "off"
    """Longest time that two steps of a new script may take before its wall clock begins, or "off" for no such check."""
    cpus: int = 0
    """CPUs per experiment; 0 means all that this process may use."""
    gpus: str = ""
    """GPU UUIDs, separated by commas; empty means none."""
    memory_gb: float = 6.0
    """Memory of one container, swap included."""
    pids: int = 512
    disk_gb: float = 50.0
    """What one run may hold on the disk: attempts and snapshots. Read again on --resume."""
    disk_floor_gb: float = 3.0
    """Where a disk has less left than this nothing begins. Read again on --resume."""
    baseline_repeats: int = 3
    """How often the unchanged script runs first; the spread is the noise floor."""
    retests: int = 4
    """How often a promising script may run again before it must be clear."""
    judge_wall_clock: str = "2m"
    """Limit of each of the judge's two containers."""
    proposer: str = "tpe"
    """tpe, random, repeat, ablate, scripted:FOLDER, command:PROGRAM, llm or hybrid (docs/proposers.md)."""
    model: str = ""
    """Of the llm and hybrid proposers, as litellm names it: provider/name; llm is the default once there is one. Keys come
    from the environment."""
    fallback_models: str = ""
    """Asked in this order when the model fails, separated by commas."""
    api_base: str = ""
    """URL of a server of your own that speaks the provider's protocol; empty means the provider's."""
    price_in: str = ""
    """Dollars per million prompt tokens of `model`; empty means litellm's own table."""
    price_out: str = ""
    """Dollars per million completion tokens of `model`."""
    cost_tracking: str = "on"
    """"off" when calls cost nothing, or somebody else counts."""
    llm_timeout: str = "3m"
    """Longest wait for one answer."""
    max_output_tokens: int = 16000
    """Longest answer, thinking included."""
    repairs: int = 1
    """How often a script that crashed may be mended by its author."""

    def __post_init__(self) -> None:
        durations = ["wall_clock", "judge_wall_clock", "llm_timeout"]
        for name in durations if self.compile_check == "off" else [*durations, "compile_check"]:
            try:
                parse_duration(getattr(self, name))
            except UsageError as error:
                raise UsageError(f"{name}: {error}") from error
        if self.baseline_repeats < 2:
            raise UsageError(f"{CONFIG}: baseline_repeats must be at least 2, or there is no noise floor")
        if self.cost_tracking not in {"on", "off"}:
            raise UsageError(f'{CONFIG}: cost_tracking is "on" or "off"')
        if self.repairs < 0 or self.max_output_tokens < 256:
            raise UsageError(f"{CONFIG}: repairs must not be negative, max_output_tokens at least 256")
        if not 0 < self.disk_gb < float("inf") or not 0 <= self.disk_floor_gb < float("inf"):
            raise UsageError(
                f"{CONFIG}: disk_gb must be above 0 and disk_floor_gb not below it, in gigabytes"
            )
        if largest := [
            f.name for f in fields(self) if f.type == "int" and getattr(self, f.name) > LARGEST_NUMBER
        ]:
            raise UsageError(f"{CONFIG}: {largest[0]} must be at most {LARGEST_NUMBER}")
        if self.retests < 0 or self.cpus < 0:
            raise UsageError(f"{CONFIG}: retests and cpus must not be negative")
        if not 0 < self.memory_gb < LARGEST_NUMBER or self.pids < 16:
            raise UsageError(f"{CONFIG}: memory_gb must be more than 0, pids at least 16")


@dataclass(frozen=True, slots=True)
class Workspace:
    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / STATE

    @property
    def ledger(self) -> Path:
        return self.state / "ledger.db"

    @property
    def script(self) -> Path:
        return self.folder / "train.py"

    @property
    def notes(self) -> Path:
        """What the agent writes down for itself."""
        return self.folder / "NOTES.md"

    @property
    def memo(self) -> Path:
        return self.folder / "program.md"

    def config(self) -> Config:
        """Raises UsageError for what is not TOML, not a known key or not of its type."""
        path = self.folder / CONFIG
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            return Config()
        except (
            ValueError,
            RecursionError,
        ) as error:  # also of a number too long, or brackets too deep, for the parser
            raise UsageError(f"{path} is not TOML: {error}") from error
        return config_from(from_workspace(content, self.folder))

    def read_notes(self) -> str:
        """Its beginning, as long as what a model may write there: a prompt with more could not be paid for."""
        return _text(self.notes, MAX_NOTES_CHARS)

    def read_memo(self) -> str:
        return _text(self.memo)

    def write_notes(self, text: str) -> None:
        """What a person wrote there is set aside (runner.own_files)."""
        own_files.put(self.state, self.notes, (text.rstrip() + "\n").encode(errors="replace"))

    def attempts(self, run: str, number: int) -> Path:
        return self.state / "experiments" / run / f"{number:04d}"


def _text(path: Path, most: int = -1) -> str:
    """The first `most` characters of a plain file; nothing where there is none, since a pipe would be waited for, for ever."""
    try:
        if not path.is_file():
            return ""
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return file.read(most)
    except OSError:
        return ""


def from_workspace(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The values of a Config with their paths as they are from here: in the file and in the ledger they begin at `folder`."""
    return _paths(config, lambda path: str(folder / path))


def to_workspace(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """As the ledger keeps them: paths inside the workspace `folder` begin there, so that it may be moved."""
    return _paths(config, lambda path: relative(Path(path), folder))


def _paths(config: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    changed = dict(config)
    if isinstance(data := config.get("data"), str) and data:
        changed["data"] = change(data)
    if isinstance(proposer := config.get("proposer"), str):
        changed["proposer"] = with_path(proposer, change)
    return changed


def with_path(proposer: str, change: Callable[[str], str]) -> str:
    """The proposer with the path it names changed: the folder of scripted:FOLDER, the program of command:./PROGRAM."""
    name, _, argument = proposer.partition(":")
    if name == "scripted" and argument:
        return f"{name}:{change(argument)}"
    if name == "command":
        program, *words = argument.split(" ", 1)
        if "/" in program and not set(program) & set("'\"\\"):  # else it is looked for in $PATH, or quoted
            return " ".join([f"{name}:{_program(change(program))}", *words])
    return proposer


def _program(path: str) -> str:
    """A path that is taken neither for several words nor for a name in $PATH."""
    return shlex.quote(path if "/" in path else f"./{path}")


def read_script(path: Path) -> bytes:
    """A training script without the byte order mark that some editors put first. Raises UsageError for what is no file that
    can be read, holds nothing, or is no UTF-8 text for its zeros."""
    if path.exists() and not path.is_file():  # a pipe would be waited for, for ever
        raise UsageError(
            f"{path} is {'a folder' if path.is_dir() else 'no regular file'}; name a training script"
        )
    try:
        source = path.read_bytes().removeprefix(_BOM)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if not source.strip():
        raise UsageError(f"{path} is empty; `autoresearch init DIR` writes one to begin with")
    if source.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(f"{path} is UTF-16; save it as UTF-8")
    return source


def config_from(content: dict[str, Any]) -> Config:
    known = {field.name: field.type for field in fields(Config)}
    for name, value in content.items():
        if name not in known:
            raise UsageError(f"{CONFIG} has an unknown key {name!r}; known are {', '.join(known)}")
        right: tuple[type, ...] = {"str": (str,), "int": (int,), "float": (int, float)}[str(known[name])]
        if not isinstance(value, right) or isinstance(value, bool):
            raise UsageError(f"{CONFIG}: {name} must be {_KINDS[str(known[name])]}")
        if isinstance(value, str) and "\0" in value:
            raise UsageError(f"{CONFIG}: {name} holds a null character, which no path and no name can")
    if content.get("model") and "proposer" not in content:
        content = {**content, "proposer": "llm"}  # as --model does
    return Config(**content)


def find(start: Path) -> Workspace:
    """The workspace `start` is in. Raises UsageError."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / CONFIG).is_file():
            return Workspace(folder)
    raise UsageError(
        "this is no workspace (no autoresearch.toml here or above); make one with `autoresearch init DIR`"
    )


def create(folder: Path) -> Workspace:
    """A new workspace. Nothing that is there is overwritten: raises UsageError."""
    for name in ("program.md", "train.py", CONFIG):
        if (folder / name).exists():
            raise UsageError(f"{folder / name} exists already; choose another folder or move it away")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_TEMPLATES / "program.md", folder / "program.md")
    shutil.copyfile(_TEMPLATES / "trainer_jax" / "train.py", folder / "train.py")
    (folder / CONFIG).write_text(_toml())
    workspace = Workspace(folder.resolve())
    open_state(workspace)
    return workspace


def open_state(workspace: Workspace) -> None:
    """The folder for ledger and artifacts: private to its owner, and not git's business."""
    workspace.state.mkdir(mode=0o700, exist_ok=True)
    if not (
        ignored := workspace.state / ".gitignore"
    ).exists():  # the folder may be a link to one of the user's
        ignored.write_text("*\n")


def _toml() -> str:
    defaults = Config()
    lines = ["# Every key is optional; these are the defaults. Durations: 40s, 5m, 1h30m."]
    for field in fields(Config):
        value = getattr(defaults, field.name)
        lines.append(
            f"# {field.name} = {value!r}" if not isinstance(value, str) else f'# {field.name} = "{value}"'
        )
    return "\n".join(lines) + "\n"
