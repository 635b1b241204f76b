"""A job as the Engine API's container configuration: every limit in one place.

Field names are those of the Docker Engine API (https://docs.docker.com/reference/api/engine/). The same mapping is
what `sandbox.posture` compares with the engine's own report before anything starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.engine import LABEL
from sandbox.seccomp import profile
from sandbox.spec import MIB, Job, Lease, Limits, Mount, Role

USER = "65532:65532"
_TMP = "rw,noexec,nosuid,nodev,mode=1777,size={size},nr_inodes={inodes}"


def labels(job: Job, *, owner: str, deadline: float, role: Role | None = None) -> dict[str, str]:
    """Whose it is, what for, and until when (unix seconds)."""
    return {
        f"{LABEL}.owner": owner,
        f"{LABEL}.run": job.run,
        f"{LABEL}.experiment": job.experiment,
        f"{LABEL}.attempt": str(job.attempt),
        f"{LABEL}.role": str(role or job.role),
        f"{LABEL}.deadline": f"{deadline:.0f}",
    }


def volume_options(limits: Limits) -> dict[str, str]:
    """Driver options of /out: a tmpfs whose size and inode count are hard."""
    uid = USER.partition(":")[0]
    options = f"size={limits.out_bytes},nr_inodes={limits.out_inodes},uid={uid},gid={uid},mode=0700"
    return {"type": "tmpfs", "device": "tmpfs", "o": f"{options},nosuid,nodev,noexec"}


def container_config(
    job: Job,
    *,
    volume: str,
    labels: Mapping[str, str],
    runtime: str | None,
    log_driver: str,
    gpu_driver: str = "nvidia",
) -> dict[str, Any]:
    """The whole configuration of the container that runs `job`."""
    limits = job.limits
    mounts: list[dict[str, Any]] = [_bind(mount) for mount in job.mounts]
    mounts.append({"Type": "volume", "Source": volume, "Target": "/out", "VolumeOptions": {"NoCopy": True}})
    return {
        "Image": job.image,
        "Entrypoint": [job.command[0]],
        "Cmd": list(job.command[1:]),
        "User": USER,
        "WorkingDir": "/work",
        "Hostname": "sandbox",
        "Env": [f"{name}={value}" for name, value in {"HOME": "/tmp", **job.environment}.items()],
        "Labels": dict(labels),
        "NetworkDisabled": True,
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGKILL",
        "Tty": False,
        "OpenStdin": False,
        "HostConfig": {
            **_confinement(limits, runtime, log_driver),
            **_compute(job.lease, gpu_driver),
            "Mounts": mounts,
        },
    }


def holder_config(
    job: Job, *, volume: str, labels: Mapping[str, str], runtime: str | None, log_driver: str, python: str
) -> dict[str, Any]:
    """The trusted container that keeps the tmpfs volume mounted (it vanishes with its last user) and that the
    collector runs in. Same confinement, tiny limits."""
    limits = Limits(
        wall_clock_s=job.limits.wall_clock_s,
        memory_bytes=128 * MIB,
        pids=32,
        shm_bytes=MIB,
        tmp_bytes=MIB,
        tmp_inodes=16,
        out_bytes=job.limits.out_bytes,
    )
    wait = "import signal; signal.pause()"
    return {
        "Image": job.image,
        "Entrypoint": [python],
        "Cmd": ["-I", "-B", "-c", wait],
        "User": USER,
        "Hostname": "sandbox",
        "Env": ["HOME=/tmp"],
        "Labels": dict(labels),
        "NetworkDisabled": True,
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGKILL",
        "HostConfig": {
            **_confinement(limits, runtime, log_driver),
            **_compute(Lease(cpus=job.lease.cpus), "nvidia"),
            "Mounts": [
                {"Type": "volume", "Source": volume, "Target": "/out", "VolumeOptions": {"NoCopy": True}}
            ],
        },
    }


def _bind(mount: Mount) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": str(mount.source.resolve()),
        "Target": mount.target,
        "ReadOnly": True,
        "BindOptions": {"Propagation": "rprivate"},
    }


def _confinement(limits: Limits, runtime: str | None, log_driver: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={profile()}"],
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "Init": True,  # reaps zombies, and the candidate is not PID 1
        "PidsLimit": limits.pids,
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,  # memory and swap together: no swap
        "OomKillDisable": False,
        "OomScoreAdj": 500,  # if the host runs short, we go first
        "ShmSize": limits.shm_bytes,
        "Tmpfs": {"/tmp": _TMP.format(size=limits.tmp_bytes, inodes=limits.tmp_inodes)},
        "Ulimits": [
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "nofile", "Soft": limits.open_files, "Hard": limits.open_files},
            {"Name": "fsize", "Soft": limits.out_bytes, "Hard": limits.out_bytes},
        ],
        "LogConfig": _log(limits, log_driver),
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": False,
    }
    if runtime:
        config["Runtime"] = runtime
    return config


def _log(limits: Limits, driver: str) -> dict[str, Any]:
    if driver != "local":  # podman: k8s-file knows a size and nothing else
        return {"Type": driver, "Config": {"max-size": str(limits.log_bytes)}}
    # json-file, the default, never rotates; "local" refuses max-file=1 with compression
    half = max(limits.log_bytes // 2, 64 * 1024)
    buffer = {"mode": "non-blocking", "max-buffer-size": "4m"}
    return {"Type": "local", "Config": {"max-size": str(half), "max-file": "2", **buffer}}


def _compute(lease: Lease, gpu_driver: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "CpusetCpus": ",".join(str(cpu) for cpu in lease.cpus),
        "NanoCpus": len(lease.cpus) * 1_000_000_000,
        "CpuShares": 512,
    }
    if lease.gpu_uuid is not None:
        request: dict[str, Any] = {
            "Driver": gpu_driver,
            "DeviceIDs": [lease.gpu_uuid],
            "Capabilities": [["gpu"]],
        }
        if gpu_driver == "cdi":
            request = {"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={lease.gpu_uuid}"]}
        else:
            request["Capabilities"] = [["gpu", "compute", "utility"]]
        config["DeviceRequests"] = [request]
    return config
