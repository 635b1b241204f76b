"""Before a container starts: does the engine report exactly what was asked? Any difference refuses to start.

An engine may drop what it does not support with no more than a warning (rootless podman on cgroup v1 ignores
memory and pids limits), so the answer is read back and compared, closed by default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_AS_ASKED = (
    *(
        "NetworkMode",
        "ReadonlyRootfs",
        "Privileged",
        "IpcMode",
        "CgroupnsMode",
        "Init",
        "PidsLimit",
        "Memory",
    ),
    *("MemorySwap", "ShmSize", "CpusetCpus", "NanoCpus", "AutoRemove", "Tmpfs", "OomScoreAdj", "Runtime"),
)
_MUST_BE_EMPTY = (
    "Binds",
    "CapAdd",
    "Devices",
    "Links",
    "VolumesFrom",
    "ExtraHosts",
    "PortBindings",
    "GroupAdd",
)
_NOT_HOST = ("PidMode", "UTSMode", "UsernsMode", "NetworkMode", "IpcMode", "CgroupnsMode")


def differences(asked: Mapping[str, Any], reported: Mapping[str, Any]) -> list[str]:
    """What the engine reports otherwise than asked, one phrase each; empty when it may start.

    `asked` is the configuration sent, `reported` the engine's inspect answer.
    """
    want, have = asked["HostConfig"], reported.get("HostConfig") or {}
    config = reported.get("Config") or {}
    found = [f"{key} is {have.get(key)!r}" for key in _AS_ASKED if key in want and have.get(key) != want[key]]
    found += [f"{key} is not empty" for key in _MUST_BE_EMPTY if have.get(key)]
    found += [f"{key} is the host's" for key in _NOT_HOST if have.get(key) == "host"]
    if [name.removeprefix("CAP_") for name in have.get("CapDrop") or []] != ["ALL"]:
        found.append("capabilities are not all dropped")
    found += _security_options(want["SecurityOpt"], have.get("SecurityOpt") or [])
    if config.get("User") != asked["User"]:
        found.append(f"User is {config.get('User')!r}")
    if _mounts(reported.get("Mounts") or []) != _asked_mounts(want["Mounts"]):
        found.append("the mounts differ")
    if set(config.get("Env") or []) - set(asked["Env"]) - _image_defaults(config):
        found.append("the environment holds more than was given")
    ulimits = {(u["Name"], u["Soft"], u["Hard"]) for u in have.get("Ulimits") or []}
    if ulimits != {(u["Name"], u["Soft"], u["Hard"]) for u in want["Ulimits"]}:
        found.append("the ulimits differ")
    if (have.get("LogConfig") or {}).get("Type") != want["LogConfig"]["Type"]:
        found.append("the log driver differs")
    requests = [request.get("DeviceIDs") for request in have.get("DeviceRequests") or []]
    if requests != [request["DeviceIDs"] for request in want.get("DeviceRequests", [])]:
        found.append("the devices differ")
    return found


def _security_options(want: list[str], have: list[str]) -> list[str]:
    found = []
    if not any(option in {"no-new-privileges", "no-new-privileges:true"} for option in have):
        found.append("new privileges are allowed")
    asked = next(option for option in want if option.startswith("seccomp=")).removeprefix("seccomp=")
    given = [option.removeprefix("seccomp=") for option in have if option.startswith("seccomp=")]
    if len(given) != 1 or not _same_json(given[0], asked):
        found.append("the seccomp profile differs")
    if any("unconfined" in option for option in have):
        found.append("a confinement is switched off")
    return found


def _same_json(left: str, right: str) -> bool:
    try:
        return bool(json.loads(left) == json.loads(right))
    except ValueError:
        return False


def _asked_mounts(mounts: list[dict[str, Any]]) -> set[tuple[str, str, bool]]:
    return {(m["Type"], m["Target"], not m.get("ReadOnly", False)) for m in mounts}


def _mounts(mounts: list[dict[str, Any]]) -> set[tuple[str, str, bool]]:
    seen = {(str(m.get("Type")), str(m.get("Destination")), bool(m.get("RW"))) for m in mounts}
    return {mount for mount in seen if mount[0] != "tmpfs"}


def _image_defaults(config: Mapping[str, Any]) -> set[str]:
    """PATH and the Python image's own variables come with the base; nothing else may."""
    harmless = ("PATH=", "LANG=", "GPG_KEY=", "PYTHON_VERSION=", "PYTHON_SHA256=", "PYTHON_PIP_VERSION=")
    return {entry for entry in config.get("Env") or [] if entry.startswith(harmless)}
