"""Lists of transactions: flat, grouped, by customer or vendor, and with their splits."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable

from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.posting.entries import Entry, Transaction
from sqlsync.simulators.quickbooks.reports.detail import Columns, Line, total_of
from sqlsync.simulators.quickbooks.reports.periods import divide
from sqlsync.simulators.quickbooks.reports.run import Made, Run
from sqlsync.simulators.quickbooks.reports.shape import Cell, Row, cell, data, section
from sqlsync.simulators.quickbooks.values import to_cents

# Values of transaction_type -> what reports call such a transaction.
TYPES = {
    "bill": "Bill",
    "billablecharge": "Billable Expense Charge",
    "billpaymentcheck": "Bill Payment (Check)",
    "billpaymentcreditcard": "Bill Payment (Credit Card)",
    "cashpurchase": "Expense",
    "check": "Check",
    "creditcardcharge": "Credit Card Expense",
    "creditcardcredit": "Credit Card Credit",
    "creditcardpayment": "Credit Card Payment",
    "creditmemo": "Credit Memo",
    "creditrefund": "Refund",
    "deposit": "Deposit",
    "estimate": "Estimate",
    "globaltaxpayment": "Sales Tax Payment",
    "inventoryquantityadjustment": "Inventory Qty Adjust",
    "invoice": "Invoice",
    "journalentry": "Journal Entry",
    "payment": "Payment",
    "purchaseorder": "Purchase Order",
    "receivepayment": "Payment",
    "refund": "Refund",
    "salesreceipt": "Sales Receipt",
    "timeactivity": "Time Charge",
    "transfer": "Transfer",
    "vendorcredit": "Vendor Credit",
}
_UNKNOWN = ("charge", "credit", "globaltaxadjustment", "statement")  # there are never any
_NOTHING = Entry(0, 0)
_EVER = ("", "9999-12-31")


def transaction_list(run: Run) -> Made:
    return _listed(run, _grouping(run, ""))


def transactions_by_customer(run: Run) -> Made:
    return _listed(run, _grouping(run, "customer"), needs="Customer")


def transactions_by_vendor(run: Run) -> Made:
    return _listed(run, _grouping(run, "vendor"), needs="Vendor")


Group = Callable[[Line], tuple[str, int, int]]  # name, id, place in the order


def _listed(run: Run, group: Group | None, needs: str = "") -> Made:
    columns = Columns(run)
    lines = [
        line
        for line in _lines(run)
        if not needs or (line.found.customer if needs == "Customer" else line.found.vendor)
    ]
    if group is None:
        rows = columns.rows(columns.sorted(lines))
        return Made(columns.columns(), rows, is_empty=not lines)
    return Made(columns.columns(), _grouped(run, columns, lines, group), is_empty=not lines)


def _grouped(run: Run, columns: Columns, lines: list[Line], group: Group) -> list[Row]:
    rows: list[Row] = []
    for (name, number, _), ordered in _divided(columns, lines, group):
        if run.is_cut:
            break
        rows.append(columns.group(name or "Not Specified", ordered, number or None))
    return rows


def _divided(
    columns: Columns, lines: Iterable[Line], group: Group
) -> list[tuple[tuple[str, int, int], list[Line]]]:
    groups: dict[tuple[str, int, int], list[Line]] = {}
    for line in lines:
        groups.setdefault(group(line), []).append(line)
    order = sorted(groups, key=lambda key: (key[2], key[0].casefold(), key[1]))
    return [(key, columns.sorted(groups[key])) for key in order]


def _lines(run: Run) -> list[Line]:
    """One line a transaction, on its own account."""
    asked = run.asked
    found_lines: list[Line] = []
    for found in run.daybook.all_kinds(asked.start, asked.end):
        entry = found.entries[0] if found.entries else _NOTHING
        if _passes(run, found, entry):
            found_lines.append(Line(found, entry, total_of(found, run), found.row.open))
    return found_lines


def _passes(run: Run, found: Transaction, entry: Entry) -> bool:
    asked, given = run.asked, run.asked.given
    if asked.ids and not run.wants(found, entry._replace(item=0)):
        return False
    if "docnum" in given and (found.row.number or "") != given["docnum"]:
        return False
    if "transaction_type" in given and found.label not in _labels(given["transaction_type"]):
        return False
    if "bothamount" in given and total_of(found, run) != to_cents(given["bothamount"]):
        return False
    if "source_account_type" in given and not _on_type(run, entry, given["source_account_type"]):
        return False
    for name, epoch in (("moddate", found.row.updated), ("createdate", found.row.created)):
        span = asked.span(name)
        if span != _EVER and not span[0] <= run.day_of(epoch) <= span[1]:
            return False
    span = asked.span("duedate")
    if span != _EVER and not span[0] <= run.due(found) <= span[1]:
        return False
    if not (_paid(found, "Invoice", asked.word("arpaid", "all"))
            and _paid(found, "Bill", asked.word("appaid", "all"))):  # fmt: skip
        return False
    return _says(run, found)


def _says(run: Run, found: Transaction) -> bool:
    """What only the record itself can tell: memo, payment method, print state, bank state."""
    given = run.asked.given
    if "memo" in given and given["memo"].lower() not in found.memo.lower():
        return False
    method = given.get("payment_method")
    if method is not None and run.payment_method(found).lower() != method.lower():
        return False
    if "printed" in given:
        state = "printcomplete" if given["printed"].lower() == "printed" else "needtoprint"
        if str(run.document(found).get("PrintStatus") or "").lower() != state:
            return False
    if "cleared" in given:
        state = "deposited" if found.row.deposit else "uncleared"
        return state == given["cleared"].lower()
    return True


def _paid(found: Transaction, kind: str, asked: str) -> bool:
    if asked == "all" or found.kind != kind:
        return True
    return (asked == "paid") == (found.row.open == 0)


def _labels(given: str) -> set[str]:
    labels: set[str] = set()
    for part in given.split(","):
        word = part.strip().replace(" ", "").lower()
        if word in TYPES:
            labels.add(TYPES[word])
        elif word not in _UNKNOWN:
            raise Fault("2170", f"Invalid Enumeration : {part.strip()}", "transaction_type")
    return labels


def _on_type(run: Run, entry: Entry, given: str) -> bool:
    account = run.account(entry.account)
    kind = account.type.replace(" ", "").replace("-", "").lower() if account else "nonposting"
    return kind in {part.strip().replace(" ", "").lower() for part in given.split(",")}


def _grouping(run: Run, default: str) -> Group | None:
    """How rows are grouped. Raises 2170 for a field that cannot be grouped by."""
    given = run.asked.given.get("group_by", default).replace(" ", "").lower()
    if given in ("", "none"):
        return None
    if given in ("day", "week", "month", "quarter", "year", "fiscalquarter", "fiscalyear"):
        by = "days" if given == "day" else given
        spans = divide(run.asked.start, run.asked.end, by, run.asked.fiscal_month)

        def of_time(line: Line) -> tuple[str, int, int]:
            ends = [span.end for span in spans]
            at = bisect_left(ends, line.found.date)
            return spans[at].title, 0, at

        return of_time
    if given not in _GROUPS:
        raise Fault("2170", f"Invalid Enumeration : {given}", "group_by")
    return lambda line: (*_GROUPS[given](run, line), 0)


def _by_name(run: Run, line: Line) -> tuple[str, int]:
    table, number = line.found.name_of(line.entry)
    return run.name(table, number), number


_GROUPS: dict[str, Callable[[Run, Line], tuple[str, int]]] = {
    "name": _by_name,
    "account": lambda run, line: (run.name("Account", line.entry.account), line.entry.account),
    "transactiontype": lambda run, line: (line.found.label, 0),
    "customer": lambda run, line: (
        run.name("Customer", line.found.customer),
        line.found.customer,
    ),
    "vendor": lambda run, line: (run.name("Vendor", line.found.vendor), line.found.vendor),
    "employee": lambda run, line: (
        run.name("Employee", line.found.employee),
        line.found.employee,
    ),
    "location": lambda run, line: (
        run.name("Department", line.found.department),
        line.found.department,
    ),
    "paymentmethod": lambda run, line: (Columns(run).cell("pmt_mthd", line)["value"], 0),
}


def transactions_with_splits(run: Run) -> Made:
    """Each transaction's own row, then its others, then an empty row."""
    columns = Columns(run)
    lines = [line for line in _lines(run) if line.found.entries]
    group = _grouping(run, "")
    if group is None:
        rows = _split_rows(run, columns, columns.sorted(lines))
    else:
        rows = []
        for (name, number, _), ordered in _divided(columns, lines, group):
            head = columns.head(name or "Not Specified", number or None)
            rows.append(section(head, _split_rows(run, columns, ordered)))
    return Made(columns.columns(), rows, is_empty=not lines)


def _split_rows(run: Run, columns: Columns, lines: Iterable[Line]) -> list[Row]:
    rows: list[Row] = []
    for line in lines:
        first = columns.row(line)
        if first is None:
            return rows
        rows.append(first)
        for entry in line.found.entries[1:]:
            account = run.account(entry.account)
            cents = entry.cents * (account.sign if account is not None else 1)
            if not run.take(len(columns.keys)):
                return rows
            split = Line(line.found, entry, cents)
            rows.append(data([continued(columns, key, split) for key in columns.keys]))
        rows.append(data([cell("") for _ in columns.keys]))
    return rows


def continued(columns: Columns, key: str, line: Line) -> Cell:
    """A cell of a row that belongs to the transaction above it."""
    if key == "tx_date":
        return cell("0-00-00")
    if key == "txn_type":
        return cell("", line.found.row.id)
    if key in ("doc_num", "is_no_post", "dept_name"):
        return cell("")
    if key == "name":
        named = (line.entry.customer, line.entry.vendor, line.entry.employee)
        return columns.cell(key, line) if any(named) else cell("", "")
    return columns.cell(key, line)
