"""What is wrong with which file, in one sentence."""

from __future__ import annotations

from pathlib import Path

from runner.errors import PrerequisiteMissing


class DataError(PrerequisiteMissing):
    """The data cannot be used; the message names the file and says what to do."""


def missing(folder: Path) -> str:
    """What to do where a data set was to be and is not."""
    return (
        f"there is no prepared data in {folder}; `autoresearch data prepare` makes the default data (with --demo that of a demonstration), "
        "`autoresearch data prepare --dataset PATH` your own and prints the folder to give with --data"
    )
