"""A client of the Engine API that reads no settings of the user: no credentials, no headers, no .netrc.

docker-py's own constructor loads ~/.docker/config.json and fails if it is not an object. Its `build` asks each credential helper named
there for each registry, and fails if a helper is missing. Our builds need no registry.
"""

from __future__ import annotations

import shlex
from typing import Any

import docker
import requests
from docker import auth
from docker.constants import DEFAULT_NUM_POOLS, DEFAULT_USER_AGENT
from docker.tls import TLSConfig
from docker.transport import UnixHTTPAdapter
from docker.utils import parse_host
from docker.utils.proxy import ProxyConfig

from sandbox.endpoint import Endpoint, Tls


class Client(docker.APIClient):  # type: ignore[misc]  # docker has no types
    """Connects at once. Raises docker-py's errors: DockerException, requests' errors, OSError."""

    def __init__(self, endpoint: Endpoint, *, timeout_s: float, pool_size: int) -> None:
        requests.Session.__init__(self)
        self.timeout, self.credstore_env = timeout_s, None
        self.headers["User-Agent"] = DEFAULT_USER_AGENT
        self._general_configs: dict[str, Any] = {}
        self._proxy_configs = ProxyConfig.from_dict({})
        self._auth_configs = auth.AuthConfig({})
        tls = endpoint.tls if not endpoint.url.startswith("unix://") else None
        url = parse_host(endpoint.url, False, tls=tls is not None)
        if url.startswith("http+unix://"):
            self.trust_env = False  # requests would look up "localhost" in ~/.netrc
            self._custom_adapter = UnixHTTPAdapter(
                url, timeout_s, pool_connections=DEFAULT_NUM_POOLS, max_pool_size=pool_size
            )
            self.mount("http+docker://", self._custom_adapter)
            self._unmount("http://", "https://")
            self.base_url = "http+docker://localhost"
        else:
            self.base_url = url
            if tls is not None:
                _config(tls).configure_client(self)
        self._version = self._retrieve_server_version()

    def _set_auth_headers(self, headers: dict[str, str]) -> None:
        """Send no credentials with a build: it pulls nothing."""


def user_credentials(reference: str) -> tuple[dict[str, Any] | None, str]:
    """The user's credentials for the registry of an image, and the reason if they cannot be read.

    For pulls only. The file and the helpers named in it are the user's, and any of them may be missing or broken.
    """
    try:
        registry, _ = auth.resolve_repository_name(reference)
        return auth.load_config().resolve_authconfig(registry), ""
    except Exception as error:  # docker-py fails on a bad file in many ways
        return (
            None,
            f"your docker credentials cannot be read ({type(error).__name__}: {shlex.quote(str(error))})",
        )


def _config(tls: Tls) -> TLSConfig:
    return TLSConfig(
        client_cert=tuple(str(path) for path in tls.cert) if tls.cert else None,
        ca_cert=str(tls.ca) if tls.ca else None,
        verify=tls.verify,
    )
