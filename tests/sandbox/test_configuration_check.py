"""Whatever an engine reports otherwise than asked keeps the container from starting."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.configuration_check import differences
from sandbox.dialect import Dialect, detect
from sandbox.docker_engine import DockerEngine
from sandbox.host_config import container_config, holder_config, labels
from sandbox.job_validation import refuse_malformed
from sandbox.outcome import Ending
from sandbox.seccomp import FILE, JUDGE_FILE, profile
from sandbox.spec import Job, Lease, Limits, Mount, Output, Role

IMAGE = "sha256:" + "a" * 64


def job(tmp_path: Path, **changes: Any) -> Job:
    tmp_path.mkdir(exist_ok=True)
    options: dict[str, Any] = {
        "run": "r",
        "experiment": "1",
        "attempt": 1,
        "role": Role.TRAIN,
        "image": IMAGE,
        "command": ("python", "train.py"),
        "limits": Limits(wall_clock_s=300),
        "lease": Lease(cpus=(2, 3), gpu_uuid="GPU-x"),
        "destination": tmp_path,
        "mounts": (Mount(Path("/srv/data"), "/data"),),
        "outputs": (Output("a", 1),),
        "environment": {"SEED": "1"},
    }
    return Job(**{**options, **changes})


def asked(tmp_path: Path) -> dict[str, Any]:
    given = job(tmp_path)
    return container_config(
        given,
        volume="v",
        uid=2100000000,
        labels=labels(given, owner="0:b:1:2", deadline=9),
        dialect=Dialect(gpu_driver="nvidia"),
        python="/p",
    )


def report(config: dict[str, Any]) -> dict[str, Any]:
    """What an honest engine answers."""
    host = copy.deepcopy(config["HostConfig"])
    mounts = [
        {
            "Type": m["Type"],
            "Name" if m["Type"] == "volume" else "Source": m["Source"],
            "Destination": m["Target"],
            "RW": not m["ReadOnly"],
        }
        for m in host["Mounts"]
    ]
    host |= {
        "OomKillDisable": None,
        "MaskedPaths": ["/proc/kcore"],
        "ReadonlyPaths": ["/proc/sys"],
        "CapAdd": None,
    }
    inner = {k: v for k, v in copy.deepcopy(config).items() if k != "HostConfig"}
    inner["Env"] = [*inner["Env"], "PATH=/usr/bin", "PYTHON_VERSION=3.11"]
    return {"Image": config["Image"], "Config": inner, "HostConfig": host, "Mounts": mounts}


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(answer: dict[str, Any]) -> None:
        *folders, name = path.split(".")
        for folder in folders:
            answer = answer[folder]
        answer[name] = value

    return change


def test_an_honest_answer_may_start(tmp_path: Path) -> None:
    config = asked(tmp_path)
    assert differences(config, report(config)) == []


def test_the_holders_answer_may_start(tmp_path: Path) -> None:
    given = job(tmp_path)
    config = holder_config(given, volume="v", uid=2100000000, labels={}, dialect=Dialect(), python="/p")
    assert differences(config, report(config)) == []
    assert "DeviceRequests" not in config["HostConfig"]
    assert config["HostConfig"]["Mounts"][0]["ReadOnly"]


SCALARS = {
    "NetworkMode": "bridge",
    "ReadonlyRootfs": False,
    "Privileged": True,
    "IpcMode": "host",
    "CgroupnsMode": "host",
    "Init": True,
    "PidsLimit": None,
    "Memory": 0,
    "MemorySwap": -1,
    "OomKillDisable": True,
    "OomScoreAdj": 0,
    "ShmSize": 1 << 40,
    "Tmpfs": None,
    "CpusetCpus": "",
    "NanoCpus": 0,
    "CpuShares": 1024,
    "AutoRemove": True,
    "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
}


def test_every_scalar_that_is_asked_is_tried_below(tmp_path: Path) -> None:
    config = asked(tmp_path)["HostConfig"]
    structured = {"SecurityOpt", "CapDrop", "Mounts", "Ulimits", "LogConfig", "DeviceRequests"}
    assert set(config) - structured == set(SCALARS)


@pytest.mark.parametrize("key", SCALARS)
def test_a_limit_that_was_dropped_refuses(key: str, tmp_path: Path) -> None:
    config = asked(tmp_path)
    answer = report(config)
    answer["HostConfig"][key] = SCALARS[key]
    assert differences(config, answer)


@pytest.mark.parametrize(
    "change",
    [
        put("HostConfig.CapAdd", ["SYS_ADMIN"]),
        put("HostConfig.CapDrop", []),
        put("HostConfig.CapDrop", None),
        put("HostConfig.Devices", [{"PathOnHost": "/dev/sda"}]),
        put("HostConfig.DeviceCgroupRules", ["a *:* rwm"]),
        put("HostConfig.Binds", ["/:/host"]),
        put("HostConfig.VolumesFrom", ["other"]),
        put("HostConfig.PidMode", "host"),
        put("HostConfig.UTSMode", "host"),
        put("HostConfig.UsernsMode", "host"),
        put("HostConfig.Sysctls", {"kernel.shmmax": "1"}),
        put("HostConfig.StorageOpt", {"dm.override_udev_sync_check": "true"}),
        put("HostConfig.ExtraHosts", ["a:1.2.3.4"]),
        put("HostConfig.GroupAdd", ["docker"]),
        put("HostConfig.PublishAllPorts", True),
        put("HostConfig.MaskedPaths", []),
        put("HostConfig.SecurityOpt", None),
        put("HostConfig.SecurityOpt", ["no-new-privileges:true"]),
        put("HostConfig.SecurityOpt", ["no-new-privileges:true", "seccomp=unconfined"]),
        put(
            "HostConfig.SecurityOpt", ["no-new-privileges:true", 'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']
        ),
        put("HostConfig.SecurityOpt", [f"seccomp={profile()}"]),
        put("HostConfig.SecurityOpt", ["no-new-privileges", f"seccomp={profile()}", "apparmor=unconfined"]),
        put("HostConfig.Ulimits", []),
        put("HostConfig.LogConfig", {"Type": "json-file", "Config": {}}),
        put("HostConfig.LogConfig", None),
        put("HostConfig.DeviceRequests", [{"Driver": "nvidia", "Count": -1, "DeviceIDs": None}]),
        put("HostConfig.DeviceRequests", None),
        put("Config.User", ""),
        put("Config.User", "0:0"),
        put("Config.Env", ["HOME=/tmp", "SEED=1", "LD_PRELOAD=/tmp/x.so"]),
        put("Config.Env", ["HOME=/tmp"]),
        put("Config.Cmd", ["other.py"]),
        put("Config.Entrypoint", ["/entry"]),
        put("Config.Labels", {}),
        put("Image", "sha256:" + "b" * 64),
        put("Mounts", []),
        lambda answer: answer["Mounts"].append(
            {"Type": "volume", "Name": "x", "Destination": "/x", "RW": True}
        ),
        lambda answer: answer["Mounts"][0].update(RW=True),
        lambda answer: answer["Mounts"][0].update(Source="/etc"),
    ],
)
def test_any_other_difference_refuses(change: Callable[[dict[str, Any]], None], tmp_path: Path) -> None:
    config = asked(tmp_path)
    answer = report(config)
    change(answer)
    assert differences(config, answer)


def test_an_empty_answer_refuses(tmp_path: Path) -> None:
    assert differences(asked(tmp_path), {})


@pytest.mark.engine
def test_a_real_engine_that_drops_a_limit_starts_nothing(
    sandboxed: Any, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, start = engine.client.create_container_from_config, engine.client.start
    started: list[str] = []

    def forgetful(config: dict[str, Any], name: str) -> Any:
        return create({**config, "HostConfig": {**config["HostConfig"], "PidsLimit": 0}}, name)

    def counted(container: str) -> Any:
        started.append(container)
        return start(container)

    monkeypatch.setattr(engine.client, "create_container_from_config", forgetful)
    monkeypatch.setattr(engine.client, "start", counted)
    outcome = sandboxed("print('ran')")
    assert outcome.ending is Ending.REFUSED
    assert "PidsLimit" in outcome.detail
    assert started == []


@pytest.mark.engine
def test_a_real_engine_that_drops_a_limit_of_the_candidate_alone_starts_it_not(
    sandboxed: Any, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = engine.client.create_container_from_config

    def forgetful(config: dict[str, Any], name: str) -> Any:
        host = config["HostConfig"]
        loose = host if name.rsplit("-", 1)[0].endswith("holder") else {**host, "PidsLimit": 0}
        return create({**config, "HostConfig": loose}, name)

    monkeypatch.setattr(engine.client, "create_container_from_config", forgetful)
    outcome = sandboxed("print('ran')")
    assert (outcome.ending, outcome.log_tail) == (Ending.REFUSED, "")
    assert "PidsLimit" in outcome.detail


def test_the_seccomp_profile_is_an_allow_list_without_the_known_dangers() -> None:
    rules = json.loads(profile())
    assert rules["defaultAction"] == "SCMP_ACT_ERRNO"
    allowed = {
        name for rule in rules["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]
    }
    forbidden = """ptrace process_vm_readv process_vm_writev io_uring_setup io_uring_enter io_uring_register keyctl
    add_key request_key userfaultfd perf_event_open bpf mount umount2 pivot_root move_mount open_tree fsopen fsconfig
    fsmount mount_setattr unshare setns kcmp pidfd_getfd clone3 init_module finit_module kexec_load reboot swapon
    settimeofday clock_settime chroot acct quotactl name_to_handle_at open_by_handle_at lookup_dcookie sync syncfs
    inotify_init inotify_init1 fanotify_init mq_open cachestat flock""".split()
    assert allowed & set(forbidden) == set()
    conditional = {rule["names"][0] for rule in rules["syscalls"] if rule.get("args")}
    assert conditional == set(
        "clone socket socketpair personality mmap memfd_create shmget madvise prctl fcntl".split()
    )
    commands = {rule["args"][0]["value"] for rule in rules["syscalls"] if rule["names"] == ["fcntl"]}
    assert commands == {0, 1, 2, 3, 4, *range(1030, 1035)}, (
        "no lock (5-7, 36-38), lease (1024) or notice (1026)"
    )
    families = {rule["args"][0]["value"] for rule in rules["syscalls"] if rule["names"] == ["socket"]}
    assert families == {1}


def test_the_judges_profile_allows_less_and_no_talk_through_shared_files() -> None:
    rules, judges = (json.loads(profile(file))["syscalls"] for file in (FILE, JUDGE_FILE))
    allowed = {name for rule in judges if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    assert allowed < {name for rule in rules if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    talk = """fadvise64 readahead mincore preadv2 pwritev2 cachestat flock splice tee vmsplice sendfile copy_file_range
    shmget msgget semget inotify_init1 bind listen accept accept4""".split()
    assert allowed & set(talk) == set()
    assert all(rule in rules for rule in judges[1:])


@pytest.mark.parametrize("role", Role)
def test_whoever_runs_a_strangers_program_on_hidden_text_has_the_judges_profile(
    role: Role, tmp_path: Path
) -> None:
    config = container_config(
        job(tmp_path, role=role), volume="v", uid=1, labels={}, dialect=Dialect(), python="/p"
    )
    hidden = role in {Role.JUDGE_BLIND, Role.JUDGE_SCORE, Role.STAGE}
    text = profile(JUDGE_FILE if hidden else FILE)
    assert config["HostConfig"]["SecurityOpt"][1] == f"seccomp={text}"


@pytest.mark.parametrize(
    "change",
    [
        put("HostConfig.LogConfig.Config", {"max-size": "10m", "labels": "team"}),
        put("HostConfig.StorageOpt", {"size": "10G"}),
        put("HostConfig.Runtime", "an-administrators-own"),
        lambda answer: answer["HostConfig"]["Ulimits"].append({"Name": "stack", "Soft": 1, "Hard": 2}),
        lambda answer: answer["Config"]["Labels"].update(site="cluster"),
        lambda answer: answer["HostConfig"]["SecurityOpt"].append("no-new-privileges"),
    ],
)
def test_what_an_administrators_defaults_add_is_no_loosening(
    change: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    config = asked(tmp_path)
    answer = report(config)
    change(answer)
    assert differences(config, answer) == []


@pytest.mark.parametrize(
    "name", ["memlock", "msgqueue", "nice", "nofile", "rtprio", "sigpending", "core", "fsize"]
)
def test_a_ulimit_that_an_administrator_loosened_is_set_back(name: str, tmp_path: Path) -> None:
    config = asked(tmp_path)
    assert [limit for limit in config["HostConfig"]["Ulimits"] if limit["Name"] == name]
    answer = report(config)
    for limit in answer["HostConfig"]["Ulimits"]:
        if limit["Name"] == name:
            limit["Hard"] = -1
    assert differences(config, answer) == ["the ulimits differ"]


def test_a_gpu_is_asked_for_by_uuid(tmp_path: Path) -> None:
    for driver, wanted in (("cdi", "nvidia.com/gpu=GPU-x"), ("nvidia", "GPU-x")):
        config = container_config(
            job(tmp_path),
            volume="v",
            uid=2100000000,
            labels={},
            dialect=Dialect(gpu_driver=driver),
            python="/p",
        )
        (request,) = config["HostConfig"]["DeviceRequests"]
        assert request["DeviceIDs"] == [wanted]
        assert "Count" not in request


def test_a_gpu_gets_no_graphics(tmp_path: Path) -> None:
    """Graphics and video widen the driver's surface."""
    config = container_config(
        job(tmp_path),
        volume="v",
        uid=2100000000,
        labels={},
        dialect=Dialect(gpu_driver="nvidia"),
        python="/p",
    )
    (request,) = config["HostConfig"]["DeviceRequests"]
    assert request["Capabilities"] == [["gpu", "compute", "utility"]]


