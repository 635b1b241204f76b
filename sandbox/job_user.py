"""A separate user for every job, so that no two containers share what the kernel counts per user.

The kernel counts inotify instances, pipe pages, epoll watches, pending signals and message queues per user, across containers. With one
"nonroot" user for all, a job could use up what other people's containers need. The users come from ranges that are assigned to no
people or services (https://systemd.io/UIDS-GIDS/ lists the ranges). A job reserves its user by an abstract socket of that name, which the
kernel releases when this process dies.
"""

from __future__ import annotations

import pwd
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.engine import SandboxError

WIDE = range(2_100_000_000, 2_100_000_512)
"""Above the users of containers (systemd-nspawn: to 1,879,048,191) and of directories (SSSD: to 2,000,200,000)."""
NARROW = range(60_600, 61_112)
"""For engines with a user namespace of 65,536 users (remapped, rootless): beyond people and before DynamicUser."""
_SUBORDINATE = Path("/etc/subuid")


class NoUser(SandboxError):
    """Every user number is in use."""


@contextmanager
def claimed(numbers: range, *, remapped: bool, subordinate: Path = _SUBORDINATE) -> Iterator[int]:
    """One of `numbers` (user and group) that no other job of this machine has, until the end of the `with`.

    Unless the engine has `remapped` them, numbers of existing users of the host are not used. Raises NoUser.
    """
    taken = [] if remapped else _ranges(subordinate)
    start = secrets.randbelow(len(numbers))
    for number in (*numbers[start:], *numbers[:start]):
        if any(number in span for span in taken) or (not remapped and _known(number)):
            continue
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lock:
            try:
                lock.bind(f"\0autoresearch-uid-{number}")
            except OSError:
                continue
            yield number
            return
    raise NoUser(
        f"all users from {numbers.start} to {numbers.stop - 1} are in use: end other runs, or free the numbers"
    )


def _known(number: int) -> bool:
    try:
        pwd.getpwuid(number)
    except KeyError:
        return False
    return True


def _ranges(file: Path) -> list[range]:
    """The users that subuid(5) assigns to somebody's containers."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        match line.split(":"):
            case [_, start, count] if start.isdecimal() and count.isdecimal():
                found.append(range(int(start), int(start) + int(count)))
    return found
