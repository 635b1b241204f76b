"""A user of its own for every job, so that no two containers share what the kernel counts per user.

Inotify instances, pipe pages, epoll watches, pending signals and message queues are counted per user, whatever the
container: with one "nonroot" user for all, a job could use up what other people's containers live on. The users come
from ranges that nobody hands out to people or services (https://systemd.io/UIDS-GIDS/ lists who hands out what), and a
job holds its user by an abstract socket of that name, which the kernel lets go of when this process dies.
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
    """One of `numbers` that no other job of this machine has, a user and its group, until the end of the `with`.

    Unless they are `remapped` to others on the host, those that mean somebody here are left alone. Raises NoUser.
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
    """The users that subuid(5) gives to somebody's containers."""
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
