"""The host half: what the containers are asked, and how little is believed of what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import model_zoo
import numpy as np
import pytest
from jax import lax
from local_engine import LocalEngine

from judge.heldout import HeldOut
from judge.judge import JUDGE_VERSION, Judge, JudgeLimits
from judge.verdict import Reason, Verdict
from sandbox.outcome import Ending, Outcome
from sandbox.spec import GIB, Job, Lease, Role

Judged = Callable[..., Verdict]
B_ROLE, C_ROLE = Role.JUDGE_BLIND, Role.JUDGE_SCORE


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_zoo.artifact(tmp_path_factory.mktemp("art"), model_zoo.hashed_trigrams)


# ---- what is asked -------------------------------------------------------------------------------------------
def test_the_blind_container_comes_first_and_every_question_has_a_fresh_one(
    artifact: Path, judged: Judged
) -> None:
    engine = LocalEngine()
    verdict = judged(artifact, engine)

    assert verdict.valid
    assert [job.role for job in engine.jobs] == [B_ROLE, C_ROLE, B_ROLE]
    assert verdict.judge_version == JUDGE_VERSION
    assert verdict.seconds > 0


def test_a_container_gets_the_artifact_the_question_and_nothing_else(artifact: Path, judged: Judged) -> None:
    engine = LocalEngine()
    judged(artifact, engine, wall_clock_s=33.0, memory_bytes=2 * GIB)

    for job in engine.jobs:
        assert [mount.target for mount in job.mounts] == ["/judge", "/art"]
        assert job.command[0] == "/opt/venv/bin/python"
        assert "-I" in job.command
        assert (job.limits.wall_clock_s, job.limits.memory_bytes) == (33.0, 2 * GIB)
        assert job.image == "sha256:0"


def test_every_container_has_a_copy_of_the_artifact_of_its_own(
    artifact: Path, judged: Judged, tmp_path: Path
) -> None:
    """Through one inode a program that broke out in one container could talk to the next one."""
    inodes: list[int] = []

    class Seeing(LocalEngine):
        def run(self, job: Job) -> Outcome:
            folder = next(mount.source for mount in job.mounts if mount.target == "/art")
            assert sorted(path.name for path in folder.iterdir()) == ["model.stablehlo", "params.safetensors"]
            for path in folder.iterdir():
                assert path.read_bytes() == (artifact / path.name).read_bytes()
                assert path.stat().st_nlink == 1
                inodes.append(path.stat().st_ino)
                held.append(path.open("rb"))  # or a number might come again
            return super().run(job)

    held: list[Any] = []
    judged(artifact, Seeing())

    assert len(set(inodes)) == 6
    assert not {path.stat().st_ino for path in artifact.iterdir()} & set(inodes)
    assert len(list(tmp_path.rglob("params.safetensors"))) == 0, "copies stay behind"
    for file in held:
        file.close()


def test_the_last_container_is_also_asked_where_nothing_was_suspected(
    artifact: Path, judged: Judged, heldout: HeldOut
) -> None:
    engine = LocalEngine()
    judged(artifact, engine, suspects=10, fresh=30)

    asked = len(engine.questions[2]) // 4 // (model_zoo.T + 1)
    assert 40 <= asked < 40 + 10 * model_zoo.B, "ten suspects, thirty others, and what completes batches"


def test_a_leak_on_frequent_targets_is_found_beside_the_best_models_losses(
    artifact: Path, judged: Judged, heldout: HeldOut
) -> None:
    """Its positions are not rare, but hard: only the best model's own losses say that it is too good there."""
    honest = judged(artifact).position_nats
    target, scored = heldout.rows.tokens[:, 1:], heldout.rows.scored
    frequent = np.bincount(target[scored]).argmax()
    at = np.flatnonzero(((target == frequent) & scored).ravel())
    at = at[np.argsort(-honest.ravel()[at])[:2]]

    def forge(content: bytes) -> bytes:
        nats = np.frombuffer(content, "<f4").copy()
        nats[at] /= 2
        return nats.tobytes()

    def verdict(reference: Any) -> Verdict:
        engine = LocalEngine(tamper=array("nats.f32", forge))
        return judged(artifact, engine, probes=4, suspects=8, fresh=0, reference=reference)

    assert verdict(honest).reason is Reason.NOT_CAUSAL
    assert verdict(None).valid, "the case is too easy to show anything"


