"""What every test may use: the real engine, the built images and a small data set, each made once."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.images.build import Images, find_images
from sandbox.docker_engine import DockerEngine
from sandbox.engine import Engine, SandboxError

if TYPE_CHECKING:
    from gpu_server import GpuServer

# the modules that the tests of a folder share; last, so that they hide nothing
TESTS = Path(__file__).parent
FOLDERS = [TESTS, *sorted(folder for folder in TESTS.iterdir() if folder.is_dir())]
sys.path += map(str, FOLDERS)
# a failed `assert` of theirs says what it compared, as in a test
pytest.register_assert_rewrite(
    *(
        path.stem
        for folder in FOLDERS
        for path in folder.glob("*.py")
        if not path.stem.startswith(("test_", "conftest"))
    )
)

# In the background of a script, or under nohup, signals are ignored, and so would they be by every program that a test starts
# and signals. What has a handler here is back at its default there (execve(2)).
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

# Tests run on CPUs, also where there are GPUs; those of GPUs have a stand-in for the driver or say what the environment is.
os.environ["CUDA_VISIBLE_DEVICES"] = ""

NO_ENGINE = "run script/bootstrap first: it starts a container engine and builds the images"


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The real engine. A missing engine fails the test rather than skipping it: nothing here is optional."""
    try:
        return DockerEngine.connect()
    except SandboxError as error:
        pytest.fail(f"{error} ({NO_ENGINE})")


@pytest.fixture(scope="session")
def images(engine: Engine) -> Images:
    try:
        return find_images(engine, "cpu")
    except SandboxError as error:
        pytest.fail(f"{error} ({NO_ENGINE})")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of text of about 1.5 MB that lies in no image: generated, with the statistics of a language."""
    from generated_text import write

    folder = tmp_path_factory.mktemp("corpus")
    write(folder)
    return folder


@pytest.fixture(scope="session")
def dataset(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set of that text: vocabulary 512, rows of 64 tokens."""
    from runner.data.prepare import prepare

    folder = tmp_path_factory.mktemp("data") / "generated"
    prepare(
        str(corpus),
        folder,
        vocab_size=512,
        seq_len=64,
        val_bytes=40_000,
        test_bytes=40_000,
        progress=lambda _: None,
    )
    return folder


@pytest.fixture
def nothing_left(engine: Engine) -> Iterator[None]:
    """After the test no container or volume of ours that was not there before may remain."""
    before = {remnant.id for remnant in engine.remnants()}  # somebody else may be at work here
    yield
    left = [r for r in engine.remnants() if r.id not in before and r.run.startswith("try-")]
    assert left == []


@pytest.fixture(scope="session")
def started_gpu_server(engine: DockerEngine, images: Images) -> Iterator[GpuServer]:
    from gpu_server import GpuServer, NoCompiler
    from private_engine import why_not

    if reason := why_not():
        pytest.skip(reason)
    try:
        server = GpuServer(Path(f"/tmp/ar-gpus-{secrets.token_hex(3)}"))
    except NoCompiler as error:
        pytest.fail(str(error))
    try:
        server.start(engine)
        yield server
    finally:
        server.close()


@pytest.fixture
def gpu_server(started_gpu_server: GpuServer) -> GpuServer:
    """A GPU server with eight GPUs, which are not there (tests/gpus/gpu_server.py); nothing has happened to it yet."""
    started_gpu_server.reset()
    return started_gpu_server


IN_PAIRS = (
    "cli",
    "conformance/test_engines.py",
    "sandbox/test_building.py",
    "sandbox/test_configuration_check.py",
    "sandbox/test_confinement.py",
    "sandbox/test_host_config.py",
    "sandbox/test_launcher.py",
    "sandbox/test_mounts.py",
    "sandbox/test_prerequisites.py",
)
"""Tests with the engine of which two may run at once: they neither measure time closely nor look at what is not their own."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that need no engine are marked `parallel`, those with an engine that may run in pairs `pair`. What takes minutes is
    left out unless it is asked for."""
    for item in items:
        name = item.path.relative_to(TESTS).as_posix()
        if "engine" not in getattr(item, "fixturenames", ()) and item.get_closest_marker("engine") is None:
            item.add_marker("parallel")
        elif name.startswith(IN_PAIRS):
            item.add_marker("pair")
    if "slow" in config.getoption("markexpr"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            where = item.path.parent.relative_to(config.rootpath)
            item.add_marker(pytest.mark.skip(reason=f"minutes long: `pytest -m slow {where}` runs it"))
