"""The query language, by its grammar and over a small company."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.query import Condition, Query, parse


def test_whole_statement_is_understood_in_any_case() -> None:
    query = parse(
        "SELECT * from Customer WHERE Active IN (true, False) and displayname like 'A%' "
        "orderby MetaData.LastUpdatedTime DESC, Id StartPosition 11 MAXRESULTS 50"
    )
    assert query == Query(
        "Customer",
        (),
        False,
        (
            Condition("Active", "IN", ("true", "false")),
            Condition("displayname", "LIKE", ("A%",)),
        ),
        (("MetaData.LastUpdatedTime", True), ("Id", False)),
        11,
        50,
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"select * from Customer where DisplayName = 'Tim O\'Hara'", "Tim O'Hara"),
        (r"select * from Customer where DisplayName = 'a\\b'", "a\\b"),
        ("select * from Customer where DisplayName = ''", ""),
        ("select * from Customer where DisplayName = 'select x from y'", "select x from y"),
    ],
)
def test_text_literals_are_unescaped(text: str, value: str) -> None:
    assert parse(text).where[0].values == (value,)


def test_order_by_may_be_two_words_and_counting_is_possible() -> None:
    assert parse("select count(*) from Invoice").counts
    assert parse("select * from Invoice order by TxnDate").order == (("TxnDate", False),)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (
            "select * FORM Customer",
            'QueryParserError: Encountered " <IDENTIFIER> "FORM "" at line 1, column 10.',
        ),
        ("select * from", 'QueryParserError: Encountered "<EOF>" at line 1, column 14.'),
        (
            "select * from Customer where Id = '1' or Id = '2'",
            'QueryParserError: Encountered " <OR> "or "" at line 1, column 39.',
        ),
    ],
)
def test_what_does_not_parse_is_4000_with_place(text: str, detail: str) -> None:
    with pytest.raises(Fault) as caught:
        parse(text)
    assert (caught.value.code, caught.value.detail) == ("4000", detail)


@pytest.mark.parametrize(
    ("tail", "detail"),
    [
        ("startposition 0", "value 0 is too small. Min allowed value is 1"),
        ("maxresults 1001", "value 1001 is too large. Max allowed value is 1000"),
    ],
)
def test_positions_out_of_range_are_4001(tail: str, detail: str) -> None:
    with pytest.raises(Fault) as caught:
        parse(f"select * from Customer {tail}")
    assert (caught.value.code, caught.value.detail) == ("4001", f"QueryValidationError: {detail}")


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    code = None
    try:
        parse(text)
    except Fault as fault:
        code = fault.code
    assert code in (None, "4000", "4001")


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=30))
def test_any_value_survives_quoting(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    found = parse(f"select * from Customer where DisplayName = '{quoted}'")
    assert found.where == (Condition("DisplayName", "=", (value,)),)


# -- over a company --------------------------------------------------------------------------


def test_unknown_property_is_refused_by_name(world: Any) -> None:
    with pytest.raises(Fault) as caught:
        world.query("select * from Customer where Colour = 'x'")
    expected = "QueryValidationError: Property Colour not found for Entity Customer"
    assert caught.value.detail == expected


def test_property_that_is_not_filterable_is_refused_the_same(world: Any) -> None:
    with pytest.raises(Fault) as caught:
        world.query("select * from Customer where Notes = 'x'")
    assert caught.value.code == "4001"


def test_inactive_names_show_only_when_active_is_named(world: Any) -> None:
    gone = world.customer("Gone Ltd")
    world.sparse("Customer", gone, Active=False)
    everybody = world.query("select count(*) from Customer where Active in (true, false)")
    assert everybody["totalCount"] == 4
    assert world.query("select count(*) from Customer")["totalCount"] == 3
    (found,) = world.query("select * from Customer where Active = false")["Customer"]
    assert found["DisplayName"] == "Gone Ltd (deleted)"


def test_nothing_found_is_an_empty_object(world: Any) -> None:
    assert world.query("select * from Customer where DisplayName = 'nobody'") == {}


def test_text_is_compared_without_case_and_like_knows_only_percent(world: Any) -> None:
    world.customer("Under_score (x)")
    for condition in ("= 'UNDER_SCORE (X)'", "like 'under_%(X)'", "like '%score%'"):
        assert world.query(f"select count(*) from Customer where DisplayName {condition}") == {
            "totalCount": 1
        }
    assert world.query("select count(*) from Customer where DisplayName like 'Under.*'") == {
        "totalCount": 0
    }


def test_pages_join_to_the_whole_in_order_of_id(make_world: Any) -> None:
    world = make_world(customers=10, invoices=57)
    found: list[int] = []
    for start in range(1, 100, 10):
        page = world.query(f"select * from Invoice startposition {start} maxresults 10")
        if not page:
            break
        assert page["startPosition"] == start
        assert page["maxResults"] == len(page["Invoice"])
        assert page["totalCount"] == 57
        found += [int(invoice["Id"]) for invoice in page["Invoice"]]
    assert found == sorted(found)
    assert len(set(found)) == 57


def test_references_money_dates_and_times_are_compared_by_value(make_world: Any) -> None:
    world = make_world(customers=10, invoices=60)
    every = world.query("select * from Invoice maxresults 1000")["Invoice"]
    party = every[0]["CustomerRef"]["value"]
    texts = {
        f"CustomerRef = '{party}'": lambda i: i["CustomerRef"]["value"] == party,
        "Balance > '0'": lambda i: i["Balance"] > 0,
        "TotalAmt <= '500.00'": lambda i: i["TotalAmt"] <= 500,
        "TxnDate >= '2025-06-01'": lambda i: i["TxnDate"] >= "2025-06-01",
        "DueDate < '2025-06-01' and Balance = '0'": lambda i: (
            i["DueDate"] < "2025-06-01" and i["Balance"] == 0
        ),
    }
    for condition, test in texts.items():
        found = world.query(f"select * from Invoice where {condition} maxresults 1000")
        assert [i["Id"] for i in found.get("Invoice", ())] == [i["Id"] for i in every if test(i)], (
            condition
        )


def test_changes_since_a_moment_come_in_order_of_change(make_world: Any) -> None:
    world = make_world(customers=3, invoices=20)
    ids = [i["Id"] for i in world.query("select * from Invoice")["Invoice"][:3]]
    for number in reversed(ids):
        world.later()
        world.sparse("Invoice", world.read("Invoice", number), PrivateNote="seen")
    found = world.query(
        "select Id from Invoice where MetaData.LastUpdatedTime > '2026-03-02T17:16:00Z' "
        "orderby MetaData.LastUpdatedTime"
    )
    assert [invoice["Id"] for invoice in found["Invoice"]] == ids[::-1]
    assert found["Invoice"][0] == {"domain": "QBO", "sparse": True, "Id": ids[-1]}


def test_ids_take_equality_and_lists_only(world: Any) -> None:
    found = world.query("select * from Customer where Id in ('3', '1', '99')")["Customer"]
    assert [customer["Id"] for customer in found] == ["1", "3"]
    with pytest.raises(Fault):
        world.query("select * from Customer where Id > '1'")


def test_entities_without_records_answer_empty(world: Any) -> None:
    for row in list(world.books.table("Deposit").rows.values()):
        world.write("Deposit", "delete", Id=str(row.id), SyncToken=str(row.token))
    assert world.query("select * from Deposit") == {}
    with pytest.raises(Fault):
        world.query("select * from Nonsense")
