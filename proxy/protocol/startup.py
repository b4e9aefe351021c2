"""The first packet of a client, before any message has a type byte, without I/O.

`parse_first_packet` says what the bytes read so far are: a startup message, a request to
cancel or to encrypt, something to be turned away, or not enough yet. `cap` keeps a client
of the future within the protocol that this proxy frames; `negotiated` gives the answer
that goes with it.

Source: PostgreSQL documentation, "Start-up", "Message Formats"; lengths and words as in
backend_startup.c of Postgres 18.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from struct import Struct

from proxy.protocol.messages import (
    MAX_SECRET_BYTES,
    error_response,
    negotiate_protocol_version,
    parse_negotiate_protocol_version,
)

HEADER_BYTES = 8  # length and version or request code
MAX_PACKET_BYTES = 10_000 + 4
NEWEST = 3 << 16 | 2  # protocol 3.2, the newest whose messages we know
CANCEL_CODE = 1234 << 16 | 5678
SSL_CODE = 1234 << 16 | 5679
GSSENC_CODE = 1234 << 16 | 5680

_HEADER = Struct(">II")
_INT = Struct(">I")


class Encryption(Enum):
    """A request to encrypt before anything is said; the answer is one byte."""

    SSL = SSL_CODE
    GSS = GSSENC_CODE


SSL_REQUEST = _HEADER.pack(8, SSL_CODE)


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """A client that wants a session. `packet` is what it sent, to be relayed unchanged."""

    packet: bytes
    version: int  # major << 16 | minor
    parameters: dict[str, str]  # user, database, options, …; undecodable bytes as surrogates


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """A client that wants another session's statement cancelled; nothing is answered."""

    packet: bytes
    pid: int
    secret: bytes  # opaque; 4 bytes on 3.0, up to 256 on 3.2


@dataclass(frozen=True, slots=True)
class Rejected:
    """Bytes that lead to no session: send `response` (may be empty), then close."""

    reason: str  # for the log, never for the client
    response: bytes = b""


@dataclass(frozen=True, slots=True)
class Capped:
    """A startup packet as it goes upstream, and what had to be left out of it."""

    packet: bytes
    version: int  # of `packet`
    stripped: tuple[str, ...]  # names of `_pq_.` options
    changed: bool  # the client must be told by NegotiateProtocolVersion


FirstPacket = StartupMessage | CancelRequest | Encryption | Rejected


def parse_first_packet(
    data: bytes | bytearray, *, ssl_done: bool = False, gss_done: bool = False
) -> FirstPacket | None:
    """Returns what the first packet in `data` is; None where more bytes are needed.

    data: all that was read and not yet answered; may go on behind the packet.
    ssl_done, gss_done: such a request was answered already; a second one is then an
    unsupported protocol, as in Postgres. Lengths other than 8 to 10,004 (an HTTP request,
    a 1 GB length word) are rejected in silence as soon as the length word is there.
    """
    if len(data) < 4:
        return None
    length = _INT.unpack_from(data)[0]
    if not HEADER_BYTES <= length <= MAX_PACKET_BYTES:
        return Rejected(_not_a_length(bytes(data[:4])))
    if len(data) < length:
        return None
    packet = bytes(data[:length])
    code = _INT.unpack_from(packet, 4)[0]
    if code == SSL_CODE and not ssl_done and length == HEADER_BYTES:
        return Encryption.SSL
    if code == GSSENC_CODE and not gss_done and length == HEADER_BYTES:
        return Encryption.GSS
    if code == CANCEL_CODE:
        return _cancel_request(packet)
    if code >> 16 != 3:
        return Rejected(
            f"unsupported protocol {code >> 16}.{code & 0xFFFF}",
            error_response(
                "FATAL",
                "0A000",
                f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}: "
                "server supports 3.0 to 3.2",
            ),
        )
    return StartupMessage(packet, code, _parameters(packet))


def startup_packet(parameters: dict[str, str], version: int = 3 << 16) -> bytes:
    """Returns the packet that opens a session with these parameters."""
    words = "".join(f"{name}\0{value}\0" for name, value in parameters.items())
    body = _INT.pack(version) + words.encode() + b"\0"
    return _INT.pack(len(body) + 4) + body


def cap(startup: StartupMessage) -> Capped:
    """Returns the startup packet with nothing in it that this proxy could not follow.

    A newer upstream could grant a newer minor version or a `_pq_.` option, and then speak
    in messages whose framing is not known here. What is not touched stays byte for byte.
    """
    stripped = tuple(name for name in startup.parameters if name.startswith("_pq_."))
    version = min(startup.version, NEWEST)
    if not stripped and version == startup.version:
        return Capped(startup.packet, version, (), changed=False)
    kept = b"".join(
        name + b"\0" + value + b"\0"
        for name, value in _pairs(startup.packet)
        if not name.startswith(b"_pq_.")
    )
    body = _INT.pack(version) + kept + b"\0"
    return Capped(_INT.pack(len(body) + 4) + body, version, stripped, changed=True)


def negotiated(capped: Capped, upstream_body: bytes | None) -> bytes:
    """Returns the one NegotiateProtocolVersion that the client of a changed packet gets.

    upstream_body: body of upstream's own `v` where its first message was one (it is then
    replaced); None where it was any other but an error (ours goes before it).
    """
    if upstream_body is None:
        return negotiate_protocol_version(capped.version, capped.stripped)
    version, options = parse_negotiate_protocol_version(upstream_body)
    return negotiate_protocol_version(version, [*options, *capped.stripped])


def encrypted_too_late() -> Rejected:
    """Bytes in the clear behind a request to encrypt: somebody in the middle may have put
    them there to be taken for part of the encrypted session (CVE-2021-23214)."""
    return Rejected(
        "unencrypted data behind an encryption request",
        error_response(
            "FATAL",
            "08P01",
            "received unencrypted data after SSL request",
            detail="This could be either a client-software bug or evidence of an attempted "
            "man-in-the-middle attack.",
        ),
    )


def tls_required() -> Rejected:
    """A session in the clear on a listener that takes none."""
    return Rejected(
        "TLS is required",
        error_response(
            "FATAL",
            "28000",
            "SSL required",
            hint="Connect with sslmode=require, or verify-full to check the certificate.",
        ),
    )


def _cancel_request(packet: bytes) -> CancelRequest | Rejected:
    secret = packet[12:]
    if not 1 <= len(secret) <= MAX_SECRET_BYTES:
        return Rejected("invalid length of cancel packet")
    return CancelRequest(packet, _INT.unpack_from(packet, 8)[0], secret)


def _pairs(packet: bytes) -> list[tuple[bytes, bytes]]:
    """Name and value as far as they can be read; upstream judges a malformed rest."""
    words = packet[HEADER_BYTES:].split(b"\0")
    pairs = []
    for name, value in zip(words[::2], words[1::2], strict=False):
        if not name:
            break
        pairs.append((name, value))
    return pairs


def _parameters(packet: bytes) -> dict[str, str]:
    return {
        name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
        for name, value in _pairs(packet)
    }


def _not_a_length(word: bytes) -> str:
    if word[:3].isalpha():
        return f"not a Postgres client: begins with {word.decode('ascii', 'replace')!r}"
    return f"invalid length of startup packet: {int.from_bytes(word)}"
