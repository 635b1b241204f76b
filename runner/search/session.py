"""One `autoresearch run`, from the lock on the workspace to the report at the end."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.clock import SystemClock
from runner.display import factory as displays
from runner.durations import format_duration, parse_duration
from runner.errors import LlmBudgetExhausted, NothingEvaluated, PrerequisiteMissing, UsageError
from runner.evaluation.device_selection import CPU
from runner.nightly_window import TimeInside, parse_window
from runner.protocols import LLM_BUDGET_EXHAUSTED, Event, Notice, Proposer
from runner.report import write_report
from runner.scoring.claim_text import closing_sentence
from runner.scoring.comparability import changed, measured_with, recorded
from runner.search.endings import explanation, nothing_trained
from runner.search.loop import Loop, Settings
from runner.search.stop_request import StopRequest
from runner.search.time_budget import Budget
from runner.store.config import READ_ON_RESUME, Config, recorded_config
from runner.store.copied_workspace import home_of, require_at_home
from runner.store.ledger import Ledger
from runner.store.llm_budget import Caps
from runner.store.records import Run
from runner.store.workspace import Workspace, open_state
from runner.store.workspace_lock import lock
from sandbox.engine import SandboxError
from sandbox.owner import this_process
from sandbox.sanitise import one_line

if TYPE_CHECKING:
    from runner.llm.metered_client import MeteredClient

BUDGET_S = 8 * 3600.0


@dataclass(frozen=True, slots=True)
class Options:
    """The command line's options for one session. Times in seconds."""

    budget_s: float | None
    """None: what the run was started with, 8 hours where that was not said."""
    max_experiments: int | None
    """Of a resumed run, None leaves the limit it had."""
    resume: bool
    seed: int
    judge_guess_s: float
    max_usd: float | None = None
    """What an LLM may cost in the whole run; of a resumed run, None leaves the limit it had."""
    max_tokens: int | None = None
    call: bool = True
    """Whether a language model is asked something small before anything is trained."""
    run: str | None = None
    """The one to be resumed; None is the newest."""
    unheld_limits: bool = False
    """Run even where the engine does not enforce the limits that were asked of it."""


def session(workspace: Workspace, config: Config, options: Options, *, display: str) -> str:
    """Search in `workspace`; returns why it ended. A resumed run keeps the settings it was started with, budget, count
    and limits of money too where `options` names no others. Raises LlmBudgetExhausted when that is what ended it, NothingEvaluated
    when none of its proposals could be trained."""
    displays.refuse_unknown(display)
    open_state(workspace)
    clock = SystemClock()
    with lock(workspace.state), StopRequest(workspace.state, this_process()) as request:
        ledger = Ledger(workspace.ledger, check=True)
        try:
            if options.resume:
                run = ledger.run(options.run)
                require_at_home(workspace.ledger, run.id, run.settings)
                now = workspace.config()
                config = replace(
                    recorded_config(run.settings["config"]),
                    **{name: getattr(now, name) for name in READ_ON_RESUME},
                )
                if recorded(run.settings).get("device") == CPU:  # the machine may have GPUs by now
                    config = replace(config, gpus="none")
                caps = _caps(options, run.settings)
                _require_proposer(config, caps)
                options = _with_previous_limits(options, run.settings)
                ledger.change_settings(
                    run.id, {**run.settings, **asdict(caps), **_extent(options), **home_of(workspace.ledger)}
                )
                ledger.reopen_run(run.id)
                run = ledger.run(run.id)
            else:
                caps = _caps(options, {})
                _require_proposer(config, caps)
                options = _with_previous_limits(options, {})
                settings = {"config": asdict(config), **asdict(caps), **_extent(options)}
                settings |= home_of(workspace.ledger)
                ledger.start_run(
                    _new_id(clock.time()), now=clock.time(), seed=options.seed, settings=settings
                )
                run = ledger.run()
            assert options.budget_s is not None
            try:
                with displays.make(display, ledger, run.id, options.budget_s) as show:
                    reason = _search(workspace, config, options, caps, ledger, run.id, clock, show, request)
            except BaseException as error:  # else the verbs that read would show a run without an end
                if ledger.run(run.id).finished_at is None:
                    why = f"refused: {error}" if isinstance(error, Exception) else "stopped"
                    ledger.finish_run(run.id, now=clock.time(), reason=why)
                raise
            if reason == LLM_BUDGET_EXHAUSTED:
                raise LlmBudgetExhausted(_llm_budget_sentence(ledger, run.id, caps))
            if why := nothing_trained(ledger.experiments(run.id), reason, config.proposer):
                raise NothingEvaluated(why)
            return reason
        finally:
            ledger.close()


