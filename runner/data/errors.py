"""What is wrong with which file, in one sentence."""

from __future__ import annotations

from runner.errors import PrerequisiteMissing


class DataError(PrerequisiteMissing):
    """The data cannot be used; the message names the file and says what to do."""
