"""Checks what a run needs before its first training, so that a missing prerequisite is not found after the baseline.

Each step is really done and then undone: a commit in the workspace's repository, a snapshot image, a container that reads the
training data, a file where reports and attempts will be. One to two seconds, also on resume.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from runner.errors import PrerequisiteMissing
from runner.evaluation.pipeline import PYTHON, Pipeline
from runner.results import git_lineage
from runner.results.snapshot import HOME
from sandbox.engine import LABEL, BuildContext, Engine, Image, ImageMissing, SandboxError
from sandbox.mounts import write_file
from sandbox.outcome import Ending
from sandbox.spec import MIB, Job, Lease, Limits, Mount, Role

_READ = """
import os
def fail(error):
    raise error
for top in ("/data", "/work"):
    for folder, _, names in os.walk(top, onerror=fail):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                file.read(1)
"""


def preflight(pipeline: Pipeline, base: Image, workspace: Path, state: Path, run: str) -> None:
    """Raises PrerequisiteMissing or SandboxError: one sentence that says what to do."""
    for folder in (workspace, state):
        _try_write(folder)
    git_lineage.try_out(workspace, run, (workspace / "train.py").read_bytes())
    _try_snapshot(pipeline.engine, base, run)
    _try_data(pipeline, state)


def _try_write(folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
            file.flush()
    except OSError as error:
        raise PrerequisiteMissing(
            f"{folder} cannot be written ({error.strerror}), and a run writes its artifacts and reports there: "
            "free some space or correct its permissions"
        ) from error


def _try_snapshot(engine: Engine, base: Image, run: str) -> None:
    """A small snapshot. The tag contains the run's id, so that two runs do not remove each other's."""
    tag = f"autoresearch/{run}:preflight"
    with suppress(ImageMissing):  # of a runner that was killed here
        engine.remove_image(engine.image(tag).id)
    try:
        made = engine.build(
            BuildContext(
                dockerfile=f"FROM {base.id}\nCOPY snapshot {HOME}\n",
                files={"snapshot/preflight": secrets.token_bytes(16)},
                tags=(tag,),
                labels={f"{LABEL}.image": "preflight"},
            )
        )
        engine.remove_image(made.id)
    except SandboxError as error:
        raise PrerequisiteMissing(
            f"a kept experiment could not be stored as an image ({error}); repair the engine, then begin again"
        ) from error


def _try_data(pipeline: Pipeline, state: Path) -> None:
    """Whether the container's user can read its inputs: file modes, SELinux and network homes may prevent it."""
    with tempfile.TemporaryDirectory(dir=state, prefix="preflight-") as name:
        script = Path(name) / "train.py"
        write_file(script, b"")
        outcome = pipeline.engine.run(
            Job(
                run="preflight",
                experiment="0",
                attempt=1,
                role=Role.PROBE,
                image=pipeline.image,
                command=(PYTHON, "-I", "-B", "-c", _READ),
                limits=Limits(wall_clock_s=30.0, memory_bytes=128 * MIB, pids=32, out_bytes=MIB),
                lease=Lease(cpus=(min(os.sched_getaffinity(0)),)),
                destination=Path(name),
                mounts=(Mount(script, "/work/train.py"), Mount(pipeline.train_data, "/data")),
            )
        )
    if outcome.ending is Ending.EXITED and outcome.exit_code == 0:
        return
    last = (outcome.log_tail.strip().splitlines() or [outcome.detail or str(outcome.ending)])[-1]
    labelled = Path("/sys/fs/selinux/enforce").exists()
    cure = (
        f"; where SELinux refuses it, `chcon -Rt container_file_t {pipeline.train_data} {state}` helps"
        if labelled
        else ""
    )
    raise PrerequisiteMissing(
        f"a container cannot read what a training needs, the data in {pipeline.train_data} and a script in {state}: {last}{cure}"
    )