def test_a_reference_of_another_text_is_not_used(artifact: Path, judged: Judged) -> None:
    assert judged(artifact, reference=np.zeros((3, 5), np.float32)).valid


def test_the_blind_container_is_given_no_row_whole_and_the_second_all_of_them(
    artifact: Path, judged: Judged, heldout: HeldOut
) -> None:
    engine = LocalEngine()
    judged(artifact, engine, probes=len(heldout.rows.tokens) // 2)

    given = np.frombuffer(engine.questions[0], "<i4")
    inputs = given[: len(given) // (model_zoo.T + 1) * model_zoo.T].reshape(-1, model_zoo.T)
    whole = {row.tobytes() for row in heldout.rows.tokens[:, :-1]}
    assert sum(row.tobytes() in whole for row in inputs) <= 2  # a cut at the very end hides the target only
    scored = np.frombuffer(engine.questions[1], "<i4").reshape(-1, model_zoo.T + 1)
    assert np.array_equal(scored[: len(heldout.rows.tokens)], heldout.rows.tokens)


def test_the_hidden_text_does_not_stay_on_disk(artifact: Path, judged: Judged, tmp_path: Path) -> None:
    judged(artifact)

    assert not list(tmp_path.rglob("rows.bin"))


@pytest.mark.parametrize(("gpu", "platform"), [(None, "cpu"), ("GPU-0", "cuda")])
def test_the_device_is_the_leased_one(
    gpu: str | None, platform: str, artifact: Path, heldout: HeldOut, tmp_path: Path
) -> None:
    engine = LocalEngine(endings={B_ROLE: Outcome(Ending.LOST, None, 1.0)})
    judge = Judge(engine, "sha256:0", {"val": heldout}, eval_batch=model_zoo.B)  # type: ignore[arg-type]
    lease = Lease((0,), gpu)
    judge.score(artifact, "val", run="r", experiment="1", attempt=1, lease=lease, scratch=tmp_path)

    environment = engine.jobs[0].environment
    assert environment["JAX_PLATFORMS"] == platform
    assert ("--xla_gpu_deterministic_ops=true" in environment.get("XLA_FLAGS", "")) is (gpu is not None)


def test_the_batch_size_does_not_change_the_score(heldout: HeldOut, tmp_path: Path) -> None:
    scores = []
    for batch in (3, 4, 7):
        params = model_zoo.init(0)
        program = model_zoo.exported(model_zoo.hashed_trigrams, params, batch=batch)
        artifact = model_zoo.write(tmp_path / f"art{batch}", program, params)
        scratch = tmp_path / f"scratch{batch}"
        scratch.mkdir()
        judge = Judge(LocalEngine(), "sha256:0", {"val": heldout}, eval_batch=batch)  # type: ignore[arg-type]
        verdict = judge.score(
            artifact, "val", run="r", experiment="1", attempt=1, lease=Lease((0,)), scratch=scratch
        )
        scores.append(verdict.val_bpb)

    assert scores[1:] == [pytest.approx(scores[0], rel=1e-6)] * 2


# ---- what is believed ----------------------------------------------------------------------------------------
def outcome(ending: Ending, code: int | None = None) -> Outcome:
    return Outcome(ending, code, 1.0, detail="because")


@pytest.mark.parametrize("role", [B_ROLE, C_ROLE])
@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (Ending.TIMED_OUT, Reason.TOO_SLOW),
        (Ending.OUT_OF_MEMORY, Reason.OUT_OF_MEMORY),
        (Ending.EXITED, Reason.CRASHED),
    ],
)
def test_a_container_that_dies_without_an_answer_has_a_closed_reason(
    role: Role, ending: Ending, reason: Reason, artifact: Path, judged: Judged
) -> None:
    verdict = judged(artifact, LocalEngine(endings={role: outcome(ending, 139)}))

    assert verdict.reason is reason
    assert verdict.val_bpb is None
    assert not verdict.infrastructure


