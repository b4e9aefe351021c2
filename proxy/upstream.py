"""Where the real Postgres is, and a connection to it.

`Upstream.from_url` reads the address out of `database_url`; `connect_upstream` opens one
connection, in the clear, over a unix socket or behind TLS. Nothing is said on it but the
request for TLS: who logs in, and how, is between the client and Postgres.

Source: PostgreSQL documentation, "Connection URIs", "SSL Session Encryption".
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from proxy.protocol.startup import SSL_REQUEST
from sqlsync.database import conninfo_to_dict, make_conninfo, translated
from sqlsync.errors import ConfigError, DatabaseUnavailable

CONNECT_TIMEOUT_SECONDS = 10.0
MAX_PORT = 65535
KEEPALIVE_SECONDS = (60, 15, 4)  # idle, interval, probes: a dead peer is found in two minutes

_IN_THE_CLEAR = ("disable", "allow", "prefer")  # nothing demands TLS, so none is asked for
_BEHIND_TLS = ("require", "verify-ca", "verify-full")
_SOCKET_DIRECTORIES = ("/var/run/postgresql", "/run/postgresql", "/tmp")  # noqa: S108 - where Postgres itself puts them

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)


@dataclass(frozen=True, slots=True)
class Upstream:
    """The address of the real Postgres, and how to reach it."""

    host: str  # name or address; where `directory` is set only for messages
    port: int = 5432
    directory: str | None = None  # of a unix socket
    ssl: ssl.SSLContext | None = None
    server_name: str = ""  # that the certificate must carry, where `host` is an address
    connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS

    @property
    def is_tls(self) -> bool:
        return self.ssl is not None

    @property
    def socket_path(self) -> str | None:
        return f"{self.directory}/.s.PGSQL.{self.port}" if self.directory else None

    def __str__(self) -> str:
        return self.socket_path or (
            f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        )

    @classmethod
    def from_url(cls, url: str) -> Upstream:
        """The address in `postgresql://user@host:port/db?sslmode=…` or `host=… port=…`.

        The host may be the directory of a unix socket. Without `sslmode` the way upstream
        is in the clear. Raises ConfigError.
        """
        with translated(url):
            options = {name: str(value) for name, value in conninfo_to_dict(url).items()}
        host = options.get("hostaddr") or options.get("host") or ""
        port = options.get("port") or "5432"
        if "," in host or "," in port:
            raise ConfigError("database_url names several hosts; the proxy needs exactly one")
        if not port.isdigit() or not 0 < int(port) <= MAX_PORT:
            raise ConfigError(f"database_url has a port that is no port: {port!r}")
        if not host:
            host = _default_host(int(port))
        if host.startswith("/"):
            return cls(host, int(port), directory=host)
        name = options.get("host", "") if "hostaddr" in options else ""
        return cls(host, int(port), ssl=_client_context(options), server_name=name)

    @classmethod
    def from_settings(cls, place: str | None, database_url: str) -> Upstream:
        """`place` is HOST:PORT or a directory where clients are led elsewhere than the
        engine's own `database_url`. Raises ConfigError."""
        if place is None:
            return cls.from_url(database_url)
        if place.startswith("/"):
            with translated(database_url):
                port = str(conninfo_to_dict(database_url).get("port") or 5432)
            return cls.from_url(make_conninfo(host=place, port=port))
        host, _, port = place.rpartition(":")
        if not host or not port.isdigit():
            raise ConfigError(f"proxy.upstream {place!r} is not HOST:PORT and not a directory")
        return cls.from_url(make_conninfo(host=host.strip("[]"), port=port))


