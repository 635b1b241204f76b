"""The address of an engine as it is passed to the watchdog: a unix socket, TCP, or TCP with TLS."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


class NoEndpoint(Exception):
    """The watchdog cannot reach such an engine; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`api` is the version of the Engine API that the runner agreed on, for example "1.41"."""

    api: str
    unix: str | None = None
    host: str = ""
    port: int = 0
    tls: bool = False
    ca: str | None = None
    """File of the trusted authorities; None with `verify` means the system's."""
    cert: str | None = None
    key: str | None = None
    verify: bool = True

    def connect(self, timeout: float) -> socket.socket:
        """A connection with a limit of `timeout` seconds for every operation. Raises OSError."""
        if self.unix is not None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(timeout)
                connection.connect(self.unix)
            except OSError:
                connection.close()
                raise
            return connection
        plain = socket.create_connection((self.host, self.port), timeout)
        if not self.tls:
            return plain
        import ssl  # 6 MB, so only where it is needed

        context = ssl.create_default_context(cafile=self.ca)
        if not self.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context.wrap_socket(plain, server_hostname=self.host)


def endpoint_of(client: Any) -> Endpoint:
    """The endpoint of a docker-py `APIClient`. Raises NoEndpoint for any other kind of address."""
    api, url = str(client.api_version), str(client.base_url)
    if url == "http+docker://localhost":
        return Endpoint(api, unix=str(client.get_adapter(url).socket_path))
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or parts.hostname is None:
        raise NoEndpoint(
            f"the wall clock cannot be kept on the engine {url}: set DOCKER_HOST to its unix:// socket or tcp:// address"
        )
    verify, pair = client.verify, client.cert
    cert, key = pair if isinstance(pair, tuple) else (pair, None)
    return Endpoint(
        api,
        host=parts.hostname,
        port=parts.port or (443 if parts.scheme == "https" else 80),
        tls=parts.scheme == "https",
        ca=verify if isinstance(verify, str) else None,
        cert=cert,
        key=key,
        verify=bool(verify),
    )
