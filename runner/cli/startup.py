"""Repairs a process's closed standard streams and non-UTF-8 locale, before anything else."""

from __future__ import annotations

import codecs
import locale
import os
import sys


def settle() -> None:
    """Text is UTF-8 whatever the locale, and the three standard streams are open whatever the caller closed.

    Python decides about text when it starts (PEP 540), so in another locale this process begins again, as itself. A closed
    stream would be given to the next file or socket that is opened, which then gets what was meant for a terminal.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
    sys.stdin = sys.stdin or open(0)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w")  # noqa: SIM115
    if not sys.flags.utf8_mode and codecs.lookup(locale.getpreferredencoding(False)).name != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
