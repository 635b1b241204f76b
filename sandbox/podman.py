"""podman's Docker-compatible socket: translates our requests for podman, and podman's report back into Docker's form.

podman accepts most of Docker's configuration. The rest is translated to the options of podman 4 (`podman create`, `podman volume
create`). Its report is compared field by field: `in_dockers_form` translates only the report that was expected, so that
`sandbox.configuration_check` refuses every other one. podman lacks two things: a limit of inodes in /tmp (each still counts as
memory), and private cgroup names on cgroup v1.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from sandbox import seccomp

_OUT = "rw,noexec,nosuid,nodev"
# With a read-only root podman makes both writable and of any size, unless an option forbids it.
_CLOSED = "ro,noexec,nosuid,nodev,size=4096,mode=0555"
_NPROC = {"Name": "nproc", "Soft": 4096, "Hard": 4096}
"""podman always sets this limit, by default above what a container may have. PidsLimit is the effective one."""
_ADDED_VARIABLES = ("TERM=xterm", "container=podman", "HOSTNAME=sandbox")


def tmpfs_size(size: int) -> str:
    """The mount option that limits a tmpfs volume to `size` bytes. It is in pages of this machine: podman would read `size` as a quota of
    the disk under its volumes, and creates no volume if there is no quota."""
    return f"nr_blocks={max(size // os.sysconf('SC_PAGE_SIZE'), 1)}"


def asked(config: Mapping[str, Any], *, cgroup_v1: bool) -> dict[str, Any]:
    """Docker's configuration of a container as podman understands it."""
    host = config["HostConfig"]
    volumes = [mount for mount in host["Mounts"] if mount["Type"] == "volume"]
    return {
        **config,
        "HostConfig": {
            **host,
            "SecurityOpt": _security(host),
            "CgroupnsMode": _cgroup_names(cgroup_v1),
            "Tmpfs": {place: f"{options},notmpcopyup" for place, options in _tmpfs(host).items()},
            "Ulimits": [*host["Ulimits"], _NPROC],
            # mounts have no option noexec, binds have
            "Mounts": [mount for mount in host["Mounts"] if mount["Type"] != "volume"],
            "Binds": [f"{mount['Source']}:{mount['Target']}:{_mode(mount)}" for mount in volumes],
        },
    }


def inspect(client: Any, container: str) -> dict[str, Any]:
    """podman's own report, which has more than the one for Docker's clients. Raises the client's errors."""
    answer = client.get(f"{client.base_url}/v4.0.0/libpod/containers/{container}/json")
    answer.raise_for_status()
    return dict(answer.json())


def in_dockers_form(
    config: Mapping[str, Any], answer: Mapping[str, Any], own: Mapping[str, Any], *, cgroup_v1: bool
) -> dict[str, Any]:
    """The report on a container of `asked(config)` in Docker's form, for the comparison with `config`. `answer` is podman's report for
    Docker's clients, `own` that of `inspect`."""
    want, host, says = config["HostConfig"], answer["HostConfig"], own["HostConfig"]
    log = says.get("LogConfig") or {}
    as_asked = {
        # an administrator may allow sharing it; the candidate's own is private in both cases
        "IpcMode": says.get("IpcMode") in {"private", "shareable"},
        "CgroupnsMode": says.get("CgroupMode") == _cgroup_names(cgroup_v1),
        "CapDrop": not own.get("EffectiveCaps") and not own.get("BoundingCaps"),
        "SecurityOpt": set(says.get("SecurityOpt") or []) == {"no-new-privileges", _security(want)[1]},
        "Tmpfs": _sets(says.get("Tmpfs")) == _sets(_tmpfs(want), "rprivate"),
        "Ulimits": _limits(says.get("Ulimits")) == _limits([*want["Ulimits"], _NPROC]),
        "LogConfig": log.get("Type") == want["LogConfig"]["Type"],
    }
    translated = {key: want[key] for key, held in as_asked.items() if held}
    if sorted(map(_bind_as_set, says.get("Binds") or [])) == sorted(map(_bind, want["Mounts"])):
        translated["Binds"] = []
    for key in ("PidMode", "UTSMode"):
        if says.get(key) == "private":
            translated[key] = ""
    inner = answer["Config"]
    environment = [entry for entry in inner.get("Env") or [] if entry not in _ADDED_VARIABLES]
    return {**answer, "HostConfig": {**host, **translated}, "Config": {**inner, "Env": environment}}


def _security(host: Mapping[str, Any]) -> list[str]:
    """The profile by name: podman reads the file, on its own machine, when the container is made."""
    found = []
    for option in host["SecurityOpt"]:
        name, _, text = option.partition("=")
        found.append(f"seccomp={seccomp.file_of(text)}" if name == "seccomp" else option)
    return found


def _cgroup_names(cgroup_v1: bool) -> str:
    return "host" if cgroup_v1 else "private"


def _tmpfs(host: Mapping[str, Any]) -> dict[str, str]:
    known = {
        place: ",".join(word for word in options.split(",") if not word.startswith("nr_inodes="))
        for place, options in host["Tmpfs"].items()
    }
    return {**known, "/run": _CLOSED, "/var/tmp": _CLOSED}


def _sets(tmpfs: Mapping[str, str] | None, *more: str) -> dict[str, set[str]]:
    return {place: {*options.split(","), *more} for place, options in (tmpfs or {}).items()}


def _mode(mount: Mapping[str, Any]) -> str:
    return _OUT.replace("rw", "ro") if mount["ReadOnly"] else _OUT


def _bind(mount: Mapping[str, Any]) -> tuple[str, str, list[str]]:
    """A mount as podman lists it among its binds: the options in alphabetical order."""
    options = "ro,rprivate,bind" if mount["Type"] == "bind" else f"{_mode(mount)},rprivate,rbind"
    return mount["Source"], mount["Target"], sorted(options.split(","))


def _bind_as_set(listed: str) -> tuple[str, str, list[str]]:
    source, _, rest = listed.partition(":")
    target, _, options = rest.partition(":")
    return source, target, sorted(options.split(","))


def _limits(ulimits: list[Mapping[str, Any]] | None) -> set[tuple[str, int, int]]:
    return {
        (str(u["Name"]).removeprefix("RLIMIT_").lower(), int(u["Soft"]), int(u["Hard"]))
        for u in ulimits or []
    }
