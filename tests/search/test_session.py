"""A whole session with a model, on a fake engine: what the command line does between the lock and the exit code."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.simulated_run import SimulatedRun
from runner.cli.error_reporting import guarded
from runner.errors import NothingEvaluated, PrerequisiteMissing, UsageError
from runner.evaluation import setup
from runner.evaluation.setup import Environment
from runner.images.build import Images
from runner.search.endings import ALL_DONE
from runner.search.session import Options, session
from runner.store.config import Config
from runner.store.ledger import Ledger
from runner.store.workspace import Workspace
from sandbox.spec import Job, Role
from tests.llm.provider import IN, OUT, Error, Provider, Say, edit, serving

OPTIONS = Options(budget_s=3600.0, max_experiments=30, resume=False, seed=1, judge_guess_s=15.0)
STEPS = [edit("a = [1, 2, 3]", f"a = [1, 2, 3]\nidea{number} = 1") for number in range(1, 40)]


def night_files(simulated: SimulatedRun) -> list[Path]:
    return list(simulated.workspace.state.glob("ledger.db*"))


@pytest.fixture
def simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedRun:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-1234567890")
    made = SimulatedRun(tmp_path, [])
    pipeline = made.loop().attempts.pipeline
    made.ledger.close()
    for path in night_files(made):
        path.unlink()
    environment = Environment(
        made.engine, Images(made.base, made.base, "cpu"), made.data, pipeline, lambda: made.unheld
    )
    monkeypatch.setattr("runner.evaluation.setup.set_up", lambda _, **__: environment)
    return made


def config(provider: Provider) -> Config:
    return Config(
        proposer="llm", model="openai/x", api_base=provider.base, price_in=f"{IN}", price_out=f"{OUT}",
        max_output_tokens=1000,
    )  # fmt: skip


def trained(simulated: SimulatedRun) -> list[Job]:
    """What is tried beforehand is no training."""
    return [job for job in simulated.engine.jobs if job.role is Role.TRAIN]


def test_when_the_money_is_gone_the_code_is_seven_and_more_money_goes_on(
    simulated: SimulatedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(STEPS) as provider:
        go = replace(OPTIONS, max_usd=0.05, call=False)
        code = guarded(lambda: session(simulated.workspace, config(provider), go, display="none"), [])
        assert code == 7
        assert "--max-cost" in capsys.readouterr().err
        ledger = Ledger(simulated.workspace.ledger)
        first = ledger.spent(ledger.run().id)
        assert 0 < first.usd <= 0.05
        again = replace(go, resume=True, max_usd=None)
        code = guarded(lambda: session(simulated.workspace, Config(), again, display="none"), [])
        assert code == 7, "a resumed run has the limit it had"
        assert ledger.spent(ledger.run().id) == first
        more = replace(go, resume=True, max_usd=0.1)
        guarded(lambda: session(simulated.workspace, Config(), more, display="none"), [])
        spent = ledger.spent(ledger.run().id)
        assert first.usd < spent.usd <= 0.1
        assert spent.usd >= provider.usd - 1e-12
        done = [data for _, kind, data in ledger.events(ledger.run().id) if kind == "done"][-1]
        assert done["cost_usd"] == pytest.approx(spent.usd, abs=1e-6)
        ledger.close()


def test_a_run_that_could_not_be_paid_for_is_not_even_begun(simulated: SimulatedRun) -> None:
    unknown = replace(config(Provider([])), price_in="", price_out="")
    with pytest.raises(UsageError, match="--price-in"):
        session(simulated.workspace, unknown, OPTIONS, display="none")
    ledger = Ledger(simulated.workspace.ledger)
    assert [run.id for run in ledger.runs()] == []
    ledger.close()


def test_events_of_a_model_in_trouble_are_lines_for_programs(
    simulated: SimulatedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    simulated.workspace.script.write_text("SCORE = 2.0  # tune: float 1 3\n")
    with serving([Error(401)]) as provider:
        session(
            simulated.workspace,
            config(provider),
            replace(OPTIONS, max_experiments=1, call=False),
            display="json",
        )
    kinds = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert kinds.index("call_failed") < kinds.index("llm_paused") < kinds.index("proposed")


def test_a_model_that_does_not_answer_is_said_before_the_baseline_and_before_a_resume(
    simulated: SimulatedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    simulated.workspace.script.write_text("SCORE = 2.0  # tune: float 1 3\na = [1, 2, 3]\n")
    with serving([Error(404), Say("yes"), *STEPS]) as provider:
        for resume, code in ((False, 3), (True, 0)):
            go = replace(OPTIONS, max_experiments=1, resume=resume)
            found = guarded(
                lambda go=go: session(simulated.workspace, config(provider), go, display="none"), []
            )
            assert found == code
            assert code == 0 or trained(simulated) == [], "something was trained"
        assert "--no-call" in capsys.readouterr().err
    ledger = Ledger(simulated.workspace.ledger)
    calls = ledger.calls(ledger.run().id)
    assert [(call.purpose, call.state) for call in calls[:2]] == [("check", "refused"), ("check", "answered")]
    ledger.close()


def test_a_limit_that_no_answer_fits_into_ends_before_the_baseline(simulated: SimulatedRun) -> None:
    with serving(STEPS) as provider:
        go = replace(OPTIONS, max_usd=0.02)  # the small question would fit
        assert guarded(lambda: session(simulated.workspace, config(provider), go, display="none"), []) == 7
        assert provider.requests == []
    assert trained(simulated) == []


def test_a_night_of_answers_that_cannot_be_used_has_an_end_and_a_code_of_its_own(
    simulated: SimulatedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving([Say("prose")]) as provider:
        go = replace(OPTIONS, max_experiments=3, call=False)
        made = lambda: session(simulated.workspace, config(provider), go, display="none")  # noqa: E731
        assert guarded(made, []) == 4
    assert "none could be trained" in capsys.readouterr().err


def test_after_three_answers_that_cannot_be_used_the_optimiser_gets_its_turn(simulated: SimulatedRun) -> None:
    simulated.workspace.script.write_text("SCORE = 2.0  # tune: float 1 3\n")
    with serving([Say("prose")]) as provider:
        go = replace(OPTIONS, max_experiments=2, call=False)
        assert session(simulated.workspace, config(provider), go, display="none") == ALL_DONE
    ledger = Ledger(simulated.workspace.ledger)
    proposals = ledger.experiments(ledger.run().id)[1:]
    assert [e.author for e in proposals] == ["llm openai/x"] * 3 + ["tpe"] * 2
    assert [bool(e.attempts) for e in proposals] == [False] * 3 + [True] * 2, "a limit of trainings"
    ledger.close()


def test_where_limits_are_not_held_nothing_runs_unless_told_so_loudly(simulated: SimulatedRun) -> None:
    simulated.unheld = "this engine does not enforce what it was asked (memory)"
    with pytest.raises(PrerequisiteMissing, match=r"memory.*--unsafe-unheld-limits"):
        session(simulated.workspace, Config(), OPTIONS, display="none")
    assert trained(simulated) == [], "a candidate was started"

    simulated.workspace.script.write_text("SCORE = 2.0  # tune: float 1 3\n")
    go = replace(OPTIONS, max_experiments=1, resume=True, unheld_limits=True)
    session(simulated.workspace, Config(), go, display="none")
    ledger = Ledger(simulated.workspace.ledger)
    assert len(ledger.experiments(ledger.run().id)) == 2
    ledger.close()


def test_a_run_that_is_refused_hides_none_that_was_at_work(
    simulated: SimulatedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated.workspace.script.write_text("SCORE = 2.0  # tune: float 1 3\n")
    session(simulated.workspace, Config(), replace(OPTIONS, max_experiments=1), display="none")
    ledger = Ledger(simulated.workspace.ledger)
    first = ledger.run().id
    simulated.unheld = "this engine does not enforce what it was asked (memory)"
    with pytest.raises(PrerequisiteMissing):
        session(simulated.workspace, Config(), OPTIONS, display="none")
    simulated.unheld = ""
    with pytest.raises(UsageError, match="too small"):
        session(simulated.workspace, Config(), replace(OPTIONS, budget_s=1.0), display="none")

    def missing(*_: object, **__: object) -> None:
        raise PrerequisiteMissing("there is no prepared data in nowhere")

    monkeypatch.setattr("runner.evaluation.setup.set_up", missing)
    with pytest.raises(PrerequisiteMissing):
        session(simulated.workspace, Config(), OPTIONS, display="none")
    assert ledger.run().id == first, "best, report and resume would be about a run that never was"
    refused = ledger.runs()[-1]
    assert refused.stop_reason == "refused: there is no prepared data in nowhere"
    assert ledger.run(refused.id) == refused
    ledger.close()


def test_a_resumed_run_has_the_budget_and_the_count_it_was_started_with(simulated: SimulatedRun) -> None:
    simulated.workspace.script.write_text("SCORE = 2.0  # tune: float 1 3\n")
    go = replace(OPTIONS, budget_s=7000.0, max_experiments=2)
    assert session(simulated.workspace, Config(), go, display="none") == ALL_DONE
    same = replace(OPTIONS, budget_s=None, max_experiments=None, resume=True)
    assert session(simulated.workspace, Config(), same, display="none") == ALL_DONE
    ledger = Ledger(simulated.workspace.ledger)
    assert len(ledger.experiments(ledger.run().id)) == 3, "the count was forgotten"
    budgets = [data["budget_s"] for _, kind, data in ledger.events(ledger.run().id) if kind == "launch"]
    assert budgets == [7000.0, 7000.0]
    session(simulated.workspace, Config(), replace(same, max_experiments=3), display="none")
    assert len(ledger.experiments(ledger.run().id)) == 4
    ledger.close()


def test_a_run_does_not_go_on_with_another_data_set_and_says_when_the_images_are_others(
    simulated: SimulatedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    simulated.workspace.script.write_text("SCORE = 2.0  # tune: float 1 3\n")
    session(simulated.workspace, Config(), replace(OPTIONS, max_experiments=1), display="none")
    go = replace(OPTIONS, max_experiments=2, resume=True)
    manifest = simulated.data / "manifest.json"
    manifest.write_text('{"other": 1}')
    with pytest.raises(UsageError, match="data set changed"):
        session(simulated.workspace, Config(), go, display="none")
    ledger = Ledger(simulated.workspace.ledger)
    assert len(ledger.experiments(ledger.run().id)) == 2, "another proposal was made"
    assert ledger.run().finished_at is not None

    manifest.write_text("{}")
    settings = dict(ledger.run().settings)
    settings["measured_with"] = {**settings["measured_with"], "candidate_image": "sha256:0"}
    ledger.change_settings(ledger.run().id, settings)
    session(simulated.workspace, Config(), go, display="plain")
    assert "other images" in capsys.readouterr().err
    assert len(ledger.experiments(ledger.run().id)) == 3
    settings["measured_with"]["judge"] = "1"
    ledger.change_settings(ledger.run().id, settings)
    with pytest.raises(UsageError, match="judge's version changed"):
        session(simulated.workspace, Config(), replace(go, max_experiments=3), display="none")
    ledger.close()


def test_a_run_that_has_come_to_its_end_pays_for_no_question_when_it_is_resumed(
    simulated: SimulatedRun,
) -> None:
    simulated.workspace.script.write_text("SCORE = 2.0  # tune: float 1 3\na = [1, 2, 3]\n")
    with serving([Say("yes"), *STEPS]) as provider:
        go = replace(OPTIONS, max_experiments=1)
        assert session(simulated.workspace, config(provider), go, display="none") == ALL_DONE
        asked = len(provider.requests)
        assert session(simulated.workspace, Config(), replace(go, resume=True), display="none") == ALL_DONE
        assert len(provider.requests) == asked


@pytest.mark.parametrize(("printed", "code"), [("SCORE = 1.9\n", 0), ("SCORE = 2.0\na = [1, 2, 3]\n", 4)])
def test_a_program_that_repeats_itself_is_named_where_the_run_ends(
    printed: str, code: int, simulated: SimulatedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Code 0 where a proposal was trained before, 4 where none was."""
    (tmp_path / "answer.py").write_text(printed)
    asked = Config(proposer=f"command:cat {tmp_path / 'answer.py'}")
    assert guarded(lambda: session(simulated.workspace, asked, OPTIONS, display="plain"), []) == code
    said = capsys.readouterr().err
    assert f"The proposer {asked.proposer} returned the same proposals again, 10 times" in said
    assert ("what was found stands" in said) == (code == 0)
    ledger = Ledger(simulated.workspace.ledger, read_only=True)
    assert "all of them had been tried before" in str(ledger.run().stop_reason)
    ledger.close()


