"""Nothing is trained outside of the nightly window, nor what would not end inside it; a run waits, and holds no CPU or GPU meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from runner.durations import format_duration
from runner.nightly_window import NightlyWindow
from runner.search.endings import ASKED, TIME_BUDGET_EXHAUSTED
from runner.search.recorder import Recorder
from runner.search.slot_threads import Turn
from runner.search.time_budget import Budget

_LOOK_S = 5.0
"""How often a waiting run looks at the clock, which may jump, and for a request to end."""
CLOSED, OPEN = "window_closed", "window_open"
"""Events: a run begins to wait, and goes on."""


class EndedWhileClosed(Exception):
    """The search ends, for `reason`, while it waits for the window."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WindowGate:
    """Of one run; without a window it is always open. Its methods are called while the turn is held."""

    def __init__(
        self,
        window: NightlyWindow | None,
        recorder: Recorder,
        turn: Turn,
        budget: Budget,
        asked_to_end: Callable[[], bool],
    ) -> None:
        self._window, self._recorder, self._turn = window, recorder, turn
        self._budget, self._asked_to_end = budget, asked_to_end
        self._said: float | None = None

    def admits_training(self) -> bool:
        """Whether a training as long as the longest so far, judging included, would end before the window closes. One that takes more than
        half of the night would never begin otherwise, so half is enough."""
        if self._window is None:
            return True
        now = self._recorder.clock.time()
        needed = min(self._budget.longest_s, self._window.length_s / 2)
        until = self._window.open_until(now)
        return until is not None and until - now >= needed

    def wait(self) -> None:
        """Until a training may begin. Raises EndedWhileClosed."""
        while not self.passed():
            if not self._budget.allows_another():
                raise EndedWhileClosed(TIME_BUDGET_EXHAUSTED)

    def passed(self) -> bool:
        """Whether a training may begin; where none may, said some seconds later. Raises EndedWhileClosed when the run is asked to end."""
        if self.admits_training():
            if self._said is not None:
                self._said = None
                self._recorder.emit(OPEN)
            return True
        if self._asked_to_end():
            raise EndedWhileClosed(ASKED)
        self._say_until_when()
        with self._turn.given_up():
            self._recorder.clock.sleep(_LOOK_S)
        return False

    def _say_until_when(self) -> None:
        """Once, and again where the clock was set."""
        assert self._window is not None
        now = self._recorder.clock.time()
        until = self._window.opens_next(now)
        if self._said != until:
            self._said, opens = until, self._window.said(until)
            why = f"nothing is trained now: waiting for {opens} (in {format_duration(until - now)})"
            self._recorder.emit(CLOSED, until=until, opens=opens, why=why)
