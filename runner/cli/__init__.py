"""The command line. `main` is the entry point; every verb lives in the module of its noun."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb and exit with a documented code (docs/exit-codes.md). Never shows a traceback."""
    from runner.cli.process import refuse_nowhere, settle

    if arguments is None:
        settle()
    from runner.cli.app import app
    from runner.cli.failures import guarded

    words = list(sys.argv[1:] if arguments is None else arguments)

    def verb() -> object:
        refuse_nowhere()
        return app(args=words, prog_name="autoresearch", standalone_mode=False)

    sys.exit(guarded(verb, words))
