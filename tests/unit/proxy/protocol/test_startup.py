"""First packets as literal bytes, whole and in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.messages import parse_error_fields
from proxy.protocol.startup import (
    CancelRequest,
    Capped,
    Encryption,
    Rejected,
    StartupMessage,
    cap,
    negotiated,
    parse_first_packet,
)

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
GSSENC_REQUEST = bytes.fromhex("0000000804d21630")


def packet(version: int, *words: bytes) -> bytes:
    body = version.to_bytes(4) + b"".join(word + b"\0" for word in words) + b"\0"
    return (len(body) + 4).to_bytes(4) + body


ANN = packet(3 << 16, b"user", b"ann", b"database", b"books")


def test_a_startup_message_keeps_its_bytes_and_shows_its_parameters() -> None:
    first = parse_first_packet(ANN + b"behind it")
    assert first == StartupMessage(ANN, 3 << 16, {"user": "ann", "database": "books"})


@pytest.mark.parametrize(
    "data", [ANN, SSL_REQUEST, GSSENC_REQUEST, bytes.fromhex("0000001004d2162e0000000701020304")]
)
def test_half_a_packet_is_not_enough(data: bytes) -> None:
    for length in range(len(data)):
        assert parse_first_packet(data[:length]) is None
    assert parse_first_packet(data) is not None


def test_requests_to_encrypt_are_known_once_each() -> None:
    assert parse_first_packet(SSL_REQUEST) is Encryption.SSL
    assert parse_first_packet(GSSENC_REQUEST) is Encryption.GSS
    assert parse_first_packet(SSL_REQUEST, gss_done=True) is Encryption.SSL
    again = parse_first_packet(SSL_REQUEST, ssl_done=True)
    assert isinstance(again, Rejected)
    assert b"unsupported frontend protocol 1234.5679" in again.response
    assert isinstance(parse_first_packet(GSSENC_REQUEST, gss_done=True), Rejected)


@pytest.mark.parametrize("secret", [b"\x01\x02\x03\x04", b"s" * 32, b"s" * 256])
def test_a_cancel_request_has_a_secret_of_any_allowed_length(secret: bytes) -> None:
    data = (12 + len(secret)).to_bytes(4) + bytes.fromhex("04d2162e00000007") + secret
    assert parse_first_packet(data) == CancelRequest(data, 7, secret)


@pytest.mark.parametrize("secret", [b"", b"s" * 257])
def test_a_cancel_request_with_an_impossible_secret_is_dropped_in_silence(secret: bytes) -> None:
    data = (12 + len(secret)).to_bytes(4) + bytes.fromhex("04d2162e00000007") + secret
    first = parse_first_packet(data)
    assert isinstance(first, Rejected)
    assert first.response == b""


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02",
        b"\x00\x00\x00\x07",
        b"\x00\x00\x27\x15",
        b"\x40\x00\x00\x00",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
    ],
)
def test_impossible_lengths_are_dropped_in_silence_at_the_fourth_byte(data: bytes) -> None:
    first = parse_first_packet(data)
    assert isinstance(first, Rejected)
    assert first.response == b""


def test_the_longest_allowed_packet_is_waited_for() -> None:
    assert parse_first_packet((10_004).to_bytes(4)) is None


@pytest.mark.parametrize(("major", "minor"), [(2, 0), (4, 0), (0, 0), (1234, 1)])
def test_other_protocols_get_the_words_of_postgres(major: int, minor: int) -> None:
    first = parse_first_packet(packet(major << 16 | minor, b"user", b"ann"))
    assert isinstance(first, Rejected)
    fields = parse_error_fields(first.response[5:])
    assert fields["C"] == "0A000"
    assert fields["S"] == "FATAL"
    assert fields["M"] == (
        f"unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2"
    )


@given(st.binary(max_size=64))
def test_any_bytes_get_an_answer(data: bytes) -> None:
    first = parse_first_packet(data)
    if isinstance(first, StartupMessage | CancelRequest):
        assert data.startswith(first.packet)


@given(data=st.binary(max_size=64), cut=st.integers(0, 64))
def test_more_bytes_never_change_a_verdict(data: bytes, cut: int) -> None:
    early = parse_first_packet(data[:cut])
    if early is not None:
        assert parse_first_packet(data) == early


@pytest.mark.parametrize("minor", [0, 2])
def test_a_packet_we_can_follow_goes_on_byte_for_byte(minor: int) -> None:
    data = packet(3 << 16 | minor, b"user", b"ann", b"options", b"-c x=y")
    assert cap(_startup(data)) == Capped(data, 3 << 16 | minor, (), changed=False)


def test_a_newer_protocol_is_capped_and_its_options_are_left_out() -> None:
    data = packet(3 << 16 | 9999, b"user", b"ann", b"_pq_.grease", b"1", b"database", b"books")
    capped = cap(_startup(data))
    expected = packet(3 << 16 | 2, b"user", b"ann", b"database", b"books")
    assert capped == Capped(expected, 3 << 16 | 2, ("_pq_.grease",), changed=True)


def test_the_client_of_a_changed_packet_is_told_once() -> None:
    capped = cap(_startup(packet(3 << 16 | 9999, b"user", b"ann", b"_pq_.x", b"1")))
    ours = negotiated(capped, None)
    assert ours[5:] == bytes.fromhex("0003000200000001") + b"_pq_.x\0"
    # An older upstream says 3.0 itself; its word replaces ours, and our option joins it.
    theirs = negotiated(capped, bytes.fromhex("0003000000000000"))
    assert theirs[5:] == bytes.fromhex("0003000000000001") + b"_pq_.x\0"


def test_malformed_parameters_are_left_for_upstream_to_judge() -> None:
    data = (13).to_bytes(4) + (3 << 16).to_bytes(4) + b"user\xff"
    first = parse_first_packet(data)
    assert isinstance(first, StartupMessage)
    assert cap(first).packet == data


def _startup(data: bytes) -> StartupMessage:
    first = parse_first_packet(data)
    assert isinstance(first, StartupMessage)
    return first
