"""Work on a thread of its own, whose result is waited for later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Start(Protocol):
    """Starts work in the background and returns a function that waits for its result."""

    def __call__(self, work: Callable[[], T]) -> Callable[[], T]: ...


def in_thread(work: Callable[[], T]) -> Callable[[], T]:
    """On a daemon thread: a run that is stopped does not wait for a model. The wait raises what the work raised."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="autoresearch-background", daemon=True)
    thread.start()

    def wait() -> T:
        while thread.is_alive():
            thread.join(1.0)  # signals are answered between the seconds
        if errors:
            raise errors[0]
        return results[0]

    return wait
