"""A proxy on a thread of its own, before the real Postgres; a CA and a certificate."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from proxy.cancel import CancelRegistry
from proxy.protocol.messages import backend_key, error_response
from proxy.server import run, serve_proxy
from proxy.tls import TlsFiles
from proxy.upstream import Upstream, connect_upstream
from sqlsync.errors import DatabaseUnavailable


class PlainRelay(asyncio.Protocol):
    """The least a relay can be: bytes both ways, and the key of the session kept.

    Tests of the door use it, so that they test the door alone.
    """

    def __init__(self, registry: CancelRegistry, upstream: Upstream) -> None:
        self.registry = registry
        self.upstream = upstream
        self.write_in_flight = False
        self.cancelled = 0
        self.key: tuple[int, bytes] | None = None
        self._queue = bytearray()
        self._server: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.registry.join(self)
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        try:
            self._server, _ = await connect_upstream(self.upstream, lambda: _Back(self))
        except DatabaseUnavailable as error:
            self.transport.write(error_response("FATAL", error.sqlstate, error.message))
            self.transport.close()
            return
        self._server.write(bytes(self._queue))
        if self.transport.is_closing():
            self._server.close()

    def data_received(self, data: bytes) -> None:
        if self._server is None:
            self._queue += data
        else:
            self._server.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.registry.leave(self)
        if self.key:
            self.registry.unregister(*self.key)
        if self._server:
            self._server.close()

    def from_server(self, data: bytes) -> None:
        at = data.find(b"K\x00\x00\x00")
        if self.key is None and at >= 0:
            length = int.from_bytes(data[at + 1 : at + 5])
            self.key = backend_key(data[at + 5 : at + 1 + length])
            self.registry.register(*self.key, self)
        self.transport.write(data)

    def cancel(self) -> None:
        self.cancelled += 1

    def shut_down(self) -> None:
        self.transport.write(
            error_response("FATAL", "57P01", "terminating connection due to administrator command")
        )
        self.transport.close()


class _Back(asyncio.Protocol):
    def __init__(self, front: PlainRelay) -> None:
        self.front = front

    def data_received(self, data: bytes) -> None:
        self.front.from_server(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.front.transport.close()


@dataclass
class RunningProxy:
    """serve_proxy on its own loop and thread; the test talks to it over sockets alone."""

    upstream: Upstream
    options: dict[str, Any]
    host: str = "127.0.0.1"
    port: int = 0
    sessions: list[PlainRelay] = field(default_factory=list)
    failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        if self.failure:
            self._thread.join()
            raise self.failure
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def in_loop(self, action: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(action)

    def _run(self) -> None:
        try:
            run(self._serve())
        except BaseException as error:  # handed to the test
            self.failure = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        await serve_proxy(
            self.host,
            0,
            self.upstream,
            self._make_client,
            stop=self._stop,
            on_ready=self._on_ready,
            **self.options,
        )

    def _on_ready(self, _host: str, port: int) -> None:
        self.port = port
        self._ready.set()

    def _make_client(self, tls: bool, registry: CancelRegistry) -> PlainRelay:
        session = PlainRelay(registry, self.upstream)
        self.sessions.append(session)
        return session


StartProxy = Callable[..., RunningProxy]


@pytest.fixture
def start_proxy(postgres_url: str) -> Iterator[StartProxy]:
    """Starts a proxy with the given options of serve_proxy; stopped after the test."""
    with ExitStack() as stack:

        def start(upstream: Upstream | None = None, **options: Any) -> RunningProxy:
            target = upstream or Upstream.from_url(postgres_url)
            return stack.enter_context(RunningProxy(target, options))

        yield start


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


class Authority:
    """A certificate authority for one test run, and what it signed for 127.0.0.1."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "root.crt"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        certificate = self._signed(self._name, self._key.public_key(), constraints)
        self.root.write_bytes(certificate.public_bytes(Encoding.PEM))
        self.files = self.sign("server")

    def sign(self, name: str) -> TlsFiles:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        certificate = self._signed(subject, key.public_key(), names)
        files = TlsFiles(self.directory / f"{name}.crt", self.directory / f"{name}.key")
        files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        extension: x509.ExtensionType,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(extension, critical=False)
            .sign(self._key, hashes.SHA256())
        )
