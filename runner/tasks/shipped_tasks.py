"""The tasks that come with this project, and tasks by name or folder."""

from __future__ import annotations

from pathlib import Path

from runner.errors import UsageError
from runner.tasks.definition import DEFINITION, Task
from runner.tasks.read_task import read_task

_SHIPPED = Path(__file__).with_name("shipped")


def shipped() -> list[Task]:
    """By name."""
    return [read_task(path.parent) for path in sorted(_SHIPPED.glob(f"*/{DEFINITION}"))]


def named(word: str) -> Task:
    """The shipped task of this name, else the task in this folder. Raises UsageError."""
    if (_SHIPPED / word / DEFINITION).is_file():
        return read_task(_SHIPPED / word)
    if not Path(word).is_dir():
        names = ", ".join(task.name for task in shipped())
        raise UsageError(
            f"{word} is neither a shipped task ({names}) nor a folder; docs/tasks.md says what a task's folder holds"
        )
    return read_task(Path(word))
