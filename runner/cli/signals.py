"""Signals that end a verb cleanly."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from runner.cli.error_reporting import Stopped

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_S = 0.01


@contextmanager
def signals() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP end the current container, are written down, and give 130, 143 or 129. A second one
    ends at once; what is then left behind, the next start removes. Where SIGHUP is ignored (nohup), it stays ignored.

    An exception in a finaliser is dropped by Python (sys.unraisablehook): where a signal arrives in one, it is
    raised again a moment later.
    """

    def stop(received: int, _: FrameType | None) -> None:
        signal.signal(received, signal.SIG_DFL)
        raise Stopped(received)

    def dropped(unraisable: sys.UnraisableHookArgs) -> None:
        lost = unraisable.exc_value
        if not isinstance(lost, Stopped):
            hook(unraisable)
            return

        def again(*_: object) -> None:
            raise Stopped(lost.number)

        signal.signal(signal.SIGALRM, again)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)

    hook = sys.unraisablehook
    before = {name: signal.getsignal(name) for name in (*_ENDING, signal.SIGALRM)}
    sys.unraisablehook = dropped
    for name in _ENDING:
        if name is not signal.SIGHUP or before[name] is not signal.SIG_IGN:
            signal.signal(name, stop)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        sys.unraisablehook = hook
        for name, handler in before.items():
            signal.signal(name, handler)
