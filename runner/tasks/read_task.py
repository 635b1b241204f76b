"""Reads a task's folder and refuses, with one sentence, what is missing, unknown, contradictory or out of bounds."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.errors import UsageError
from runner.tasks import definition
from runner.tasks.definition import (
    CALIBRATION,
    DEFINITION,
    FIXED,
    START,
    Direction,
    Metric,
    Scorer,
    Stage,
    StageInput,
    Task,
)
from runner.tasks.toml_table import NAME, Table, is_file_name, is_inner_path
from sandbox.spec import MIB, Limits, Output

LARGEST_FILE = 200_000
"""Bytes of an editable file, which is also what a proposal may have."""
_LONGEST_S = 86_400.0
_MOST_FILES, _MOST_ENTRIES, _MOST_STAGES, _MOST_OUTPUTS = 16, 2000, 8, 16
_SPARE = 1 * MIB
"""Of /out beyond the outputs' sizes: so that a file that is too large is seen to be, and is not merely cut."""
_TOP = ("name", "summary", "files", "cpus", "packages", "metric", "stages", "scorer", "calibration")
_STAGE = ("name", "run", "arguments", "public", "hidden", "inputs", "outputs", "wall_clock", "memory_mb", "pids", "tmp_mb")  # fmt: skip


def read_task(folder: Path) -> Task:
    """Raises UsageError."""
    folder = folder.resolve()
    if not folder.is_dir():
        raise UsageError(f"there is no task folder {folder}; docs/tasks.md says what one holds")
    _refuse_links(folder)
    for name in (DEFINITION, definition.MEMO, definition.PREPARE, definition.EVALUATE):
        if not (folder / name).is_file():
            raise UsageError(f"{folder} has no {name}; docs/tasks.md says what it must hold")
    top = Table(_toml(folder / DEFINITION), DEFINITION, _TOP)
    if top.text("packages", ""):
        raise UsageError(
            f"{DEFINITION}: packages is not supported yet; use what the image has, or leave it out"
        )
    files = top.texts("files", most=_MOST_FILES)
    fixed = tuple(_files_of(folder / FIXED))
    _check_files(folder, files, fixed)
    stages = _stages(top.value("stages", list), (*files, *fixed))
    return Task(
        folder=folder,
        name=top.name("name"),
        summary=top.text("summary"),
        files=files,
        fixed=fixed,
        metric=_metric(top.value("metric", dict)),
        stages=stages,
        scorer=_scorer(top.value("scorer", dict, {})),
        cpus=top.integer("cpus", 1, 1024, 1),
        calibration=_calibration(folder, top.value("calibration", dict), files),
    )


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error


def _refuse_links(folder: Path) -> None:
    """Raises UsageError for what is neither a file nor a folder: a link could lead a private file into a stage."""
    count = 0
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path, count = Path(place, name), count + 1
            if count > _MOST_ENTRIES:
                raise UsageError(
                    f"{folder} holds more than {_MOST_ENTRIES:,} entries; a task is small, and prepare.py writes its data"
                )
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise UsageError(f"{path} is a link or a special file; put a copy of the file there")


def _files_of(folder: Path) -> list[str]:
    """Paths of all files below, as text; nothing where there is no folder. What Python leaves there is left out."""
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return [path.as_posix() for path in paths if "__pycache__" not in path.parts]


def _check_files(folder: Path, files: Sequence[str], fixed: Sequence[str]) -> None:
    if not files:
        raise UsageError(f"{DEFINITION}: files is missing or empty; name the files of {START}/")
    for name in (*files, *fixed):
        if not is_inner_path(name):
            raise UsageError(
                f"{DEFINITION}: {name!r} is no path inside {START}/ or {FIXED}/; use letters, digits, - _ . and no '..'"
            )
    there = _files_of(folder / START)
    for name in files:
        if name not in there:
            raise UsageError(f"{DEFINITION}: files names {name}, which is not in {START}/; add it there")
        if (size := (folder / START / name).stat().st_size) > LARGEST_FILE:
            raise UsageError(
                f"{START}/{name} has {size:,} bytes; an editable file has at most {LARGEST_FILE:,}"
            )
        if name in fixed:
            raise UsageError(f"{name} is in {START}/ and in {FIXED}/; remove one of them")
    if extra := [name for name in there if name not in files]:
        raise UsageError(
            f"{START}/ holds {extra[0]}, which files in {DEFINITION} does not name; name it, or move it to {FIXED}/"
        )


def _metric(content: Mapping[str, Any]) -> Metric:
    table = Table(content, f"{DEFINITION} [metric]", ("name", "direction", "unit", "worst"))
    direction = Direction(table.one_of("direction", [str(each) for each in Direction]))
    return Metric(table.name("name"), direction, table.text("unit", "", most=20), table.number("worst"))


