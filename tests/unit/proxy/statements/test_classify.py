# ruff: noqa: ISC004
"""What is passed, held and refused; a write to a mirrored table is never passed unread."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.statements.classify import Classifier
from proxy.statements.model import Kind, MirrorNames, Relation, Statement, Verb

NAMES = MirrorNames.of(
    [
        Relation("books", "vendor", ("id", "name"), ("id",)),
        Relation("books", "Odd Name", ("id", "name"), ("id",)),
    ]
)


def read(
    text: str | bytes, codec: str | None = "utf-8", conforming: bool = True
) -> list[Statement]:
    sql = text.encode() if isinstance(text, str) else text
    return list(Classifier(NAMES).read(sql, codec, conforming))


def kinds(text: str) -> list[Kind]:
    return [statement.kind for statement in read(text)]


@pytest.mark.parametrize(
    "text",
    [
        "select 1", "select * from vendor", " select 'update vendor'", "update other set a = 1",
        "insert into other select * from vendor", "explain update vendor set name = 'x'",
        "copy vendor to stdout", "values (1)", "", ";", "select * from vendor for update",
        "create table x as select * from vendor", "delete from pub.vendor", "selec update vendor",
    ],
)  # fmt: skip
def test_what_writes_no_mirrored_table_passes(text: str) -> None:
    assert all(kind is Kind.PASS for kind in kinds(text))


@pytest.mark.parametrize(
    "text",
    [
        "truncate vendor", "truncate other, vendor", "copy vendor from stdin",
        "copy vendor (name) from '/tmp/x'", "explain analyze delete from vendor",
        "explain (analyze true) delete from vendor",
        "with a as (delete from vendor), b as (update vendor set name = '') select 1",
        "with a as (insert into other values (1)) update vendor set name = ''",
        "with a as (update vendor set name = '' returning id) select * from vendor",
    ],
)  # fmt: skip
def test_what_cannot_be_supported_is_refused(text: str) -> None:
    assert kinds(text) == [Kind.REFUSE]


def test_a_refusal_names_the_table_it_hangs_on() -> None:
    (found,) = read("truncate other, books.vendor")
    assert found.refusal is not None
    assert found.refusal.place == ("books", "vendor")


VERBS = st.sampled_from(
    [
        "insert into {} (name) values ('x')", "insert into {} select * from other",
        "update {} set name = 'é'", "UPDATE ONLY {} AS v SET name = $1 FROM other",
        "delete from {} using other where true", "merge into {} v using other o on true"
        " when matched then delete", "insert into {} default values on conflict do nothing",
    ]
)  # fmt: skip
TARGETS = st.sampled_from(
    [
        "vendor",
        "VENDOR",
        '"vendor"',
        "books.vendor",
        'books . "vendor"',
        "Books.Vendor",
        '"Odd Name"',
    ]
)
FRONTS = st.sampled_from(
    ["", " ", "\n\t", "/* select */ ", "-- select\n", "with a as (select 1) ", "prepare p as ",
     "prepare p (text) as ", "explain analyze ", "explain (analyze, verbose) ",
     "with a as (select 'insert') "]
)  # fmt: skip
BACKS = st.sampled_from(
    ["", ";", " ; ", " -- tail", " /* é */", " returning *", " returning name;"]
)
OTHERS = st.lists(
    st.sampled_from(
        ["select 'vendor'", "select $$;$$", "begin", "set a.b = 'é'", "select 1;", "commit"]
    ),
    max_size=2,
)


@given(
    OTHERS, FRONTS, VERBS, TARGETS, BACKS, OTHERS, st.sampled_from(["utf-8", "latin-1", "cp932"])
)
def test_a_write_to_a_mirrored_table_is_never_passed_unread(
    before: list[str], front: str, verb: str, target: str, back: str, behind: list[str], codec: str
) -> None:
    if front.startswith("explain") and verb.startswith("merge") and "returning" in back:
        return
    text = ";".join([*before, front + verb.format(target) + back + "\n", *behind])
    try:
        sql = text.encode(codec)
    except UnicodeEncodeError:
        sql = text.replace("é", "e").encode(codec)
    found = read(sql, codec)
    assert any(s.write is not None or s.refusal is not None for s in found)


@given(st.sampled_from(["vendor", "books.vendor"]), st.booleans())
def test_a_write_that_cannot_be_read_is_refused(target: str, conforming: bool) -> None:
    text = f"update {target} set name = '\\é'"
    (found,) = read(text, "ascii", conforming)
    assert found.kind is Kind.REFUSE
    (found,) = read(text, "utf-8", False)
    assert found.kind is Kind.REFUSE


@given(st.binary(max_size=60))
def test_no_bytes_make_the_reader_fail(noise: bytes) -> None:
    read(noise)
    read(b"update vendor set " + noise, None)
    read(b"begin; " + noise + b" vendor", "cp932", False)


@pytest.mark.parametrize(
    ("text", "verb", "chain"),
    [
        ("begin read only", Verb.BEGIN, False), ("start transaction", Verb.BEGIN, False),
        ("end", Verb.COMMIT, False), ("commit and chain", Verb.COMMIT, True),
        ("abort", Verb.ROLLBACK, False), ("rollback to savepoint s", Verb.ROLLBACK_TO, False),
        ("savepoint s", Verb.SAVEPOINT, False), ("release s", Verb.RELEASE, False),
        ("prepare transaction 'x'", Verb.PREPARE_TRANSACTION, False),
    ],
)  # fmt: skip
def test_transaction_commands_are_told_apart(text: str, verb: Verb, chain: bool) -> None:
    (found,) = read(text)
    assert (found.kind, found.verb, found.chain) == (Kind.TRANSACTION, verb, chain)


def test_pieces_of_a_string_are_counted_in_characters() -> None:
    found = read("select 'é€'; update vendor set name = 'ä' ; select 2")
    assert [s.text for s in found] == ["select 'é€'", "update vendor set name = 'ä' ", "select 2"]
    assert found[1].start == 13


@pytest.mark.parametrize(
    ("where", "by_id"),
    [
        ("id = '7'", ("text", "7")), ("'7' = id", ("text", "7")), ("v.id = $2", ("parameter", 2)),
        ("id = $1::text", ("parameter", 1)), ("id = '7' and true", None), ("id <> '7'", None),
        ("id = name", None), ("id in ('7')", None), ("name = '7'", None),
    ],
)  # fmt: skip
def test_a_row_named_by_its_id_alone_is_recognised(
    where: str, by_id: tuple[str, str | int] | None
) -> None:
    (found,) = read(f"update vendor v set name = '' where {where}")
    assert found.write is not None
    assert found.write.by_id == by_id


@pytest.mark.parametrize(
    "before", ["", " \n\t", "select 1;", "select 1 ;  \n ", "/* c */ ", "-- c\n"]
)
@pytest.mark.parametrize("word", ["begin", "COMMIT", "execute p", "deallocate all", "savepoint s"])
def test_a_command_is_seen_wherever_a_statement_can_begin(before: str, word: str) -> None:
    assert read(before + word)[-1].kind in (Kind.TRANSACTION, Kind.EXECUTE, Kind.FORGET)


LONG = "('x', 'the end of the vendor; it''s'), " * 400


def test_a_long_statement_is_not_parsed_for_what_its_values_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def parsed(text: str) -> None:
        raise AssertionError(text[:80])

    monkeypatch.setattr("proxy.statements.classify.parse_sql", parsed)
    assert read(f"insert into other (a, b) values {LONG} ('y', 'z')") == []


@pytest.mark.parametrize(
    "text",
    [
        f"insert into vendor (id, name) values {LONG} ('y', 'z')",
        f"insert into \"vendor\" (id, name) values {LONG} ('y', E'it\\'s')",
        f"insert into books.vendor (id, name) values {LONG} ('y', $$it's$$)",
        f"insert into other values {LONG} ('y', 'z'); update vendor set name = 'it''s'",
        f"/* it's */ insert into vendor (id, name) values {LONG} ('y', 'z')",
        f"insert into VENDOR (id, name) values {LONG} ('y', 'z') -- it's",
    ],
)
def test_a_long_write_to_a_mirrored_table_is_recognised(text: str) -> None:
    assert Kind.WRITE in kinds(text)
