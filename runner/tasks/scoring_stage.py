"""The last, trusted stage: evaluate.py in a container of the judge's image, where nothing of the candidate's is run.

It reads the stages' outputs, the candidate's files and the host's facts as data, and prints one JSON object. Whatever else it does (it
crashes, prints no JSON, NaN or too much, takes too long) is the task's fault, and never the idea's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from runner.tasks.definition import EVALUATE, Scorer, Task
from runner.tasks.facts import StageFacts, for_scorer
from runner.tasks.preparation import PreparedData
from runner.tasks.stages import PYTHON, Case, write_files
from sandbox.engine import Engine
from sandbox.mounts import make_folder
from sandbox.outcome import Ending, Fault, Outcome
from sandbox.sanitise import one_line
from sandbox.spec import MIB, Job, Mount, Output, Role

SCORE = "score.json"
MOST_BYTES = 2 * MIB
MOST_ITEMS, MOST_DETAIL_CHARS = 50_000, 200
_PROGRAM = Path(__file__).with_name("inside") / "run_scorer.py"
_KEYS = ("score", "invalid", "items", "details")


class TaskFault(Exception):
    """The scorer gave no usable answer: one sentence for the task's author. No idea is charged with it."""


@dataclass(frozen=True, slots=True)
class Score:
    """Either a score, or the declared reason why the outputs are invalid. `items` are the scores of single items, in an order that is
    the same for every candidate; `details` may be shown to an agent."""

    score: float | None
    invalid: str | None = None
    items: tuple[float, ...] = ()
    details: Mapping[str, float | str] = field(default_factory=dict)


def run_scorer(
    engine: Engine,
    image: str,
    task: Task,
    data: PreparedData,
    case: Case,
    facts: Sequence[StageFacts],
    *,
    name: str = "scorer",
    clock_shift_s: float = 0.0,
) -> Score:
    """`image` is the judge image's content id; `name` is that of the new folder for the scorer's files. Raises TaskFault, for a failure
    of the engine too."""
    folder = case.folder / name
    make_folder(folder)
    trusted, work, answer = folder / "task", folder / "work", folder / "answer"
    for each in (trusted, work, answer):
        make_folder(each)
    write_files(
        trusted,
        {
            EVALUATE: (task.folder / EVALUATE).read_bytes(),
            _PROGRAM.name: _PROGRAM.read_bytes(),
            "facts.json": json.dumps(for_scorer(facts)).encode(),
        },
    )
    write_files(work, case.files)
    outcome = engine.run(
        Job(
            run=case.run,
            experiment=case.experiment,
            attempt=case.attempt,
            role=Role.TASK_SCORE,
            image=image,
            command=(PYTHON, "-I", "-B", "-u", f"/task/{_PROGRAM.name}"),
            limits=task.scorer.limits,
            lease=case.lease,
            destination=answer,
            mounts=(
                Mount(trusted, "/task"),
                Mount(work, "/work"),
                Mount(data.private, "/private"),
                Mount(data.public, "/public"),
                Mount(case.folder / "outputs", "/stages"),
            ),
            outputs=(Output(SCORE, MOST_BYTES),),
            environment={"JAX_PLATFORMS": "cpu", "AUTORESEARCH_CLOCK_SHIFT": f"{clock_shift_s:g}"},
        )
    )
    (case.folder / f"{name}.log").write_text(outcome.log_tail)
    return read_score(_printed(outcome), task.scorer)


def _printed(outcome: Outcome) -> bytes:
    if outcome.fault is Fault.INFRASTRUCTURE:
        raise TaskFault(f"the engine failed under the scorer: {outcome.detail or outcome.ending}")
    if outcome.ending is Ending.TIMED_OUT:
        raise TaskFault(
            "the scorer was ended at its wall clock; make it faster, or raise wall_clock in [scorer]"
        )
    if outcome.ending is Ending.OUT_OF_MEMORY:
        raise TaskFault(
            "the scorer used more than its memory; make it use less, or raise memory_mb in [scorer]"
        )
    if outcome.exit_code != 0:
        said = one_line(outcome.log_tail[-300:]) or "nothing"
        raise TaskFault(f"the scorer failed with exit code {outcome.exit_code}; it said: {said}")
    if (printed := outcome.files.get(SCORE)) is None:
        why = outcome.refusals.get(SCORE, "missing")
        raise TaskFault(
            f"what the scorer printed was not collected ({why}); print one JSON object of at most {MOST_BYTES:,} bytes"
        )
    return printed.path.read_bytes()


def read_score(printed: bytes, scorer: Scorer) -> Score:
    """Raises TaskFault for anything but one JSON object that keeps to what the task declares."""
    try:
        found = json.loads(printed, parse_constant=_not_a_number)
    except TaskFault:
        raise
    except (ValueError, RecursionError) as error:
        raise TaskFault(
            f"the scorer did not print one JSON object ({one_line(str(error))}); it must print nothing else"
        ) from error
    if not isinstance(found, dict):
        raise TaskFault('the scorer printed JSON that is no object; print {"score": …}')
    if unknown := sorted(set(found) - set(_KEYS)):
        raise TaskFault(
            f"the scorer printed the unknown key {one_line(unknown[0])!r}; only {', '.join(_KEYS)} are known"
        )
    if ("score" in found) == ("invalid" in found):
        raise TaskFault("the scorer must print either score or invalid, and it printed both or none")
    if "invalid" in found:
        if found["invalid"] not in scorer.reasons:
            raise TaskFault(
                f"the scorer's reason {one_line(str(found['invalid']))!r} is not among reasons of [scorer]; add it there"
            )
        return Score(None, str(found["invalid"]))
    return Score(
        _number(found["score"], "score"),
        None,
        _items(found.get("items", [])),
        _details(found.get("details", {}), scorer),
    )


def _not_a_number(word: str) -> NoReturn:
    raise TaskFault(f"the scorer printed {word}; a score and its parts are finite numbers")


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TaskFault(f"the scorer's {what} is no number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise TaskFault(f"the scorer's {what} is no finite number")
    return number


def _items(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) > MOST_ITEMS:
        raise TaskFault(f"the scorer's items are no list of at most {MOST_ITEMS:,} numbers")
    return tuple(_number(each, "item") for each in value)


def _details(value: Any, scorer: Scorer) -> dict[str, float | str]:
    if not isinstance(value, dict):
        raise TaskFault("the scorer's details are no object")
    if unknown := sorted(set(value) - set(scorer.details)):
        raise TaskFault(
            f"the scorer printed the detail {one_line(unknown[0])!r}, which details of [scorer] does not declare; an agent may see it, so declare it or leave it out"
        )
    return {
        name: one_line(each, max_chars=MOST_DETAIL_CHARS)
        if isinstance(each, str)
        else _number(each, f"detail {name}")
        for name, each in value.items()
    }
