"""What the NVIDIA container toolkit does before a container starts: `container_hook.py FOLDER`, called by runc (OCI prestart hook).

It puts the stand-in library and the state of the GPUs asked for into the container's root, lists the container's process on
them, and notes in FOLDER/given.jsonl what it gave. FOLDER/fault makes it err. Standard library only.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))

from nvml_state import Process, World, locked, read, text, write

LIBRARY = "libnvidia-ml.so.1"
IN_CONTAINER = Path("etc/fake-nvml")


def alive(pid: int) -> bool:
    """A zombie is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def given(folder: Path) -> list[dict[str, Any]]:
    """What every container was given, in the order of their starts."""
    log = folder / "given.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def put_state(root: Path, world: World, uuids: list[str]) -> None:
    """The world as a container with this root sees it."""
    write(root / IN_CONTAINER, text(world.only(uuids)))


def _chosen(folder: Path, world: World, asked: list[str]) -> list[str]:
    """The UUIDs to give: those asked for, unless FOLDER/fault says otherwise, "FAULT TIMES UUID" (0: always; the UUID of the one GPU, or
    -)."""
    file, others = folder / "fault", [uuid for uuid in world.uuids() if uuid not in asked]
    if not file.exists():
        return asked
    fault, times, only = file.read_text().split()
    if only not in {"-", *asked}:
        return asked
    if times == "1":
        file.unlink()
    elif times != "0":
        write(file, f"{fault} {int(times) - 1} {only}")
    if fault == "refuse":
        sys.exit("nvidia-container-cli: initialization error: driver rpc error: timed out")
    return {"none": [], "extra": [*asked, *others[:1]], "wrong": others[:1]}[fault]


def _labels(container: str) -> dict[str, str]:
    """Docker's own record of the container has its labels; dockerd tells where in this environment."""
    record = Path(os.environ["FAKE_GPU_DOCKER_DATA"], "containers", container, "config.v2.json")
    labels: dict[str, str] = json.loads(record.read_text())["Config"]["Labels"] or {}
    return labels


def main(folder: Path) -> None:
    state = json.load(sys.stdin)
    config = json.loads(Path(state["bundle"], "config.json").read_text())
    root = Path(state["bundle"], config["root"]["path"])
    environment = dict(entry.split("=", 1) for entry in config["process"]["env"] if "=" in entry)
    asked = [uuid for uuid in environment.get("NVIDIA_VISIBLE_DEVICES", "").split(",") if uuid]
    with locked(folder):
        world = read(folder / "state")
        asked = world.uuids() if asked == ["all"] else asked
        for uuid in asked:
            if not any(
                gpu.error == 0 and uuid in {gpu.uuid, *(m.uuid for m in gpu.mig)} for gpu in world.gpus
            ):
                sys.exit(f"nvidia-container-cli: device error: {uuid}: unknown device")
        uuids = _chosen(folder, world, asked)
        if uuids:
            library = root / "usr/lib" / f"{platform.machine()}-linux-gnu" / LIBRARY
            library.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "lib" / LIBRARY, library)
            put_state(root, world, uuids)
        running = [old for old in given(folder) if alive(old["pid"])]
        entry = {
            "container": state["id"],
            "pid": state["pid"],
            "root": str(root),
            "asked": asked,
            "given": uuids,
            "labels": _labels(state["id"]),
            "beside": {uuid: [o["container"] for o in running if uuid in o["given"]] for uuid in uuids},
        }
        for uuid in uuids:
            world = world.with_process(uuid, Process(state["pid"], kind="container"))
        write(folder / "state", text(world))
        with (folder / "given.jsonl").open("a") as log:
            log.write(json.dumps(entry) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