def _search(
    workspace: Workspace,
    config: Config,
    options: Options,
    caps: Caps,
    ledger: Ledger,
    run_id: str,
    clock: SystemClock,
    show: Callable[[Event], None],
    request: StopRequest,
) -> str:
    from runner.evaluation.setup import set_up
    from runner.results.promotion import Promotion
    from runner.search.disk_budget import DiskBudget
    from runner.search.preflight import preflight
    from runner.store.disk_floor import written_folders

    run = ledger.run(run_id)
    environment = set_up(config, waiting=lambda why: loop.recorder.emit("waiting", why=why))
    assert options.budget_s is not None
    expected = environment.pipeline.limits.wall_clock_s + options.judge_guess_s
    if not options.resume and options.budget_s < (config.baseline_repeats + 1) * expected:
        needed = format_duration((config.baseline_repeats + 1) * expected)
        ledger.finish_run(run_id, now=clock.time(), reason="budget too small")
        raise UsageError(
            f"a budget of {format_duration(options.budget_s)} is too small: the baseline runs {config.baseline_repeats} "
            f"times before the first proposal; give at least {needed} or a shorter --wall-clock"
        )
    window = parse_window(config.between, clock.zone) if config.between else None
    if window is not None and (why := window.too_short_for(expected)):
        ledger.finish_run(run_id, now=clock.time(), reason="window too short")
        raise UsageError(f"--between {config.between} {why}")
    other_images = _record_measured_with(
        ledger, run, measured_with(environment.data, environment.images, environment.devices.model), clock
    )
    if not options.unheld_limits and (why := environment.unenforced_limits()):
        ledger.finish_run(run_id, now=clock.time(), reason="limits are not held")
        raise PrerequisiteMissing(f"{why}; --unsafe-unheld-limits runs all the same")
    try:
        preflight(
            environment.pipeline, environment.images.candidate, workspace.folder, workspace.state, run_id
        )
    except (PrerequisiteMissing, SandboxError):
        ledger.finish_run(run_id, now=clock.time(), reason="something it needs is missing")
        raise
    budget = Budget(
        options.budget_s,
        spent_s=run.spent_s,
        expected_s=expected,
        clock=TimeInside(window, clock) if window else clock,
        persist=lambda seconds: ledger.spend(run_id, seconds),
        slots=environment.devices.slots,
    )
    disk = DiskBudget(
        environment.engine,
        run_id,
        workspace.attempts(run_id, 0).parent,
        environment.images.candidate.bytes,
        written_folders(environment.engine, workspace.state),
        config.disk_gb,
        config.disk_floor_gb,
        lambda: ledger.index(run_id),
    )
    proposer, metered = _proposer(
        config,
        caps,
        ledger,
        run,
        clock,
        tell=lambda notice: loop.recorder.emit(notice.kind, **dict(notice.data)),
        to_end=request.is_made,
    )

    def end_containers() -> None:
        with suppress(SandboxError):  # what the engine could not remove while it was away
            environment.engine.reap(now=clock.time(), everything_of_run=run_id)

    loop = Loop(
        run=run_id,
        seed=run.seed,
        workspace=workspace,
        ledger=ledger,
        pipeline=environment.pipeline,
        proposer=proposer,
        promotion=Promotion(
            environment.pipeline,
            environment.images.candidate,
            environment.data,
            workspace.folder,
            clock,
            environment.conditions,
        ),
        budget=budget,
        settings=Settings(
            baseline_repeats=config.baseline_repeats,
            retests=config.retests,
            early_stopping=config.early_stopping,
            courtesy=config.courtesy,
            max_experiments=options.max_experiments,
        ),
        clock=clock,
        emit=show,
        asked_to_end=request.is_made,
        require_space=disk.check,
        slots=environment.devices.slots,
        abandon=end_containers,
        window=window,
    )
    loop.recorder.emit(
        "launch",
        run=run_id,
        budget_s=options.budget_s,
        wall_clock_s=environment.pipeline.limits.wall_clock_s,
        owner=str(this_process()),
        devices=environment.devices.sentence,
        **disk.facts(),
    )
    is_open = window is None or window.open_until(clock.time()) is not None
    if is_open and (why := environment.busy()):
        loop.recorder.emit("busy", why=why)
    if other_images:
        loop.recorder.emit("images_changed", images=other_images)
    reason = "stopped"
    try:
        asks = metered if loop.over() is None else None  # no paid call for a run that is over
        if asks is not None and _check_models(asks, workspace, budget, clock, call=options.call):
            reason = LLM_BUDGET_EXHAUSTED
        else:
            reason = loop.go()
    except Exception as error:
        reason = f"failed: {error}"
        raise
    finally:
        budget.charge(0.0)
        end_containers()
        ledger.finish_run(run_id, now=clock.time(), reason=reason)
        written = _write_report(workspace, ledger, run_id, loop)
        spent = ledger.spent(run_id)
        money = {"cost_usd": round(spent.usd, 6), "tokens": spent.tokens} if spent.calls else {}
        files = {name: str(path) for name, path in written.items()}
        experiments = ledger.experiments(run_id)
        claim = closing_sentence(experiments, ledger.confirmations(run_id))
        why = explanation(experiments, reason, config.proposer)
        loop.recorder.emit("done", run=run_id, reason=reason, explanation=why, claim=claim, **money, **files)
    return reason


