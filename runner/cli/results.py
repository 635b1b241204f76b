"""Verbs about what was found: reproduce, report, plot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner import assemble
from runner import workspace as workspaces
from runner.cli.output import envelope, failed, number, say
from runner.errors import ReproduceMismatch, RunnerError
from runner.workspace import Config

if TYPE_CHECKING:
    from runner.road import Road

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
RunId = Annotated[str | None, typer.Option("--run", help="Which run; the newest if not said.")]


def reproduce(
    tag: Annotated[
        str, typer.Argument(help="A kept experiment's image tag, as `best` and `ls --json` show it.")
    ],
    exact: Annotated[
        bool, typer.Option("--exact", help="Play back the clock: the weights must be the same bytes.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="A prepared data set.")] = None,
    runtime: Annotated[
        str | None, typer.Option(help="An OCI runtime the engine knows: runsc for gVisor.")
    ] = None,
    json: Json = False,
) -> None:
    """Run a kept image again under the same limits and the same judge: PASS or FAIL."""
    from runner.cli.signals import signals
    from runner.reproduce import reproduce as again
    from runner.scratch import scratch

    try:
        config = workspaces.find(Path.cwd()).config()
    except RunnerError:
        config = Config()
    config = assemble.override(config, data=str(data.resolve()) if data else None, runtime=runtime)
    rooms = assemble.assemble(config)

    def road_for(image: str, wall_clock_s: float) -> Road:
        return replace(rooms.road, image=image, limits=replace(rooms.road.limits, wall_clock_s=wall_clock_s))

    say(f"running {tag} again under the same limits")
    with signals(), scratch("reproduce") as folder:
        found = again(
            rooms.engine,
            tag,
            road_for,
            folder / "again",
            exact=exact,
            manifest=rooms.data / "manifest.json",
        )
    verdict = "PASS" if found.passed else "FAIL"
    if json:
        envelope(
            "reproduce",
            tag=tag,
            verdict=verdict,
            recorded=found.recorded,
            measured=found.measured,
            band=found.band,
            exact=found.exact,
            weights_equal=found.weights_equal,
            outcome=str(found.trip.outcome),
        )
    else:
        weights = (
            "" if found.weights_equal is None else f"  weights {'equal' if found.weights_equal else 'differ'}"
        )
        print(
            f"{verdict}  recorded {number(found.recorded)}  now {number(found.measured)}  band ±{number(found.band)}{weights}"
        )
    if not found.passed:
        failed(
            ReproduceMismatch(
                f"{tag} did not come back: {found.trip.outcome} {found.trip.reason or ''}".rstrip()
            )
        )


def report(run: RunId = None, json: Json = False) -> None:
    """Write results.tsv, progress.png and report.html from the ledger."""
    from runner.ledger import Ledger
    from runner.report import write

    workspace = workspaces.find(Path.cwd())
    ledger = Ledger(workspace.ledger, read_only=True)
    paths = write(workspace, ledger, ledger.run(run).id)
    if json:
        envelope("report", **{name: str(path) for name, path in paths.items()})
    else:
        for path in paths.values():
            print(path)


def plot(
    out: Annotated[Path, typer.Option("-o", "--out", help="Where to.")] = Path("progress.png"),
    run: RunId = None,
) -> None:
    """Write progress.png alone."""
    from runner.ledger import Ledger
    from runner.report.plot import write_plot

    ledger = Ledger(workspaces.find(Path.cwd()).ledger, read_only=True)
    write_plot(out, ledger.experiments(ledger.run(run).id))
    print(out)
