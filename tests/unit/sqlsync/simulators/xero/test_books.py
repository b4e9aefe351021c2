"""The books stay right whatever happens: journals balance, controls agree, undo leaves no trace."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from sqlsync.simulators.xero.problems import Refused
from sqlsync.simulators.xero.values import encode

LAST = date(2999, 1, 1)


def control(world: Any, system: str) -> Decimal:
    account = world.books.table("Accounts").ids_of("system", system)[0]
    return world.ledger.balance(account, None, LAST)


def due(world: Any, kind: str) -> Decimal:
    """What the documents say the control account must hold, in base currency."""
    total = Decimal(0)
    for _, doc in world.books.table("Invoices").docs():
        if doc["Type"] == kind and doc["Status"] in ("AUTHORISED", "PAID"):
            total += doc["AmountDue"]
    credit = "ACCRECCREDIT" if kind == "ACCREC" else "ACCPAYCREDIT"
    side = "RECEIVE" if kind == "ACCREC" else "SPEND"
    for _, doc in world.books.table("CreditNotes").docs():
        if doc["Type"] == credit and doc["Status"] in ("AUTHORISED", "PAID"):
            total -= doc["RemainingCredit"]
    for _, doc in world.books.table("Overpayments").docs():
        if doc["Type"].startswith(side):
            total -= doc["RemainingCredit"]
    return total


def check(world: Any) -> None:
    for journal in world.ledger.journals:
        assert sum(post.net for post in world.ledger.posts(journal)) == 0
    assert [journal.number for journal in world.ledger.journals] == list(
        range(1, len(world.ledger.journals) + 1)
    )
    assert control(world, "DEBTORS") == due(world, "ACCREC")
    assert -control(world, "CREDITORS") == due(world, "ACCPAY")


def test_a_generated_organisation_is_in_order(make_world: Any) -> None:
    world = make_world(customers=30, invoices=400)
    check(world)
    for row, doc in world.books.table("Invoices").docs():
        paid = sum(
            world.books.table("Payments").doc(one)["Amount"]
            for one in world.books.table("Payments").rows_of("target", row.id)
        )
        assert doc["AmountPaid"] == paid
        assert doc["Total"] == doc["SubTotal"] + doc["TotalTax"]
        assert row.created <= row.updated <= world.clock.now().timestamp() * 1000


def test_the_same_seed_gives_the_same_organisation(make_world: Any) -> None:
    one, two = make_world(10, 60), make_world(10, 60)
    for name in ("Contacts", "Invoices", "Payments", "CreditNotes", "Quotes"):
        assert encode(one.get(name, page="1")) == encode(two.get(name, page="1"))


def test_seeded_documents_are_the_same_each_time_they_are_made(make_world: Any) -> None:
    world = make_world(10, 60)
    table = world.books.table("Invoices")
    for row in table.by_id():
        assert table.doc(row) == table.doc(row)


class Chaos:
    """Random writes, good and bad, to one organisation."""

    def __init__(self, world: Any, seed: int) -> None:
        self.world = world
        self.random = Random(seed)
        self.contacts = [world.contact(f"Chaos {n}") for n in range(3)]

    def pick(self, table: str) -> Any:
        rows = self.world.books.table(table).by_id()
        row = self.random.choice(rows)
        return row.id, self.world.books.table(table).doc(row)

    def contact(self) -> dict[str, str]:
        return {"ContactID": self.random.choice(self.contacts)["ContactID"]}

    def line(self) -> dict[str, Any]:
        return {
            "Description": "x",
            "Quantity": self.random.randrange(1, 9),
            "UnitAmount": self.random.randrange(1, 9000) / 100,
            "AccountCode": self.random.choice(["200", "260", "429", "999"]),
        }

    def document(self) -> None:
        table, kinds = self.random.choice(
            [
                ("Invoices", ["ACCREC", "ACCPAY"]),
                ("CreditNotes", ["ACCRECCREDIT", "ACCPAYCREDIT"]),
            ]
        )
        self.world.put(
            table,
            {
                "Type": self.random.choice(kinds),
                "Contact": self.contact(),
                "Status": self.random.choice(["DRAFT", "AUTHORISED", "AUTHORISED"]),
                "DueDate": "2026-11-20",
                "LineAmountTypes": self.random.choice(["Exclusive", "Inclusive", "NoTax"]),
                "LineItems": [self.line() for _ in range(self.random.randrange(1, 4))],
            },
        )

    def change(self) -> None:
        record_id, _ = self.pick("Invoices")
        change = self.random.choice(
            [
                {"Status": "AUTHORISED", "DueDate": "2026-12-01"},
                {"Status": "VOIDED"},
                {"Status": "DELETED"},
                {"LineItems": [self.line()]},
                {"LineAmountTypes": "NoTax"},
                {"Reference": "r"},
            ]
        )
        self.world.post(f"Invoices/{record_id}", change)

    def pay(self) -> None:
        record_id, doc = self.pick("Invoices")
        amount = self.random.choice([doc["AmountDue"], doc["AmountDue"] / 2, 1])
        self.world.pay({"InvoiceID": record_id}, amount)

    def unpay(self) -> None:
        record_id, _ = self.pick("Payments")
        self.world.post(f"Payments/{record_id}", {"Status": "DELETED"})

    def receive(self) -> None:
        kinds = ["RECEIVE", "SPEND", "RECEIVE-OVERPAYMENT", "SPEND-OVERPAYMENT",
                 "RECEIVE-PREPAYMENT", "SPEND-PREPAYMENT"]  # fmt: skip
        body = {"Type": self.random.choice(kinds), "Contact": self.contact()}
        body |= {"BankAccount": {"Code": "090"}, "LineItems": [self.line()]}
        self.world.put("BankTransactions", body)

    def allocate(self) -> None:
        table = self.random.choice(["CreditNotes", "Overpayments", "Prepayments"])
        source, credit = self.pick(table)
        invoice, doc = self.pick("Invoices")
        amount = min(credit["RemainingCredit"], doc["AmountDue"])
        body = {"Invoice": {"InvoiceID": invoice}, "Amount": amount}
        self.world.ask("PUT", f"{table}/{source}/Allocations", body)

    def unallocate(self) -> None:
        record_id, doc = self.pick("Allocations")
        path = f"{doc['SourceTable']}/{doc['SourceID']}/Allocations/{record_id}"
        self.world.ask("DELETE", path)

    def bulk(self) -> None:
        bodies = [
            {"Type": "ACCREC", "Contact": self.contact(), "LineItems": [self.line()]}
            for _ in range(3)
        ]
        self.world.ask("PUT", "Invoices", {"Invoices": bodies})

    def step(self) -> bool:
        """One random write; whether it was carried out."""
        works = (self.document, self.change, self.pay, self.unpay, self.receive, self.allocate,
                 self.unallocate, self.bulk)  # fmt: skip
        self.world.later(self.random.random())
        before = fingerprint(self.world)
        try:
            self.random.choice(works)()
        except IndexError:
            return False
        except Refused:
            assert fingerprint(self.world) == before
            return False
        return True


def fingerprint(world: Any) -> dict[str, int]:
    """The state of the books; a refused write must leave it as it was."""
    return {
        name: hash(
            tuple(
                (row.id, row.updated, repr(table.doc(row)))
                for row in sorted(table.rows.values(), key=lambda row: row.id)
            )
        )
        for name, table in world.books.tables.items()
    } | {"journals": len(world.ledger.journals), "numbers": hash(str(world.books.numbers))}


@pytest.mark.parametrize("seed", range(4))
def test_random_writes_keep_the_books_right_and_refusals_leave_no_trace(
    make_world: Any, seed: int
) -> None:
    world = make_world(2, 0)
    chaos = Chaos(world, seed)
    done = sum(chaos.step() for _ in range(150))
    assert done > 30
    check(world)
    for row, doc in world.books.table("Invoices").docs():
        left = doc["Total"] - doc["AmountPaid"] - doc["AmountCredited"]
        if doc["Status"] in ("AUTHORISED", "PAID"):
            assert doc["AmountDue"] == left >= 0
            assert (doc["Status"] == "PAID") == (left == 0 and doc["Total"] > 0)
        tally = world.books.tallies[doc["ContactID"]]
        is_open = doc["Status"] == "AUTHORISED" and doc["AmountDue"] > 0
        assert (row.id in (tally.open or {})) == is_open


def test_writes_to_generated_records_keep_the_books_right(make_world: Any) -> None:
    world = make_world(10, 120)
    chaos = Chaos(world, 9)
    for _ in range(120):
        chaos.step()
    check(world)


def test_voiding_reverses_and_nothing_is_taken_back(world: Any) -> None:
    invoice = world.invoice(None, "100.00")
    world.change(invoice, Status="VOIDED")
    first, second = world.get("Journals")
    assert [first["JournalNumber"], second["JournalNumber"]] == [1, 2]
    assert first["SourceID"] == second["SourceID"] == invoice["InvoiceID"]
    nets = [line["NetAmount"] for line in first["JournalLines"]]
    assert nets == [Decimal("115.00"), Decimal("-100.00"), Decimal("-15.00")]
    assert [line["NetAmount"] for line in second["JournalLines"]] == [-net for net in nets]
    assert world.get("Journals", offset="1") == [second]
    assert world.get(f"Journals/{first['JournalID']}") == [first]
    assert world.get("Journals/2") == [second]


def test_a_foreign_payment_books_the_gain(world: Any) -> None:
    invoice = world.invoice(None, "100.00", CurrencyCode="USD", CurrencyRate="0.5")
    world.pay(invoice, "115.00", CurrencyRate="0.4")
    assert control(world, "DEBTORS") == 0
    assert control(world, "REALISEDCURRENCYGAIN") == Decimal("-57.50")


def test_reports_agree_with_each_other(make_world: Any) -> None:
    world = make_world(20, 300)
    trial = world.one("Reports/TrialBalance")
    debit, credit = (trial["Rows"][-1]["Rows"][0]["Cells"][n]["Value"] for n in (3, 4))
    assert debit == credit
    sheet = {
        row["Cells"][0]["Value"]: row["Cells"][1]["Value"]
        for section in world.one("Reports/BalanceSheet")["Rows"]
        for row in section.get("Rows", [])
    }
    assert sheet["Net Assets"] == sheet["Total Equity"]
    assert Decimal(sheet["Accounts Receivable"]) == control(world, "DEBTORS")
    contact = world.contact("Aged")
    world.invoice(contact, "100.00")
    aged = world.one("Reports/AgedReceivablesByContact", contactId=contact["ContactID"])
    assert aged["Rows"][-1]["Rows"][0]["Cells"][-1]["Value"] == "115.00"
    refused = world.refused("GET", "Reports/AgedReceivablesByContact")
    assert refused.status == 400
