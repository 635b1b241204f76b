"""Translates a job into the Engine API's container configuration, with every limit in one place.

Field names are those of the Docker Engine API (https://docs.docker.com/reference/api/engine/). `sandbox.configuration_check`
compares this mapping with the engine's report before anything starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from sandbox import launcher, podman, seccomp
from sandbox.dialect import Dialect
from sandbox.engine import LABEL
from sandbox.spec import MIB, Job, Lease, Limits, Mount, Role

OUT = "/out"
LONGEST_AFTER_S = 900
"""Seconds after its job's wall clock at which a holder ends itself, in case nobody is left to remove it."""
_OF_THE_USER = {"memlock": 8 * MIB, "msgqueue": 0, "nice": 0, "rtprio": 0, "sigpending": 1024}
"""Limits of what the kernel counts per user (getrlimit(2)). Training needs none of these."""
_TMP = "rw,noexec,nosuid,nodev,mode=1777,size={size},nr_inodes={inodes}"


def labels(job: Job, *, owner: str, deadline: float, role: Role | None = None) -> dict[str, str]:
    """Owner, purpose and deadline (Unix seconds) of a container or volume."""
    return {
        f"{LABEL}.owner": owner,
        f"{LABEL}.run": job.run,
        f"{LABEL}.experiment": job.experiment,
        f"{LABEL}.attempt": str(job.attempt),
        f"{LABEL}.role": str(role or job.role),
        f"{LABEL}.deadline": f"{deadline:.0f}",
    }


def volumes(volume: str, limits: Limits, *, uid: int, dialect: Dialect) -> dict[str, dict[str, str]]:
    """Names and driver options of the volumes for /out (`volume`) and for the log: tmpfs with hard limits of size and inodes, owned by
    the job's user `uid`."""
    owner, log_bytes = dialect.first_user + uid, launcher.volume_bytes(limits.log_bytes)
    return {
        volume: _tmpfs(limits.out_bytes, limits.out_inodes, owner, dialect),
        _log_of(volume): _tmpfs(log_bytes, launcher.INODES, owner, dialect),
    }


def _tmpfs(size: int, inodes: int, uid: int, dialect: Dialect) -> dict[str, str]:
    bound = podman.tmpfs_size(size) if dialect.podman else f"size={size}"
    options = f"{bound},nr_inodes={inodes},uid={uid},gid={uid},mode=0700"
    return {"type": "tmpfs", "device": "tmpfs", "o": f"{options},nosuid,nodev,noexec"}


def _log_of(volume: str) -> str:
    return f"{volume}-log"


def container_config(
    job: Job, *, volume: str, uid: int, labels: Mapping[str, str], dialect: Dialect, python: str
) -> dict[str, Any]:
    """The whole configuration of the container that runs `job`. `python` is an interpreter inside the image, `uid`
    the job's own user (and group)."""
    command = launcher.command(python, job.command, job.limits.log_bytes, job.limits.wall_clock_s)
    return {
        **_common(
            job.image,
            command,
            uid,
            labels,
            {**_no_gpu(job.lease.gpu_uuid), "HOME": "/tmp", **job.environment},
        ),
        "WorkingDir": "/work",
        "HostConfig": {
            **_confinement(job.limits, dialect, seccomp.of(job.role)),
            "Init": False,  # the launcher is process 1; the engine's own init would have the engine's pipes open
            **_compute(job.lease, dialect),
            "Mounts": [*(_bind(mount) for mount in job.mounts), *_mounts(volume, read_only=False)],
        },
    }


def holder_config(
    job: Job, *, volume: str, uid: int, labels: Mapping[str, str], dialect: Dialect, python: str
) -> dict[str, Any]:
    """The trusted container that has the tmpfs volumes mounted (they vanish with their last user) and in which the collector runs. It has
    the same user, whose files nobody else may read, and the same confinement, with tiny limits, /out and /log read-only, no GPU."""
    limits = Limits(
        wall_clock_s=job.limits.wall_clock_s,
        memory_bytes=128 * MIB,
        pids=32,
        shm_bytes=MIB,
        tmp_bytes=MIB,
        tmp_inodes=16,
        out_bytes=job.limits.out_bytes,
    )
    longest = min(ceil(job.limits.wall_clock_s) + LONGEST_AFTER_S, 2**31 - 1)  # an int of C's
    command = (python, "-I", "-B", "-c", f"import signal; signal.alarm({longest}); signal.pause()")
    return {
        **_common(job.image, command, uid, labels, {**_no_gpu(None), "HOME": "/tmp"}),
        "HostConfig": {
            **_confinement(limits, dialect, seccomp.of(Role.HOLDER)),
            **_compute(Lease(cpus=job.lease.cpus), dialect),
            "Init": True,  # reaps what the collector leaves
            "Mounts": _mounts(volume, read_only=True),
        },
    }


