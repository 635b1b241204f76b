"""The errors shown to a user, each with its exit code. The message is one sentence that says what to do."""

from __future__ import annotations

from runner.exit_codes import ExitCode


class RunnerError(Exception):
    """Something that is not a bug. `exit_code` is explained in docs/exit-codes.md."""

    exit_code = ExitCode.UNEXPECTED
    kind = "unexpected"


class UsageError(RunnerError):
    exit_code = ExitCode.USAGE
    kind = "usage"


class PrerequisiteMissing(RunnerError):
    exit_code = ExitCode.PREREQUISITE
    kind = "prerequisite"


class NothingEvaluated(RunnerError):
    exit_code = ExitCode.NOTHING_EVALUATED
    kind = "nothing_evaluated"


class ReproduceMismatch(RunnerError):
    exit_code = ExitCode.REPRODUCE_MISMATCH
    kind = "reproduce_mismatch"


class CannotReproduce(RunnerError):
    exit_code = ExitCode.CANNOT_REPRODUCE
    kind = "cannot_reproduce"


class Inconclusive(RunnerError):
    exit_code = ExitCode.INCONCLUSIVE
    kind = "inconclusive"


class NotRunning(RunnerError):
    exit_code = ExitCode.NOT_RUNNING
    kind = "not_running"


class LlmBudgetExhausted(RunnerError):
    exit_code = ExitCode.MONEY_GONE
    kind = "money_gone"
