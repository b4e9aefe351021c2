"""Companies outside the US and with several currencies: mirrored, written to, and taken back.

Every amount is compared to the cent with what the rules of tax and currency give by hand.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/sync_world.py
from engine_client import Client
from sync_world import CATALOG, KEY, World, hands, working, world

from backfill.requests import request_poll
from sqlsync.database import connect_engine
from sqlsync.errors import SqlsyncError
from sqlsync.writes.engine import WriteEngine
from sqlsync.writes.model import Change
from sqlsync.writes.values import decode

pytestmark = pytest.mark.timeout(300)


@dataclass
class Abroad:
    """A company that is mirrored and followed, and a client that writes to it."""

    world: World
    client: Client

    async def insert(self, table: str, **columns: Any) -> dict[str, Any]:
        """In a transaction of its own; gives the row as it is then."""
        await self.client.begin()
        change = self.client.insert(table, **columns)
        result = await self.client.execute(change)
        await self.client.commit()
        return await self.row(table, result.keys[table, change.new["id"]])  # type: ignore[index]

    async def update(self, table: str, record_id: str, **columns: Any) -> dict[str, Any]:
        await self.write(await self.client.update(table, record_id, **columns))
        return await self.row(table, record_id)

    async def row(self, table: str, record_id: str) -> dict[str, Any]:
        return await self.client.image(table, record_id)

    async def write(self, *changes: Change) -> None:
        await self.client.begin()
        await self.client.execute(*changes)
        await self.client.commit()

    async def children(self, table: str, parent_id: str, where: str) -> list[dict[str, Any]]:
        parent = CATALOG.by_any_table[table][0].table
        rows = await self.world.rows(
            f"select to_jsonb(c)::text from quickbooks.{table} c"
            f" where {parent}_id = '{parent_id}' and {where}"
        )
        return [decode(row[0]) for row in rows]

    async def books(self, *tables: str) -> dict[str, Any]:
        """What the company holds, but for the versions, which a compensation raises, and for
        what has been made inactive or deleted.
        """
        found: dict[str, Any] = {}
        for table in tables:
            for record_id, raw in (await self.world.books_of(table)).items():
                record = decode(raw)
                found[table, record_id] = {
                    n: v for n, v in record.items() if n not in ("SyncToken", "MetaData")
                }
        return found

    async def same(self) -> None:
        """Waits until the mirror holds what the company holds."""
        for _ in range(40):
            with suppress(AssertionError):
                await self.world.assert_same()
                return
            await asyncio.sleep(0.25)
        await self.world.assert_same()

    async def refused(self, *changes: Any) -> SqlsyncError:
        await self.client.begin()
        with pytest.raises(SqlsyncError) as caught:
            await self.client.execute(*changes)
        await self.client.rollback()
        return caught.value


@asynccontextmanager
async def abroad(url: str, *, following: bool = True, **company: Any) -> AsyncIterator[Abroad]:
    """following: it is backfilled, compared and followed; else its tables are empty at first."""
    async with world(url, customers=4, invoices=6, **company) as w:
        at_work = working(w) if following else hands(w.url, w.api_url, KEY)
        async with at_work as own, await connect_engine(url) as session:
            if following:
                await w.live(seconds=90)
                await w.assert_same()
            engine = WriteEngine(own.pool, own.providers)
            await engine.start()
            try:
                yield Abroad(w, Client(engine, session, CATALOG))
            finally:
                await engine.close()


def sold(amount: str, code: str, **more: Any) -> dict[str, Any]:
    detail = {"ItemRef": {"value": "3"}, "TaxCodeRef": {"value": code}, **more}
    kind = "SalesItemLineDetail"
    return {"DetailType": kind, "Amount": Decimal(amount), kind: detail}


def bought(amount: str, code: str) -> dict[str, Any]:
    detail = {"AccountRef": {"value": "61"}, "TaxCodeRef": {"value": code}}
    kind = "AccountBasedExpenseLineDetail"
    return {"DetailType": kind, "Amount": Decimal(amount), kind: detail}


def paying(invoice: str, amount: str) -> dict[str, Any]:
    return {
        "Amount": Decimal(amount),
        "LinkedTxn": [{"TxnId": invoice, "TxnType": "Invoice"}],
    }


def rate(name: str, percent: str) -> dict[str, Any]:
    return {"TaxRateName": name, "RateValue": Decimal(percent), "TaxAgencyId": "1"}


def money(row: dict[str, Any], *columns: str) -> list[str]:
    return [f"{row[column]:.2f}" for column in columns]


SUMS = ("txn_tax_detail_total_tax", "total_amt", "home_total_amt", "balance", "home_balance")
STANDARD = "2"  # the tax code of a simulated company; in Britain 20 percent


async def test_a_british_company_with_several_currencies(migrated_url: str) -> None:
    async with abroad(migrated_url, country="GB", multicurrency=True) as a:
        rates = [rate("5.0% R", "5")]
        low = await a.insert("tax_code", name="5.0% R", sales_tax_rate_list_tax_rate_detail=rates)
        customer = await a.insert("customer", display_name="Lisboa Bikes", currency_id="EUR")
        assert customer["currency_id"] == "EUR"
        changed = await a.client.update("customer", customer["id"], currency_id="GBP")
        assert (await a.refused(changed)).sqlstate == "428C9"
        bill_to = {"customer_id": customer["id"], "currency_id": "EUR"}
        lines = [sold("33.33", STANDARD), sold("33.33", STANDARD), sold("33.33", low["id"])]

        # Tax is of the sum by rate, the home total of the total: each rounded once, half up.
        made = await a.insert("invoice", **bill_to, exchange_rate=Decimal("0.8712"), line=lines)
        assert made["global_tax_calculation"] == "TaxExcluded"
        assert money(made, *SUMS) == ["15.00", "114.99", "100.18", "114.99", "100.18"]
        taxes = await a.world.rows(
            "select tax_line_detail_net_amount_taxable, tax_line_detail_tax_percent, amount"
            f" from quickbooks.invoice_txn_tax_detail_tax_line where invoice_id = '{made['id']}'"
            " order by position"
        )
        assert [tuple(map(str, row)) for row in taxes] == [
            ("66.66", "20", "13.33"),
            ("33.33", "5", "1.67"),
        ]
        gross = sold("120.00", STANDARD, TaxInclusiveAmt=Decimal("120.00"))
        inclusive = await a.insert(
            "invoice", **bill_to, global_tax_calculation="TaxInclusive", line=[gross]
        )
        assert money(inclusive, *SUMS) == ["20.00", "120.00", "129.74", "120.00", "129.74"]
        said = await a.insert(
            "invoice", **bill_to, line=lines, txn_tax_detail_total_tax=Decimal("7.00")
        )
        assert money(said, *SUMS) == ["7.00", "106.99", "115.68", "106.99", "115.68"]

        # A line is changed alone: the old tax does not stay.
        [line] = await a.children("invoice_line", made["id"], "position = 1")
        await a.write(Change("invoice_line", "update", line, {**line, "amount": Decimal("10.00")}))
        made = await a.row("invoice", made["id"])
        assert money(made, *SUMS) == ["10.34", "87.00", "75.79", "87.00", "75.79"]

        # A payment at the rate of its own day; what is left of the invoice stays at the invoice's.
        paid = await a.insert(
            "payment",
            **bill_to,
            total_amt=Decimal("50.00"),
            exchange_rate=Decimal("0.9"),
            line=[paying(made["id"], "50.00")],
        )
        assert money(paid, "total_amt", "exchange_rate", "unapplied_amt") == [
            "50.00",
            "0.90",
            "0.00",
        ]
        await a.world.until(
            "select (balance, home_balance) = (37.00, 32.23) from quickbooks.invoice"
            f" where id = '{made['id']}'"
        )
        vendor = await a.insert("vendor", display_name="Cadres Lyon", currency_id="EUR")
        bill = await a.insert(
            "bill",
            vendor_id=vendor["id"],
            currency_id="EUR",
            exchange_rate=Decimal("0.85"),
            line=[bought("19.99", STANDARD), bought("0.01", STANDARD)],
        )
        assert money(bill, *SUMS[:2], "home_balance") == ["4.00", "24.00", "20.40"]

        for columns, sqlstate, words in (
            ({"customer_id": customer["id"]}, "23502", "CurrencyRef is missing"),
            ({**bill_to, "currency_id": "USD"}, "23514", "uses EUR"),
            ({**bill_to, "currency_id": "JPY"}, "22023", "JPY"),
            ({**bill_to, "exchange_rate": Decimal(-1)}, "22023", "-1"),
            ({**bill_to, "line": [sold("5", "TAX")]}, "23503", "TAX"),
            ({**bill_to, "line": [sold("5", "")]}, "23514", "VAT rate"),
            ({**bill_to, "global_tax_calculation": "Sometimes"}, "22023", "Sometimes"),
        ):
            given = {"line": lines, **columns}
            refusal = await a.refused(a.client.insert("invoice", **given))
            assert (refusal.sqlstate, words in refusal.message) == (sqlstate, True), str(refusal)

        # Forms that were there before take a change of one column, though some are sent whole.
        for table in ("bill", "purchase_order", "purchase", "vendor_credit", "refund_receipt"):
            [[first]] = await a.world.rows(f"select min(id) from quickbooks.{table}")
            before = await a.row(table, first)
            after = await a.update(table, first, private_note="checked")
            assert (after["private_note"], after["total_amt"]) == ("checked", before["total_amt"])

        # What a rollback takes back is as it was, to the cent.
        held = await a.books("invoice", "payment", "customer")
        [line] = await a.children("invoice_line", said["id"], "position = 2")
        client = a.client
        await client.begin()
        await client.execute(
            Change("invoice_line", "update", line, {**line, "amount": Decimal("0.01")})
        )
        await client.execute(
            await client.update("invoice", inclusive["id"], exchange_rate=Decimal("1.5"))
        )
        await client.execute(client.insert("invoice", **bill_to, line=[sold("8.05", low["id"])]))
        await client.execute(
            client.insert(
                "payment", **bill_to, total_amt=Decimal(9), line=[paying(inclusive["id"], "9")]
            )
        )
        assert await a.books("invoice", "payment", "customer") != held
        assert await client.rollback() == []
        assert await a.books("invoice", "payment", "customer") == held
        await request_poll(a.world.session, a.world.connection_id)
        await a.same()


@pytest.mark.parametrize(
    ("country", "rates", "sums"),
    [
        ("AU", [("GST 10%", "10")], ["10.00", "109.98", "10.00"]),
        # Two rates on one row: each is rounded by itself.
        ("CA", [("GST 5%", "5"), ("QST", "9.975")], ["14.97", "114.95", "14.97"]),
    ],
)
async def test_rows_are_taxed_by_their_own_codes(
    migrated_url: str, country: str, rates: list[tuple[str, str]], sums: list[str]
) -> None:
    async with abroad(migrated_url, country=country, following=False) as a:
        made = [rate(*one) for one in rates]
        code = await a.insert(
            "tax_code",
            name="Both ways",
            sales_tax_rate_list_tax_rate_detail=made,
            purchase_tax_rate_list_tax_rate_detail=[
                {**one, "TaxRateName": f"P {one['TaxRateName']}"[:10]} for one in made
            ],
        )
        lines = [sold("66.65", code["id"]), sold("33.33", code["id"])]
        invoice = await a.insert("invoice", customer_id="1", line=lines)
        assert money(invoice, *SUMS[:2]) == sums[:2]
        assert (invoice["exchange_rate"], invoice["home_total_amt"]) == (None, None)
        rows = [bought("66.65", code["id"]), bought("33.33", code["id"])]
        bill = await a.insert("bill", vendor_id="1", line=rows)
        assert money(bill, SUMS[0]) == sums[2:]
        free = await a.update("invoice", invoice["id"], global_tax_calculation="NotApplicable")
        assert money(free, *SUMS[:2]) == ["0.00", "99.98"]
