"""What is written arrives as it was written, or is refused with one clear error; never in between.

Through the running proxy, by each way a driver has to say a value: as text, in binary, and
inside the statement. What a provider itself makes of a value is what RETURNING shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from acceptance.every_table import House
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

pytestmark = pytest.mark.timeout(300)
SOME = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
WAYS = ("%t", "%b", "literal")

# Every plane, controls too; not U+0000 and the surrogates, which Postgres has no text for.
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0")
    | st.sampled_from("'\"\\%:{}\t\n😀\U0010ffff"),
    min_size=1,
    max_size=40,
)
PRICES = st.decimals(Decimal("-99999999999"), Decimal("99999999999"), places=4)
DAYS = st.dates(date(2025, 1, 1), date(9998, 12, 31))
MOMENTS = st.builds(
    lambda at, minutes: at.replace(tzinfo=timezone(timedelta(minutes=minutes))),
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)),
    st.integers(-15 * 60, 15 * 60),
)


@pytest.fixture(scope="module")
def writer(house: House) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(house.url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def some(writer: psycopg.Connection[Any]) -> Callable[[str], str]:
    """An id of a table, the same whenever it is asked for."""

    def find(table: str, where: str = "true") -> str:
        query = f"select min(id) from {table} where {where}"
        return str(writer.execute(query.encode()).fetchone()[0])  # type: ignore[index]

    return find


def written(
    writer: psycopg.Connection[Any], table: str, record_id: str, way: str, **columns: Any
) -> tuple[Any, ...]:
    """Updates a row; gives what RETURNING shows, and checks that the table shows it too."""
    names = [sql.Identifier(column) for column in columns]
    values: list[sql.Composable] = [
        sql.Literal(value) if way == "literal" else sql.SQL(way) for value in columns.values()
    ]
    sets = [sql.SQL("{} = {}").format(*pair) for pair in zip(names, values, strict=True)]
    statement = sql.SQL("update {} set {} where id = {} returning {}").format(
        sql.Identifier(*table.split(".")),
        sql.SQL(", ").join(sets),
        sql.Literal(record_id),
        sql.SQL(", ").join(names),
    )
    given = None if way == "literal" else list(columns.values())
    [shown] = writer.execute(statement, given, binary=way == "%b").fetchall()
    read = sql.SQL("select {} from {} where id = %s").format(
        sql.SQL(", ").join(names), sql.Identifier(*table.split("."))
    )
    assert writer.execute(read, [record_id]).fetchone() == shown
    return tuple(shown)


@SOME
@given(way=st.sampled_from(WAYS), notes=TEXTS, taxable=st.booleans())
def test_texts_and_truths_are_quickbooks_own(
    house: House, writer: Any, some: Any, way: str, notes: str, taxable: bool
) -> None:
    record_id, email = some("quickbooks.customer", "active"), f"ada{len(notes)}@mail.example"
    columns = {"notes": notes, "taxable": taxable, "email": email}
    shown = written(writer, "quickbooks.customer", record_id, way, **columns)
    held = house.quickbooks.record("Customer", record_id)
    assert held is not None
    nested = held["PrimaryEmailAddr"]["Address"]
    assert (held["Notes"], held["Taxable"], nested) == (notes, taxable, email) == shown


@SOME
@given(way=st.sampled_from(WAYS), price=PRICES, cost=PRICES)
def test_numbers_keep_every_digit_at_quickbooks(
    house: House, writer: Any, some: Any, way: str, price: Decimal, cost: Decimal
) -> None:
    record_id = some("quickbooks.item", "type = 'Service'")
    columns = {"unit_price": price, "purchase_cost": cost}
    shown = written(writer, "quickbooks.item", record_id, way, **columns)
    held = house.quickbooks.record("Item", record_id)
    assert held is not None
    assert (held["UnitPrice"], held.get("PurchaseCost", 0)) == (price, cost) == shown


@SOME
@given(way=st.sampled_from(WAYS), day=DAYS, start=MOMENTS)
def test_days_and_moments_are_the_same_at_quickbooks(
    house: House, writer: Any, some: Any, way: str, day: date, start: datetime
) -> None:
    record_id = some("quickbooks.time_activity")
    end = start + timedelta(hours=1)
    columns = {"txn_date": day, "start_time": start, "end_time": end}
    shown = written(writer, "quickbooks.time_activity", record_id, way, **columns)
    held = house.quickbooks.record("TimeActivity", record_id)
    assert held is not None
    moments = tuple(datetime.fromisoformat(held[name]) for name in ("StartTime", "EndTime"))
    assert (date.fromisoformat(held["TxnDate"]), *moments) == (day, start, end) == shown


@SOME
@given(way=st.sampled_from(WAYS), name=TEXTS, price=PRICES.filter(lambda p: p >= 0))
def test_texts_and_prices_are_xeros_own(
    house: House, writer: Any, some: Any, way: str, name: str, price: Decimal
) -> None:
    record_id = some("xero.contact", "contact_status = 'ACTIVE'")
    shown = written(writer, "xero.contact", record_id, way, first_name=name)
    held = house.xero.record("contact", record_id)
    assert held is not None
    assert (held["FirstName"],) == (name,) == shown
    item = some("xero.item")
    shown = written(writer, "xero.item", item, way, sales_details_unit_price=price)
    held = house.xero.record("item", item)
    assert held is not None
    assert (held["SalesDetails"]["UnitPrice"],) == (price,) == shown


INVOICED = "insert into quickbooks.invoice (customer_id, line) values ('1', %s) returning total_amt"
CHARGED = (
    "insert into xero.invoice (type, contact_id, line_items) select 'ACCREC', id, %s"
    " from xero.contact where contact_status = 'ACTIVE' limit 1 returning sub_total"
)


def of_item(amount: str, **detail: Any) -> str:
    """A line as JSON text, its numbers as they are given."""
    more = "".join(f', "{name}": {value}' for name, value in detail.items())
    return (
        f'[{{"DetailType": "SalesItemLineDetail", "Amount": {amount},'
        f' "SalesItemLineDetail": {{"ItemRef": {{"value": "3"}}{more}}}}}]'
    )


def of_account(**members: Any) -> str:
    more = "".join(f', "{name}": {value}' for name, value in members.items())
    return f'[{{"Description": "a", "AccountCode": "200"{more}}}]'


@pytest.mark.parametrize(
    ("statement", "line", "becomes"),
    [
        (INVOICED, of_item("1.005"), "1.01"),  # whole cents, a half goes up
        (INVOICED, of_item("3.34", Qty="1.111", UnitPrice="3.004"), "3.34"),
        (INVOICED, of_item('1, "Amount": 2'), "2"),  # of one name twice Postgres keeps the last
        (INVOICED, of_item("1e2"), "100"),
        (CHARGED, of_account(Quantity="1", UnitAmount="1.00496"), "1.01"),  # first to 1.0050
        (CHARGED, of_account(Quantity="1.00004", UnitAmount="1.2345"), "1.23"),
    ],
)
def test_what_a_provider_rounds_is_shown_as_it_rounds(
    writer: Any, statement: str, line: str, becomes: str
) -> None:
    assert writer.execute(statement, [line]).fetchone() == (Decimal(becomes),)


@pytest.mark.parametrize(
    ("column", "value", "sqlstate", "words"),
    [
        ("item.unit_price", "NaN", "22023", "a finite number, not NaN"),
        ("item.unit_price", "-Infinity", "22023", "a finite number, not -Infinity"),
        ("item.unit_price", "1e15", "22023", "out of range"),
        ("item.unit_price", "9" * 400, "22023", "at most 100 digits"),
        ("item.unit_price", "1e20000", "22023", "at most 100 digits"),
        ("invoice.txn_date", "infinity", "22023", "a date of the years 1 to 9999, not infinity"),
        ("invoice.txn_date", "0044-03-15 BC", "22023", "not 0044-03-15 BC"),
        ("invoice.txn_date", "10000-01-01", "22023", "not 10000-01-01"),
        ("time_activity.start_time", "-infinity", "22023", "a time of the years 1 to 9999"),
        ("time_activity.start_time", "0044-03-15 12:00 BC", "22023", "BC"),
        ("customer.notes", "x" * 2001, "22001", "2001 characters, QuickBooks takes 2000"),
        ("invoice.line", '["\\ud800"]', "22P02", "json"),
        ("invoice.line", '["\\u0000"]', "22P05", "Unicode"),
        ("customer.active", "maybe", "22P02", "boolean"),
    ],
)
def test_what_cannot_be_said_is_refused_and_nothing_is_sent(
    house: House, writer: Any, some: Any, column: str, value: str, sqlstate: str, words: str
) -> None:
    table, _, name = column.partition(".")
    record_id, sent = some(f"quickbooks.{table}"), len(house.quickbooks.applied())
    statement = f"update quickbooks.{table} set {name} = %s where id = %s"
    with pytest.raises(psycopg.Error) as refused:
        writer.execute(statement.encode(), [value, record_id])
    assert refused.value.sqlstate == sqlstate, str(refused.value)
    assert words in (refused.value.diag.message_primary or "")
    assert writer.execute("select 1").fetchone() == (1,)
    assert len(house.quickbooks.applied()) == sent


def test_an_empty_text_is_what_the_provider_makes_of_it(
    house: House, writer: Any, some: Any
) -> None:
    """QuickBooks knows no empty texts: they are none. Xero keeps them."""
    customer = some("quickbooks.customer", "active")
    assert written(writer, "quickbooks.customer", customer, "%b", notes="here") == ("here",)
    assert written(writer, "quickbooks.customer", customer, "%b", notes="") == (None,)
    assert "Notes" not in (house.quickbooks.record("Customer", customer) or {})
    contact = some("xero.contact", "contact_status = 'ACTIVE'")
    assert written(writer, "xero.contact", contact, "%b", first_name="") == ("",)


def test_a_zone_of_former_days_does_not_move_the_moment(writer: Any, some: Any) -> None:
    """Before 1906 Kolkata was 5:53:28 ahead, which no provider's JSON can say."""
    record_id = some("quickbooks.time_activity")
    start = datetime(1850, 1, 1, 12, tzinfo=UTC)
    columns = {"start_time": start, "end_time": start + timedelta(hours=1)}
    writer.execute("set timezone = 'Asia/Kolkata'")
    try:
        written(writer, "quickbooks.time_activity", record_id, "%b", **columns)
    finally:
        writer.execute("reset timezone")
    found = writer.execute(
        "select start_time at time zone 'UTC' from quickbooks.time_activity where id = %s",
        [record_id],
    ).fetchone()
    assert found == (datetime(1850, 1, 1, 12),)


def test_json_keeps_its_escapes(house: House, writer: Any) -> None:
    line = json.loads(of_item("1"))
    line[0]["Description"] = text = '\U0001f600 \\ " / \u2028 \x01'
    query = "insert into quickbooks.invoice (customer_id, line) values ('1', %s) returning id"
    [record_id] = writer.execute(query, [json.dumps(line)]).fetchone()
    held = house.quickbooks.record("Invoice", record_id)
    assert held is not None
    assert held["Line"][0]["Description"] == text
