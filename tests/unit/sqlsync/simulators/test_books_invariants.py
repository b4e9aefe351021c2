"""After any sequence of writes the books add up, to the cent, and refusals change nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sqlsync.simulators.quickbooks import documents
from sqlsync.simulators.quickbooks.faults import Fault

AMOUNTS = st.decimals("0.01", "500", places=2)
PICKS = st.integers(0, 10)
SETTINGS = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture
def machine(make_world: Any, make_sale: Any) -> type[RuleBasedStateMachine]:
    class Books(RuleBasedStateMachine):
        @initialize()
        def open_books(self) -> None:
            self.world = make_world(customers=2, invoices=4)
            parent = self.world.customer("Parent")
            child = self.world.customer("Child", ParentRef={"value": parent["Id"]})
            self.customers = [parent, child, {"Id": "1"}]

        def pick(self, entity: str, number: int) -> dict[str, Any] | None:
            ids = self.world.books.table(entity).ids
            return self.world.read(entity, str(ids[number % len(ids)])) if ids else None

        def attempt(self, *given: Any, **body: Any) -> None:
            def everything() -> list[bytes]:
                return [
                    documents.render(self.world.books, name, row)
                    for name in ("Customer", "Invoice", "Payment", "CreditMemo")
                    for row in self.world.books.table(name).rows.values()
                ]

            before = everything()
            try:
                self.world.write(*given, **body)
            except Fault:
                assert everything() == before

        @rule(customer=PICKS, amounts=st.lists(AMOUNTS, min_size=1, max_size=3), percent=PICKS)
        def sell(self, customer: int, amounts: list[Decimal], percent: int) -> None:
            lines = [make_sale(amount) for amount in amounts]
            discount = {"PercentBased": True, "DiscountPercent": percent}
            lines.append({"DetailType": "DiscountLineDetail", "DiscountLineDetail": discount})
            ref = {"value": self.customers[customer % 3]["Id"]}
            self.attempt("Invoice", CustomerRef=ref, Line=lines)

        @rule(invoice=PICKS, second=PICKS, part=AMOUNTS, total=AMOUNTS, payer=PICKS)
        def pay(self, invoice: int, second: int, part: Decimal, total: Decimal, payer: int) -> None:
            rows = []
            for number in (invoice, second):
                found = self.pick("Invoice", number)
                if found:
                    link = {"TxnId": found["Id"], "TxnType": "Invoice"}
                    rows.append({"Amount": part, "LinkedTxn": [link]})
                    payer_id = found["CustomerRef"]["value"]
            if rows:
                ref = {"value": payer_id if payer % 4 else self.customers[0]["Id"]}
                self.attempt("Payment", CustomerRef=ref, TotalAmt=total + part, Line=rows)

        @rule(customer=PICKS, amount=AMOUNTS)
        def credit(self, customer: int, amount: Decimal) -> None:
            ref = {"value": self.customers[customer % 3]["Id"]}
            self.attempt("CreditMemo", CustomerRef=ref, Line=[make_sale(amount)])

        @rule(invoice=PICKS, memo=PICKS, part=AMOUNTS, total=AMOUNTS)
        def use_credit(self, invoice: int, memo: int, part: Decimal, total: Decimal) -> None:
            rows = []
            for entity, number in (("Invoice", invoice), ("CreditMemo", memo)):
                found = self.pick(entity, number)
                if found:
                    link = {"TxnId": found["Id"], "TxnType": entity}
                    rows.append({"Amount": part, "LinkedTxn": [link]})
                    ref = {"value": found["CustomerRef"]["value"]}
            if len(rows) == 2:
                self.attempt("Payment", CustomerRef=ref, TotalAmt=total, Line=rows)

        @rule(memo=PICKS, amount=AMOUNTS)
        def change_credit(self, memo: int, amount: Decimal) -> None:
            found = self.pick("CreditMemo", memo)
            if found:
                self.attempt_sparse("CreditMemo", found, Line=[make_sale(amount)])

        def attempt_sparse(self, entity: str, found: dict[str, Any], **more: Any) -> None:
            key = {"Id": found["Id"], "SyncToken": found["SyncToken"], "sparse": True}
            self.attempt(entity, **key, **more)

        @rule(invoice=PICKS, amount=AMOUNTS, customer=PICKS)
        def change_invoice(self, invoice: int, amount: Decimal, customer: int) -> None:
            found = self.pick("Invoice", invoice)
            if found:
                key = {"Id": found["Id"], "SyncToken": found["SyncToken"], "sparse": True}
                ref = {"value": self.customers[customer % 3]["Id"]} if customer > 7 else None
                more = {"CustomerRef": ref} if ref else {}
                self.attempt("Invoice", **key, **more, Line=[make_sale(amount)])

        @rule(payment=PICKS, total=AMOUNTS, drop_lines=st.booleans())
        def change_payment(self, payment: int, total: Decimal, drop_lines: bool) -> None:
            found = self.pick("Payment", payment)
            if found:
                key = {"Id": found["Id"], "SyncToken": found["SyncToken"], "sparse": True}
                more: dict[str, Any] = {"Line": []} if drop_lines else {}
                self.attempt("Payment", **key, TotalAmt=total, **more)

        @rule(
            entity=st.sampled_from(["Invoice", "Payment", "CreditMemo"]),
            number=PICKS,
            operation=st.sampled_from(["void", "delete"]),
        )
        def take_back(self, entity: str, number: int, operation: str) -> None:
            found = self.pick(entity, number)
            if found:
                self.attempt(entity, operation, Id=found["Id"], SyncToken=found["SyncToken"])

        @invariant()
        def it_adds_up(self) -> None:
            if not hasattr(self, "world"):
                return
            books = self.world.books
            invoices = books.table("Invoice").rows
            payments = books.table("Payment").rows
            owed: dict[int, int] = dict.fromkeys(books.table("Customer").rows, 0)
            for row in invoices.values():
                assert row.open == row.total - sum(cents for _, cents in row.links)
                assert row.open >= 0
                owed[row.party] += row.open
                for number, cents in row.links:
                    assert dict(payments[number].links)[row.id] == cents
            credits = books.table("CreditMemo").rows
            for row in credits.values():
                assert row.open == row.total - sum(cents for _, cents in row.links)
                assert row.open >= 0
                owed[row.party] -= row.open
                for number, cents in row.links:
                    assert dict(payments[number].links)[row.id] == cents
            for row in payments.values():
                used = [cents if n in invoices else -cents for n, cents in row.links]
                assert row.open == row.total - sum(used)
                assert row.open >= 0
                owed[row.party] -= row.open
                for number, cents in row.links:
                    linked = invoices.get(number) or credits[number]
                    assert dict(linked.links)[row.id] == cents
            for number, row in books.table("Customer").rows.items():
                assert row.open == owed[number]
            changed = [row.updated for row in invoices.values()]
            assert changed == sorted(changed)

    return Books


def test_books_add_up_after_any_writes(machine: Any) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(machine, settings=SETTINGS)  # type: ignore[no-untyped-call]