def _scorer(content: Mapping[str, Any]) -> Scorer:
    table = Table(content, f"{DEFINITION} [scorer]", ("wall_clock", "memory_mb", "reasons", "details"))
    memory = table.integer("memory_mb", 64, 2**20, 1024) * MIB
    wall = table.seconds("wall_clock", _LONGEST_S, "1m")
    return Scorer(
        limits=Limits(wall_clock_s=wall, memory_bytes=memory, pids=64, out_bytes=16 * MIB, out_inodes=16),
        reasons=table.names("reasons"),
        details=table.names("details"),
    )


def _stages(content: Sequence[Any], runnable: Sequence[str]) -> tuple[Stage, ...]:
    if not 1 <= len(content) <= _MOST_STAGES:
        raise UsageError(
            f"{DEFINITION}: stages has {len(content)} entries; write 1 to {_MOST_STAGES} [[stages]]"
        )
    stages: list[Stage] = []
    for number, entry in enumerate(content, 1):
        if not isinstance(entry, dict):
            raise UsageError(f"{DEFINITION}: stages must be tables; begin each with [[stages]]")
        stage = _stage(Table(entry, f"{DEFINITION} stage {entry.get('name', number)!s:.40}", _STAGE), stages)
        if stage.run not in runnable:
            raise UsageError(
                f"{DEFINITION} stage {stage.name}: run names {stage.run}, which is neither in {START}/ nor in {FIXED}/"
            )
        stages.append(stage)
    return tuple(stages)


def _stage(table: Table, earlier: Sequence[Stage]) -> Stage:
    name = table.name("name")
    if name in [stage.name for stage in earlier]:
        raise table.wrong("name", "is that of an earlier stage; give each its own")
    outputs = _outputs(table)
    memory = table.integer("memory_mb", 16, 2**20, 1024) * MIB
    total = sum(output.max_bytes for output in outputs)
    if total + _SPARE > memory:
        raise table.wrong(
            "outputs",
            f"may have {total:,} bytes together, but /out counts as memory, of which there are {memory:,}; raise memory_mb",
        )
    limits = Limits(
        wall_clock_s=table.seconds("wall_clock", _LONGEST_S),
        memory_bytes=memory,
        pids=table.integer("pids", 1, 32768, 64),
        tmp_bytes=table.integer("tmp_mb", 1, 2**20, 64) * MIB,
        shm_bytes=64 * MIB,
        out_bytes=total + _SPARE,
        out_inodes=len(outputs) + 16,
    )
    return Stage(
        name=name,
        run=table.text("run"),
        arguments=table.texts("arguments", twice=True),
        public=table.flag("public"),
        hidden=table.names("hidden"),
        inputs=tuple(_input(table, text, earlier) for text in table.texts("inputs")),
        outputs=outputs,
        limits=limits,
    )


def _outputs(table: Table) -> tuple[Output, ...]:
    """A table of names and their largest sizes in bytes."""
    found = table.value("outputs", dict)
    if not 1 <= len(found) <= _MOST_OUTPUTS:
        raise table.wrong(
            "outputs", f"must name 1 to {_MOST_OUTPUTS} files, each with its largest size in bytes"
        )
    for name, size in found.items():
        if not is_file_name(name):
            raise table.wrong("outputs", f"names {name!r}; a plain file name in /out is meant")
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= 2**34:
            raise table.wrong(
                "outputs", f"gives {name} no size from 1 byte to 16 GiB, as a whole number of bytes"
            )
    return tuple(Output(name, size) for name, size in found.items())


def _input(table: Table, text: str, earlier: Sequence[Stage]) -> StageInput:
    stage, _, name = text.partition("/")
    known = {each.name: each for each in earlier}
    if stage not in known or name not in [output.name for output in known[stage].outputs]:
        raise table.wrong("inputs", f"names {text!r}; write STAGE/NAME of an output of an earlier stage")
    return StageInput(stage, name)


def _calibration(folder: Path, content: Mapping[str, Any], files: Sequence[str]) -> tuple[str, ...]:
    table = Table(content, f"{DEFINITION} [calibration]", ("order",))
    order = table.names("order")
    if len(order) < 2:
        raise table.wrong("order", "must name at least two submissions, from the worst score to the best")
    there = sorted(path.name for path in (folder / CALIBRATION).glob("*") if path.is_dir())
    for name in order:
        if name != START and name not in there:
            raise table.wrong("order", f"names {name}, but there is no folder {CALIBRATION}/{name}; make it")
    for name in there:
        if not NAME.fullmatch(name) or name not in order:
            raise table.wrong("order", f"does not name {CALIBRATION}/{name}; name it, or remove the folder")
        for file in _files_of(folder / CALIBRATION / name):
            if file not in files:
                raise UsageError(
                    f"{CALIBRATION}/{name} holds {file}, which no candidate may change; only {', '.join(files)} may be there"
                )
    return order
