"""All verbs, in one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from runner.cli import (
    apply,
    best,
    build,
    calibrate,
    data,
    diff,
    doctor,
    export,
    gc,
    init,
    logs,
    ls,
    plot,
    report,
    reproduce,
    resume,
    run,
    sandbox,
    show,
    status,
    stop,
    try_script,
    watch,
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # 30 ms, and asked for here alone

        from runner.resources import build_commit

        commit = build_commit()
        print(f"autoresearch {version('autoresearch-sandboxed')}" + (f" ({commit})" if commit else ""))
        raise typer.Exit


@app.callback()
def common(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print which version this is."
        ),
    ] = False,
) -> None:
    """Search for a better training script overnight: sandboxed, judged from outside, repeatable."""


_VERBS: dict[str, Callable[..., None]] = {
    "init": init.init,
    "doctor": doctor.doctor,
    "build": build.build,
    "run": run.run,
    "try": try_script.try_,
    "status": status.status,
    "watch": watch.watch,
    "stop": stop.stop,
    "resume": resume.resume,
    "ls": ls.ls,
    "show": show.show,
    "logs": logs.logs,
    "diff": diff.diff,
    "best": best.best,
    "reproduce": reproduce.reproduce,
    "export": export.export,
    "apply": apply.apply,
    "gc": gc.gc,
    "calibrate": calibrate.calibrate,
    "report": report.report,
    "plot": plot.plot,
}
for name, verb in _VERBS.items():
    app.command(name)(verb)
app.add_typer(data.data_app, name="data")
app.add_typer(sandbox.sandbox_app, name="sandbox")
