"""Strangers and clients at the door, over real sockets, before the real Postgres."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from integration.proxy.conftest import since
from psycopg.conninfo import conninfo_to_dict

from proxy.door import DoorLimits
from proxy.protocol.messages import parse_error_fields
from proxy.protocol.startup import startup_packet
from proxy.upstream import Upstream
from sqlsync.errors import ConfigError

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
GSSENC_REQUEST = bytes.fromhex("0000000804d21630")
ANN = startup_packet({"user": "postgres", "database": "postgres"})


def through(proxy: Any, url: str, **options: object) -> dict[str, Any]:
    """psycopg's parameters for the same login through the proxy."""
    own = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    own |= {"host": proxy.host, "port": str(proxy.port), "sslmode": "disable"}
    return own | {"autocommit": True, "connect_timeout": 10} | options


def dial(proxy: Any) -> socket.socket:
    sock = socket.create_connection((proxy.host, proxy.port), timeout=10)
    sock.settimeout(10)
    return sock


def read_all(sock: socket.socket) -> bytes:
    """Everything until the other side closes."""
    data = b""
    try:
        while piece := sock.recv(4096):
            data += piece
    except ConnectionResetError:
        pass
    return data


def eventually(claim: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.01)


# -- those who are let in ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sslmode", "is_tls"), [("disable", False), ("prefer", True), ("require", True)]
)
def test_libpq_gets_in_by_each_sslmode(
    start_proxy: Any, authority: Any, postgres_url: str, sslmode: str, is_tls: bool
) -> None:
    proxy = start_proxy(tls=authority.files)
    with psycopg.connect(**through(proxy, postgres_url, sslmode=sslmode)) as client:
        assert client.execute("select 1").fetchone() == (1,)
        assert client.pgconn.ssl_in_use is is_tls


def test_libpq_verifies_the_certificate_against_its_authority(
    start_proxy: Any, authority: Any, postgres_url: str
) -> None:
    proxy = start_proxy(tls=authority.files)
    verified = {"sslmode": "verify-full", "sslrootcert": str(authority.root)}
    with psycopg.connect(**through(proxy, postgres_url, **verified)) as client:
        assert client.pgconn.ssl_in_use
    with pytest.raises(psycopg.OperationalError, match="certificate"):
        psycopg.connect(**through(proxy, postgres_url, sslmode="verify-full", sslrootcert="system"))


def test_direct_tls_saves_the_request(start_proxy: Any, authority: Any, postgres_url: str) -> None:
    proxy = start_proxy(tls=authority.files)
    direct = {"sslmode": "require", "sslnegotiation": "direct"}
    with psycopg.connect(**through(proxy, postgres_url, **direct)) as client:
        assert client.pgconn.ssl_in_use


@pytest.mark.parametrize(
    "version", ["3.0", *(pytest.param(v, marks=since(18)) for v in ("3.2", "latest"))]
)
def test_each_protocol_version_is_relayed(
    start_proxy: Any, postgres_url: str, version: str
) -> None:
    proxy = start_proxy()
    options = {"max_protocol_version": version}
    with psycopg.connect(**through(proxy, postgres_url, **options)) as client:
        assert client.execute("select 1").fetchone() == (1,)
        [session] = proxy.sessions
        assert len(session.key[1]) == (4 if version == "3.0" else 32)


@pytest.mark.parametrize("ssl", [False, True])
async def test_asyncpg_gets_in(
    start_proxy: Any, authority: Any, postgres_url: str, ssl: bool
) -> None:
    proxy = start_proxy(tls=authority.files)
    own = conninfo_to_dict(postgres_url)
    client = await asyncpg.connect(
        host=proxy.host,
        port=proxy.port,
        user=str(own["user"]),
        password=str(own["password"]),
        database="postgres",
        ssl="require" if ssl else False,
    )
    assert await client.fetchval("select $1::int + 1", 41) == 42
    await client.close()


