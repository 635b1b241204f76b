"""Several trainings at once: a thread for each slot, of which one at a time decides and writes.

A slot's thread runs the same code as a run with one slot. It holds the `Turn` while it looks at what the run knows, decides and
writes, and gives it up while it waits for a container, a proposer or an engine. So every decision rests on all that was recorded
before it, whatever order trainings end in. What a free slot does next is decided in `search.loop`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from runner.search.background import Start, in_thread

T = TypeVar("T")


class Ended(BaseException):
    """The run ends, so this slot's thread does nothing more. A BaseException, so that no `except Exception` goes on instead."""


class Turn:
    """`with turn` waits for it; raises Ended once the run ends."""

    def __init__(self) -> None:
        self._lock, self.ended = threading.Lock(), False

    def __enter__(self) -> Turn:
        self._lock.acquire()
        if self.ended:
            self._lock.release()
            raise Ended
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @contextmanager
    def given_up(self) -> Iterator[None]:
        """For others, while this thread waits for something."""
        self._lock.release()
        try:
            yield
        finally:
            try:
                self._lock.acquire()
            except BaseException:  # a signal's: whoever gave it up has it again, whatever happens
                self._lock.acquire()
                raise
        if self.ended:
            raise Ended


class InOrder:
    """Work that is done one after the other, in the order in which its places were taken, while others have the turn."""

    def __init__(self, turn: Turn) -> None:
        self._turn, self._waiting, self._changed = turn, deque[object](), threading.Condition()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Taken while the turn is held; inside the `with` it is given up."""
        place = object()
        self._waiting.append(place)
        try:
            with self._turn.given_up():
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting[0] is place)
                if self._turn.ended:  # what should have been done before this has failed
                    raise Ended
                yield
        finally:
            with self._changed:
                self._waiting.remove(place)
                self._changed.notify_all()


class Slots:
    """`count` of them. `abandon` ends what still runs when one thread has failed or a signal came: the others' containers."""

    def __init__(
        self,
        count: int,
        turn: Turn,
        *,
        start: Start = in_thread,
        abandon: Callable[[], None] = lambda: None,
    ) -> None:
        self.count, self.turn, self._start, self._abandon = count, turn, start, abandon
        self._this_thread = threading.local()
        self._failing = threading.Lock()
        self._failure: BaseException | None = None

    @property
    def mine(self) -> int:
        """The number of the slot that this thread works for, from 0."""
        return int(getattr(self._this_thread, "slot", 0))

    def at_once(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """The results of `jobs`, at most as many as there are slots; called while the turn is held. Each job has the turn when it
        begins. Raises what the first to fail raised, once the others have ended, too."""
        assert len(jobs) <= self.count
        if len(jobs) == 1:
            return [jobs[0]()]
        with self.turn.given_up():
            waits: list[Callable[[], T]] = []
            try:
                waits += [self._start(self._in_turn(slot, job)) for slot, job in enumerate(jobs)]
                results = [found for wait in waits for found in self._result(wait)]
            except BaseException as error:  # a signal's: the slots end before this thread goes on
                self._fail(error)
                for wait in waits:
                    self._result(wait)
            if self._failure is not None:
                raise self._failure
            return results

    def _in_turn(self, slot: int, job: Callable[[], T]) -> Callable[[], T]:
        def work() -> T:
            self._this_thread.slot = slot
            try:
                with self.turn:
                    return job()
            except Ended:
                raise
            except BaseException as error:
                self._fail(error)
                raise

        return work

    def _fail(self, error: BaseException) -> None:
        """The first failure ends all slots at once, whichever is waited for."""
        with self._failing:
            if self._failure is not None:
                return
            self._failure, self.turn.ended = error, True
        self._abandon()

    def _result(self, wait: Callable[[], T]) -> list[T]:
        """Empty for a slot that did not come to its end."""
        try:
            return [wait()]
        except BaseException as error:
            if isinstance(error, Ended) or error is self._failure or self._failure is not None:
                return []
            raise