def _common(
    image: str, command: tuple[str, ...], uid: int, labels: Mapping[str, str], environment: Mapping[str, str]
) -> dict[str, Any]:
    """The environment in the API's form. docker-py would add the proxies of ~/.docker/config.json, which may contain secrets, to an
    environment that it makes; this one is sent as it is."""
    return {
        "Image": image,
        "Entrypoint": [command[0]],
        "Cmd": list(command[1:]),
        "User": f"{uid}:{uid}",
        "Hostname": "sandbox",
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Labels": dict(labels),
        "NetworkDisabled": True,
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGKILL",
        "Tty": False,
        "OpenStdin": False,
    }


def _mounts(volume: str, *, read_only: bool) -> list[dict[str, Any]]:
    return [
        {
            "Type": "volume",
            "Source": source,
            "Target": target,
            "ReadOnly": read_only,
            "VolumeOptions": {"NoCopy": True},
        }
        for source, target in ((volume, OUT), (_log_of(volume), launcher.FOLDER))
    ]


def _bind(mount: Mount) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": str(mount.source.resolve()),
        "Target": mount.target,
        "ReadOnly": True,
        # before Docker 25, mounts below the source would stay writable, so they are left out
        "BindOptions": {"Propagation": "rprivate", "NonRecursive": True},
    }


def _confinement(limits: Limits, dialect: Dialect, profile: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={profile}"],
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "PidsLimit": limits.pids,
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,  # memory and swap together: no swap
        "OomKillDisable": False,
        "OomScoreAdj": 500,  # if the host runs out of memory, this container is killed first
        "ShmSize": limits.shm_bytes,
        "Tmpfs": {"/tmp": _TMP.format(size=limits.tmp_bytes, inodes=limits.tmp_inodes)},
        "Ulimits": [
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "nofile", "Soft": limits.open_files, "Hard": limits.open_files},
            {"Name": "fsize", "Soft": limits.out_bytes, "Hard": limits.out_bytes},
            # all are set, because an administrator may have loosened the engine's defaults
            *({"Name": name, "Soft": most, "Hard": most} for name, most in _OF_THE_USER.items()),
        ],
        "LogConfig": {"Type": "none", "Config": {}},  # an engine buffers what it reads without a limit
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": False,
    }
    if dialect.runtime:
        config["Runtime"] = dialect.runtime
    return config


def _compute(lease: Lease, dialect: Dialect) -> dict[str, Any]:
    config: dict[str, Any] = {
        "CpusetCpus": ",".join(str(cpu) for cpu in lease.cpus),
        "NanoCpus": len(lease.cpus) * 1_000_000_000,
        "CpuShares": 512,  # half the default weight: other users have priority
    }
    if lease.gpu_uuid is not None:
        config["DeviceRequests"] = [_gpu(lease.gpu_uuid, dialect.gpu_driver)]
    return config


def _no_gpu(uuid: str | None) -> dict[str, str]:
    """Without a leased GPU: says so to an engine whose default runtime is NVIDIA's, since an image may ask for all GPUs by its own
    environment (nvidia/cuda does)."""
    return {} if uuid else {"NVIDIA_VISIBLE_DEVICES": "void"}


def _gpu(uuid: str, driver: str | None) -> dict[str, Any]:
    """By UUID, never by index. "compute" and "utility" only: graphics and video widen the driver's surface."""
    if driver == "cdi":
        return {"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={uuid}"]}
    return {"Driver": "nvidia", "DeviceIDs": [uuid], "Capabilities": [["gpu", "compute", "utility"]]}
