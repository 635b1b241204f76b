"""podman is asked in its own words, and only the exact report that was expected passes for Docker's."""

from __future__ import annotations

import copy
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import podman
from sandbox.configuration_check import differences
from sandbox.dialect import Dialect
from sandbox.host_config import container_config, volumes
from sandbox.seccomp import FILE
from sandbox.spec import Job, Lease, Limits, Mount, Role

PODMAN = Dialect(podman=True, cgroup_v1=True)


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    job = Job(
        run="r",
        experiment="1",
        attempt=1,
        role=Role.TRAIN,
        image="sha256:" + "a" * 64,
        command=("python", "train.py"),
        limits=Limits(wall_clock_s=300),
        lease=Lease(cpus=(0, 1)),
        destination=tmp_path,
        mounts=(Mount(Path("/srv/data"), "/data"),),
    )
    return container_config(
        job, volume="v", uid=2100000000, labels={"a": "b"}, dialect=PODMAN, python="/python"
    )


def honest(config: dict[str, Any], *, cgroup_v1: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
    """What podman 4.3.1 tells Docker's clients, and what it tells its own."""
    sent = copy.deepcopy(podman.asked(config, cgroup_v1=cgroup_v1))
    host = sent.pop("HostConfig")
    tmpfs = {
        place: options.replace(",notmpcopyup", "") + ",rprivate" for place, options in host["Tmpfs"].items()
    }
    says = {
        **{key: value for key, value in host.items() if key not in {"CgroupnsMode", "Mounts"}},
        "Binds": [
            "/srv/data:/data:ro,rprivate,bind",
            "v:/out:rw,rprivate,nosuid,nodev,noexec,rbind",
            "v-log:/log:rw,rprivate,nosuid,nodev,noexec,rbind",
        ],
        "CapDrop": ["AUDIT_WRITE", "CHOWN"],
        "IpcMode": "shareable",
        "PidMode": "private",
        "UTSMode": "private",
        "SecurityOpt": ["no-new-privileges", f"seccomp={FILE}"],
        "Tmpfs": tmpfs,
        "Ulimits": [{**limit, "Name": "RLIMIT_" + limit["Name"].upper()} for limit in host["Ulimits"]],
    }
    own = {
        "EffectiveCaps": None,
        "BoundingCaps": None,
        "HostConfig": {
            **copy.deepcopy(says),
            "CgroupMode": "host" if cgroup_v1 else "private",
            "LogConfig": {"Type": "none", "Config": None, "Size": "0B"},
        },
    }
    answer = {
        "Image": config["Image"],
        "HostConfig": {**says, "CgroupnsMode": "", "LogConfig": {"Type": "json-file", "Config": None}},
        "Config": {**sent, "Env": [*sent["Env"], "TERM=xterm", "container=podman", "HOSTNAME=sandbox"]},
        "Mounts": [
            {"Type": "volume", "Name": "v", "Source": "/root/v", "Destination": "/out", "RW": True},
            {"Type": "volume", "Name": "v-log", "Source": "/root/v-log", "Destination": "/log", "RW": True},
            {"Type": "bind", "Source": "/srv/data", "Destination": "/data", "RW": False},
        ],
    }
    return answer, own


def found(config: dict[str, Any], answer: dict[str, Any], own: dict[str, Any]) -> list[str]:
    return differences(config, podman.in_dockers_form(config, answer, own, cgroup_v1=True))


def test_an_honest_report_may_start(config: dict[str, Any]) -> None:
    assert found(config, *honest(config)) == []


def test_with_cgroup_v2_private_names_are_asked_and_expected(config: dict[str, Any]) -> None:
    answer, own = honest(config, cgroup_v1=False)
    assert differences(config, podman.in_dockers_form(config, answer, own, cgroup_v1=False)) == []
    own["HostConfig"]["CgroupMode"] = "host"
    assert differences(config, podman.in_dockers_form(config, answer, own, cgroup_v1=False))


def _changed(key: str, value: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(answer: dict[str, Any], own: dict[str, Any]) -> None:
        answer["HostConfig"][key] = own["HostConfig"][key] = value

    return change


OPEN = {"/tmp": "rw,noexec,nosuid,nodev,mode=1777,size=268435456,rprivate"}


@pytest.mark.parametrize(
    "change",
    [
        _changed("IpcMode", "host"),
        _changed("IpcMode", ""),
        _changed("PidMode", "host"),
        _changed("UTSMode", "host"),
        _changed("Memory", 0),
        _changed("PidsLimit", 0),
        _changed("Binds", ["/srv/data:/data:ro,rprivate,bind"]),
        _changed(
            "Binds", ["/srv/data:/data:ro,rprivate,bind", "v:/out:rw,rprivate,nosuid,nodev,rbind"]
        ),
        _changed(
            "Binds", ["/srv/data:/data:ro,rprivate,rbind", "v:/out:rw,rprivate,nosuid,nodev,noexec,rbind"]
        ),
        _changed("Tmpfs", OPEN),
        _changed("Tmpfs", {**OPEN, "/run": "rw,rprivate,nosuid", "/var/tmp": "rw,rprivate,nosuid"}),
        _changed("Ulimits", []),
        _changed("SecurityOpt", ["no-new-privileges"]),
        _changed("SecurityOpt", ["no-new-privileges", "seccomp=/elsewhere.json"]),
        _changed("SecurityOpt", ["no-new-privileges", f"seccomp={FILE}", "label=disable"]),
        _changed("SecurityOpt", [f"seccomp={FILE}"]),
        lambda answer, own: own.update(BoundingCaps=["CAP_SYS_ADMIN"]),
        lambda answer, own: own.update(EffectiveCaps=["CAP_SYS_ADMIN"]),
        lambda answer, own: own["HostConfig"].update(CgroupMode="container:x"),
        lambda answer, own: own["HostConfig"].update(LogConfig={"Type": "k8s-file", "Size": "0B"}),
        lambda answer, own: own["HostConfig"].update(LogConfig=None),
        lambda answer, own: answer["Config"]["Env"].append("KEY=x"),
        lambda answer, own: answer["Config"]["Env"].append("container=other"),
    ],
)  # fmt: skip
def test_any_other_report_refuses(
    change: Callable[[dict[str, Any], dict[str, Any]], object], config: dict[str, Any]
) -> None:
    answer, own = honest(config)
    change(answer, own)
    assert found(config, answer, own)


def test_the_size_of_the_output_is_said_in_pages_and_not_rounded_up() -> None:
    limits = Limits(wall_clock_s=1, out_bytes=(1 << 20) + 1)
    options = volumes("v", limits, uid=1, dialect=PODMAN)["v"]["o"].split(",")
    assert f"nr_blocks={(1 << 20) // resource.getpagesize()}" in options
    assert not [option for option in options if option.startswith("size=")]
    assert f"size={(1 << 20) + 1}" in volumes("v", limits, uid=1, dialect=Dialect())["v"]["o"].split(",")
