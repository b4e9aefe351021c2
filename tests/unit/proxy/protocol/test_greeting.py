"""Upstream's answers to a startup packet, cut anywhere."""

from __future__ import annotations

from struct import pack

import pytest

from proxy.protocol.greeting import Greeting
from proxy.protocol.startup import cap, parse_first_packet, startup_packet

AUTH_OK = b"R\0\0\0\x08\0\0\0\0"
SASL = b"SCRAM-SHA-256\0"
PLUS = b"SCRAM-SHA-256-PLUS\0"
READY = b"Z\0\0\0\x05I"


def frame(kind: bytes, body: bytes) -> bytes:
    return kind + pack("!I", len(body) + 4) + body


def offer(*mechanisms: bytes) -> bytes:
    return frame(b"R", pack("!I", 10) + b"".join(mechanisms) + b"\0")


class Told:
    """A greeting and what it has told of itself."""

    def __init__(self, *, version: int = 3 << 16, hides_plus: bool = False) -> None:
        first = parse_first_packet(startup_packet({"user": "ada"}, version))
        self.parameters: list[bytes] = []
        self.keys: list[bytes] = []
        self.greeting = Greeting(
            cap(first),  # type: ignore[arg-type]
            hides_plus=hides_plus,
            on_parameter=self.parameters.append,
            on_key=self.keys.append,
        )

    def hears(self, data: bytes, *, step: int) -> tuple[bytes, bytes]:
        """(all that the client gets, all that came behind)."""
        shown = behind = b""
        for at in range(0, len(data), step):
            if self.greeting.status:
                return shown, behind + data[at:]
            now, behind = self.greeting.feed(data[at : at + step])
            shown += now
        return shown, behind


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_what_was_asked_for_as_it_is_comes_back_as_it_is(step: int) -> None:
    told = Told()
    begun = frame(b"S", b"TimeZone\0UTC\0")
    words = AUTH_OK + frame(b"S", b"client_encoding\0UTF8\0") + frame(b"K", b"12345678") + READY
    assert told.hears(words + begun, step=step) == (words, begun)
    assert told.parameters == [b"client_encoding\0UTF8\0"]
    assert told.keys == [b"12345678"]
    assert told.greeting.status == ord("I")


def test_channel_binding_is_offered_only_where_it_can_be_bound() -> None:
    shown, _ = Told(hides_plus=True).hears(offer(PLUS, SASL), step=1000)
    assert shown == offer(SASL)
    shown, _ = Told().hears(offer(PLUS, SASL), step=1000)
    assert shown == offer(PLUS, SASL)


def test_a_client_whose_version_was_lowered_is_told_once_and_first() -> None:
    told = Told(version=3 << 16 | 9999)
    shown, _ = told.hears(AUTH_OK + READY, step=3)
    assert shown[:1] == b"v"
    assert shown.endswith(AUTH_OK + READY)
    assert shown.count(b"v") == 1


def test_upstreams_own_word_about_the_version_takes_ours_with_it() -> None:
    told = Told(version=3 << 16 | 9999)
    shown, _ = told.hears(frame(b"v", pack("!II", 3 << 16, 0)) + AUTH_OK, step=1000)
    assert shown == frame(b"v", pack("!II", 3 << 16, 0)) + AUTH_OK


def test_an_error_comes_before_any_word_about_the_version() -> None:
    error = frame(b"E", b"SFATAL\0C28P01\0\0")
    assert Told(version=3 << 16 | 9999).hears(error, step=1000) == (error, b"")
