"""The command line. `main` is the entry point; `app` lists the verbs, each in a module of its name, and loads the one
that is asked for.

A verb reads its options, calls one function of the packages below, and prints: data on stdout, progress on stderr. It decides
nothing and holds no state. What several verbs share is in `options`, `output`, `error_reporting` and `experiment_rows`.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb and exit with a documented code (docs/exit-codes.md). Never shows a traceback."""
    from runner.cli.startup import settle

    if arguments is None:
        settle()
    from runner.cli.error_reporting import guarded

    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a title may hold what the terminal's encoding has not
            stream.reconfigure(errors="backslashreplace")

    def verb() -> object:
        from runner.cli.app import program

        result = program(words)(args=words, prog_name="autoresearch", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # what cannot be written is said here, and not by the interpreter's end
        return result

    sys.exit(guarded(verb, words))
