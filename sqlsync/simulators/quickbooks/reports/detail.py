"""Reports of single transactions: which columns a request wants, and what stands in them.

A column is known by its key (`tx_date`, `doc_num`, `subt_nat_amount` …); those whose key begins
with `subt_` are summed up, those with `rbal_` run on from row to row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.posting.entries import UNIT, Entry, Transaction, share
from sqlsync.simulators.quickbooks.reports.keys import is_amount, is_known, is_running, title_of
from sqlsync.simulators.quickbooks.reports.run import NOBODY, Run
from sqlsync.simulators.quickbooks.reports.shape import (
    Cell,
    Row,
    amount,
    cell,
    cells,
    column,
    data,
    money,
    quantity,
    section,
)
from sqlsync.simulators.quickbooks.values import Doc, to_cents


@dataclass(slots=True)
class Line:
    """One row. amount, open: cents, in the direction the report counts."""

    found: Transaction
    entry: Entry
    amount: int
    open: int = 0
    past_due: int = 0


JOURNALS = {  # kind -> code and name of the journal it is written in
    "Invoice": ("VT", "Ventes"),
    "CreditMemo": ("VT", "Ventes"),
    "SalesReceipt": ("VT", "Ventes"),
    "RefundReceipt": ("VT", "Ventes"),
    "Bill": ("AC", "Achats"),
    "VendorCredit": ("AC", "Achats"),
    "Payment": ("BQ", "Banque"),
    "BillPayment": ("BQ", "Banque"),
    "Purchase": ("BQ", "Banque"),
    "Deposit": ("BQ", "Banque"),
    "Transfer": ("BQ", "Banque"),
    "CreditCardPayment": ("BQ", "Banque"),
    "TaxPayment": ("BQ", "Banque"),
    "Opening": ("AN", "A nouveaux"),
}
OTHER_JOURNAL = ("OD", "Operations diverses")


def journal_of(found: Transaction) -> tuple[str, str]:
    return JOURNALS.get(found.kind, OTHER_JOURNAL)


def lettering(found: Transaction, entry: Entry) -> str:
    """The mark of a document that is settled, on its own side."""
    settled = found.kind in ("Invoice", "Bill") and found.row.links and not found.row.open
    return f"L{found.row.id}" if settled and not entry.line else ""


def chosen(given: str | None, default: Sequence[str]) -> list[str]:
    """The keys a request names, or the report's own. Raises 2170 for an unknown one."""
    if given is None:
        return list(default)
    keys = [part.strip().lower() for part in given.split(",") if part.strip()]
    for key in keys:
        if not is_known(key):
            raise Fault("2170", f"Invalid Enumeration : {key}", "columns")
    return keys or list(default)


