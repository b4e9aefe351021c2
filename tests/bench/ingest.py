"""How fast pages of invoices enter the mirror, and with how much memory.

Paired with psycopg's executemany on the same records, table and server, in turns, so that the
ratio holds on a busy machine too; the rates themselves do not. Each long run is a process of
its own, whose peak memory is measured. Run: python tests/bench/ingest.py [--objects N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # started as a file: the project is two floors up
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from schema.codec import copy_encoder
from schema.loader import load_catalog
from schema.model import ColumnType, ObjectSpec
from sqlsync.database import EngineConnection, Jsonb, connect_engine, sql
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.migrations import migrate
from sqlsync.mirror.ingest import ingest
from sqlsync.mirror.install import install

PAGE = 1000
SCHEMA = "bench"
INVOICE = load_catalog("quickbooks").by_table["invoice"]


def invoices(count: int) -> Iterator[list[bytes]]:
    """Pages of invoices of about 3.5 kB, four lines and a subtotal each."""
    line = {
        "Id": "1",
        "LineNum": 1,
        "Description": "Weekly gardening service, hedges and lawn, materials included",
        "Amount": 141.75,
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {
            "ItemRef": {"value": "7", "name": "Gardening:Weekly service"},
            "UnitPrice": 47.25,
            "Qty": 3,
            "ItemAccountRef": {"value": "45", "name": "Landscaping Services:Job Materials"},
            "TaxCodeRef": {"value": "TAX"},
        },
    }
    address = {
        "Id": "95",
        "Line1": "Geeta Kalapatapu",
        "Line2": "321 Channing",
        "City": "Palo Alto",
        "CountrySubDivisionCode": "CA",
        "PostalCode": "94303",
        "Country": "USA",
    }
    record = {
        "AllowIPNPayment": False,
        "AllowOnlinePayment": False,
        "AllowOnlineCreditCardPayment": False,
        "AllowOnlineACHPayment": False,
        "domain": "QBO",
        "sparse": False,
        "Id": "@ID@",
        "SyncToken": "0",
        "MetaData": {
            "CreateTime": "2026-01-19T13:16:17-08:00",
            "LastUpdatedTime": "2026-02-19T13:16:17-08:00",
        },
        "CustomField": [
            {"DefinitionId": "1", "Name": "Crew #", "Type": "StringType", "StringValue": "102"}
        ],
        "DocNumber": "@ID@",
        "TxnDate": "2026-01-19",
        "CurrencyRef": {"value": "USD", "name": "United States Dollar"},
        "LinkedTxn": [],
        "Line": [{**line, "Id": str(n), "LineNum": n} for n in range(1, 5)]
        + [{"Amount": 567.0, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}],
        "TxnTaxDetail": {"TotalTax": 45.36, "TaxLine": []},
        "CustomerRef": {"value": "10", "name": "Geeta Kalapatapu"},
        "CustomerMemo": {"value": "Thank you for your business and have a great day!"},
        "BillAddr": address,
        "ShipAddr": {**address, "Id": "96"},
        "FreeFormAddress": True,
        "SalesTermRef": {"value": "3", "name": "Net 30"},
        "DueDate": "2026-02-18",
        "TotalAmt": 612.36,
        "ApplyTaxAfterDiscount": False,
        "PrintStatus": "NeedToPrint",
        "EmailStatus": "NotSet",
        "BillEmail": {"Address": "geeta@kalapatapu.example"},
        "Balance": 612.36,
    }
    text = json.dumps(record, separators=(",", ":")).encode()
    for start in range(0, count, PAGE):
        yield [
            text.replace(b"@ID@", b"%d" % n) for n in range(start + 1, min(start + PAGE, count) + 1)
        ]


async def load_ours(
    session: EngineConnection, pages: Iterator[list[bytes]], *, children: bool, noticed_by: str
) -> float:
    """Seconds inside the transactions, making the records left out."""
    spent = 0.0
    for page in pages:
        began = time.perf_counter()
        async with session.transaction():
            await ingest(session, SCHEMA, INVOICE, page, noticed_by=noticed_by, children=children)
        spent += time.perf_counter() - began
    return spent


async def load_executemany(session: EngineConnection, pages: Iterator[list[bytes]]) -> float:
    """The plain way: json.loads, a dictionary a row, one upsert by executemany a page."""
    statement, values = plain_upsert(INVOICE)
    spent = 0.0
    for page in pages:
        began = time.perf_counter()
        async with session.transaction(), session.cursor() as cursor:
            await cursor.executemany(statement, [values(json.loads(item), item) for item in page])
        spent += time.perf_counter() - began
    return spent


def plain_upsert(spec: ObjectSpec) -> tuple[bytes, Callable[[Any, bytes], list[Any]]]:
    fields = list(spec.fields)
    columns = [field.column for field in fields] + ["raw"]
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = (
        sql.SQL(
            "insert into {t} ({names}) values ({holes}) on conflict (id) do update set {sets}"
            " where excluded.sync_token::numeric > {t}.sync_token::numeric"
        )
        .format(
            t=sql.Identifier(SCHEMA, spec.table),
            names=names,
            holes=sql.SQL(", ").join([sql.SQL("%s")] * len(columns)),
            sets=sql.SQL(", ").join(
                sql.SQL("{c} = excluded.{c}").format(c=sql.Identifier(c)) for c in columns
            ),
        )
        .as_string(None)
        .encode()
    )

    def values(record: Any, item: bytes) -> list[Any]:
        row: list[Any] = []
        for field in fields:
            value = record
            for name in field.path:
                value = value.get(name) if isinstance(value, dict) else None
            if value is not None and field.type is ColumnType.JSONB:
                value = Jsonb(value)
            row.append(value)
        row.append(item.decode())
        return row

    return statement, values


async def pairs(url: str, objects: int, repetitions: int) -> list[tuple[float, float]]:
    """(ours, executemany) in objects a second, taken in turns; child tables off."""
    found: list[tuple[float, float]] = []
    async with await connect_engine(url) as session:
        for _ in range(repetitions):
            rates = []
            for name in ("ours", "plain"):
                await empty(session)
                if name == "ours":
                    seconds = await load_ours(
                        session, invoices(objects), children=False, noticed_by="backfill"
                    )
                else:
                    seconds = await load_executemany(session, invoices(objects))
                rates.append(objects / seconds)
            found.append((rates[0], rates[1]))
    return found


async def empty(session: EngineConnection) -> None:
    tables = [INVOICE.table, *(child.table for child in INVOICE.children)]
    for table in tables:
        await session.execute(sql.SQL("truncate {}").format(sql.Identifier(SCHEMA, table)))


async def prepare(url: str) -> None:
    migrate(url)
    async with await connect_engine(url) as session:
        found = await session.execute(
            "insert into sqlsync.connection (name, provider, schema_name, company_id, state)"
            " values ('bench', 'quickbooks', %s, 'bench', 'paused') returning id",
            [SCHEMA],
        )
        row = await found.fetchone()
        assert row is not None
        await install(session, load_catalog("quickbooks"), SCHEMA, row[0], objects=["invoice"])


async def one_long_run(url: str, objects: int, how: str) -> None:
    """Prints objects a second and this process' peak memory, as JSON."""
    copy_encoder(INVOICE)
    async with await connect_engine(url) as session:
        await empty(session)
        if how == "plain":
            seconds = await load_executemany(session, invoices(objects))
        else:
            seconds = await load_ours(
                session,
                invoices(objects),
                children="children" in how,
                noticed_by="poll" if "guarded" in how else "backfill",
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rate": objects / seconds, "peak_mib": peak}))


def run(*, objects: int = 200_000, repetitions: int = 5) -> dict[str, Any]:
    """Prints and returns the figures. objects: for the long runs; the pairs take a tenth."""
    results: dict[str, Any] = {}
    with EmbeddedPostgres.temporary() as server:
        url = server.url()
        asyncio.run(prepare(url))
        taken = asyncio.run(pairs(url, max(PAGE, objects // 10), repetitions))
        ratios = [ours / plain for ours, plain in taken]
        results["ratio"] = statistics.median(ratios)
        print(
            f"ingest against executemany, {max(PAGE, objects // 10):,} invoices, in turns:"
            f" {results['ratio']:.2f}x (of {', '.join(f'{r:.2f}' for r in ratios)})"
        )
        for how, words in (
            ("", "child tables off"),
            ("children", "child tables on"),
            ("guarded", "child tables off, guarded upsert with change log"),
            ("plain", "executemany"),
        ):
            done = subprocess.run(
                [sys.executable, __file__, "--url", url, "--how", how, "--objects", str(objects)],
                check=True,
                capture_output=True,
                text=True,
            )
            figures = json.loads(done.stdout)
            results[how or "off"] = figures
            print(
                f"  {objects:,} invoices, {words}: {figures['rate']:,.0f} objects/s,"
                f" peak {figures['peak_mib']:.0f} MiB"
            )
    return results


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--objects", type=int, default=200_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--how", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.url:
        asyncio.run(one_long_run(options.url, options.objects, options.how or ""))
    else:
        run(objects=options.objects, repetitions=options.repetitions)


if __name__ == "__main__":
    main()