@pytest.mark.skipif(shutil.which("psql") is None, reason="no psql here")
def test_psql_gets_in_over_tls(start_proxy: Any, authority: Any, postgres_url: str) -> None:
    proxy = start_proxy(tls=authority.files)
    own = through(proxy, postgres_url)
    environment = {**os.environ, "PGPASSWORD": own["password"], "PGSSLMODE": "require"}
    address = ["-h", proxy.host, "-p", str(proxy.port), "-U", own["user"]]
    done = subprocess.run(
        ["psql", *address, "-d", "postgres", "-Atc", r"\conninfo"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "SSL" in done.stdout, done.stderr


def test_a_wrong_password_gets_the_words_of_postgres(start_proxy: Any, postgres_url: str) -> None:
    proxy = start_proxy()
    with psycopg.connect(**through(proxy, postgres_url)) as other:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(**through(proxy, postgres_url, password="wrong"))
        assert other.execute("select 1").fetchone() == (1,)


# -- requests to encrypt -------------------------------------------------------------------


@pytest.mark.parametrize(
    "requests",
    [
        (GSSENC_REQUEST,),
        (SSL_REQUEST,),
        (GSSENC_REQUEST, SSL_REQUEST),
        (SSL_REQUEST, GSSENC_REQUEST),
    ],
)
def test_requests_to_encrypt_are_declined_in_either_order(
    start_proxy: Any, requests: tuple[bytes, ...]
) -> None:
    with dial(start_proxy()) as sock:
        for request in requests:
            sock.sendall(request)
            assert sock.recv(16) == b"N"
        sock.sendall(ANN)
        assert sock.recv(1) == b"R"


def test_gss_is_declined_and_tls_follows_on_the_same_connection(
    start_proxy: Any, authority: Any
) -> None:
    with dial(start_proxy(tls=authority.files)) as sock:
        sock.sendall(GSSENC_REQUEST)
        assert sock.recv(16) == b"N"
        sock.sendall(SSL_REQUEST)
        assert sock.recv(16) == b"S"
        with trusting().wrap_socket(sock) as secure:
            secure.sendall(ANN)
            assert secure.recv(1) == b"R"


@pytest.mark.parametrize("request_twice", [SSL_REQUEST, GSSENC_REQUEST])
def test_a_second_request_of_a_kind_is_an_unknown_protocol(
    start_proxy: Any, request_twice: bytes
) -> None:
    with dial(start_proxy()) as sock:
        sock.sendall(request_twice)
        assert sock.recv(16) == b"N"
        sock.sendall(request_twice)
        assert fatal(read_all(sock))["C"] == "0A000"


@pytest.mark.parametrize("with_certificate", [False, True])
@pytest.mark.parametrize("request_first", [SSL_REQUEST, GSSENC_REQUEST])
def test_bytes_in_the_clear_behind_a_request_are_refused(
    start_proxy: Any, authority: Any, with_certificate: bool, request_first: bytes
) -> None:
    proxy = start_proxy(tls=authority.files) if with_certificate else start_proxy()
    with dial(proxy) as sock:
        sock.sendall(request_first + ANN)
        said = fatal(read_all(sock))
    assert said["C"] == "08P01"
    assert not proxy.sessions


def test_direct_tls_without_alpn_is_closed(start_proxy: Any, authority: Any) -> None:
    proxy = start_proxy(tls=authority.files)
    with dial(proxy) as sock, trusting().wrap_socket(sock) as secure:
        secure.sendall(ANN)
        assert read_all(secure) == b""
    assert not proxy.sessions


def test_direct_tls_without_a_certificate_is_closed(start_proxy: Any) -> None:
    with dial(start_proxy()) as sock, pytest.raises((ssl.SSLError, ConnectionResetError)):
        trusting("postgresql").wrap_socket(sock)


def test_a_session_in_the_clear_is_refused_where_tls_is_required(
    start_proxy: Any, authority: Any, postgres_url: str
) -> None:
    proxy = start_proxy(tls=authority.files, tls_required=True)
    with dial(proxy) as sock:
        sock.sendall(ANN)
        said = fatal(read_all(sock))
    assert (said["C"], said["M"]) == ("28000", "SSL required")
    with psycopg.connect(**through(proxy, postgres_url, sslmode="prefer")) as client:
        assert client.pgconn.ssl_in_use


# -- strangers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: books\r\n\r\n",
        b"\x40\x00\x00\x00\x00\x03\x00\x00user",
        os.urandom(64).replace(b"\x16", b"\x17").replace(b"\0", b"\1"),
        b"\x00\x00\x00\x04",
    ],
    ids=["http", "a length of 1 GB", "noise", "a length too small"],
)
@pytest.mark.parametrize("behind", ["nothing", "tls"])
def test_garbage_is_closed_in_silence_and_the_others_go_on(
    start_proxy: Any, authority: Any, postgres_url: str, garbage: bytes, behind: str
) -> None:
    proxy = start_proxy(tls=authority.files)
    with psycopg.connect(**through(proxy, postgres_url)) as other, dial(proxy) as sock:
        if behind == "tls":
            sock.sendall(SSL_REQUEST)
            assert sock.recv(1) == b"S"
            sock = trusting().wrap_socket(sock)
        sock.sendall(garbage)
        assert read_all(sock) == b""
        assert other.execute("select 1").fetchone() == (1,)
        sock.close()