def _write_report(workspace: Workspace, ledger: Ledger, run: str, loop: Loop) -> Mapping[str, Path]:
    """Write the report and return its files. A report that cannot be written is an event, not an error of the run."""
    try:
        return write_report.write(workspace, ledger, run)
    except OSError as error:
        loop.recorder.emit("not_reported", error=one_line(str(error)))
        return {}


def _record_measured_with(ledger: Ledger, run: Run, now: Mapping[str, str], clock: SystemClock) -> list[str]:
    """Writes down what the scores are measured with; returns which images changed. Raises UsageError where scores of
    before and now would not compare; what the run was measured with stays in the ledger."""
    try:
        other = changed(recorded(run.settings), now)
    except UsageError:
        ledger.finish_run(run.id, now=clock.time(), reason="what measures the scores changed")
        raise
    ledger.change_settings(run.id, {**run.settings, "measured_with": dict(now)})
    return other


def _with_previous_limits(options: Options, settings: Mapping[str, Any]) -> Options:
    """`options`, with missing ones as they were when the run was started."""
    budget_s, most = options.budget_s, options.max_experiments
    return replace(
        options,
        budget_s=float(settings.get("budget_s") or BUDGET_S) if budget_s is None else budget_s,
        max_experiments=settings.get("max_experiments") if most is None else most,
    )


def _extent(options: Options) -> dict[str, Any]:
    return {"budget_s": options.budget_s, "max_experiments": options.max_experiments}


def _caps(options: Options, settings: Mapping[str, Any]) -> Caps:
    """The limits of the command line, else those the run had."""
    return Caps(
        settings.get("max_usd") if options.max_usd is None else options.max_usd,
        settings.get("max_tokens") if options.max_tokens is None else options.max_tokens,
    )


def _require_proposer(config: Config, caps: Caps) -> None:
    """Check what the proposer needs before the run starts. Raises UsageError, PrerequisiteMissing."""
    from runner.proposers.registry import MODELS, make_proposer

    if config.proposer in MODELS:
        from runner.llm.proposer_setup import call_settings, client_for

        call_settings(config, caps, client_for(config))
    else:
        make_proposer(config.proposer, seed=0)


def _proposer(
    config: Config,
    caps: Caps,
    ledger: Ledger,
    run: Run,
    clock: SystemClock,
    *,
    tell: Callable[[Notice], None],
    to_end: Callable[[], bool],
) -> tuple[Proposer, MeteredClient | None]:
    """The proposer, and the client of its calls if it asks a language model."""
    from runner.proposers.registry import MODELS, make_proposer

    timeout_s = parse_duration(config.llm_timeout)
    if config.proposer not in MODELS:
        return make_proposer(config.proposer, seed=run.seed, timeout_s=timeout_s), None
    from runner.llm.proposer_setup import client_for, llm_proposer

    model = llm_proposer(
        config,
        caps,
        client_for(config),
        ledger=ledger,
        run=run.id,
        clock=clock,
        seed=run.seed,
        rng=random.Random(),
        tell=tell,
        to_end=to_end,
    )
    return make_proposer(
        config.proposer, seed=run.seed, timeout_s=timeout_s, model=lambda: model
    ), model.metered


def _check_models(
    metered: MeteredClient, workspace: Workspace, budget: Budget, clock: SystemClock, *, call: bool
) -> str:
    """LLM_BUDGET_EXHAUSTED where not even the first answer could be paid for, else nothing. Raises UsageError,
    PrerequisiteMissing."""
    from runner.llm.metered_client import CallOverBudget
    from runner.llm.model_check import check_models

    try:
        check_models(metered, workspace, deadline=clock.monotonic() + budget.left(), call=call)
    except CallOverBudget:
        return LLM_BUDGET_EXHAUSTED
    return ""


def _llm_budget_sentence(ledger: Ledger, run: str, caps: Caps) -> str:
    spent = ledger.spent(run)
    limits = [f"{caps.max_usd:g} dollars" if caps.max_usd is not None else ""]
    limits.append(f"{caps.max_tokens} tokens" if caps.max_tokens is not None else "")
    return (
        f"{spent.usd:.2f} dollars and {spent.tokens} tokens are spent, and another call could pass the limit of "
        f"{' or '.join(word for word in limits if word)}; `autoresearch run --resume` with a higher --max-cost or "
        "--max-tokens goes on"
    )


def _new_id(now: float) -> str:
    """A short name, unique over all workspaces: image tags and labels carry it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-") + secrets.token_hex(4)
