"""The keys of autoresearch.toml, with their defaults, types and paths."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from runner.errors import UsageError
from runner.store.config_checks import problem
from runner.store.filesystem import relative
from runner.suggestions import unknown

CONFIG = "autoresearch.toml"
LARGEST_NUMBER = 2**31 - 1
"""Of a seed, a count, a number in the configuration."""


_KINDS = {"str": "text in quotes", "int": "a whole number", "float": "a number", "bool": "true or false"}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
}


@dataclass(frozen=True, slots=True)
class Config:
    """What `autoresearch.toml` may say. Every field has a default; an unknown key is refused by name. What each may hold is in
    `config_checks`, what it means to a user in docs/configuration.md."""

    data: str = ""
    """Folder of the prepared data set; empty means the default one."""
    variant: str = "auto"
    """Which images: auto (what the driver needs), cpu, cuda12 or cuda13."""
    runtime: str = ""
    """OCI runtime of the engine, for example "runsc"; empty means the engine's default."""
    wall_clock: str = "5m"
    """Hard limit of one training, from container start to SIGKILL; imports and compilation count."""
    compile_check: str = "off"
    """Limit of the compile check (two steps of a new script, before its training), or "off" for no such check."""
    cpus: int = 0
    """CPUs per experiment; 0 means all that this process may use, on a GPU at most 8."""
    gpus: str = "auto"
    """auto (GPUs if there are any), all, none, a number of them, or a list with commas: "0,2", "GPU-…,MIG-…" (docs/gpus.md)."""
    memory_gb: float = 0.0
    """Memory of one container, swap included; 0 means 6, on a GPU a share of this machine's."""
    pids: int = 512
    disk_gb: float = 50.0
    """Limit of one run's attempts and snapshots on the disk. Read again on --resume."""
    disk_floor_gb: float = 3.0
    """Free space that each disk must have before anything starts. Read again on --resume."""
    baseline_repeats: int = 3
    """How often the unchanged script runs first; the spread is the noise floor."""
    between: str = ""
    """The nightly window in which scripts are trained, "20:00-08:00" of the machine's local time; empty means always."""
    courtesy: bool = False
    """Whether a GPU, or a set of CPUs, is offered between two trainings to another run that waits for it."""
    parallel: int = 0
    """Trainings at once; 0 means one on CPUs, and on GPUs as many as there are GPUs."""
    retests: int = 4
    """How often a promising script may run again."""
    early_stopping: bool = True
    """Whether a training whose own reports are hopeless is ended before its wall clock (docs/runner.md)."""
    judge_wall_clock: str = "2m"
    """Limit of each of the judge's three containers."""
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


OPTIONS = {
    "data": "--data",
    "runtime": "--runtime",
    "wall_clock": "--wall-clock",
    "compile_check": "--compile-check",
    "gpus": "--gpus",
    "between": "--between",
    "courtesy": "--courtesy",
    "parallel": "--parallel",
    "early_stopping": "--no-early-stopping",
    "proposer": "--proposer",
    "model": "--model",
    "fallback_models": "--fallback-model",
    "api_base": "--api-base",
    "price_in": "--price-in",
    "price_out": "--price-out",
    "cost_tracking": "--cost-tracking",
    "llm_timeout": "--llm-timeout",
}
"""The options of `run` that take the place of a key."""
READ_ON_RESUME = ("disk_gb", "disk_floor_gb")
"""Keys that --resume reads from the file again, since a disk belongs to the machine and not to the search. All others stay what
they were when the run was started."""


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


def config_from(content: Mapping[str, Any]) -> Config:
    """What the file says. Raises UsageError for an unknown key and for a value that makes no sense."""
    config = recorded_config(content)
    for name in content:
        if why := problem(name, getattr(config, name)):
            raise UsageError(f"{CONFIG}: {name}: {why}")
    if bool(config.price_in) != bool(config.price_out):
        raise UsageError(f"{CONFIG}: price_in and price_out belong together")
    return config


def recorded_config(content: Mapping[str, Any]) -> Config:
    """What a run was started with, as the ledger has it: not looked at again, so that a run of an older version goes on. Raises
    UsageError for an unknown key and for a value of another type."""
    known = {field.name: str(field.type) for field in fields(Config)}
    for name, value in content.items():
        if name not in known:
            raise UsageError(f"{CONFIG}: {unknown('key', name, known)}")
        right = _TYPES[known[name]]
        if not isinstance(value, right) or (isinstance(value, bool) and bool not in right):
            raise UsageError(f"{CONFIG}: {name} must be {_KINDS[known[name]]}")
        if isinstance(value, str) and "\0" in value:
            raise UsageError(f"{CONFIG}: {name} holds a null character, which no path and no name can")
    if content.get("model") and "proposer" not in content:
        content = {**content, "proposer": "llm"}  # as --model does
    return Config(**content)


def default_toml(settings: Mapping[str, str | int]) -> str:
    """The file of a new workspace: every key with its default as a comment, those of `settings` set."""
    defaults = Config()
    lines = [
        "# Every key is optional; these are the defaults. Durations: 40s, 5m, 1h30m. docs/configuration.md says what each means."
    ]
    for field in fields(Config):
        value = settings.get(field.name, getattr(defaults, field.name))
        # JSON writes text, numbers and truth as TOML does
        text = json.dumps(value, ensure_ascii=False)
        lines.append(f"{'' if field.name in settings else '# '}{field.name} = {text}")
    return "\n".join(lines) + "\n"


def override(config: Config, **values: Any) -> Config:
    """`config` with the options that were given on the command line; None is one that was not. Raises UsageError."""
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        if why := problem(name, value):
            raise UsageError(f"{OPTIONS[name]}: {why}")
    return replace(config, **given)
