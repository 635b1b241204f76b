"""The exit codes of every command, as docs/exit-codes.md explains them. A signal's is 128 plus its number."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    PREREQUISITE = 3
    NOTHING_EVALUATED = 4
    REPRODUCE_MISMATCH = 5
    CANNOT_REPRODUCE = 6
    MONEY_GONE = 7
    NOT_RUNNING = 8
    INCONCLUSIVE = 9
    STOPPED = 130
    """By Ctrl-C."""