def offline(simulated: SimulatedRun, *, resume: bool = False, workspace: Workspace | None = None) -> str:
    place = workspace or simulated.workspace
    place.script.write_text("SCORE = 2.0  # tune: float 1 3\na = [1, 2, 3]\n")
    go = replace(OPTIONS, max_experiments=1, resume=resume)
    return session(place, Config(proposer="random"), go, display="none")


def test_a_copy_of_a_workspace_does_not_go_on_with_the_run_of_the_first_and_a_moved_one_does(
    simulated: SimulatedRun, tmp_path: Path
) -> None:
    assert offline(simulated) == ALL_DONE
    first = simulated.workspace.folder
    copy = Workspace(Path(shutil.copytree(first, tmp_path.parent / f"{tmp_path.name}-copy", symlinks=True)))
    jobs = len(simulated.engine.jobs)
    with pytest.raises(UsageError, match="copy"):
        offline(simulated, resume=True, workspace=copy)
    assert len(simulated.engine.jobs) == jobs
    assert offline(simulated, resume=True) == ALL_DONE, "the first is not at home"
    (first / ".autoresearch").rename(first / "away")
    assert offline(simulated, resume=True, workspace=copy) == ALL_DONE, "the only one that is left may go on"
    moved = Workspace(copy.folder.rename(tmp_path.parent / f"{tmp_path.name}-moved"))
    assert offline(simulated, resume=True, workspace=moved) == ALL_DONE


