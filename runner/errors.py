"""The few errors a user can meet, each with its exit code. The message is one sentence that says what to do."""

from __future__ import annotations


class RunnerError(Exception):
    """Something that is not a bug. `exit_code` is documented in docs/exit-codes.md."""

    exit_code = 1
    kind = "unexpected"


class UsageError(RunnerError):
    exit_code = 2
    kind = "usage"


class PrerequisiteMissing(RunnerError):
    exit_code = 3
    kind = "prerequisite"


class NothingEvaluated(RunnerError):
    exit_code = 4
    kind = "nothing_evaluated"


class ReproduceMismatch(RunnerError):
    exit_code = 5
    kind = "reproduce_mismatch"


class CannotReproduce(RunnerError):
    exit_code = 6
    kind = "cannot_reproduce"


class Inconclusive(RunnerError):
    exit_code = 9
    kind = "inconclusive"


class NotRunning(RunnerError):
    exit_code = 8
    kind = "not_running"


class LlmBudgetExhausted(RunnerError):
    exit_code = 7
    kind = "money_gone"
