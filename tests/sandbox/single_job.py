"""A process that runs one job on the real engine and says what came of it: `single_job.py SETTINGS`, a JSON object.

With `busy_s` its interpreter is held that long by native code as soon as the job has begun.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from sandbox.docker_engine import DockerEngine
from sandbox.spec import MIB, Job, Lease, Limits, Output, Role

PYTHON = "/opt/venv/bin/python"


def hold_the_interpreter(seconds: int) -> None:
    time.sleep(1.0)  # a `PyDLL` call does not let go of the interpreter's lock
    ctypes.PyDLL(None).sleep(seconds)


def main() -> None:
    settings = json.loads(sys.argv[1])
    engine = DockerEngine.connect(settings.get("host"))
    folder = Path(settings["folder"])
    job = Job(
        run=settings["run"],
        experiment="1",
        attempt=1,
        role=Role.TRAIN,
        image=settings["image"],
        command=(settings.get("python", PYTHON), "-I", "-B", "-u", "-c", settings["program"]),
        limits=Limits(wall_clock_s=settings["wall_clock_s"], memory_bytes=128 * MIB, pids=32, out_bytes=MIB),
        lease=Lease(cpus=(min(os.sched_getaffinity(0)),)),
        destination=folder,
        outputs=(Output("a", 1000),),
    )
    if settings.get("busy_s"):
        threading.Thread(target=hold_the_interpreter, args=(settings["busy_s"],)).start()
    outcome = engine.run(job)
    files = {name: file.path.read_text() for name, file in outcome.files.items()}
    print(
        json.dumps(
            {
                "ending": outcome.ending,
                "fault": outcome.fault,
                "exit_code": outcome.exit_code,
                "seconds": outcome.seconds,
                "files": files,
                "detail": outcome.detail,
                "left": len(engine.remnants(settings["run"])),
            }
        ),
        flush=True,
    )


main()