@pytest.mark.parametrize(
    ("info", "driver"),
    [
        ({}, None),
        ({"Runtimes": {"runc": {}, "nvidia": {}}}, "nvidia"),
        ({"Runtimes": {"nvidia": {}}, "DiscoveredDevices": [{"ID": "nvidia.com/gpu=GPU-x"}]}, "cdi"),
        ({"DiscoveredDevices": [{"ID": "vendor.com/nic=0"}]}, None),
    ],
)
def test_the_way_to_a_gpu_is_what_the_engine_has(info: dict[str, Any], driver: str | None) -> None:
    found = detect({}, info, base_url="http+docker://localhost", runtime=None, hook=lambda: False)
    assert found.gpu_driver == driver


@pytest.mark.parametrize(
    ("name", "text"), [("n.yaml", 'kind: "nvidia.com/gpu"\n'), ("n.json", '{"kind": "nvidia.com/gpu"}')]
)
def test_a_cdi_specification_on_this_machine_is_enough(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    info = {"CDISpecDirs": [str(tmp_path), "/nowhere"]}
    assert detect({}, info, base_url="http+docker://localhost", runtime=None).gpu_driver == "cdi"


def test_podman_and_a_remote_engine_are_told_apart() -> None:
    podman = detect(
        {"Components": [{"Name": "Podman Engine"}]}, {}, base_url="http+docker://localhost", runtime=None
    )
    assert (podman.podman, podman.local) == (True, True)
    assert not detect({}, {}, base_url="https://far:2376", runtime=None).local
    assert not detect({}, {}, base_url="http+docker://ssh", runtime=None).local


@pytest.mark.parametrize(
    "changes",
    [
        {"image": "autoresearch/candidate:cpu"},
        {"image": "sha256:abc"},
        {"command": ()},
        {"lease": Lease(cpus=())},
        {"lease": Lease(cpus=(1, 1))},
        {"limits": Limits(wall_clock_s=0)},
        {"limits": Limits(wall_clock_s=1, memory_bytes=0)},
        {"limits": Limits(wall_clock_s=1, pids=-1)},
        {"limits": Limits(wall_clock_s=1, out_inodes=0)},
        {"outputs": (Output("../a", 1),)},
        {"outputs": (Output("a/b", 1),)},
        {"outputs": (Output("..", 1),)},
        {"outputs": (Output("a\n", 1),)},
        {"outputs": (Output("a", 1), Output("a", 2))},
        {"mounts": (Mount(Path("/x"), "relative"),)},
        {"mounts": (Mount(Path("/x"), "/out"),)},
        {"mounts": (Mount(Path("/x"), "/a/../proc"),)},
        {"environment": {"A=B": "c"}},
        {"environment": {"A": "b\0c"}},
        {"destination": Path("/nowhere")},
    ],
)
def test_a_malformed_job_is_refused_with_a_sentence(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        refuse_malformed(job(tmp_path, **changes))


def test_a_destination_that_holds_an_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")
    with pytest.raises(ValueError, match="already"):
        refuse_malformed(job(tmp_path))


def test_a_well_formed_job_is_not_refused(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    refuse_malformed(job(tmp_path))


@pytest.mark.parametrize(
    ("url", "components", "hook", "driver"),
    [
        ("http+docker://localhost", [], True, "nvidia"),
        ("http+docker://localhost", [], False, None),
        ("https://far:2376", [], True, None),  # the hook is on this machine, the engine is not
        ("http+docker://localhost", [{"Name": "Podman Engine"}], True, None),
    ],
)
def test_docker_hands_out_gpus_if_the_toolkits_hook_is_there_though_it_does_not_say_so(
    url: str, components: list[dict[str, str]], hook: bool, driver: str | None
) -> None:
    found = detect({"Components": components}, {}, base_url=url, runtime=None, hook=lambda: hook)
    assert found.gpu_driver == driver


def test_a_container_without_a_gpu_says_so_whatever_its_image_says(tmp_path: Path) -> None:
    """Images such as nvidia/cuda ask for all GPUs, and an engine whose default runtime is NVIDIA's would give them."""
    common: dict[str, Any] = {"volume": "v", "uid": 2100000000, "labels": {}, "python": "/p"}
    said = "NVIDIA_VISIBLE_DEVICES=void"
    dialect = Dialect(gpu_driver="nvidia")
    on_a_gpu, on_cpus = job(tmp_path), job(tmp_path, lease=Lease((0,)))
    assert said in container_config(on_cpus, dialect=dialect, **common)["Env"]
    assert said in holder_config(on_a_gpu, dialect=dialect, **common)["Env"]
    assert said not in container_config(on_a_gpu, dialect=dialect, **common)["Env"]
