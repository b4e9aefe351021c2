"""Every report of both providers, from simulated companies into its table, with its sums."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest
import report_world
from report_world import Grant, World, working

from schema.report_model import ReportSpec
from sqlsync.database import connect, sql
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.simulators.testing import simulator
from sqlsync.simulators.testing_xero import xero_simulator

# Amounts that the rows of a section add up to. Others are running balances, prices, shares.
ADDING_UP = frozenset(
    {"total", "amount", "debit", "credit", "open_balance", "current", "days_1_30", "days_31_60",
     "days_61_90", "days_91_and_over", "income", "expenses", "net_income", "asset_value", "due",
     "cash_received", "cash_spent", "opening_balance", "closing_balance", "ytd_debit", "ytd_credit"}
)  # fmt: skip
# What the simulated companies are not (in France, outside the US), or have not (a tax return).
ELSEWHERE = {
    "quickbooks": {"FECReport", "GeneralLedgerFR", "JournalReportFR", "TaxSummary"},
    "xero": {"ReportByID"},
}


@pytest.fixture(scope="module")
def companies(
    postgres_server: EmbeddedPostgres, migrated_template: str
) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """A QuickBooks company and a Xero organisation, simulated, and their schemas."""
    with connect(postgres_server.url()) as connection:
        connection.execute(
            sql.SQL("create database companies template {}").format(
                sql.Identifier(migrated_template)
            )
        )
    url = postgres_server.url("companies")
    with (
        simulator(customers=10, invoices=40) as quickbooks,
        xero_simulator(customers=10, invoices=40) as xero,
    ):
        apps = report_world.apps_at(quickbooks.base_url, xero.base_url)
        grants = {
            "quickbooks": Grant(quickbooks.realm_id, quickbooks.refresh_token),
            "xero": Grant(xero.tenant_id, xero.refresh_token),
        }
        report_world.set_up(url, apps, **grants)
        yield url, apps, {"quickbooks": quickbooks, "xero": xero}


@pytest.fixture
async def world(companies: tuple[str, dict[str, Any], dict[str, Any]]) -> AsyncIterator[World]:
    url, apps, _ = companies
    async with report_world.world(url, apps) as found:
        yield found


@pytest.mark.parametrize("provider", ["quickbooks", "xero"])
async def test_every_report_is_in_its_table_and_its_sums_are_those_of_its_rows(
    world: World, companies: tuple[str, dict[str, Any], dict[str, Any]], provider: str
) -> None:
    """Those of other countries are refused in words, and hold up no other."""
    [contact, *_] = companies[2]["xero"].records("invoice")
    needed = {
        "contact_id": contact["Contact"]["ContactID"],
        "report_id": "00000000-0000-4000-8000-000000000000",
        "agency_id": "1",
    }
    specs = report_world.CATALOGS[provider].reports
    checked = 0
    async with working(world):
        runs = {
            spec.name: await world.ask(
                provider, spec.name, **spec.default, **{k: needed[k] for k in spec.required}
            )
            for spec in specs
        }
        for spec in specs:
            state, error = await world.settled(provider, runs[spec.name])
            if state == "error":
                assert spec.name in ELSEWHERE[provider], (spec.name, error)
                continue
            checked += await sums_of(world, provider, spec, runs[spec.name])
    assert checked >= 10


async def sums_of(world: World, schema: str, spec: ReportSpec, run: int) -> int:
    """Compares each summary of a section with the rows in it; returns how many there were."""
    columns = [c for c, _, _ in spec.table_columns if c in ADDING_UP]
    amounts = "".join(f", {column}" for column in columns)
    rows = await world.rows(
        f"select section, row_type, label, row_group{amounts} from {schema}.{spec.table}"
        f" where run_id = {run} order by row_number"
    )
    [[count, function]] = await world.rows(
        f"select row_count, (select count(*) from {schema}.{spec.table} where run_id = {run})"
        f" from {schema}._sync_report where id = {run}"
    )
    assert count == function == len(rows)
    checked = 0
    for section, kind, label, group, *said in rows:
        if kind != "summary" or not (section or group == "GrandTotal"):
            continue
        if not label.casefold().startswith("total"):  # a net amount: some rows less others
            continue
        inside = [r for r in rows if r[0][: len(section)] == section and r[1] != "summary"]
        for number, total in enumerate(said):
            if total is not None:
                found = sum((r[4 + number] or Decimal(0) for r in inside), Decimal(0))
                assert found == total, (spec.name, label, columns[number])
                checked += 1
    return checked
