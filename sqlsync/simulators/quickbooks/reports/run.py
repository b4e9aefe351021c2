"""What a report is made from: the books, what was asked for, and names for ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlsync.simulators.clock import PACIFIC
from sqlsync.simulators.quickbooks import documents
from sqlsync.simulators.quickbooks.posting.chart import Account, Chart
from sqlsync.simulators.quickbooks.posting.daybook import Daybook
from sqlsync.simulators.quickbooks.posting.entries import Entry, Transaction
from sqlsync.simulators.quickbooks.posting.goods import number_of
from sqlsync.simulators.quickbooks.posting.standing import Standing
from sqlsync.simulators.quickbooks.reports.asked import Asked
from sqlsync.simulators.quickbooks.reports.shape import Row
from sqlsync.simulators.quickbooks.store import Books
from sqlsync.simulators.quickbooks.store import Row as Record
from sqlsync.simulators.quickbooks.values import Doc

NOBODY = "Mara Ostrow"  # who made every record


@dataclass(slots=True)
class Made:
    """A report's columns and rows. is_empty: nothing but titles."""

    columns: list[Doc]
    rows: list[Row]
    is_empty: bool = False


@dataclass(slots=True)
class Run:
    """One report on its way. cells_left: how many more the answer may hold."""

    books: Books
    standing: Standing
    asked: Asked
    cells_left: int
    default_columns: Sequence[tuple[str, str]] = ()  # key and title
    daybook: Daybook = field(init=False)
    is_cut: bool = False

    def __post_init__(self) -> None:
        self.daybook = Daybook(self.standing, self.asked.basis)

    @property
    def chart(self) -> Chart:
        return self.standing.poster.chart

    def take(self, cells: int) -> bool:
        """Whether a row of so many cells still fits in the answer."""
        if self.is_cut or cells > self.cells_left:
            self.is_cut = True
            return False
        self.cells_left -= cells
        return True

    # -- what is asked for -------------------------------------------------------------------

    def wants(self, found: Transaction, entry: Entry) -> bool:
        """The entry passes the request's lists of ids."""
        for name, wanted in self.asked.ids.items():
            if name == "customer":
                number = found.customer_of(entry)
            elif name == "vendor":
                number = found.vendor_of(entry)
            elif name == "employee":
                number = found.employee_of(entry)
            elif name == "class":
                number = found.class_of(entry)
            elif name == "department":
                number = found.department_of(entry)
            elif name == "item":
                number = entry.item
            elif name == "account":
                number = entry.account
            elif name == "source_account":
                number = found.entries[0].account
            elif name == "term":
                number = self.term(found)
            else:
                continue
            if number not in wanted:
                return False
        return True

    def entries(self, start: str, end: str) -> Iterator[tuple[Transaction, Entry]]:
        """Every entry of a range that passes the lists, in no order."""
        filtered = bool(self.asked.ids)
        for found in self.daybook.transactions(start, end):
            for entry in found.entries:
                if not filtered or self.wants(found, entry):
                    yield found, entry

    # -- names -------------------------------------------------------------------------------

    def name(self, table: str, number: int) -> str:
        """What a record of a list is called; sub-records with those above them."""
        row = self.books.table(table).get(number) if table else None
        return self.books.full_name(table, row) if row is not None else ""

    def account(self, number: int) -> Account | None:
        return self.chart.accounts.get(number)

    def split(self, found: Transaction, entry: Entry) -> tuple[str, int | str]:
        """The account on the other side, or "-Split-" where there are several."""
        if not found.entries:
            return "", 0
        has_own = found.entries[0].line == 0
        if has_own and entry.line:
            others = {found.entries[0].account}
        else:
            others = {e.account for e in found.entries if e is not entry and not e.is_cost}
        if len(others) != 1:
            return ("-Split-", "") if others else ("", 0)
        (number,) = others
        return self.name("Account", number), number

    def document(self, found: Transaction) -> Doc:
        """All members of the record a transaction is; empty for what has none."""
        if not found.row.id:
            return {}
        return documents.assemble(self.books, found.kind, found.row)

    def term(self, found: Transaction) -> int:
        """The id of a form's term; 0 where it has none."""
        return number_of(self.document(found).get("SalesTermRef"))

    def payment_method(self, found: Transaction) -> str:
        """What the payment method of a form is called."""
        return self.name("PaymentMethod", number_of(self.document(found).get("PaymentMethodRef")))

    def due(self, found: Transaction) -> str:
        if found.row.seed is not None and found.row.doc is None:
            return str(getattr(found.row.seed, "due", found.date))
        return str((found.row.doc or {}).get("DueDate") or found.date)

    @staticmethod
    def day_of(epoch: int) -> str:
        return datetime.fromtimestamp(epoch, PACIFIC).date().isoformat()


def days_between(earlier: str, later: str) -> int:
    return (date.fromisoformat(later) - date.fromisoformat(earlier)).days


def by_time(found: Transaction) -> tuple[str, int]:
    return found.date, found.row.id


def named(run: Run, table: str, numbers: set[int]) -> list[int]:
    """Ids in the order of their names, up or down as asked for."""
    known = sorted(numbers, key=lambda number: (run.name(table, number).casefold(), number))
    return known[::-1] if run.asked.descending else known


def record(run: Run, table: str, number: int) -> Record | None:
    return run.books.table(table).get(number)
