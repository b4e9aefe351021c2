"""The engine with the real adapter and the simulated QuickBooks, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest

from schema.loader import load_catalog
from sqlsync.database import connect_engine, engine_pool
from sqlsync.errors import DuplicateValue, StaleVersion
from sqlsync.providers.connect import Connector
from sqlsync.providers.directory import App, ProviderDirectory
from sqlsync.providers.endpoints import quickbooks_endpoints
from sqlsync.providers.http import HttpClient
from sqlsync.providers.limits import SIMULATOR_BUDGET
from sqlsync.providers.oauth import OAuthClient
from sqlsync.simulators.quickbooks.app import create_app
from sqlsync.simulators.quickbooks.service import CompanySpec
from sqlsync.simulators.server import HttpServer
from sqlsync.vault import Vault, new_key
from sqlsync.writes.engine import WriteEngine
from sqlsync.writes.model import Change
from sqlsync.writes.values import decode

CATALOG = load_catalog("quickbooks")


@dataclass
class Company:
    """The simulated company as a person would look at it, and a client of ours."""

    control: httpx.AsyncClient
    client: Any

    async def get(self, path: str) -> Any:
        return (await self.control.get(f"/_control/{path}".rstrip("/"))).json()

    async def post(self, path: str, body: Any) -> None:
        answer = await self.control.post(f"/_control/{path}", json=body)
        assert answer.status_code == 200, answer.text

    async def fetch(self, table: str, record_id: str) -> None:
        payload = await self.client.engine.fetch_missing("quickbooks", table, record_id)
        await self.client.session.execute(
            "select sqlsync.apply_rows(%s::jsonb)", [payload.decode()]
        )

    async def column(self, table: str, column: str, record_id: str) -> Any:
        cursor = await self.client.session.execute(
            f"select {column} from quickbooks.{table} where id = %s", [record_id]
        )
        row = await cursor.fetchone()
        return row[0] if row else None

    async def states(self) -> list[str]:
        cursor = await self.client.session.execute(
            "select state from sqlsync.journal order by created_at, seq"
        )
        return [row[0] for row in await cursor.fetchall()]


@pytest.fixture
async def company(books_url: str, client_class: Any) -> AsyncIterator[Company]:
    server = HttpServer(create_app(CompanySpec(customers=5, invoices=5)), "127.0.0.1:0")
    await server.start()
    api = f"http://{server.address}"
    endpoints = quickbooks_endpoints("simulator", api_url=api)
    vault, http = Vault([new_key()]), HttpClient()
    async with (
        engine_pool(books_url, max_size=6) as pool,
        httpx.AsyncClient(base_url=api) as control,
    ):
        (known,) = (await control.get("/_control")).json()["companies"]
        async with pool.connection() as connection:
            await connection.execute(
                "update sqlsync.connection set company_id = %s", [known["realm_id"]]
            )
        await Connector(
            pool, vault, OAuthClient(http, endpoints, "id", "secret")
        ).connect_with_refresh_token(
            name="books",
            schema_name="quickbooks",
            company_id=known["realm_id"],
            refresh_token=known["refresh_token"],
        )
        app = App(endpoints, "id", "secret", SIMULATOR_BUDGET)
        directory = ProviderDirectory(pool, vault, {"quickbooks": CATALOG}, app, http=http)
        engine = WriteEngine(pool, directory)
        await engine.start()
        session = await connect_engine(books_url)
        found = Company(control, client_class(engine, session, CATALOG))
        for customer in (await found.get("books/customer"))[:2]:
            await found.fetch("customer", customer["Id"])
        try:
            yield found
        finally:
            await session.close()
            await engine.close()
            await http.aclose()
    await server.stop()


def line(item: str, quantity: int, price: str) -> dict[str, Any]:
    return {
        "DetailType": "SalesItemLineDetail",
        "Amount": quantity * Decimal(price),
        "SalesItemLineDetail": {
            "ItemRef": {"value": item},
            "Qty": quantity,
            "UnitPrice": Decimal(price),
        },
    }


async def an_item(company: Company) -> str:
    items = await company.get("books/item")
    return next(i["Id"] for i in items if i["Type"] == "Service" and i["Active"])


async def test_an_invoice_comes_back_with_the_providers_totals(company: Company) -> None:
    client, item = company.client, await an_item(company)
    await client.begin()
    change = client.insert(
        "invoice", customer_id="1", line=[line(item, 2, "10.25"), line(item, 1, "0.50")]
    )
    result = await client.execute(change)
    invoice_id = result.keys["invoice", change.new["id"]]
    assert await company.column("invoice", "total_amt", invoice_id) == Decimal("21.00")
    await client.commit()
    assert await company.states() == ["mirrored"]
    held = await company.get(f"books/invoice/{invoice_id}")
    assert held["TotalAmt"] == 21.0


async def test_lines_are_edited_through_their_table(company: Company) -> None:
    client, item = company.client, await an_item(company)
    await client.begin()
    change = client.insert(
        "invoice", customer_id="1", line=[line(item, 2, "10.00"), line(item, 1, "5.00")]
    )
    invoice_id = (await client.execute(change)).keys["invoice", change.new["id"]]
    cursor = await client.session.execute(
        "select (to_jsonb(l))::text from quickbooks.invoice_line l where invoice_id = %s"
        " and detail_type = 'SalesItemLineDetail' order by position",
        [invoice_id],
    )
    first, second = [decode(row[0]) for row in await cursor.fetchall()]
    new = client.insert(
        "invoice_line",
        invoice_id=invoice_id,
        amount=Decimal("7.00"),
        detail_type="SalesItemLineDetail",
        sales_item_line_detail_item_id=item,
    )
    result = await client.execute(
        _changed("invoice_line", first, description="Wheels"),
        _gone("invoice_line", second),
        new,
    )
    await client.commit()
    held = await company.get(f"books/invoice/{invoice_id}")
    assert held["TotalAmt"] == 27.0
    sold = [row for row in held["Line"] if row["DetailType"] == "SalesItemLineDetail"]
    assert [row.get("Description") for row in sold] == ["Wheels", None]
    assert sold[0]["Id"] == first["id"]
    assert result.keys["invoice_line", new.new["id"]] == sold[1]["Id"]


def _changed(table: str, old: dict[str, Any], **columns: Any) -> Any:
    return Change(table, "update", old, {**old, **columns})


def _gone(table: str, old: dict[str, Any]) -> Any:
    return Change(table, "delete", old, None)


async def test_a_rolled_back_invoice_and_its_payment_leave_the_books_as_they_were(
    company: Company,
) -> None:
    client, item = company.client, await an_item(company)
    before = await company.get("books/customer/1")
    counts = await company.get("books")
    await client.begin()
    invoice = client.insert("invoice", customer_id="1", line=[line(item, 2, "10.00")])
    invoice_id = (await client.execute(invoice)).keys["invoice", invoice.new["id"]]
    links = [{"TxnId": invoice_id, "TxnType": "Invoice"}]
    await client.execute(
        client.insert(
            "payment",
            customer_id="1",
            total_amt=Decimal("20.00"),
            line=[{"Amount": Decimal("20.00"), "LinkedTxn": links}],
        )
    )
    assert await client.rollback() == []
    assert await company.get("books") == counts
    assert (await company.get("books/customer/1"))["Balance"] == before["Balance"]
    assert await company.states() == ["undone", "undone"]
    assert await company.column("invoice", "id", invoice_id) is None


async def test_a_duplicate_name_is_23505_and_changes_nothing(company: Company) -> None:
    client = company.client
    other = (await company.get("books/customer/2"))["DisplayName"]
    await client.begin()
    with pytest.raises(DuplicateValue) as caught:
        await client.execute(await client.update("customer", "1", display_name=other))
    assert (caught.value.sqlstate, caught.value.column) == ("23505", "display_name")
    assert caught.value.message.startswith("[QuickBooks] Customer `1`: ")
    await client.rollback()
    assert await company.states() == ["refused"]


async def test_a_customer_deleted_and_rolled_back_has_its_name_again(company: Company) -> None:
    client = company.client
    await client.begin()
    new = client.insert("customer", display_name="Brand New")
    customer_id = (await client.execute(new)).keys["customer", new.new["id"]]
    await client.commit()
    await client.begin()
    await client.execute(await client.delete("customer", customer_id))
    assert (await company.get(f"books/customer/{customer_id}"))["Active"] is False
    await client.rollback()
    held = await company.get(f"books/customer/{customer_id}")
    assert (held["Active"], held["DisplayName"]) == (True, "Brand New")


async def test_a_stale_write_is_merged_or_refused(company: Company) -> None:
    client = company.client
    await client.begin()
    change = await client.update("customer", "1", notes="mine")
    body = {"Id": "1", "Title": "Prof"}
    await company.post("books", {"entity": "customer", "operation": "update", "body": body})
    await client.execute(change)
    await client.commit()
    held = await company.get("books/customer/1")
    assert (held["Notes"], held["Title"]) == ("mine", "Prof")
    await client.begin()
    change = await client.update("customer", "1", notes="mine again")
    body = {"Id": "1", "Notes": "theirs"}
    await company.post("books", {"entity": "customer", "operation": "update", "body": body})
    with pytest.raises(StaleVersion):
        await client.execute(change)
    await client.rollback()
    assert (await company.get("books/customer/1"))["Notes"] == "theirs"


async def test_a_reply_dropped_after_the_write_is_one_record(company: Company) -> None:
    client = company.client
    await company.post("trouble", {"kind": "drop", "times": 1, "match": {"entity": "customer"}})
    await client.begin()
    await client.execute(client.insert("customer", display_name="Only Once"))
    await client.commit()
    found = [c for c in await company.get("books/customer") if c["DisplayName"] == "Only Once"]
    assert len(found) == 1
    assert await company.states() == ["mirrored"]


async def test_forty_rows_travel_in_two_batches(company: Company) -> None:
    client = company.client
    await client.begin()
    await client.execute(*(client.insert("customer", display_name=f"Batch {n}") for n in range(40)))
    await client.commit()
    counts = (await company.get("requests"))["counts"]
    assert counts["batch"] == 2
    assert await company.states() == ["mirrored"] * 40
