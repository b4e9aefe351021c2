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
from integration.proxy.twins import Twins, twin_databases

from proxy.cancel import CancelRegistry
from proxy.relay import ClientSide
from proxy.server import run, serve_proxy
from proxy.tls import TlsFiles
from proxy.upstream import Upstream
from proxy.working import ProxyContext
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.embedded_binaries import find_binaries


def since(major: int) -> pytest.MarkDecorator:
    """For what older servers do not know."""
    return pytest.mark.skipif(find_binaries().major < major, reason=f"Postgres {major} brought it")


class Watched(ClientSide):
    """The real relay, of which a test can say that it holds a write."""

    holds_a_write = False
    cancelled = 0

    @property
    def write_in_flight(self) -> bool:
        return self.holds_a_write or super().write_in_flight

    @property
    def key(self) -> tuple[int, bytes] | None:
        return self._key

    def cancel(self) -> None:
        self.cancelled += 1
        super().cancel()


@dataclass
class RunningProxy:
    """serve_proxy on its own loop and thread; the test talks to it over sockets alone."""

    upstream: Upstream
    options: dict[str, Any]
    host: str = "127.0.0.1"
    port: int = 0
    sessions: list[Watched] = field(default_factory=list)
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
        self._context = ProxyContext(self.upstream)
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

    def _make_client(self, tls: bool, registry: CancelRegistry) -> Watched:
        session = Watched(self._context, tls, registry)
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


@pytest.fixture(scope="module")
def twins(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[Twins]:
    """A database behind the proxy and its twin without; one pair a module."""
    with twin_databases(postgres_server, migrated_template) as pair:
        yield pair
