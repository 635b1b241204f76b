"""Finds the container engine by the rules of the docker command, so that both use the same one.

$DOCKER_HOST first, then $DOCKER_CONTEXT, then `currentContext` of the user's config.json, then the default socket
(`resolveContextName` in docker/cli, cli/command/cli.go). One rule is ours: if this user may not open the default socket and
has a rootless engine with a socket in $XDG_RUNTIME_DIR, that one is used. Only names are read from
config.json, never credentials.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.engine import EngineUnavailable

DEFAULT_SOCKET = Path("/var/run/docker.sock")
_DEFAULT = "default"
_MAX_BYTES = 1 << 20
"""Of a file with names and addresses. A larger file is not read."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Client certificate and authority for a tcp endpoint; `verify` is off only where the user's context says so."""

    ca: Path | None
    cert: tuple[Path, Path] | None
    verify: bool


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`url` is a unix:// or tcp:// address; `why` is a text for people: what named it."""

    url: str
    why: str
    tls: Tls | None = None


def find(environ: Mapping[str, str] | None = None, *, default: Path = DEFAULT_SOCKET) -> Endpoint:
    """The engine that this user's docker command would use. Raises EngineUnavailable for a context that is missing or cannot be read,
    and for a kind of address that cannot work."""
    environ = os.environ if environ is None else environ
    if host := environ.get("DOCKER_HOST"):
        return _usable(Endpoint(host, "$DOCKER_HOST names it", _tls_of_environment(environ)))
    folder = config_folder(environ)
    name, why = environ.get("DOCKER_CONTEXT"), "$DOCKER_CONTEXT"
    if not name:
        config = _read(folder / "config.json")
        name, why = _word(config.get("currentContext")), f"currentContext in {folder / 'config.json'}"
    if name and name != _DEFAULT:
        return _usable(_context(folder, name, why))
    if not os.access(default, os.R_OK | os.W_OK) and (own := _rootless(environ)) is not None:
        return Endpoint(f"unix://{own}", f"{default} cannot be opened, and this is the engine of your own")
    return Endpoint(f"unix://{default}", "it is the default and no context is chosen")


def config_folder(environ: Mapping[str, str]) -> Path:
    """The folder of the docker command's configuration; it need not exist."""
    if chosen := environ.get("DOCKER_CONFIG"):
        return Path(chosen)
    return Path(environ.get("HOME") or os.path.expanduser("~")) / ".docker"  # noqa: PTH111  Path.home() may raise


def _context(folder: Path, name: str, why: str) -> Endpoint:
    """A context's endpoint, as the docker command stores it (docker/cli, cli/context/store)."""
    key = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
    found = _read(folder / "contexts" / "meta" / key / "meta.json")
    endpoints = found.get("Endpoints")
    docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
    host = _word(docker.get("Host")) if isinstance(docker, dict) else None
    if docker is None or not host:
        raise EngineUnavailable(
            f"the docker context {name!r} ({why}) is not there or cannot be read: `docker context ls` lists them, "
            "`docker context use default` goes back, and DOCKER_HOST=unix:///var/run/docker.sock names a socket"
        )
    material = folder / "contexts" / "tls" / key / "docker"
    tls = None
    if material.is_dir():
        tls = _tls(material, verify=docker.get("SkipTLSVerify") is not True)
    return Endpoint(host, f"the docker context {name!r} names it ({why})", tls)


def _tls_of_environment(environ: Mapping[str, str]) -> Tls | None:
    """As in the docker command: $DOCKER_TLS_VERIFY turns TLS on, $DOCKER_CERT_PATH alone uses TLS without verification."""
    verify, path = environ.get("DOCKER_TLS_VERIFY"), environ.get("DOCKER_CERT_PATH")
    if not verify and not path:
        return None
    return _tls(Path(path) if path else config_folder(environ), verify=bool(verify))


def _tls(folder: Path, *, verify: bool) -> Tls:
    ca, cert, key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
    return Tls(
        ca if ca.is_file() else None, (cert, key) if cert.is_file() and key.is_file() else None, verify
    )


def _usable(endpoint: Endpoint) -> Endpoint:
    kind = endpoint.url.partition("://")[0] if "://" in endpoint.url else "tcp"
    if kind in {"unix", "tcp", "http", "https"}:
        return endpoint
    raise EngineUnavailable(
        f"the container engine {endpoint.url} ({endpoint.why}) cannot be used: folders of this machine are mounted into "
        f"its containers, which needs an engine here; run autoresearch on that machine, or set DOCKER_HOST to a unix:// "
        "socket"
    )


def _rootless(environ: Mapping[str, str]) -> Path | None:
    """The socket of this user's rootless engine (https://docs.docker.com/engine/security/rootless/)."""
    runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    socket = Path(runtime) / "docker.sock"
    try:
        return socket if socket.is_socket() and socket.stat().st_uid == os.getuid() else None
    except OSError:
        return None


def _read(path: Path) -> Mapping[str, Any]:
    """A JSON object, empty if it cannot be read: the docker command, too, continues without it."""
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return {}
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _word(value: object) -> str | None:
    return value if isinstance(value, str) else None