def test_an_earlier_run_is_resumed_by_its_name_and_is_then_the_newest(simulated: SimulatedRun) -> None:
    assert offline(simulated) == ALL_DONE
    ledger = Ledger(simulated.workspace.ledger)
    first = ledger.run().id
    assert offline(simulated) == ALL_DONE
    second = ledger.run().id
    assert second != first
    go = replace(OPTIONS, max_experiments=2, resume=True, run=first)
    assert session(simulated.workspace, Config(), go, display="none") == ALL_DONE
    assert [len(ledger.experiments(run)) for run in (first, second)] == [3, 2]
    assert ledger.run().id == first, "the verbs that read show another run than the one that was just resumed"
    assert ledger.run(second).id == second
    assert offline(simulated) == ALL_DONE
    assert ledger.run().id not in {first, second}
    ledger.close()


def test_a_window_in_which_no_training_ends_is_refused(simulated: SimulatedRun) -> None:
    with pytest.raises(UsageError, match=r"--between 20:00-20:02 is too short: .* two trainings of 1m15s"):
        session(
            simulated.workspace, Config(proposer="random", between="20:00-20:02"), OPTIONS, display="none"
        )
    ledger = Ledger(simulated.workspace.ledger)
    assert ledger.run().stop_reason == "window too short"
    ledger.close()