@pytest.mark.parametrize(
    "half",
    [b"", b"\x00\x00", ANN[:7], ANN[:8], ANN[:-1], SSL_REQUEST[:5], SSL_REQUEST, b"\x16\x03\x01"],
)
def test_half_a_message_then_silence_ends_at_the_time_limit(
    start_proxy: Any, authority: Any, half: bytes
) -> None:
    proxy = start_proxy(tls=authority.files, limits=DoorLimits(startup_seconds=0.3))
    with dial(proxy) as sock:
        sock.sendall(half)
        began = time.monotonic()
        read_all(sock)
        assert 0.1 < time.monotonic() - began < 5


def test_a_startup_packet_byte_by_byte_gets_in(start_proxy: Any) -> None:
    with dial(start_proxy()) as sock:
        for byte in SSL_REQUEST:
            sock.sendall(bytes([byte]))
        assert sock.recv(1) == b"N"
        for byte in ANN:
            sock.sendall(bytes([byte]))
        assert sock.recv(1) == b"R"


def test_the_oldest_stranger_makes_room_for_a_client(start_proxy: Any, postgres_url: str) -> None:
    proxy = start_proxy(limits=DoorLimits(half_open=3))
    strangers = [dial(proxy) for _ in range(3)]
    with psycopg.connect(**through(proxy, postgres_url)) as client:
        assert client.execute("select 1").fetchone() == (1,)
    assert read_all(strangers[0]) == b""
    for stranger in strangers:
        stranger.close()


def test_no_descriptor_is_left_behind_by_those_turned_away(
    start_proxy: Any, authority: Any
) -> None:
    proxy = start_proxy(tls=authority.files, limits=DoorLimits(startup_seconds=0.2))
    starts = (b"", b"GET ", SSL_REQUEST, SSL_REQUEST + ANN, b"\x16\x03\x01", ANN[:9])

    def turn_away() -> None:
        for start in starts:
            with dial(proxy) as sock:
                sock.sendall(start)
                read_all(sock)

    turn_away()  # the loop itself keeps one or two from its first connections
    before = descriptors()
    turn_away()
    turn_away()
    eventually(lambda: descriptors() <= before)


def test_an_upstream_that_is_gone_is_said_in_one_sentence(
    start_proxy: Any, postgres_url: str
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        proxy = start_proxy(Upstream("127.0.0.1", closed.getsockname()[1]))
        with pytest.raises(psycopg.OperationalError) as caught:
            psycopg.connect(**through(proxy, postgres_url))
    assert re.search(
        r"FATAL:  sqlsync: cannot reach Postgres at 127\.0\.0\.1:\d+: Connection refused",
        str(caught.value),
    )


# -- upstream behind TLS -------------------------------------------------------------------


@pytest.mark.parametrize("sslmode", ["require", "verify-ca", "verify-full"])
def test_upstream_is_reached_over_tls(
    start_proxy: Any, authority: Any, postgres_url: str, sslmode: str
) -> None:
    far = start_proxy(tls=authority.files)
    url = f"postgresql://127.0.0.1:{far.port}/x?sslmode={sslmode}&sslrootcert={authority.root}"
    near = start_proxy(Upstream.from_url(url))
    with psycopg.connect(**through(near, postgres_url)) as client:
        assert client.execute("select 1").fetchone() == (1,)


def test_an_upstream_with_a_foreign_certificate_is_refused(
    start_proxy: Any, authority: Any, postgres_url: str
) -> None:
    far = start_proxy(tls=authority.files)
    near = start_proxy(Upstream.from_url(f"postgresql://127.0.0.1:{far.port}/?sslmode=verify-full"))
    with pytest.raises(psycopg.OperationalError, match=r"cannot reach Postgres.*certificate"):
        psycopg.connect(**through(near, postgres_url))


def test_an_upstream_without_tls_is_refused_where_tls_is_asked_for(
    start_proxy: Any, postgres_url: str
) -> None:
    proxy = start_proxy(Upstream.from_url(postgres_url + "?sslmode=require"))
    with pytest.raises(psycopg.OperationalError, match="the server offers none"):
        psycopg.connect(**through(proxy, postgres_url))


# -- certificates --------------------------------------------------------------------------


def test_a_certificate_that_is_none_stops_the_start(start_proxy: Any, authority: Any) -> None:
    other = authority.sign("other")
    mixed = type(other)(authority.files.certificate, other.key)
    with pytest.raises(ConfigError, match="the key does not belong to the certificate"):
        start_proxy(tls=mixed)
    with pytest.raises(ConfigError, match=r"tls_cert .*missing.crt cannot be read"):
        start_proxy(tls=type(other)(authority.directory / "missing.crt", other.key))
    nonsense = authority.directory / "nonsense.crt"
    nonsense.write_text("nonsense")
    with pytest.raises(ConfigError, match="not a certificate and its key in PEM form"):
        start_proxy(tls=type(other)(nonsense, other.key))


def trusting(*alpn: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def fatal(data: bytes) -> dict[str, str]:
    assert data[:1] == b"E", data
    return parse_error_fields(data[5:])
