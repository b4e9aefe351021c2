"""Whatever is written, every transaction balances and the figures shown are those of the ledger."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sqlsync.simulators.quickbooks import documents
from sqlsync.simulators.quickbooks.entities import entity_by_word
from sqlsync.simulators.quickbooks.posting.daybook import Daybook
from sqlsync.simulators.quickbooks.posting.entries import UNIT, Move
from sqlsync.simulators.quickbooks.posting.standing import Standing, standing_of
from sqlsync.simulators.quickbooks.posting.stock import evaluate


def fresh(world: Any) -> Standing:
    """Everything worked out anew, from the records alone."""
    return Standing(world.books)


@given(seed=st.integers(0, 10**6), deeds=st.integers(5, 60), asked=st.booleans())
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_books_balance_and_are_kept_up_to_date(
    make_world: Any, make_business: Any, seed: int, deeds: int, asked: bool
) -> None:
    world = make_world(customers=3, invoices=4)
    if asked:  # from now on the standing is carried from write to write
        standing_of(world.books).balance(84)
    make_business(world, Random(seed)).run(deeds)
    kept, anew = standing_of(world.books), fresh(world)
    accounts = anew.poster.chart.accounts
    assert {a: kept.balance(a) for a in accounts} == {a: anew.balance(a) for a in accounts}
    assert sum(anew.balance(account) for account in accounts) == 0
    for item in anew.stock.items():
        assert kept.on_hand(item) == anew.on_hand(item)
    for basis in ("Accrual", "Cash"):
        totals: dict[int, int] = {}
        for found in Daybook(anew, basis).transactions():
            assert sum(entry.cents for entry in found.entries) == 0, (basis, found)
            for entry in found.entries:
                totals[entry.account] = totals.get(entry.account, 0) + entry.cents
        if basis == "Accrual":
            for account, cents in totals.items():
                assert cents == anew.balance(account)
        else:
            assert sum(totals.values()) == 0
    check_parties_and_stock(world, anew)


def check_parties_and_stock(world: Any, standing: Standing) -> None:
    books = world.books
    owed = sum(row.open for row in books.table("Customer").rows.values())
    assert standing.balance(84) == owed
    assert -standing.balance(33) == sum(row.open for row in books.table("Vendor").rows.values())
    values = sum(standing.stock.of(item).value for item in standing.stock.items())
    posted = sum(
        entry.cents
        for found in Daybook(standing).transactions()
        for entry in found.entries
        if entry.account == 81 and not entry.item
    )
    assert standing.balance(81) == values + posted


@given(
    st.lists(
        st.tuples(
            st.integers(1, 28), st.integers(-9, 9).filter(bool), st.integers(0, 5000), st.booleans()
        ),
        max_size=30,
    )
)
def test_cost_of_goods_is_what_came_in_less_what_is_left(
    moves: list[tuple[int, int, int, bool]],
) -> None:
    """Even where goods are sold before they came."""
    ordered = sorted(
        Move(f"2026-02-{day:02d}", int(count < 0), number, 1, count * UNIT, priced and count > 0,
             cents if priced and count > 0 else 0)
        for number, (day, count, cents, priced) in enumerate(moves)
    )  # fmt: skip
    found = evaluate(ordered, (500, UNIT))
    assert found.units == sum(move.units for move in ordered)
    assert found.value == sum(move.cents for move in ordered) + found.extra_total
    if found.units == 0:
        assert found.value == 0
    assert found.at("2026-02-28") == ((found.units, found.value) if moves else (0, 0))
    assert found.at("2026-01-31") == (0, 0)


def test_goods_leave_at_the_price_they_came_at_first_in_first_out() -> None:
    def move(day: int, pieces: int, cents: int = 0) -> Move:
        stage, line = int(pieces < 0), 1
        return Move(f"2026-01-{day:02d}", stage, day, line, pieces * UNIT, pieces > 0, cents)

    found = evaluate([move(1, 2, 200), move(2, 2, 400), move(3, -3)], (0, UNIT))
    assert (found.units, found.value, found.extra) == (UNIT, 200, {(3, 1): -400})
    gap = evaluate([move(1, -2), move(2, 3, 900)], (100, UNIT))
    assert (gap.units, gap.value) == (UNIT, 300)
    assert gap.extra == {(1, 1): -200, (2, 1): -400}  # the purchase makes up for 100 too little


def test_account_shows_its_balance_and_changes_its_time_but_not_its_token(world: Any) -> None:
    before = world.read("Account", "84")
    world.later()
    since = world.clock.now()
    customer = world.customer()
    world.invoice(customer, 100, 50)
    after = world.read("Account", "84")
    assert after["CurrentBalance"] - before["CurrentBalance"] == 150
    assert after["SyncToken"] == before["SyncToken"]
    assert after["MetaData"]["LastUpdatedTime"] > before["MetaData"]["LastUpdatedTime"]
    (changed,) = world.cdc("Account", since)
    assert [account["Id"] for account in changed["Account"]] == ["84"]  # income shows nought
    assert world.read("Account", "79")["CurrentBalance"] == 0
    (payables,) = world.query("select * from Account where Id = '33'")["Account"]
    owed = sum(row.open for row in world.books.table("Vendor").rows.values())
    assert payables["CurrentBalance"] == -Decimal(owed) / 100


def test_parent_account_shows_the_balance_of_those_beneath_it(world: Any) -> None:
    sub = {"SubAccount": True, "ParentRef": {"value": "36"}}
    till = world.write("Account", Name="Till", AccountType="Bank", **sub)
    world.write(
        "Transfer",
        FromAccountRef={"value": "35"},
        ToAccountRef={"value": till["Id"]},
        Amount=70,
    )
    savings = world.read("Account", "36")
    assert savings["CurrentBalanceWithSubAccounts"] - savings["CurrentBalance"] == 70


def test_opening_balance_of_an_account_stands_against_equity(world: Any) -> None:
    equity = world.read("Account", "91")["CurrentBalance"]
    loan = world.write(
        "Account",
        Name="Bank loan",
        AccountType="Long Term Liability",
        OpeningBalance=250,
        OpeningBalanceDate="2026-01-01",
    )
    assert loan["CurrentBalance"] == -250
    assert world.read("Account", "91")["CurrentBalance"] == equity + 250


def test_selling_and_buying_change_the_quantity_on_hand_and_a_count_sets_it(world: Any) -> None:
    item = world.read("Item", "11")
    customer = world.customer()
    line = {"ItemRef": {"value": "11"}, "Qty": 3, "UnitPrice": 60}
    row = {"Amount": 180, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": line}
    invoice = world.write("Invoice", CustomerRef={"value": customer["Id"]}, Line=[row])
    sold = world.read("Item", "11")
    assert sold["QtyOnHand"] == item["QtyOnHand"] - 3
    assert sold["SyncToken"] == item["SyncToken"]
    counted = world.sparse("Item", sold, QtyOnHand=5)
    assert counted["QtyOnHand"] == 5
    renamed = world.sparse("Item", counted, Description="Brakes")
    assert renamed["QtyOnHand"] == 5
    world.write("Invoice", "void", Id=invoice["Id"], SyncToken=invoice["SyncToken"])
    assert world.read("Item", "11")["QtyOnHand"] == 8
    assert fresh(world).on_hand(11) == 8 * UNIT


def test_amounts_in_a_foreign_currency_are_posted_in_the_home_currency(world: Any) -> None:
    """A paid invoice leaves nothing on receivables, whatever the rates; the rest is exchange."""
    customer = world.customer()
    invoice = world.invoice(customer, "100.01", "33.33")
    row = world.books.row("Invoice", int(invoice["Id"]))
    row.doc = {**row.doc, "ExchangeRate": Decimal("1.0812")}
    world.books.standing = None
    receivables = standing_of(world.books).balance(84)
    for part in ("0.07", "66.66", "66.61"):
        payment = world.payment(customer, Decimal(part), {invoice["Id"]: Decimal(part)})
        paid = world.books.row("Payment", int(payment["Id"]))
        paid.doc = {**paid.doc, "ExchangeRate": Decimal("1.1")}
    anew = fresh(world)
    total = 14417  # 133.34 x 1.0812
    assert anew.balance(84) == receivables - total
    assert anew.balance(95) == total - (8 + 7333 + 7327)
    for found in Daybook(anew).transactions():
        assert sum(entry.cents for entry in found.entries) == 0


@pytest.mark.parametrize("entity", ["Account", "Item"])
def test_shown_figures_are_never_stale(make_world: Any, make_business: Any, entity: str) -> None:
    world = make_world(customers=3, invoices=10)
    table = world.books.table(entity)
    for row in table.rows.values():
        documents.render(world.books, entity, row)
    make_business(world, Random(7)).run(40)
    for row in table.rows.values():
        shown = documents.render(world.books, entity, row)
        row.body = None
        assert documents.render(world.books, entity, row) == shown


def test_merged_names_keep_what_the_ledger_says_of_them(make_world: Any) -> None:
    world = make_world(customers=3, invoices=30)
    for number, owed in (("Old", 70), ("New", 30)):
        world.customer(number, Balance=owed, OpenBalanceDate="2026-01-01")
    standing_of(world.books).balance(84)
    ids = {row.name: str(row.id) for row in world.books.table("Customer").rows.values()}
    before = fresh(world)
    receivables, pieces = before.balance(84), before.on_hand(11) + before.on_hand(12)
    income = before.balance(1) + before.balance(79)
    for entity, gone, into in (
        ("Customer", ids["Old"], ids["New"]),
        ("Item", "12", "11"),
        ("Account", "79", "1"),
    ):
        world.company.merge(entity_by_word()[entity.lower()], gone, into)
        kept, anew = standing_of(world.books), fresh(world)
        accounts = anew.poster.chart.accounts
        assert {a: kept.balance(a) for a in accounts} == {a: anew.balance(a) for a in accounts}
        assert sum(anew.balance(account) for account in accounts) == 0
    assert (anew.balance(84), anew.balance(1), anew.on_hand(11)) == (receivables, income, pieces)
    assert world.read("Customer", ids["New"])["Balance"] == 100
    assert b'"79"' not in b"".join(
        documents.render(world.books, "Invoice", row)
        for row in world.books.table("Invoice").rows.values()
    )
