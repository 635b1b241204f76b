"""The engine that the user's docker command means is the engine we use, and their credentials stay their own."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
from pathlib import Path

import pytest

from runner.cli import main
from sandbox.api_client import Client, user_credentials
from sandbox.docker_engine import DockerEngine
from sandbox.endpoint import Endpoint, Tls, find
from sandbox.engine import BuildContext, EngineUnavailable, SandboxError

MINE, THEIRS = "unix:///run/mine.sock", "unix:///run/theirs.sock"


def context(home: Path, name: str, meta: object) -> Path:
    key = hashlib.sha256(name.encode()).hexdigest()
    (folder := home / ".docker" / "contexts" / "meta" / key).mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps(meta))
    return home / ".docker" / "contexts" / "tls" / key / "docker"


def endpoint(host: str, **more: object) -> dict[str, object]:
    return {"Name": "n", "Metadata": {}, "Endpoints": {"docker": {"Host": host, **more}}}


def chosen(home: Path, name: object) -> None:
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))


def test_the_docker_commands_order_is_followed(tmp_path: Path) -> None:
    context(tmp_path, "mine", endpoint(MINE))
    context(tmp_path, "theirs", endpoint(THEIRS))
    home = {"HOME": str(tmp_path)}
    assert find(home, default=Path("/")).url == "unix:///"
    chosen(tmp_path, "mine")
    assert find(home).url == MINE
    assert "config.json" in find(home).why
    assert find({**home, "DOCKER_CONTEXT": "theirs"}).url == THEIRS
    assert find({**home, "DOCKER_CONTEXT": "default"}, default=Path("/")).url == "unix:///"
    assert find({**home, "DOCKER_CONTEXT": "theirs", "DOCKER_HOST": "tcp://h:1"}).url == "tcp://h:1"
    assert find({**home, "DOCKER_HOST": ""}).url == MINE
    assert find({"DOCKER_CONFIG": str(tmp_path / ".docker")}).url == MINE


@pytest.mark.parametrize(
    "meta", [{}, [], "x", {"Endpoints": []}, {"Endpoints": {"docker": 5}}, endpoint(""), endpoint(5)]
)  # type: ignore[arg-type]
def test_a_context_that_says_nothing_is_a_sentence(tmp_path: Path, meta: object) -> None:
    context(tmp_path, "mine", meta)
    with pytest.raises(EngineUnavailable, match="docker context ls"):
        find({"HOME": str(tmp_path), "DOCKER_CONTEXT": "mine"})
    with pytest.raises(EngineUnavailable, match="docker context ls"):
        find({"HOME": str(tmp_path), "DOCKER_CONTEXT": "no-such"})


@pytest.mark.parametrize("host", ["ssh://user@far", "npipe:////./pipe/docker", "fd://"])
def test_an_engine_that_cannot_mount_our_folders_is_a_sentence(tmp_path: Path, host: str) -> None:
    context(tmp_path, "far", endpoint(host))
    for environ in ({"DOCKER_CONTEXT": "far"}, {"DOCKER_HOST": host}):
        with pytest.raises(EngineUnavailable, match="needs an engine here"):
            find({"HOME": str(tmp_path), **environ})


def test_a_contexts_certificates_are_used(tmp_path: Path) -> None:
    material = context(tmp_path, "far", endpoint("tcp://h:2376"))
    material.mkdir(parents=True)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (material / name).write_text("")
    home = {"HOME": str(tmp_path), "DOCKER_CONTEXT": "far"}
    certificate = (material / "cert.pem", material / "key.pem")
    assert find(home).tls == Tls(material / "ca.pem", certificate, verify=True)
    environment = {"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(material)}
    assert find(environment).tls == Tls(material / "ca.pem", certificate, verify=True)
    assert find({"DOCKER_HOST": "tcp://h:2376"}).tls is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b'{"currentContext": 5}', b"[" * 100_000, b" " * (2 << 20)]
)
def test_a_configuration_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_bytes(content)
    assert find({"HOME": str(tmp_path)}, default=Path("/")).url == "unix:///"


def test_a_rootless_engine_of_ones_own_is_found_where_the_default_is_closed(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    nowhere = tmp_path / "nothing.sock"
    assert find(home, default=nowhere).url == f"unix://{nowhere}"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "docker.sock"))
        assert find(home, default=nowhere).url == f"unix://{tmp_path}/docker.sock"
        assert find(home, default=Path("/")).url == "unix:///"


@pytest.mark.parametrize(
    "host", ["/var/run/docker.sock", "tcp://", "tcp://h:99999", "tcp://h:x", "unix://", "http://[", "a b"]
)
def test_an_address_that_is_none_is_a_sentence(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    if host != "unix://":  # which docker takes for the default socket
        with pytest.raises(EngineUnavailable):
            DockerEngine.connect()


@pytest.fixture
def broken_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose credential store has no program, as one copied from another machine."""
    (tmp_path / ".docker").mkdir()
    content = {
        "credsStore": "no-such-helper",
        "auths": {"registry.example": {}},
        "HttpHeaders": {"X-Mine": "secret"},
    }
    (tmp_path / ".docker" / "config.json").write_text(json.dumps(content))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    return tmp_path / ".docker" / "config.json"


def test_a_build_needs_and_reads_no_credentials(broken_helper: Path) -> None:
    engine = DockerEngine.connect()
    context = BuildContext("FROM scratch\nCOPY a /a\n", {"a": b"x"}, tags=("autoresearch/test-endpoint:1",))
    image = engine.build(context)
    try:
        assert "X-Mine" not in engine.client.headers
        broken_helper.write_text("[]")  # docker-py takes this for an object
        assert DockerEngine.connect().build(context).id == image.id
    finally:
        engine.remove_image(image.id)


def test_a_pull_says_that_the_credentials_could_not_be_read(broken_helper: Path) -> None:
    with pytest.raises(SandboxError, match="your docker credentials cannot be read"):
        DockerEngine.connect().pull("localhost:1/nothing:1")


def test_credentials_that_can_be_read_are_sent_with_a_pull(broken_helper: Path) -> None:
    broken_helper.write_text(json.dumps({"auths": {"registry.example": {"auth": "dTpw"}}}))
    found, why = user_credentials("registry.example/a:1")
    assert (found or {}).get("Username", (found or {}).get("username")) == "u"
    assert why == ""


def test_a_netrc_says_nothing_to_a_local_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine localhost login u password p\ndefault login u password p\n")
    netrc.chmod(stat.S_IRUSR | stat.S_IWUSR)
    monkeypatch.setenv("HOME", str(tmp_path))
    seen = []
    client = Client(
        Endpoint(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"), ""), timeout_s=60, pool_size=1
    )
    client.hooks["response"].append(lambda answer, **_: seen.append(dict(answer.request.headers)))
    client.version()
    assert seen
    assert all("Authorization" not in headers for headers in seen)


def test_doctor_says_which_engine_and_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["doctor"])
    assert "the docker context 'elsewhere'" in capsys.readouterr().out