@pytest.mark.parametrize("role", [B_ROLE, C_ROLE])
@pytest.mark.parametrize("ending", [Ending.LOST, Ending.REFUSED, Ending.ENGINE_FAILED, Ending.UNKILLABLE])
def test_a_failure_of_the_engine_is_not_the_candidates(
    role: Role, ending: Ending, artifact: Path, judged: Judged
) -> None:
    verdict = judged(artifact, LocalEngine(endings={role: outcome(ending)}))

    assert verdict.infrastructure == "because"
    assert verdict.reason is None
    assert verdict.val_bpb is None


def test_a_disk_that_fails_the_host_is_not_the_candidates(
    artifact: Path, heldout: HeldOut, tmp_path: Path
) -> None:
    judge = Judge(LocalEngine(), "sha256:0", {"val": heldout}, eval_batch=model_zoo.B)  # type: ignore[arg-type]
    gone = tmp_path / "gone"
    verdict = judge.score(
        artifact, "val", run="r", experiment="1", attempt=1, lease=Lease((0,)), scratch=gone
    )

    assert "cannot be used" in verdict.infrastructure
    assert verdict.reason is None


def test_a_container_that_answered_and_then_ran_into_the_clock_gave_no_answer(
    artifact: Path, judged: Judged
) -> None:
    class Late(LocalEngine):
        def run(self, job: Job) -> Outcome:
            return replace(super().run(job), ending=Ending.TIMED_OUT, exit_code=None)

    assert judged(artifact, Late()).reason is Reason.TOO_SLOW


def result(content: Any) -> Callable[[Job, Path], None]:
    """The first container's result.json is replaced by this."""

    def tamper(job: Job, out: Path) -> None:
        if job.role is B_ROLE:
            text = content if isinstance(content, bytes) else json.dumps(content).encode()
            (out / "result.json").write_bytes(text)

    return tamper


SCHEMA = "autoresearch/judge-result/1"
FORGED_RESULTS = {
    "empty": b"",
    "not JSON": b"ok",
    "not UTF-8": b"\xff\xfe",
    "deep": b"[" * 4000,
    "a list": [],
    "a number": 3,
    "no reason": {"schema": SCHEMA},
    "another schema": {"schema": "autoresearch/judge-result/2", "reason": None},
    "a word that is not in the list": {"schema": SCHEMA, "reason": "excellent"},
    "a list for a reason": {"schema": SCHEMA, "reason": []},
    "an object for a reason": {"schema": SCHEMA, "reason": {}},
    "a score": {"schema": SCHEMA, "reason": None, "val_bpb": 0.1},
    "much": b'{"schema": "autoresearch/judge-result/1", "reason": null' + b" " * 5000 + b"}",
}


@pytest.mark.parametrize("name", FORGED_RESULTS)
def test_a_forged_result_is_a_crash(name: str, artifact: Path, judged: Judged) -> None:
    assert judged(artifact, LocalEngine(tamper=result(FORGED_RESULTS[name]))).reason is Reason.CRASHED


def array(name: str, change: Callable[[bytes], bytes | None]) -> Callable[[Job, Path], None]:
    def tamper(job: Job, out: Path) -> None:
        path = out / name
        if path.exists():
            content = change(path.read_bytes())
            path.unlink()
            if content is not None:
                path.write_bytes(content)

    return tamper


@pytest.mark.parametrize("name", ["logits.f32", "nats.f32"])
@pytest.mark.parametrize(
    "change",
    [lambda b: None, lambda b: b"", lambda b: b[:-4], lambda b: b[:-1], lambda b: b + b"\0" * 4],
    ids=["missing", "empty", "short", "broken", "long"],
)
def test_an_array_of_another_size_is_a_crash(
    name: str, change: Callable[[bytes], bytes | None], artifact: Path, judged: Judged
) -> None:
    verdict = judged(artifact, LocalEngine(tamper=array(name, change)))

    assert verdict.reason is Reason.CRASHED
    assert verdict.document_nats is None