async def connect_upstream(
    target: Upstream, protocol_factory: Callable[[], ProtocolT]
) -> tuple[asyncio.Transport, ProtocolT]:
    """Opens a connection for one session. The protocol hears nothing before TLS is up.

    Raises DatabaseUnavailable with words meant for the client (08006).
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(target.connect_timeout_seconds):
            if target.socket_path:
                return await loop.create_unix_connection(protocol_factory, target.socket_path)
            if target.ssl is not None:
                return await _connect_behind_tls(loop, target, target.ssl, protocol_factory)
            transport, protocol = await loop.create_connection(
                protocol_factory, target.host, target.port
            )
    except TimeoutError:
        seconds = f"{target.connect_timeout_seconds:g}"
        raise unreachable(target, f"no answer within {seconds} seconds") from None
    except ssl.SSLCertVerificationError as error:
        raise unreachable(target, f"its certificate: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise unreachable(target, f"TLS: {error.reason or error}") from error
    except OSError as error:
        raise unreachable(target, _reason(error)) from error
    prepare_socket(transport.get_extra_info("socket"))
    return transport, protocol


def unreachable(target: Upstream, reason: str) -> DatabaseUnavailable:
    """The error a client gets instead of a session."""
    return DatabaseUnavailable(f"sqlsync: cannot reach Postgres at {target}: {reason}")


def prepare_socket(sock: socket.socket) -> None:
    """No waiting for more bytes to send, and a peer that vanished is noticed.

    Keepalive on both sides of a session: a lost client must not keep its row locks, and
    while a write waits for the provider nothing else would show that upstream is gone.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
    for name, value in zip(options, KEEPALIVE_SECONDS, strict=True):
        if hasattr(socket, name):  # macOS calls the first one otherwise
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _connect_behind_tls(
    loop: asyncio.AbstractEventLoop,
    target: Upstream,
    context: ssl.SSLContext,
    protocol_factory: Callable[[], ProtocolT],
) -> tuple[asyncio.Transport, ProtocolT]:
    """Asks for TLS on a bare socket first: one byte is answered, and nothing may follow it."""
    sock = await _connected_socket(loop, target)
    try:
        await loop.sock_sendall(sock, SSL_REQUEST)
        answer = await loop.sock_recv(sock, 1)
        if answer != b"S":
            raise unreachable(target, "sslmode asks for TLS, and the server offers none")
        return await loop.create_connection(
            protocol_factory,
            sock=sock,
            ssl=context,
            server_hostname=target.server_name or target.host,
        )
    except BaseException:
        sock.close()
        raise


async def _connected_socket(loop: asyncio.AbstractEventLoop, target: Upstream) -> socket.socket:
    addresses = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("the host name has no address")
    for family, kind, number, _, address in addresses:
        sock = socket.socket(family, kind, number)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
            prepare_socket(sock)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _client_context(options: dict[str, str]) -> ssl.SSLContext | None:
    mode = options.get("sslmode", "disable")
    if mode in _IN_THE_CLEAR:
        return None
    if mode not in _BEHIND_TLS:
        raise ConfigError(f"database_url has an unknown sslmode: {mode!r}")
    root = options.get("sslrootcert")
    try:
        if root in (None, "system"):
            context = ssl.create_default_context()
        else:
            context = ssl.create_default_context(cafile=root)
        if "sslcert" in options:
            context.load_cert_chain(options["sslcert"], options.get("sslkey"))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"database_url: a TLS file cannot be read: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["postgresql"])
    # libpq: `require` with a root certificate present verifies as `verify-ca` does.
    context.check_hostname = mode == "verify-full"
    if mode == "require" and root is None:
        context.verify_mode = ssl.CERT_NONE
    return context


def _default_host(port: int) -> str:
    for directory in _SOCKET_DIRECTORIES:
        if Path(directory, f".s.PGSQL.{port}").exists():
            return directory
    return "localhost"


def _reason(error: OSError) -> str:
    """The system's words, without the list of addresses that asyncio puts around them."""
    if isinstance(error, socket.gaierror):
        return f"the host name is not known ({error.strerror})"
    if error.strerror and error.errno:
        return os.strerror(error.errno)
    return str(error)
