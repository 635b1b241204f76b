"""A signal ends a verb wherever it arrives."""

from __future__ import annotations

import os
import signal
import sys
import time
import weakref

import pytest

from runner.cli.error_reporting import Stopped, guarded
from runner.cli.signals import signals


class Thing:
    pass


def hit() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.01)


def test_a_signal_is_an_exit_code() -> None:
    def verb() -> None:
        with signals():
            hit()
            time.sleep(5)

    assert guarded(verb, []) == 143


def test_a_signal_that_arrives_in_a_finaliser_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    hook, handlers = sys.unraisablehook, [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGALRM)]

    def verb() -> None:
        with signals():
            thing = Thing()
            weakref.finalize(thing, hit)
            del thing
            time.sleep(5)

    with pytest.raises(Stopped) as stopped:
        verb()
    assert stopped.value.number == signal.SIGTERM
    assert "Traceback" not in capfd.readouterr().err
    assert sys.unraisablehook is hook
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGALRM)] == handlers


def test_no_except_exception_swallows_a_signal() -> None:
    def verb() -> None:
        with signals():
            try:
                hit()
                time.sleep(5)
            except Exception:
                pass

    with pytest.raises(Stopped):
        verb()


def test_what_else_a_finaliser_drops_is_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_type))

    def broken() -> None:
        raise ValueError

    with signals():
        thing = Thing()
        weakref.finalize(thing, broken)
        del thing
    assert told == [ValueError]


def test_under_nohup_the_end_of_the_terminal_ends_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals():
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.05)
    finally:
        signal.signal(signal.SIGHUP, before)