def test_a_baseline_is_not_gone_on_with_when_the_budget_is_gone(simulated: SimulatedRun) -> None:
    simulated.ledger = Ledger(simulated.workspace.ledger)
    simulated.ledger.start_run("simulated", now=0.0, seed=1, settings={})
    loop = simulated.loop(budget_s=1000.0)
    loop.budget.charge(2000.0)
    with pytest.raises(NothingEvaluated, match="--budget"):
        loop.go()
    assert trained(simulated) == []
    simulated.ledger.close()


def test_a_file_of_the_users_in_the_reports_place_is_set_aside(simulated: SimulatedRun) -> None:
    folder = simulated.workspace.folder
    (folder / "results.tsv").write_text("a year of work")
    (folder / "elsewhere.html").write_text("mine too")
    (folder / "report.html").symlink_to("elsewhere.html")
    (folder / "progress.png").mkdir()
    assert offline(simulated) == ALL_DONE
    assert (folder / "results.tsv.before-1").read_text() == "a year of work"
    assert (folder / "elsewhere.html").read_text() == "mine too"
    assert (folder / "progress.png.before-1").is_dir()
    assert not (folder / "report.html").is_symlink()
    assert offline(simulated, resume=True) == ALL_DONE
    assert not list(folder.glob("*.before-2")), "what was ours was taken for the user's"


def test_a_report_that_cannot_be_written_is_not_how_a_run_ended(
    simulated: SimulatedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "results.tsv")

    monkeypatch.setattr("runner.report.write_report.write", broken)
    assert offline(simulated) == ALL_DONE
    ledger = Ledger(simulated.workspace.ledger, read_only=True)
    kinds = [kind for _, kind, _ in ledger.events(ledger.run().id)]
    assert kinds[-2:] == ["not_reported", "done"]
    ledger.close()


def on(simulated: SimulatedRun, monkeypatch: pytest.MonkeyPatch, model: str) -> list[Config]:
    """The machine has such a device from now on; the list gets what is asked of it."""
    environment = setup.set_up(Config())
    kind = "cpu" if model == "cpu" else "gpu"
    devices = replace(environment.devices, kind=kind, model=model, sentence=f"1 GPU ({model})")
    asked: list[Config] = []

    def found(config: Config, **_: object) -> Environment:
        asked.append(config)
        return replace(environment, devices=devices)

    monkeypatch.setattr("runner.evaluation.setup.set_up", found)
    return asked


def test_a_run_is_not_resumed_on_another_kind_of_device(
    simulated: SimulatedRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on(simulated, monkeypatch, "NVIDIA H100")
    simulated.workspace.script.write_text("SCORE = 2.0  # tune: float 1 3\n")
    session(simulated.workspace, Config(), replace(OPTIONS, max_experiments=1), display="plain")
    assert "s; on 1 GPU (NVIDIA H100); " in capsys.readouterr().err
    asked = on(simulated, monkeypatch, "NVIDIA A100")
    with pytest.raises(UsageError, match="the kind of device changed"):
        session(simulated.workspace, Config(), replace(OPTIONS, resume=True), display="none")
    assert asked[0].gpus == "auto"


def test_a_run_that_began_on_the_cpu_stays_there(
    simulated: SimulatedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(simulated)
    asked = on(simulated, monkeypatch, "cpu")
    offline(simulated, resume=True)
    assert asked[0].gpus == "none"
