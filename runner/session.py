"""One `autoresearch run`, from the lock on the workspace to the report at the end."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from runner import display as displays
from runner import report
from runner.budget import Budget
from runner.clock import SystemClock
from runner.durations import format_duration
from runner.errors import UsageError
from runner.ledger import Ledger, lock
from runner.loop import Loop, Settings
from runner.protocols import Event
from runner.workspace import Config, Workspace, config_from, open_state


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said about this one session. Times in seconds."""

    budget_s: float
    max_experiments: int | None
    resume: bool
    seed: int
    judge_guess_s: float


def session(workspace: Workspace, config: Config, options: Options, *, display: str) -> None:
    """Search in `workspace`. A resumed run keeps the settings it was started with; only budget and count are new."""
    open_state(workspace)
    clock = SystemClock()
    with lock(workspace.state):
        ledger = Ledger(workspace.ledger)
        try:
            if options.resume:
                run = ledger.run()
                config = config_from(json.loads(json.dumps(run.settings["config"])))
                ledger.reopen_run(run.id)
            else:
                settings = {"config": asdict(config)}
                ledger.start_run(
                    _new_id(clock.time()), now=clock.time(), seed=options.seed, settings=settings
                )
                run = ledger.run()
            with displays.make(display, workspace, ledger, run.id, options.budget_s) as show:
                _search(workspace, config, options, ledger, run.id, clock, show)
        finally:
            ledger.close()


def _search(
    workspace: Workspace,
    config: Config,
    options: Options,
    ledger: Ledger,
    run_id: str,
    clock: SystemClock,
    show: Callable[[Event], None],
) -> None:
    from runner.assemble import assemble
    from runner.keeping import Keeper
    from runner.proposers import make_proposer

    run = ledger.run(run_id)
    rooms = assemble(config)
    expected = rooms.road.limits.wall_clock_s + options.judge_guess_s
    if not options.resume and options.budget_s < (config.baseline_repeats + 1) * expected:
        needed = format_duration((config.baseline_repeats + 1) * expected)
        ledger.finish_run(run_id, now=clock.time(), reason="budget too small")
        raise UsageError(
            f"a budget of {format_duration(options.budget_s)} is too small: the baseline runs {config.baseline_repeats} "
            f"times before the first proposal; give at least {needed} or a shorter --wall-clock"
        )
    budget = Budget(
        options.budget_s,
        spent_s=run.spent_s,
        expected_s=expected,
        clock=clock,
        persist=lambda seconds: ledger.spend(run_id, seconds),
    )
    loop = Loop(
        run=run_id,
        seed=run.seed,
        workspace=workspace,
        ledger=ledger,
        road=rooms.road,
        proposer=make_proposer(config.proposer, seed=run.seed),
        keeper=Keeper(rooms.road, rooms.images.candidate, rooms.data, workspace.folder, clock),
        budget=budget,
        settings=Settings(
            baseline_repeats=config.baseline_repeats,
            retests=config.retests,
            max_experiments=options.max_experiments,
        ),
        clock=clock,
        emit=show,
    )
    loop.emit("launch", run=run_id, budget_s=options.budget_s, wall_clock_s=rooms.road.limits.wall_clock_s)
    reason = "stopped"
    try:
        reason = loop.go()
    except Exception as error:
        reason = f"failed: {error}"
        raise
    finally:
        budget.charge(0.0)
        ledger.finish_run(run_id, now=clock.time(), reason=reason)
        written = report.write(workspace, ledger, run_id)
        loop.emit("done", run=run_id, reason=reason, **{name: str(path) for name, path in written.items()})


def _new_id(now: float) -> str:
    """A name a person can say, and that no other workspace's run has: image tags and labels carry it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-") + secrets.token_hex(2)
