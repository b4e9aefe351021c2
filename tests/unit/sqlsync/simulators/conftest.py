"""A small simulated company without HTTP, and short words for what is done to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from unit.sqlsync.simulators.random_books import Business

from sqlsync.clock import FrozenClock
from sqlsync.simulators.clock import SimulatedClock
from sqlsync.simulators.quickbooks.company import Company
from sqlsync.simulators.quickbooks.entities import entity_by_word
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.generate import generate
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.values import Doc, decode

NOW = datetime(2026, 3, 2, 17, 15, 42, 117000, tzinfo=UTC)


class World:
    """A company at a frozen moment, asked with JSON objects and answering with them."""

    def __init__(self, customers: int = 3, invoices: int = 0, **options: Any) -> None:
        self.frozen = FrozenClock(NOW)
        self.clock = SimulatedClock(self.frozen)
        self.options = Options(**options)
        today, now = self.clock.today(), self.clock.epoch()
        books = generate(customers, invoices, 7, today, now)
        self.company = Company("9341450000000001", books, self.options, self.clock)
        self.books = books

    def later(self, seconds: float = 60) -> None:
        self.frozen.advance(timedelta(seconds=seconds))

    def write(self, entity: str, operation: str = "", include: str = "", **body: Any) -> Doc:
        answer = decode(
            self.company.write(
                entity_by_word()[entity.lower()],
                body,
                operation,
                include=include,
                requestid=body.pop("requestid", None),
            )
        )
        return answer[entity_by_word()[entity.lower()].wrapper]

    def refusal(self, entity: str, operation: str = "", **body: Any) -> str:
        """The code the write is refused with."""
        with pytest.raises(Fault) as caught:
            self.write(entity, operation, **body)
        return caught.value.code

    def read(self, entity: str, record_id: str) -> Doc:
        return decode(self.company.read(entity_by_word()[entity.lower()], record_id))[entity]

    def sparse(self, entity: str, record: Doc, **changes: Any) -> Doc:
        key = {"Id": record["Id"], "SyncToken": record["SyncToken"], "sparse": True}
        return self.write(entity, **key, **changes)

    def query(self, text: str) -> Doc:
        return decode(self.company.query(text))["QueryResponse"]

    def cdc(self, names: str, since: datetime) -> list[Doc]:
        answer = decode(self.company.cdc(names, since.isoformat()))
        return answer["CDCResponse"][0]["QueryResponse"]

    def customer(self, name: str = "Ostrow Cycling Club", **more: Any) -> Doc:
        return self.write("Customer", DisplayName=name, **more)

    def invoice(self, customer: Doc, *amounts: int | str, **more: Any) -> Doc:
        lines = [sale(amount) for amount in amounts or (100,)]
        return self.write("Invoice", CustomerRef={"value": customer["Id"]}, Line=lines, **more)

    def payment(self, customer: Doc, total: Any, paid: dict[str, Any] | None = None) -> Doc:
        lines = [
            {"Amount": amount, "LinkedTxn": [{"TxnId": number, "TxnType": "Invoice"}]}
            for number, amount in (paid or {}).items()
        ]
        ref = {"value": customer["Id"]}
        return self.write("Payment", CustomerRef=ref, TotalAmt=total, Line=lines)


def sale(amount: Any, **detail: Any) -> Doc:
    """A row that sells item 1."""
    return {
        "Amount": amount,
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {"ItemRef": {"value": "1"}, **detail},
    }


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make_world() -> type[World]:
    return World


@pytest.fixture
def make_sale() -> Any:
    return sale


@pytest.fixture
def make_business() -> type[Business]:
    return Business
