"""Runs one untrusted stage: a fresh container that sees copies of exactly what the stage declares.

Everything mounted is copied for this container alone. Two stages that could read the same file would share its place in the page cache,
and an encoder could tell its decoder the data by which pages it has read. (The seccomp profile of the role takes away the queries of
the page cache; a copy leaves nothing to query.) The copies are removed when the container is dead.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.tasks.definition import FIXED, Stage, Task
from runner.tasks.preparation import PreparedData
from sandbox.engine import Engine
from sandbox.mounts import make_folder, write_file
from sandbox.outcome import Outcome
from sandbox.spec import Job, Lease, Mount, Role

PYTHON = "/opt/venv/bin/python"


@dataclass(frozen=True, slots=True)
class Case:
    """One candidate in one evaluation. `files` are its editable files, `folder` is the evaluation's: inputs and outputs of the stages
    lie below."""

    run: str
    experiment: str
    attempt: int
    lease: Lease
    seed: int
    files: Mapping[str, bytes]
    folder: Path

    def outputs(self, stage: str) -> Path:
        """Where the copies of a stage's outputs are."""
        return self.folder / "outputs" / stage


def run_stage(
    engine: Engine, image: str, task: Task, data: PreparedData, stage: Stage, case: Case
) -> Outcome:
    """`image` is the candidate image's content id. What the container does is in the outcome."""
    case.outputs(stage.name).mkdir(parents=True, mode=0o755)
    with _inputs(task, data, stage, case) as mounts:
        return engine.run(
            Job(
                run=case.run,
                experiment=case.experiment,
                attempt=case.attempt,
                role=Role.STAGE,
                image=image,
                command=(PYTHON, "-s", "-B", "-u", f"/work/{stage.run}", *stage.arguments),
                limits=stage.limits,
                lease=case.lease,
                destination=case.outputs(stage.name),
                mounts=mounts,
                outputs=stage.outputs,
                environment=_environment(stage, case.seed),
            )
        )


def _environment(stage: Stage, seed: int) -> dict[str, str]:
    return {
        "AUTORESEARCH_SEED": str(seed),
        "AUTORESEARCH_WALL_CLOCK": f"{stage.limits.wall_clock_s:g}",
        "AUTORESEARCH_STAGE": stage.name,
        "AUTORESEARCH_OUTPUTS": json.dumps({output.name: output.max_bytes for output in stage.outputs}),
        "PYTHONHASHSEED": str(seed % 2**32),
        "JAX_PLATFORMS": "cpu",
    }


@contextmanager
def _inputs(task: Task, data: PreparedData, stage: Stage, case: Case) -> Iterator[tuple[Mount, ...]]:
    """The stage's files, in a folder that is removed afterwards."""
    top = case.folder / "inputs"
    try:
        make_folder(top)
        yield tuple(_assemble(task, data, stage, case, top))
    finally:
        shutil.rmtree(top, ignore_errors=True)


def _assemble(task: Task, data: PreparedData, stage: Stage, case: Case, top: Path) -> Iterator[Mount]:
    work, public, inputs, stages = (top / name for name in ("work", "public", "inputs", "stages"))
    make_folder(work)
    write_files(work, {name: (task.folder / FIXED / name).read_bytes() for name in task.fixed})
    write_files(work, case.files)
    yield Mount(work, "/work")
    if stage.public:
        _copy(data.public, public)
        yield Mount(public, "/public")
    if stage.hidden:
        make_folder(inputs)
        for name in stage.hidden:
            _copy(data.hidden(name), inputs / name)
        yield Mount(inputs, "/inputs")
    if stage.inputs:
        make_folder(stages)
        for item in stage.inputs:
            if not (stages / item.stage).is_dir():
                make_folder(stages / item.stage)
            _copy(case.outputs(item.stage) / item.name, stages / item.stage / item.name)
        yield Mount(stages, "/stages")


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files by their paths in `folder`, readable for a container."""
    for name, content in files.items():
        path = folder / name
        for parent in reversed(path.relative_to(folder).parents[:-1]):
            if not (folder / parent).is_dir():
                make_folder(folder / parent)
        write_file(path, content)


def _copy(source: Path, target: Path) -> None:
    """A file or a folder, under new inodes, readable for a container."""
    if source.is_dir():
        make_folder(target)
        for path in sorted(source.iterdir()):
            _copy(path, target / path.name)
    else:
        shutil.copyfile(source, target, follow_symlinks=False)
        target.chmod(0o644)
