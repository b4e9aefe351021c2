"""Journals: every entry with its debit and credit, as bookkeepers and French law want them."""

from __future__ import annotations

from sqlsync.simulators.quickbooks.posting.entries import Entry, Transaction
from sqlsync.simulators.quickbooks.reports.detail import Columns, Line, journal_of, lettering
from sqlsync.simulators.quickbooks.reports.keys import is_running
from sqlsync.simulators.quickbooks.reports.ledgers import Ledger
from sqlsync.simulators.quickbooks.reports.lists import continued
from sqlsync.simulators.quickbooks.reports.run import Made, Run, by_time
from sqlsync.simulators.quickbooks.reports.shape import (
    Row,
    bare,
    cell,
    cells,
    column,
    data,
    section,
)


def _posted(run: Run) -> list[Transaction]:
    """Transactions with entries, by date."""
    asked = run.asked
    wanted = asked.given.get("journal_code")
    codes = {part.strip().lower() for part in wanted.split(",")} if wanted else None
    found = [
        one
        for one in run.daybook.transactions(asked.start, asked.end)
        if one.entries and (codes is None or journal_of(one)[0].lower() in codes)
    ]
    found.sort(key=by_time, reverse=asked.descending)
    return found


def journal(run: Run) -> Made:
    """A block a transaction: its rows, a row of sums, an empty row."""
    columns = Columns(run)
    columns.money = bare
    rows: list[Row] = []
    transactions = _posted(run)
    for found in transactions:
        lines = [Line(found, entry, entry.cents) for entry in found.entries]
        made: list[Row] = []
        for line in lines:
            if not run.take(len(columns.keys)):
                break
            first = line is lines[0]
            made.append(
                data([
                    columns.cell(key, line) if first else continued(columns, key, line)
                    for key in columns.keys
                ])
            )  # fmt: skip
        rows += made
        if run.is_cut:
            break
        sums = [cell("") if i == 0 else c for i, c in enumerate(columns.total("", lines))]
        rows.append(section(summary=sums))
        rows.append(data([cell("") for _ in columns.keys]))
    return Made(columns.columns(), rows, is_empty=not transactions)


def journal_fr(run: Run) -> Made:
    """Every row whole, none left out of its transaction."""
    columns = Columns(run)
    columns.money = bare
    rows: list[Row] = []
    everything: list[Line] = []
    for found in _posted(run):
        for entry in found.entries:
            line = Line(found, entry, entry.cents)
            row = columns.row(line)
            if row is None:
                return Made(columns.columns(), rows)
            everything.append(line)
            rows.append(row)
    if rows:
        rows.append(section(summary=columns.total("TOTAL", everything), group="GrandTotal"))
    return Made(columns.columns(), rows, is_empty=not everything)


def general_ledger_fr(run: Run) -> Made:
    """The ledger by account number, with debit and credit and a balance of debits."""
    ledger = Ledger(run, has_before=True)
    columns = Columns(run)
    for lines in ledger.lines.values():
        for line in lines:
            line.amount = line.entry.cents
    rows: list[Row] = []
    accounts = [run.chart.accounts[n] for n in {*ledger.lines, *ledger.before}]
    accounts.sort(key=lambda a: (a.number or "~", a.full_name.casefold(), a.id),
                  reverse=run.asked.descending)  # fmt: skip
    for account in accounts:
        if run.is_cut:
            break
        lines = columns.sorted(ledger.lines.get(account.id, []))
        before = ledger.before.get(account.id, 0) * account.sign
        title = f"{account.number} {account.full_name}".strip()
        inner: list[Row] = []
        if before and run.take(len(columns.keys)):
            shown = [columns.money(before) if is_running(key) else "" for key in columns.keys]
            inner.append(data([cell("Beginning Balance"), *cells(shown[1:])]))
        inner += columns.rows(lines, before)
        summary = None
        if not run.is_cut:
            end = before + sum(line.amount for line in lines)
            summary = columns.total(f"Total for {title}", lines)
            for position, key in enumerate(columns.keys):
                if is_running(key) and position:
                    summary[position] = cell(columns.money(end))
        rows.append(section(columns.head(title, account.id), inner, summary))
    return Made(columns.columns(), rows, is_empty=not rows)


_FEC = (
    *("JournalCode", "JournalLib", "EcritureNum", "EcritureDate", "CompteNum", "CompteLib"),
    *("CompAuxNum", "CompAuxLib", "PieceRef", "PieceDate", "EcritureLib", "Debit", "Credit"),
    *("EcritureLet", "DateLet", "ValidDate", "Montantdevise", "Idevise"),
)


def fec(run: Run) -> Made:
    """The fiscal authority's file of entries: eighteen columns, more where asked for.

    Source: arrete du 29 juillet 2013 (article A47 A-1 du Livre des procedures fiscales).
    """
    given = run.asked.given
    titles = list(_FEC)
    with_due = given.get("add_due_date", "").lower() == "true"
    with_ids = given.get("withqboidentifier", "").lower() == "true"
    with_files = given.get("attachmenttype", "").upper() == "TEMPORARY_LINKS"
    titles += ["Attachments"] * with_files + ["DateEcheance"] * with_due
    titles += ["QboTxnId", "QboAccountId"] * with_ids
    rows: list[Row] = []
    transactions = _posted(run)
    for number, found in enumerate(transactions, start=1):
        for entry in found.entries:
            if not run.take(len(titles)):
                return Made([column(title, "String") for title in titles], rows)
            shown = cells(_fec_row(run, number, found, entry))
            if with_files:
                shown.append(cell("[]"))
            if with_due:
                shown.append(cell(run.due(found).replace("-", "")))
            if with_ids:
                shown += [cell(str(found.row.id or "")), cell(str(entry.account))]
            rows.append(data(shown))
    return Made([column(title, "String") for title in titles], rows, is_empty=not transactions)


def _fec_row(run: Run, number: int, found: Transaction, entry: Entry) -> list[str]:
    code, name = journal_of(found)
    account = run.account(entry.account)
    table, party = found.name_of(entry)
    who = run.name(table, party)
    auxiliary = account is not None and account.type in ("Accounts Receivable", "Accounts Payable")
    day = found.date.replace("-", "")
    letters = lettering(found, entry)
    words = " - ".join(word for word in (who, found.row.number or "", entry.memo) if word)
    return [
        *(code, name, str(number), day),
        (account.number or str(account.id)) if account is not None else "",
        account.full_name if account is not None else "",
        *((str(party), who) if auxiliary and party else ("", "")),
        *(found.row.number or str(found.row.id or ""), day, words or found.label),
        *(bare(max(entry.cents, 0)), bare(max(-entry.cents, 0))),
        *((letters, day) if letters else ("", "")),
        *(run.day_of(found.row.updated).replace("-", ""), "", ""),
    ]
