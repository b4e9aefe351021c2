"""A small simulated organisation without HTTP, and short words for what is done to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sqlsync.clock import FrozenClock
from sqlsync.simulators.clock import SimulatedClock
from sqlsync.simulators.xero.calls import Call
from sqlsync.simulators.xero.generate import generate
from sqlsync.simulators.xero.options import Options
from sqlsync.simulators.xero.organisation import Organisation
from sqlsync.simulators.xero.problems import Refused
from sqlsync.simulators.xero.unit import Change
from sqlsync.simulators.xero.values import Doc, decode, encode

NOW = datetime(2026, 11, 2, 0, 46, 52, 447000, tzinfo=UTC)
TENANT = "8f2b6c1e-3d47-4a5e-9b0c-51a7d2e64f90"


class World:
    """An organisation at a frozen moment, asked with JSON objects and answering with them."""

    def __init__(self, customers: int = 2, invoices: int = 0, **options: Any) -> None:
        self.frozen = FrozenClock(NOW)
        self.clock = SimulatedClock(self.frozen)
        self.options = Options(**options)
        name = "Kestrel Coffee Roasters Ltd"
        made = generate(customers, invoices, 7, TENANT, name, NOW)
        self.organisation = Organisation(
            TENANT, name, made.books, made.ledger, self.options, self.clock
        )
        self.books, self.ledger = made.books, made.ledger
        self.changes: list[Change] = []
        self.organisation.on_change = lambda tenant, changes: self.changes.extend(changes)

    def later(self, seconds: float = 60) -> None:
        self.frozen.advance(timedelta(seconds=seconds))

    def ask(
        self, method: str, path: str, body: Any = None, *, since: str | None = None, **params: str
    ) -> Any:
        """The answer's body, as a client reads it. path: `Invoices/…`."""
        call = Call(
            method,
            tuple(path.strip("/").split("/")),
            {name.lower(): value for name, value in params.items()},
            b"" if body is None else encode(body),
            since,
            client_id="tester",
        )
        answer = self.organisation.handle(call)
        if isinstance(answer.body, bytes):
            return answer.body
        return decode(encode(answer.body))

    def get(self, path: str, **params: Any) -> list[Doc]:
        """The elements of a list or a single record."""
        return elements(self.ask("GET", path, **params))

    def one(self, path: str, **params: Any) -> Doc:
        return self.get(path, **params)[0]

    def put(self, path: str, *bodies: Doc, **params: str) -> Doc:
        return elements(self.ask("PUT", path, wrapped(path, bodies), **params))[0]

    def post(self, path: str, *bodies: Doc, **params: str) -> Doc:
        body = wrapped(path, bodies) if "/" not in path else bodies[0]
        return elements(self.ask("POST", path, body, **params))[0]

    def refusal(self, method: str, path: str, body: Any = None, **params: str) -> list[str]:
        """The messages the request's first element is refused with."""
        refused = self.refused(method, path, body, **params)
        assert refused.status == 400, refused
        if not refused.body["Elements"]:
            return [refused.body["Message"]]
        return [error["Message"] for error in refused.body["Elements"][0]["ValidationErrors"]]

    def refused(self, method: str, path: str, body: Any = None, **params: str) -> Refused:
        with pytest.raises(Refused) as caught:
            self.ask(method, path, body, **params)
        return caught.value

    # -- short words --------------------------------------------------------------------------

    def contact(self, name: str = "Tui Street Café", **more: Any) -> Doc:
        return self.put("Contacts", {"Name": name, **more})

    def invoice(self, contact: Doc | None = None, *amounts: Any, **more: Any) -> Doc:
        """A sales invoice, AUTHORISED unless told otherwise."""
        contact = contact or self.contact(f"Customer {len(self.books.table('Contacts'))}")
        body = {
            "Type": "ACCREC",
            "Status": "AUTHORISED",
            "Contact": {"ContactID": contact["ContactID"]},
            "Date": "2026-10-06",
            "DueDate": "2026-11-20",
            "LineItems": [line(amount) for amount in amounts or ("100.00",)],
            **more,
        }
        return self.put("Invoices", body)

    def bill(self, contact: Doc | None = None, *amounts: Any, **more: Any) -> Doc:
        lines = [line(amount, AccountCode="429") for amount in amounts or ("100.00",)]
        return self.invoice(contact, Type="ACCPAY", **{"LineItems": lines, **more})

    def pay(self, invoice: Doc, amount: Any, **more: Any) -> Doc:
        body = {"Invoice": {"InvoiceID": invoice["InvoiceID"]}, "Account": {"Code": "090"}}
        return self.put("Payments", {**body, "Date": "2026-10-20", "Amount": amount, **more})

    def again(self, invoice: Doc) -> Doc:
        return self.one(f"Invoices/{invoice['InvoiceID']}")

    def change(self, invoice: Doc, **changes: Any) -> Doc:
        return self.post(f"Invoices/{invoice['InvoiceID']}", changes)


def line(amount: Any, **more: Any) -> Doc:
    return {
        "Description": "Coffee",
        "Quantity": 1,
        "UnitAmount": amount,
        "AccountCode": "200",
        **more,
    }


def wrapped(path: str, bodies: tuple[Doc, ...]) -> Doc:
    key = path.split("/")[-1]
    return {key: list(bodies)}


def elements(answer: Any) -> list[Doc]:
    found = [value for name, value in answer.items() if isinstance(value, list)]
    return list(found[0])


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make_world() -> type[World]:
    return World


@pytest.fixture
def make_line() -> Callable[..., Doc]:
    return line


@pytest.fixture(scope="module")
def module_world() -> type[World]:
    return World
