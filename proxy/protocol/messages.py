"""The few backend messages that the proxy says itself, and the fields of those it must read.

Builders return whole messages (type byte, length, body) ready to be written to a client;
readers take a body, without its five-byte header. Everything else on the wire is relayed
as it came and has no type here. Nothing opens a socket.

For the relay: `error_response`, `notice_response`, `parse_error_fields`, `backend_key`,
`strip_plus`, `negotiate_protocol_version` and `parse_negotiate_protocol_version`.

Source: PostgreSQL documentation, "Message Formats", "Error and Notice Message Fields".
"""

from __future__ import annotations

from struct import Struct

AUTH_OK = 0
AUTH_SASL = 10
MAX_SECRET_BYTES = 256  # BackendKeyData of protocol 3.2

_INT = Struct(">I")
_TWO_INTS = Struct(">II")
_HEADER = Struct(">cI")


def message(kind: bytes, body: bytes) -> bytes:
    """Returns one message: type byte, length (which counts itself), body."""
    return _HEADER.pack(kind, len(body) + 4) + body


def error_response(
    severity: str,
    sqlstate: str,
    message: str,
    *,
    detail: str | None = None,
    hint: str | None = None,
    position: int | None = None,
    schema: str | None = None,
    table: str | None = None,
    column: str | None = None,
    constraint: str | None = None,
    encoding: str = "utf-8",
) -> bytes:
    """Returns an ErrorResponse. severity: ERROR, FATAL or PANIC; position: characters from 1.

    encoding: Python's name of the client's encoding; what it cannot hold becomes `?`,
    since an error about an error would hide the first one.
    """
    others = {
        "D": detail,
        "H": hint,
        "P": None if position is None else str(position),
        "s": schema,
        "t": table,
        "c": column,
        "n": constraint,
    }
    return _say(b"E", severity, sqlstate, message, others, encoding)


def notice_response(
    severity: str,
    sqlstate: str,
    message: str,
    *,
    detail: str | None = None,
    hint: str | None = None,
    encoding: str = "utf-8",
) -> bytes:
    """Returns a NoticeResponse. severity: WARNING, NOTICE, INFO, LOG or DEBUG."""
    others = {"D": detail, "H": hint}
    return _say(b"N", severity, sqlstate, message, others, encoding)


def parse_error_fields(body: bytes | memoryview, encoding: str = "utf-8") -> dict[str, str]:
    """Returns the fields of an ErrorResponse or NoticeResponse body by their letter.

    Lenient: bytes that `encoding` cannot read are replaced, a missing end is no error.
    """
    fields: dict[str, str] = {}
    for field in bytes(body).split(b"\0"):
        if not field:
            break
        fields[chr(field[0])] = field[1:].decode(encoding, "replace")
    return fields


def backend_key(body: bytes | memoryview) -> tuple[int, bytes]:
    """Returns (process id, secret) of a BackendKeyData body.

    The secret has 4 bytes on protocol 3.0, 32 on Postgres 18 with 3.2, and is opaque.
    """
    return _INT.unpack_from(body)[0], bytes(body[4:])


def strip_plus(body: bytes) -> bytes:
    """Returns an AuthenticationSASL body without the mechanisms that bind to TLS.

    A client that is not on TLS refuses SCRAM-SHA-256-PLUS from an upstream that is, and
    the proxy could not stand in the middle of it anyway (`…-PLUS` proves the certificate).
    """
    mechanisms = [name for name in body[4:].split(b"\0") if name and not name.endswith(b"-PLUS")]
    return body[:4] + b"".join(name + b"\0" for name in mechanisms) + b"\0"


def negotiate_protocol_version(version: int, options: tuple[str, ...] | list[str]) -> bytes:
    """Returns NegotiateProtocolVersion: the version we speak, the `_pq_.` options we do not.

    version: major << 16 | minor, as Postgres itself sends it.
    """
    names = b"".join(name.encode("utf-8", "surrogateescape") + b"\0" for name in options)
    return message(b"v", _TWO_INTS.pack(version, len(options)) + names)


def parse_negotiate_protocol_version(body: bytes | memoryview) -> tuple[int, list[str]]:
    """Returns (version, unknown options) of a NegotiateProtocolVersion body."""
    version, count = _TWO_INTS.unpack_from(body)
    names = bytes(body[8:]).split(b"\0")[:count]
    return version, [name.decode("utf-8", "surrogateescape") for name in names]


def _say(
    kind: bytes,
    severity: str,
    sqlstate: str,
    words: str,
    others: dict[str, str | None],
    encoding: str,
) -> bytes:
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": words, **others}
    # A NUL would end the field early and turn the rest into fields of its own.
    body = b"".join(
        letter.encode() + value.replace("\0", "\ufffd").encode(encoding, "replace") + b"\0"
        for letter, value in fields.items()
        if value is not None
    )
    return message(kind, body + b"\0")
