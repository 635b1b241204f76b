"""Verbs that take a kept experiment home: export, apply."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner import assemble
from runner import workspace as workspaces
from runner.cli.output import envelope
from runner.ledger import Ledger
from runner.workspace import config_from

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
RunId = Annotated[str | None, typer.Option("--run", help="Which run; the newest if not said.")]
Which = Annotated[str, typer.Argument(help="A kept experiment: its number, its tag, or best.")]


def export(
    which: Which,
    to: Annotated[Path, typer.Option(help="A new folder.")],
    run: RunId = None,
    json: Json = False,
) -> None:
    """Write a kept experiment's script, weights, graph, verdict and data manifest into a new folder."""
    from runner.kept import export as write
    from runner.kept import find
    from runner.yardstick import recorded

    ledger = Ledger(workspaces.find(Path.cwd()).ledger, read_only=True)
    experiment = find(ledger, which, run)
    settings = ledger.run(experiment.run).settings
    config = config_from(dict(settings["config"]))
    data = Path(config.data) if config.data else assemble.default_data(config.variant)
    hashes = write(experiment, to, data, recorded(settings).get("data"))
    if json:
        envelope("export", run=experiment.run, number=experiment.number, folder=str(to), sha256=hashes)
    else:
        for name, digest in hashes.items():
            print(f"{digest}  {to / name}")


def apply(
    which: Which,
    to: Annotated[Path | None, typer.Option(help="Another file than the workspace's train.py.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Keep a copy of changes that are saved nowhere.")
    ] = False,
    run: RunId = None,
    json: Json = False,
) -> None:
    """Make the workspace's train.py the one of a kept experiment."""
    from runner.kept import apply as put
    from runner.kept import find

    workspace = workspaces.find(Path.cwd())
    ledger = Ledger(workspace.ledger, read_only=True)
    experiment = find(ledger, which, run)
    done = put(experiment, to or workspace.script, ledger, force=force)
    if json:
        envelope(
            "apply",
            run=experiment.run,
            number=experiment.number,
            file=str(done.file),
            changed=done.changed,
            backup=str(done.backup) if done.backup else None,
        )
    else:
        kept = f"; what was there is in {done.backup}" if done.backup else ""
        what = "is now" if done.changed else "is already"
        print(f"{done.file} {what} the script of experiment {experiment.number}{kept}")
