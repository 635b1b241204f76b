"""The exception for a refused artifact: a closed reason (`judge.verdict.Reason`) and a detail that only the operator sees."""


class Refused(Exception):
    """`reason` is a value of `judge.verdict.Reason`. `detail` is cut to 200 characters."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail[:200]!r}")
        self.reason = reason
