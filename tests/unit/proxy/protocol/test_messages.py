"""The proxy's own messages, as literal bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.messages import (
    backend_key,
    error_response,
    negotiate_protocol_version,
    notice_response,
    parse_error_fields,
    parse_negotiate_protocol_version,
    strip_plus,
)


def test_an_error_holds_severity_twice_then_state_and_message() -> None:
    assert error_response("ERROR", "23505", "no") == (
        b"E\x00\x00\x00\x1e" + b"SERROR\0VERROR\0C23505\0Mno\0\0"
    )


def test_an_error_holds_every_field_it_is_given() -> None:
    said = error_response(
        "FATAL",
        "23505",
        "taken",
        detail="d",
        hint="h",
        position=7,
        schema="quickbooks",
        table="customer",
        column="display_name",
        constraint="k",
    )
    assert int.from_bytes(said[1:5]) == len(said) - 1
    assert parse_error_fields(said[5:]) == {
        "S": "FATAL",
        "V": "FATAL",
        "C": "23505",
        "M": "taken",
        "D": "d",
        "H": "h",
        "P": "7",
        "s": "quickbooks",
        "t": "customer",
        "c": "display_name",
        "n": "k",
    }


def test_a_notice_is_an_error_by_another_letter() -> None:
    assert notice_response("NOTICE", "00000", "ok")[:1] == b"N"
    fields = parse_error_fields(notice_response("NOTICE", "00000", "ok", hint="h")[5:])
    assert fields["M"] == "ok"
    assert fields["H"] == "h"


def test_words_the_client_cannot_read_become_question_marks() -> None:
    assert b"M?uro \0" in error_response("ERROR", "XX000", "€uro ", encoding="latin-1")


@given(words=st.text(), detail=st.none() | st.text())
def test_no_text_can_break_out_of_its_field(words: str, detail: str | None) -> None:
    said = error_response("ERROR", "XX000", words, detail=detail, encoding="utf-16-le")
    assert int.from_bytes(said[1:5]) == len(said) - 1
    said = error_response("ERROR", "XX000", words, detail=detail)
    fields = parse_error_fields(said[5:])
    assert set(fields) == {"S", "V", "C", "M"} | ({"D"} if detail is not None else set())
    assert fields["M"] == words.replace("\0", "\ufffd")


def test_a_torn_error_is_read_as_far_as_it_goes() -> None:
    assert parse_error_fields(b"SERROR\0C57P0") == {"S": "ERROR", "C": "57P0"}


def test_backend_key_of_any_length() -> None:
    assert backend_key(b"\x00\x00\x00\x07abcd") == (7, b"abcd")
    assert backend_key(memoryview(b"\x00\x00\x00\x07" + b"x" * 256)) == (7, b"x" * 256)


def test_mechanisms_that_bind_to_tls_are_left_out() -> None:
    body = b"\x00\x00\x00\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"
    assert strip_plus(body) == b"\x00\x00\x00\x0aSCRAM-SHA-256\0\0"
    assert strip_plus(strip_plus(body)) == strip_plus(body)


def test_negotiation_is_read_as_it_is_written() -> None:
    said = negotiate_protocol_version(3 << 16, ["_pq_.a", "_pq_.b"])
    assert said == b"v\x00\x00\x00\x1a\x00\x03\x00\x00\x00\x00\x00\x02_pq_.a\0_pq_.b\0"
    assert parse_negotiate_protocol_version(said[5:]) == (3 << 16, ["_pq_.a", "_pq_.b"])
