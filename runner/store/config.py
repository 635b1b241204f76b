"""The keys of autoresearch.toml, with their defaults, types and paths."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from runner.durations import parse_duration
from runner.errors import UsageError
from runner.store.filesystem import relative

CONFIG = "autoresearch.toml"
LARGEST_NUMBER = 2**31 - 1
"""Of a seed, a count, a number in the configuration."""


_KINDS = {"str": "text in quotes", "int": "a whole number", "float": "a number", "bool": "true or false"}


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
    """Limit of the compile check (two steps of a new script, before its training), or "off" for no such check."""
    cpus: int = 0
    """CPUs per experiment; 0 means all that this process may use."""
    gpus: str = ""
    """GPU UUIDs, separated by commas; empty means none."""
    memory_gb: float = 6.0
    """Memory of one container, swap included."""
    pids: int = 512
    disk_gb: float = 50.0
    """Limit of one run's attempts and snapshots on the disk. Read again on --resume."""
    disk_floor_gb: float = 3.0
    """Free space that each disk must have before anything starts. Read again on --resume."""
    baseline_repeats: int = 3
    """How often the unchanged script runs first; the spread is the noise floor."""
    retests: int = 4
    """How often a promising script may run again."""
    early_stopping: bool = True
    """Whether a training whose own reports are hopeless is ended before its wall clock (docs/runner.md)."""
    judge_wall_clock: str = "2m"
    """Limit of each of the judge's two containers."""
    proposer: str = "gp"
    """gp, tpe, random, repeat, ablate, scripted:FOLDER, command:PROGRAM, llm or hybrid (docs/proposers.md)."""
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


def config_from(content: dict[str, Any]) -> Config:
    known = {field.name: field.type for field in fields(Config)}
    for name, value in content.items():
        if name not in known:
            raise UsageError(f"{CONFIG} has an unknown key {name!r}; known are {', '.join(known)}")
        kinds: dict[str, tuple[type, ...]] = {
            "str": (str,),
            "int": (int,),
            "float": (int, float),
            "bool": (bool,),
        }
        right = kinds[str(known[name])]
        if not isinstance(value, right) or (isinstance(value, bool) and bool not in right):
            raise UsageError(f"{CONFIG}: {name} must be {_KINDS[str(known[name])]}")
        if isinstance(value, str) and "\0" in value:
            raise UsageError(f"{CONFIG}: {name} holds a null character, which no path and no name can")
    if content.get("model") and "proposer" not in content:
        content = {**content, "proposer": "llm"}  # as --model does
    return Config(**content)


def default_toml(settings: Mapping[str, str | int]) -> str:
    """The file of a new workspace: every key with its default as a comment, those of `settings` set."""
    defaults = Config()
    lines = ["# Every key is optional; these are the defaults. Durations: 40s, 5m, 1h30m."]
    for field in fields(Config):
        value = settings.get(field.name, getattr(defaults, field.name))
        # JSON writes text, numbers and truth as TOML does
        text = json.dumps(value, ensure_ascii=False)
        lines.append(f"{'' if field.name in settings else '# '}{field.name} = {text}")
    return "\n".join(lines) + "\n"


def override(config: Config, **values: object) -> Config:
    """`config` with the options that were given on the command line."""
    return replace(config, **{name: value for name, value in values.items() if value not in {None, ""}})  # type: ignore[arg-type]
