"""Something that is looked at again and again, on a thread of its own, while something else is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def periodically(look: Callable[[], None], every_s: float) -> Iterator[None]:
    """Call `look` every `every_s` seconds, first after so long, until the end of the `with`; no call is under way after it."""
    over = threading.Event()

    def looking() -> None:
        while not over.wait(every_s):
            look()

    thread = threading.Thread(target=looking, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
