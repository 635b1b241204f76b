"""Which devices a training gets when nothing is said, and when something is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.errors import PrerequisiteMissing, RunnerError, UsageError
from runner.evaluation.device_selection import Host, resolve
from runner.evaluation.setup import default_data_for, images_for, leases, require_preset
from runner.store.config import Config
from runner.store.gpu_request import GpuRequest, Mode, parse_gpu_request
from sandbox.fake_engine import FakeEngine
from sandbox.gpu import Driver, FakeGpuProbe, Gpu
from sandbox.lease import CpuLeases
from sandbox.spec import GIB

H100 = "NVIDIA H100 80GB HBM3"
EIGHT = [Gpu(f"GPU-{letter}0", H100, index=index) for index, letter in enumerate("abcdefgh")]
CPU_ONLY = Host(FakeGpuProbe([], driver=None), {}, "nvidia", 512 * GIB, 64)


def server(gpus: list[Gpu] = EIGHT, environment: dict[str, str] | None = None, **changes: Any) -> Host:
    driver = changes.pop("driver", Driver("580.65.06", (13, 0)))
    host = Host(FakeGpuProbe(gpus, driver=driver), environment or {}, "nvidia", 512 * GIB, 192)
    return replace(host, **changes)


def chosen(request: str, host: Host) -> tuple[str, ...]:
    return resolve(Config(gpus=request), host).uuids


def test_on_a_gpu_server_all_gpus_are_used_without_an_option() -> None:
    found = resolve(Config(), server())
    assert found.sentence == "8 GPUs (NVIDIA H100 80GB HBM3), driver 580.65.06 with CUDA 13.0"
    assert (found.kind, found.model, found.variant, found.slots) == ("gpu", H100, "cuda13", 8)
    assert found.uuids == tuple(gpu.uuid for gpu in EIGHT)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        (CPU_ONLY, "there is no NVIDIA driver"),
        (server([]), "the driver shows no GPU"),
        (server(gpu_driver=None), "install nvidia-container-toolkit"),
        (server(engine_is_local=False), "another machine"),
        (server(driver=Driver("520.61", (11, 8))), "CUDA up to 11.8 only; update it"),
        (server(environment={"CUDA_VISIBLE_DEVICES": ""}), "CUDA_VISIBLE_DEVICES= permits none of 8"),
        (server(environment={"CUDA_VISIBLE_DEVICES": "-1"}), "permits none of 8"),
        (server(environment={"SLURM_JOB_ID": "7"}), "this Slurm job was given no GPU"),
        (server(slurm_rules_here=lambda: True), "salloc"),
        (server([Gpu("GPU-t", "Tesla T4", 16 * GIB, (7, 5))]), "Tesla T4 has compute capability 7.5"),
        (server([Gpu("GPU-s", "RTX A500", 4 * GIB, (8, 6))]), "RTX A500 has 4 GiB"),
    ],
)
def test_without_a_gpu_it_is_the_cpu_and_the_reason_is_said(host: Host, why: str) -> None:
    found = resolve(Config(), host)
    assert found.sentence.startswith("the CPU: ")
    assert why in found.sentence
    assert (found.kind, found.model, found.variant, found.uuids, found.slots) == ("cpu", "cpu", "cpu", (), 1)
    assert found.cpus == host.cpus
    for needed in ("all", "1"):
        if "A500" not in why and "T4" not in why:
            with pytest.raises(PrerequisiteMissing, match="--gpus none trains on the CPU"):
                resolve(Config(gpus=needed), host)


def test_a_small_gpu_is_used_by_who_asks_for_it() -> None:
    assert chosen("all", server([Gpu("GPU-s", "RTX A500", 4 * GIB, (8, 6))])) == ("GPU-s",)


@pytest.mark.parametrize(
    ("driver", "capability", "variant"),
    [((13, 0), (9, 0), "cuda13"), ((12, 8), (9, 0), "cuda12"), ((13, 1), (7, 0), "cuda12")],
)
def test_the_variant_is_what_the_driver_runs(
    driver: tuple[int, int], capability: tuple[int, int], variant: str
) -> None:
    host = server([Gpu("GPU-a", H100, 80 * GIB, capability)], driver=Driver("1.2", driver))
    assert resolve(Config(gpus="all"), host).variant == variant


def test_a_variant_that_the_driver_cannot_run_is_refused() -> None:
    old = server(driver=Driver("550.54", (12, 4)))
    with pytest.raises(PrerequisiteMissing, match=r"runs CUDA up to 12\.4"):
        resolve(Config(variant="cuda13"), old)
    assert resolve(Config(variant="cuda12"), server()).variant == "cuda12"
    with pytest.raises(PrerequisiteMissing, match="there is no NVIDIA driver"):
        resolve(Config(variant="cuda13"), CPU_ONLY)


@pytest.mark.parametrize(
    ("request_", "gpus"),
    [
        ("0,", ("GPU-a0",)),
        ("0,2", ("GPU-a0", "GPU-c0")),
        ("GPU-h0", ("GPU-h0",)),
        ("GPU-b,GPU-a", ("GPU-b0", "GPU-a0")),
    ],
)
def test_named_gpus_are_used_and_no_others(request_: str, gpus: tuple[str, ...]) -> None:
    assert chosen(request_, server()) == gpus


def test_a_number_means_so_many_at_once_of_those_that_are_free() -> None:
    found = resolve(Config(gpus="2"), server())
    assert (found.slots, len(found.uuids)) == (2, 8)
    assert found.sentence.startswith("2 of 8 GPUs")


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ("9,", "--gpus names 9, which the driver does not show; there is 0 (GPU-a0)"),
        ("GPU-z", "--gpus names GPU-z, which"),
        ("GPU-,", "is not auto, all, none"),
        ("MIG-x0,GPU-a", "--gpus names MIG-x0"),
        ("0,5", "--gpus names 5, but CUDA_VISIBLE_DEVICES=0,1 permits 2 of 8"),
        ("3", "--gpus 3: only 2 may be used here; CUDA_VISIBLE_DEVICES=0,1 permits 2 of 8"),
    ],
)
def test_gpus_that_are_not_there_or_not_ours_are_one_sentence(request_: str, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        resolve(Config(gpus=request_), server(environment={"CUDA_VISIBLE_DEVICES": "0,1"}))
    assert why in str(refused.value)


def test_a_gpu_that_a_container_may_not_use_names_the_variable() -> None:
    with pytest.raises(UsageError, match=r"names 0, but NVIDIA_VISIBLE_DEVICES=1,2 permits 2 of 8$"):
        resolve(Config(gpus="0,"), server(environment={"NVIDIA_VISIBLE_DEVICES": "1,2"}))


def test_parts_of_a_split_gpu_are_gpus() -> None:
    parts = [Gpu(f"MIG-{n}", "H100 MIG 3g.40gb", 40 * GIB, index=1, part=n, parent="GPU-x") for n in range(2)]
    host = server([EIGHT[0], *parts])
    assert chosen("1,", host) == chosen("GPU-x", host) == ("MIG-0", "MIG-1")
    assert chosen("1:1", host) == chosen("MIG-1", host) == ("MIG-1",)
    with pytest.raises(UsageError, match="means 2 GPUs: give more"):
        chosen("GPU-a", server([Gpu("GPU-a1", H100), Gpu("GPU-a2", H100, index=1)]))


def test_gpus_of_several_kinds_are_never_mixed() -> None:
    mixed = [*EIGHT[:2], Gpu("GPU-o", "NVIDIA A100", index=7)]
    found = resolve(Config(), server(mixed))
    assert found.uuids == ("GPU-a0", "GPU-b0")
    assert "NVIDIA A100 left alone" in found.sentence
    for request in ("all", "0,7"):
        with pytest.raises(UsageError, match="several kinds"):
            resolve(Config(gpus=request), server(mixed))


def test_none_is_the_cpu_and_an_older_files_empty_text_is_none() -> None:
    assert resolve(Config(gpus="none"), server()).kind == "cpu"
    assert resolve(Config(gpus=""), server()).kind == "cpu"
    assert resolve(Config(variant="cpu"), server()).sentence == "the CPU: variant is cpu"
    with pytest.raises(PrerequisiteMissing, match="set variant to auto"):
        resolve(Config(variant="cpu", gpus="all"), server())


def test_a_training_gets_its_share_of_a_large_host_and_no_more_than_it_can_use() -> None:
    found = resolve(Config(), server())
    assert (found.cpus, found.memory_bytes, found.shm_bytes) == (8, 32 * GIB, GIB)
    small = resolve(Config(), server(cpus=4, memory_bytes=64 * GIB))
    assert (small.cpus, small.memory_bytes, small.slots) == (1, 6 * GIB, 8)
    said = resolve(Config(cpus=3, memory_gb=10.0), server())
    assert (said.cpus, said.memory_bytes) == (3, 10 * GIB)


def test_trainings_at_once_fit_the_hosts_memory() -> None:
    found = resolve(Config(), server(memory_bytes=16 * GIB))
    assert found.slots == 3
    assert found.slots * found.memory_bytes <= 12 * GIB
    assert "3 at a time, because this machine has 16 GiB of memory" in found.sentence


def test_a_training_on_cpus_has_what_it_had() -> None:
    assert resolve(Config(), CPU_ONLY).memory_bytes == 6 * GIB
    assert resolve(Config(), replace(CPU_ONLY, memory_bytes=4 * GIB)).memory_bytes == 3 * GIB
    assert resolve(Config(cpus=2, memory_gb=9), CPU_ONLY).memory_bytes == 9 * GIB


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("auto", GpuRequest(Mode.AUTO)),
        (" all ", GpuRequest(Mode.ALL)),
        ("none", GpuRequest(Mode.NONE)),
        ("2", GpuRequest(Mode.COUNT, 2)),
        ("0, 2", GpuRequest(Mode.LISTED, 0, ("0", "2"))),
        ("GPU-1,MIG-2", GpuRequest(Mode.LISTED, 0, ("GPU-1", "MIG-2"))),
    ],
)
def test_what_may_be_asked_for(text: str, means: GpuRequest) -> None:
    assert parse_gpu_request(text) == means


def test_zero_is_not_guessed_at() -> None:
    with pytest.raises(UsageError, match="two things"):
        parse_gpu_request("0")


@pytest.mark.parametrize(
    ("kind", "sizes", "command"),
    [
        ("gpu", (2048, 256), "--dataset default --variant cuda12"),
        ("cpu", (8192, 2048), "--dataset default --variant cpu"),
        ("gpu", (8192, 2048), None),
        ("cpu", (2048, 256), None),
        ("gpu", (512, 64), None),  # sizes of its own
    ],
)
def test_data_for_the_other_kind_of_device_are_refused(
    tmp_path: Path, kind: str, sizes: tuple[int, int], command: str | None
) -> None:
    from runner.data.manifest import Manifest

    Manifest("default", "default", "r", sizes[0], sizes[1], 0, "p", {}, {}, {}).write(tmp_path)
    variant = "cuda12" if kind == "gpu" else "cpu"
    if command is None:
        require_preset(tmp_path, kind, variant)
        return
    with pytest.raises(RunnerError) as refused:
        require_preset(tmp_path, kind, variant)
    assert command in str(refused.value)


def test_missing_images_and_data_are_told_with_the_command_that_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path))
    devices = resolve(Config(), server(driver=Driver("550.54", (12, 4))))
    with pytest.raises(PrerequisiteMissing, match="autoresearch build --variant cuda12"):
        images_for(FakeEngine(), devices)
    with pytest.raises(PrerequisiteMissing, match="autoresearch data prepare --variant cuda12"):
        default_data_for(devices)


def test_a_training_on_a_gpu_does_not_wait_for_cpus_that_others_hold(tmp_path: Path) -> None:
    one = len(os.sched_getaffinity(0))
    devices = replace(resolve(Config(), server()), cpus=one)
    others = CpuLeases(one, folder=tmp_path)
    with others.acquire(), leases(devices, server().probe, folder=tmp_path, patience_s=0).acquire() as lease:
        assert lease.gpu_uuid == "GPU-a0"
        assert len(lease.cpus) == one


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (Config(cpus=65), "autoresearch.toml: cpus: 65 are more than this process may use, 64"),
        (Config(memory_gb=513), "autoresearch.toml: memory_gb: 513 is more than this machine has, 512.0 GiB"),
    ],
)
def test_a_limit_above_what_the_machine_has_is_refused_with_its_key(config: Config, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        resolve(config, CPU_ONLY)
    assert resolve(Config(cpus=64, memory_gb=512), CPU_ONLY).cpus == 64


def test_the_memory_of_another_machine_is_not_known_here() -> None:
    elsewhere = replace(CPU_ONLY, engine_is_local=False)
    assert resolve(Config(memory_gb=513), elsewhere).memory_bytes == 513 * GIB
