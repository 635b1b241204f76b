"""The one way to say no: a closed word (judge/verdict.py `Reason`), and a detail that only the operator sees."""


class Refused(Exception):
    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
