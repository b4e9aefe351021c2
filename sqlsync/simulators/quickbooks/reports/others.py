"""The chart of accounts as a list, and what is owed to a tax agency."""

from __future__ import annotations

from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.posting.chart import Account
from sqlsync.simulators.quickbooks.posting.entries import Transaction
from sqlsync.simulators.quickbooks.reports.detail import Columns
from sqlsync.simulators.quickbooks.reports.ledgers import types_of
from sqlsync.simulators.quickbooks.reports.run import NOBODY, Made, Run
from sqlsync.simulators.quickbooks.reports.sales import SALES
from sqlsync.simulators.quickbooks.reports.shape import (
    Cell,
    Row,
    cell,
    column,
    data,
    money,
    section,
)
from sqlsync.simulators.quickbooks.reports.statements import ORDER
from sqlsync.simulators.quickbooks.store import Row as Record
from sqlsync.simulators.quickbooks.values import to_cents


def account_list(run: Run) -> Made:
    asked = run.asked
    columns = Columns(run)
    types = types_of(asked.given.get("account_type"))
    gone = asked.word("account_status") == "deleted"
    changed, created = asked.span("moddate"), asked.span("createdate")
    shown: list[tuple[Account, Record]] = []
    for account in run.chart.accounts.values():
        row = run.books.row("Account", account.id)
        if account.active == gone or (types and account.type.replace(" ", "").lower() not in types):
            continue
        if changed[0] <= run.day_of(row.updated) <= changed[1] and (
            created[0] <= run.day_of(row.created) <= created[1]
        ):
            shown.append((account, row))
    rows = [[_account_cell(run, key, *one) for key in columns.keys] for one in shown]
    order = [(f"{_place(a.type):02d}", a.full_name.casefold()) for a, _ in shown]
    if columns.sort_by in columns.keys:
        at = columns.keys.index(str(columns.sort_by))
        order = [(row[at]["value"].casefold(), "") for row in rows]
    ranked = sorted(zip(order, rows, strict=True), key=lambda x: x[0], reverse=asked.descending)
    made: list[Row] = [data(row) for _, row in ranked if run.take(len(columns.keys))]
    return Made(columns.columns(), made, is_empty=not shown)


def _place(kind: str) -> int:
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def _account_cell(run: Run, key: str, account: Account, row: Record) -> Cell:
    if key == "account_name":
        return cell(account.full_name, account.id)
    if key == "account_bal":
        return cell(money(run.standing.balance(account.id) * account.sign))
    texts = {
        "account_type": account.type,
        "detail_acc_type": account.subtype,
        "account_desc": str((row.doc or {}).get("Description") or ""),
        "acct_num_with_extn": account.number,
        "create_date": run.day_of(row.created),
        "last_mod_date": run.day_of(row.updated),
        "create_by": NOBODY,
        "last_mod_by": NOBODY,
    }
    return cell(texts.get(key, ""))


def tax_summary(run: Run) -> Made:
    """Sales, purchases and their tax by rate of one agency, and what remains to be paid."""
    asked = run.asked
    if "agency_id" not in asked.given:
        raise faults.missing("agency_id")
    agency = asked.given["agency_id"]
    if not agency.isdigit() or run.books.table("TaxAgency").get(int(agency)) is None:
        raise faults.bad_reference("agency_id", "tax_agency", agency)
    rates = {
        number: row
        for number, row in run.books.table("TaxRate").rows.items()
        if ((row.doc or {}).get("AgencyRef") or {}).get("value") == agency
    }
    taxed: dict[tuple[bool, int], list[int]] = {}  # (on sales, rate) -> net, tax
    for found in run.daybook.transactions(asked.start, asked.end):
        on_sales = found.kind in SALES
        for entry in found.entries:
            if entry.tax_rate in rates:
                sums = taxed.setdefault((on_sales, entry.tax_rate), [0, 0])
                cents = -entry.cents if on_sales else entry.cents
                sums[0] += _net(found, entry.tax_rate) * (1 if cents >= 0 else -1)
                sums[1] += cents
    rows: list[Row] = []
    totals = {True: 0, False: 0}
    for on_sales, title, group in ((True, "sales", "Sales"), (False, "purchases", "Purchases")):
        for number in sorted(n for side, n in taxed if side is on_sales):
            net, tax = taxed[on_sales, number]
            rate = (rates[number].doc or {}).get("RateValue", 0)
            name = f"{rates[number].name} ({rate}%)"
            rows.append(_tax_row(f"Net {title}, {name}", number, net, f"Net{group}"))
            rows.append(_tax_row(f"Tax on {title}, {name}", number, tax, f"Tax{group}"))
            totals[on_sales] += tax
        if any(side is on_sales for side, _ in taxed):
            total = [cell(f"Total tax on {title}"), cell(money(totals[on_sales]))]
            rows.append(section(summary=total, group=f"TotalTax{group}"))
    due = [cell("Tax due"), cell(money(totals[True] - totals[False]))]
    rows.append(section(summary=due, group="TaxDue"))
    return Made([column("", "String"), column("Total", "Money")], rows, is_empty=not taxed)


def _tax_row(title: str, number: int, cents: int, group: str) -> Row:
    return data([cell(title, number), cell(money(cents))], group, typed=False)


def _net(found: Transaction, rate: int) -> int:
    """What the rate was charged on."""
    if found.row.doc is None:
        return sum(abs(entry.cents) for entry in found.entries if entry.item and not entry.is_cost)
    for row in (found.row.doc.get("TxnTaxDetail") or {}).get("TaxLine") or ():
        detail = row.get("TaxLineDetail") or {}
        if (detail.get("TaxRateRef") or {}).get("value") == str(rate):
            return to_cents(detail.get("NetAmountTaxable") or 0)
    return 0
