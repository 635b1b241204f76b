"""The one way to say no: a closed word (judge/verdict.py `Reason`), and a detail that only the operator sees."""


class Refused(Exception):
    """`reason` is a value of `judge.verdict.Reason`; `detail` is at most 200 characters of it."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail[:200]!r}")
        self.reason = reason
