"""A task's pipeline on the real engine."""

from __future__ import annotations

from pathlib import Path

from runner.images.build import Images
from runner.tasks.definition import Task
from runner.tasks.evaluation import TaskPipeline
from runner.tasks.preparation import prepared
from sandbox.engine import Engine
from sandbox.lease import CpuLeases


def real_pipeline(task: Task, cache: Path, engine: Engine, images: Images, seed: int = 7) -> TaskPipeline:
    data = prepared(task, cache, seed=seed)
    return TaskPipeline(engine, images.candidate.id, images.judge.id, CpuLeases(task.cpus), task, data)