def poked(value: float) -> Callable[[bytes], bytes]:
    """One number in the middle is replaced."""

    def change(content: bytes) -> bytes:
        numbers = np.frombuffer(content, "<f4").copy()
        numbers[len(numbers) // 2] = value
        return numbers.tobytes()

    return change


@pytest.mark.parametrize("name", ["logits.f32", "nats.f32"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_not_scored(
    name: str, value: float, artifact: Path, judged: Judged
) -> None:
    verdict = judged(artifact, LocalEngine(tamper=array(name, poked(value))))
    assert verdict.reason is Reason.NOT_FINITE


def test_a_negative_loss_is_not_scored(artifact: Path, judged: Judged) -> None:
    verdict = judged(artifact, LocalEngine(tamper=array("nats.f32", poked(-1e-3))))
    assert verdict.reason is Reason.CRASHED


def test_losses_that_were_forged_in_the_second_container_are_found(artifact: Path, judged: Judged) -> None:
    """Broken out of XLA, with all of the text before it: it does not know where the first container was asked."""

    def forge(content: bytes) -> bytes:
        return (np.float32(0.9) * np.frombuffer(content, "<f4")).astype("<f4").tobytes()

    verdict = judged(artifact, LocalEngine(tamper=array("nats.f32", forge)))
    assert verdict.reason is Reason.NOT_CAUSAL


def test_a_few_losses_that_are_too_good_are_asked_again_in_a_third_container(
    artifact: Path, judged: Judged, heldout: HeldOut
) -> None:
    """Two of about 2,000 positions, the dearest: four random probes do not meet them, and there are no fresh ones."""

    def forge(content: bytes) -> bytes:
        nats = np.frombuffer(content, "<f4").reshape(-1, model_zoo.T).copy()
        scored = heldout.rows.scored
        cost = np.where(scored, nats[: len(scored)], -1.0)
        nats.reshape(-1)[np.argsort(cost, axis=None)[-2:]] = 0.0
        return nats.tobytes()

    engine = LocalEngine(tamper=array("nats.f32", forge))
    assert judged(artifact, engine, probes=4, suspects=60, fresh=0).reason is Reason.NOT_CAUSAL
    assert len(engine.jobs) == 3


# ---- the real command ----------------------------------------------------------------------------------------
def test_the_command_gives_the_same_verdict_as_the_call(artifact: Path, judged: Judged) -> None:
    engine = LocalEngine(subprocesses=True)
    verdict = judged(artifact, engine)

    assert verdict.reason is None, engine.log
    assert verdict.val_bpb == judged(artifact).val_bpb


def test_the_command_refuses_with_a_closed_word(judged: Judged, tmp_path: Path) -> None:
    engine = LocalEngine(subprocesses=True)
    verdict = judged(model_zoo.write(tmp_path / "art", b"\0" * 99, model_zoo.init(0)), engine)

    assert verdict.reason is Reason.MODEL_MALFORMED
    assert len(engine.jobs) == 1


def test_a_program_that_never_ends_is_too_slow(judged: Judged, tmp_path: Path) -> None:
    def forward(p: Any, x: Any) -> Any:
        return lax.while_loop(lambda y: y[0, 0, 0] < jnp.inf, jnp.tanh, p["bigram"][x])

    engine = LocalEngine(subprocesses=True)
    verdict = judged(model_zoo.artifact(tmp_path / "art", forward), engine, wall_clock_s=4.0)
    assert verdict.reason is Reason.TOO_SLOW


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("INTERNAL: no"), Reason.CRASHED),
        (MemoryError(), Reason.OUT_OF_MEMORY),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), Reason.OUT_OF_MEMORY),
    ],
)
def test_what_the_compiler_or_the_device_complains_of_has_a_closed_reason(
    error: Exception, reason: Reason, artifact: Path, judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("judge.inside.forward._Program.__call__", refuse)
    assert judged(artifact).reason is reason


def test_the_default_limits_hold_the_biggest_question() -> None:
    """The logits of all probes lie in /out, which counts as the container's memory."""
    limits = JudgeLimits()
    assert limits.probes * 32_768 * 4 < limits.memory_bytes / 4
