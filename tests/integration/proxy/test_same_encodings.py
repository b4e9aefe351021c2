# ruff: noqa: E501
"""Client encodings, quoting, and statements of any size: the same through the proxy."""

from __future__ import annotations

import pytest
from integration.proxy.twins import B, Client, E, P, Q, S, Twins, run

ENCODINGS = {
    "LATIN1": ("latin-1", "é ü"),
    "LATIN9": ("iso8859-15", "é €"),
    "WIN1252": ("cp1252", "é €"),
    "SJIS": ("cp932", "表示ソ能"),  # second bytes are 0x5C
    "EUC_JP": ("euc_jp", "表示"),
    "BIG5": ("big5", "功許"),
    "GBK": ("gbk", "中文"),
    "UTF8": ("utf-8", "é € 表"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_in_the_clients_encoding(twins: Twins, encoding: str) -> None:
    codec, words = ENCODINGS[encoding]
    value = words.encode(codec)
    literal = f"update vendor set phone = '{words}' where id = '1' returning phone, '{words}' as x"
    wrong = f"select '{words}'; update vendor set nothing = '{words}'"
    twins.compare(
        Q(f"set client_encoding = '{encoding}'"),
        Q(literal.encode(codec)),
        run(literal.encode(codec)) + S,
        run("update vendor set phone = $1 where id = '2' returning phone || $1", value) + S,
        Q(f"select '{words}'; {literal}; select phone from vendor order by id".encode(codec)),
        Q(wrong.encode(codec)),
        Q(
            f"update vendor v set phone = d.w from (values ('1', '{words}')) d(i, w) where v.id = d.i"
            " returning v.phone || d.w".encode(codec)
        ),
        Q("reset client_encoding"),
        calls=5,
    )


def test_a_value_that_the_encoding_lacks_is_an_error_of_postgres(twins: Twins) -> None:
    twins.compare(
        Q("set client_encoding = 'LATIN1'"),
        Q(b"update vendor set phone = U&'\\20ac' where id = '1'"),
        Q(b"update vendor set phone = '\xff' where id = '1' returning phone"),
        Q("reset client_encoding"),
        calls=2,
    )


@pytest.mark.parametrize("text", [b"update vendor set phone = '\xff'", b"update vendor set \0 x"])
def test_bytes_that_are_no_text_are_refused_by_postgres(twins: Twins, text: bytes) -> None:
    twins.reset()
    found = []

    for conninfo in (twins.native, twins.proxied):
        with Client(conninfo) as client:
            found.append([m[1]["C"] for m in client.ask(Q(text)) if m[0] == "E"])
    assert twins.writer.calls == []
    assert found[0][0][:2] in ("22", "08")
    assert found[1] == found[0] or found[1] == ["0A000"]


def test_a_backslash_that_may_mean_two_things_is_refused(twins: Twins) -> None:
    twins.reset()

    with Client(twins.proxied) as client:
        client.ask(Q("set standard_conforming_strings = off; set escape_string_warning = off"))
        found = client.ask(Q("update vendor set phone = 'a\\'b' where id = '1'"))
        assert [m[1]["C"] for m in found if m[0] == "E"] == ["0A000"]
        found = client.ask(Q("update vendor set phone = 'plain' where id = '1'"))
        assert [m[1] for m in found if m[0] in "CE"] == [b"UPDATE 1\0"]
    assert len(twins.writer.calls) == 1


@pytest.mark.parametrize("size", [9_000, 300_000, 3_000_000])
def test_long_statements_and_values(twins: Twins, size: int) -> None:
    words = "ä" * (size // 2)
    twins.compare(
        Q(f"update vendor set phone = '{words}' where id = '1'"),
        run("update vendor set phone = $1 where id = '2' returning phone", words) + S,
        P(f"update vendor set phone = '{words}' where id = $1", "w") + S,
        B("3", name="w") + E() + S,
        calls=3,
    )


def test_many_rows_and_many_statements(twins: Twins) -> None:
    values = ", ".join(f"('Name {n:03}', '{n}')" for n in range(60))
    many = "; ".join(f"update vendor set phone = '{n}' where id = '1'" for n in range(15))
    insert = f"insert into vendor (display_name, phone) values {values} returning display_name"
    twins.compare(Q(insert), Q(many), calls=16)
