"""All verbs, in one table."""

from __future__ import annotations

from collections.abc import Callable

import typer

from runner.cli import clear, noise, prepare, read, results, running, sandboxes, search, take

app = typer.Typer(
    help="Search for a better training script overnight: sandboxed, judged from outside, repeatable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_VERBS: dict[str, Callable[..., None]] = {
    "init": prepare.init,
    "doctor": prepare.doctor,
    "build": prepare.build,
    "run": search.run,
    "try": search.try_,
    "status": read.status,
    "watch": running.watch,
    "stop": running.stop,
    "resume": running.resume,
    "ls": read.ls,
    "show": read.show,
    "logs": read.logs,
    "diff": read.diff,
    "best": read.best,
    "reproduce": results.reproduce,
    "export": take.export,
    "apply": take.apply,
    "gc": clear.gc,
    "calibrate": noise.calibrate,
    "report": results.report,
    "plot": results.plot,
}
for name, verb in _VERBS.items():
    app.command(name)(verb)
app.add_typer(prepare.data_app, name="data")
app.add_typer(sandboxes.sandbox_app, name="sandbox")
