"""Compares the configuration that the engine reports with the one requested, before a container starts. It starts only without a
difference.

An engine may drop what it does not support with only a warning (rootless podman on cgroup v1 ignores memory and pids limits). So the
report is compared, closed by default: every requested key must be equal, and every key that could loosen the confinement must be empty.
Ignored is what an administrator's defaults add without loosening anything: options of a log driver that logs nothing, ulimits in
addition to those requested (all that could exceed the kernel's default are requested), a size for the root, labels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_COMPARED_BELOW = {"SecurityOpt", "CapDrop", "Mounts", "Ulimits", "LogConfig", "DeviceRequests"}
_MUST_BE_EMPTY = """
Binds BlkioDeviceReadBps BlkioDeviceWriteBps CapAdd CpuRealtimePeriod CpuRealtimeRuntime DeviceCgroupRules Devices Dns
DnsOptions DnsSearch ExtraHosts GroupAdd Links PidMode PortBindings PublishAllPorts Sysctls UTSMode
UsernsMode VolumesFrom
""".split()
_IMAGES_OWN_VARIABLES = ("PATH", "LANG", "LC_ALL", "GPG_KEY", "PYTHON_VERSION", "PYTHON_SHA256")


def differences(asked: Mapping[str, Any], reported: Mapping[str, Any]) -> list[str]:
    """The differences, one phrase each; empty if the container may start.

    `asked` is the configuration sent, `reported` the engine's inspect answer.
    """
    want, have = asked["HostConfig"], reported.get("HostConfig") or {}
    config = reported.get("Config") or {}
    found = [
        f"{key} is {have.get(key)!r}, not {value!r}"
        for key, value in want.items()
        if key not in _COMPARED_BELOW and _plain(have.get(key)) != _plain(value)
    ]
    found += [f"{key} is {have[key]!r}" for key in _MUST_BE_EMPTY if have.get(key)]
    if [name.removeprefix("CAP_") for name in have.get("CapDrop") or []] != ["ALL"]:
        found.append("capabilities are not all dropped")
    found += _security_options(want["SecurityOpt"], have.get("SecurityOpt") or [])
    for key in ("MaskedPaths", "ReadonlyPaths"):
        if have.get(key) == []:
            found.append(f"{key} is empty: /proc would be open")
    found += [
        f"{key} is {config.get(key)!r}"
        for key in ("User", "Entrypoint", "Cmd", "Hostname")
        if config.get(key) != asked[key]
    ]
    if str(reported.get("Image", "")).removeprefix("sha256:") != asked["Image"].removeprefix("sha256:"):
        found.append("the image is another one")
    if not asked["Labels"].items() <= (config.get("Labels") or {}).items():
        found.append("the labels differ")
    if _mounts(reported.get("Mounts") or []) != _asked_mounts(want["Mounts"]):
        found.append("the mounts differ")
    found += _environment(asked["Env"], config.get("Env") or [])
    if not _limits(want["Ulimits"]) <= _limits(have.get("Ulimits") or []):
        found.append("the ulimits differ")
    if set(have.get("StorageOpt") or {}) - {"size"}:
        found.append(f"StorageOpt is {have['StorageOpt']!r}")
    log = have.get("LogConfig") or {}
    if log.get("Type") != want["LogConfig"]["Type"]:
        found.append(f"the log driver is {log.get('Type')!r}, not {want['LogConfig']['Type']!r}")
    if _devices(have.get("DeviceRequests") or []) != _devices(want.get("DeviceRequests") or []):
        found.append("the devices differ")
    return found


def _plain(value: Any) -> Any:
    """Engines report "off" as null, 0 or False (`OomKillDisable` is null with cgroup v2)."""
    return value or None


def _security_options(want: list[str], have: list[str]) -> list[str]:
    found = []
    if not any(option in {"no-new-privileges", "no-new-privileges:true"} for option in have):
        found.append("new privileges are allowed")
    asked = next(option for option in want if option.startswith("seccomp=")).removeprefix("seccomp=")
    given = [option.removeprefix("seccomp=") for option in have if option.startswith("seccomp=")]
    if len(given) != 1 or not _same_json(given[0], asked):
        found.append("the seccomp profile differs")
    if any("unconfined" in option or option == "label=disable" for option in have):
        found.append("a confinement is switched off")
    return found


def _same_json(left: str, right: str) -> bool:
    try:
        return bool(json.loads(left) == json.loads(right))
    except ValueError:
        return False


def _asked_mounts(mounts: list[dict[str, Any]]) -> set[tuple[str, str, str, bool]]:
    return {(m["Type"], m["Source"], m["Target"], not m.get("ReadOnly", False)) for m in mounts}


def _mounts(mounts: list[dict[str, Any]]) -> set[tuple[str, str, str, bool]]:
    """The mounts: a volume by its name, a bind by its source. A VOLUME of the image is one mount too many here."""
    return {
        (
            str(m.get("Type")),
            str(m.get("Name") if m.get("Type") == "volume" else m.get("Source")),
            str(m.get("Destination")),
            bool(m.get("RW")),
        )
        for m in mounts
        if m.get("Type") != "tmpfs"  # compared as Tmpfs
    }


def _environment(asked: list[str], reported: list[str]) -> list[str]:
    """Exactly the requested variables, plus the few harmless ones that a Python image sets."""
    extra = [entry.partition("=")[0] for entry in reported if entry not in asked]
    found = [
        f"the environment holds {name}, which nobody gave"
        for name in extra
        if name not in _IMAGES_OWN_VARIABLES
    ]
    return found + [f"{entry.partition('=')[0]} is missing" for entry in asked if entry not in reported]


def _limits(ulimits: list[dict[str, Any]]) -> set[tuple[str, int, int]]:
    return {(str(u.get("Name")), int(u.get("Soft", -1)), int(u.get("Hard", -1))) for u in ulimits}


def _devices(requests: list[dict[str, Any]]) -> list[tuple[str, list[str], int]]:
    return [
        (str(r.get("Driver")), list(r.get("DeviceIDs") or []), int(r.get("Count") or 0)) for r in requests
    ]