class Columns:
    """The columns of one report and the cells of its rows. money: how amounts are written."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.titles = dict(run.default_columns)
        self.keys = chosen(run.asked.given.get("columns"), list(self.titles))
        self.money: Callable[[int], str] = money
        sort_by = run.asked.given.get("sort_by")
        if sort_by is not None and not is_known(sort_by.lower()):
            raise Fault("2170", f"Invalid Enumeration : {sort_by}", "sort_by")
        self.sort_by = sort_by.lower() if sort_by else None

    def columns(self) -> list[Doc]:
        return [column(self.titles.get(key, title_of(key)), key, key) for key in self.keys]

    # -- rows --------------------------------------------------------------------------------

    def sorted(self, lines: list[Line]) -> list[Line]:
        """By the column asked for, else by date."""
        key = self.sort_by
        down = self.run.asked.descending
        if key is None:
            by_time = sorted(lines, key=lambda x: (x.found.date, x.found.row.id, x.entry.line))
            return by_time[::-1] if down else by_time
        if is_amount(key):
            shown = "open" if key.endswith("open_bal") else "amount"
            return sorted(lines, key=lambda line: int(getattr(line, shown)), reverse=down)
        return sorted(lines, key=lambda line: self.cell(key, line)["value"], reverse=down)

    def row(self, line: Line, balance: int | None = None) -> Row | None:
        """A row of data; None where the answer is full. balance: the running one."""
        if not self.run.take(len(self.keys)):
            return None
        return data([self.cell(key, line, balance) for key in self.keys])

    def rows(self, lines: Iterable[Line], start: int | None = None) -> list[Row]:
        """start: what the running balance begins with, where there is one."""
        made: list[Row] = []
        balance = start
        runs_open = any(is_running(k) and k.endswith("open_bal") for k in self.keys)
        for line in lines:
            if balance is not None:
                balance += line.open if runs_open else line.amount
            row = self.row(line, balance)
            if row is None:
                break
            made.append(row)
        return made

    def head(self, title: str, number: int | None = None) -> list[Cell]:
        return [cell(title, number), *cells([""] * (len(self.keys) - 1))]

    def total(self, title: str, lines: Iterable[Line]) -> list[Cell]:
        """Sums of what is summed up; the first column has the title."""
        listed = list(lines)
        made = [cell(title)]
        for key in self.keys[1:]:
            made.append(cell(self._sum(key, listed)))
        return made

    def _sum(self, key: str, lines: list[Line]) -> str:
        if key in ("debt_amt", "debt_home_amt"):
            return self.money(sum(max(line.entry.cents, 0) for line in lines))
        if key in ("credit_amt", "credit_home_amt"):
            return self.money(sum(max(-line.entry.cents, 0) for line in lines))
        if not key.startswith("subt_") or not is_amount(key):
            return ""
        is_open = key.endswith("open_bal")
        return self.money(sum(line.open if is_open else line.amount for line in lines))

    def group(
        self, title: str, lines: list[Line], number: int | None = None, *, running: bool = False
    ) -> Row:
        rows = self.rows(lines, 0 if running else None)
        summary = None if self.run.is_cut else self.total(f"Total for {title}", lines)
        return section(self.head(title, number), rows, summary)

    # -- cells -------------------------------------------------------------------------------

    def cell(self, key: str, line: Line, balance: int | None = None) -> Cell:
        if is_amount(key):
            if is_running(key):
                return cell("" if balance is None else self.money(balance))
            return cell(self.money(line.open if key.endswith("open_bal") else line.amount))
        made = _CELLS.get(key)
        return made(self.run, line) if made is not None else cell(self._text(key, line))

    def _text(self, key: str, line: Line) -> str:
        """Of what has to be looked up in the record."""
        doc = self.run.document(line.found)
        path = _PATHS.get(key)
        value: object = doc
        for name in path or ():
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, dict):
            parts = (value.get(name) for name in ("Line1", "City", "CountrySubDivisionCode"))
            return ", ".join(str(part) for part in parts if part)
        return "" if path is None or value is None else str(value)


def _name_cell(table: str, run: Run, number: int) -> Cell:
    return cell(run.name(table, number), number if number else "")


def _name(run: Run, line: Line) -> Cell:
    table, number = line.found.name_of(line.entry)
    return _name_cell(table, run, number)


def _split(run: Run, line: Line) -> Cell:
    return cell(*run.split(line.found, line.entry))


def _account(run: Run, line: Line) -> Cell:
    return _name_cell("Account", run, line.entry.account)


def _number(run: Run, line: Line) -> Cell:
    account = run.account(line.entry.account)
    return cell(account.number if account is not None else "")


def _paid(run: Run, line: Line) -> Cell:
    kinds = ("Invoice", "Bill")
    return cell("" if line.found.kind not in kinds else "Paid" if not line.found.row.open else "")


def _rate(run: Run, line: Line) -> Cell:
    units = line.entry.units
    cents = abs(line.entry.cents)
    return cell(money(share(cents * UNIT, 1, abs(units))) if units else "")


def _debit(run: Run, line: Line) -> Cell:
    return cell(amount(max(line.entry.cents, 0)))


def _credit(run: Run, line: Line) -> Cell:
    return cell(amount(max(-line.entry.cents, 0)))


_CELLS: dict[str, Callable[[Run, Line], Cell]] = {
    "tx_date": lambda run, line: cell(line.found.date),
    "inv_date": lambda run, line: cell(line.found.date),
    "txn_type": lambda run, line: cell(line.found.label, line.found.row.id),
    "txn_num": lambda run, line: cell(str(line.found.row.id or "")),
    "doc_num": lambda run, line: cell(line.found.row.number or reference_of(run, line)),
    "name": _name,
    "cust_name": lambda run, line: _name_cell("Customer", run, line.found.customer_of(line.entry)),
    "vend_name": lambda run, line: _name_cell("Vendor", run, line.found.vendor_of(line.entry)),
    "emp_name": lambda run, line: _name_cell("Employee", run, line.found.employee_of(line.entry)),
    "item_name": lambda run, line: _name_cell("Item", run, line.entry.item),
    "dept_name": lambda run, line: _name_cell(
        "Department", run, line.found.department_of(line.entry)
    ),
    "klass_name": lambda run, line: _name_cell("Class", run, line.found.class_of(line.entry)),
    "memo": lambda run, line: cell(line.entry.memo or line.found.memo),
    "account_name": _account,
    "acct_num_with_extn": _number,
    "split_acc": _split,
    "other_account": _split,
    "due_date": lambda run, line: cell(run.due(line.found)),
    "past_due": lambda run, line: cell(str(line.past_due)),
    "create_by": lambda run, line: cell(NOBODY),
    "last_mod_by": lambda run, line: cell(NOBODY),
    "create_date": lambda run, line: cell(run.day_of(line.found.row.created)),
    "last_mod_date": lambda run, line: cell(run.day_of(line.found.row.updated)),
    "is_no_post": lambda run, line: cell("Yes" if line.found.posts else "No"),
    "is_ar_paid": _paid,
    "is_ap_paid": _paid,
    "is_adj": lambda run, line: cell(
        "Yes" if (line.found.row.doc or {}).get("Adjustment") else "No"
    ),
    "quantity": lambda run, line: cell(quantity(line.entry.units) if line.entry.units else ""),
    "rate": _rate,
    "debt_amt": _debit,
    "debt_home_amt": _debit,
    "credit_amt": _credit,
    "credit_home_amt": _credit,
    "lettrage": lambda run, line: cell(lettering(line.found, line.entry)),
    "journal_code_name": lambda run, line: cell(journal_of(line.found)[0]),
    "term_name": lambda run, line: cell(run.name("Term", run.term(line.found))),
    "pmt_mthd": lambda run, line: cell(run.payment_method(line.found)),
}
_PATHS: dict[str, tuple[str, ...]] = {
    "bill_addr": ("BillAddr",),
    "chk_print_state": ("PrintStatus",),
    "currency": ("CurrencyRef", "value"),
    "cust_bill_email": ("BillEmail", "Address"),
    "cust_msg": ("CustomerMemo", "value"),
    "deliv_addr": ("ShipAddr",),
    "exch_rate": ("ExchangeRate",),
    "extra_doc_num": ("PaymentRefNum",),
    "printed": ("PrintStatus",),
    "sale_sent_state": ("EmailStatus",),
    "ship_addr": ("ShipAddr",),
    "ship_date": ("ShipDate",),
    "ship_via": ("ShipMethodRef", "name"),
    "tracking_num": ("TrackingNum",),
}


def reference_of(run: Run, line: Line) -> str:
    """A payment is known by its reference."""
    if line.found.kind != "Payment":
        return ""
    row = line.found.row
    if row.seed is not None and row.doc is None:
        return str(20000 + row.id)
    return str((row.doc or {}).get("PaymentRefNum") or "")


def total_of(found: Transaction, run: Run) -> int:
    """What a transaction comes to, in the direction of the account it is on."""
    if not found.entries:
        return found.row.total or _worked(found)
    account = run.account(found.entries[0].account)
    return found.entries[0].cents * (account.sign if account is not None else 1)


def _worked(found: Transaction) -> int:
    """Hours worked, at their rate."""
    doc = found.row.doc or {}
    minutes = int(doc.get("Hours") or 0) * 60 + int(doc.get("Minutes") or 0)
    return share(to_cents(doc.get("HourlyRate") or 0), minutes, 60)
