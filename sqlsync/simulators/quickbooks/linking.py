"""Links that one form makes to another, and what they do to it.

An invoice bills estimates and time; a deposit holds payments and receipts; a billable row of an
expense makes a reimbursable charge. Links are set from one side; what the other side shows of
them is an echo. Source: Intuit, "Manage linked transactions".
"""

from __future__ import annotations

from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.store import Row
from sqlsync.simulators.quickbooks.unit import Unit
from sqlsync.simulators.quickbooks.values import Doc, money, to_cents

ON_DEPOSITS = ("Payment", "SalesReceipt")  # and others, which are not marked
_EXPENSES = ("Bill", "Purchase", "VendorCredit")
Link = tuple[str, int]  # type, id


def own_links(doc: Doc) -> set[Link]:
    """What a document links to, at its top and in its rows."""
    found = list(doc.get("LinkedTxn") or ())
    for row in doc.get("Line") or ():
        found += row.get("LinkedTxn") or ()
    return {
        (str(link.get("TxnType")), int(str(link.get("TxnId"))))
        for link in found
        if str(link.get("TxnId")).isdigit()
    }


class Linker:
    """The links of one unit."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.books = unit.books

    def link(self, name: str, row: Row, before: set[Link], doc: Doc) -> None:
        """The form links from now on to what `doc` says. doc empty: it is gone, or void."""
        after = own_links(doc)
        if name == "Deposit":
            self._deposit(row, before - after, 0)
            self._deposit(row, after - before, row.id)
        elif name == "Invoice":
            self._bill(row, before - after, gone=True)
            self._bill(row, after - before, gone=False)
        elif name in _EXPENSES:
            self._charge(name, row, doc)

    def _deposit(self, deposit: Row, links: set[Link], to: int) -> None:
        for kind, number in sorted(links):
            if kind not in ON_DEPOSITS:
                continue
            table = self.books.table(kind)
            held = table.get(number)
            if held is None or held.deposit not in (0, deposit.id):
                raise faults.cannot_be_linked()
            self.unit.edit(table, held)
            held.deposit = to

    def _bill(self, invoice: Row, links: set[Link], *, gone: bool) -> None:
        """An estimate that is invoiced is closed; time is billed once."""
        for kind, number in sorted(links):
            if kind not in ("Estimate", "TimeActivity", "ReimburseCharge"):
                continue
            table = self.books.table(kind)
            held = table.get(number)
            if held is None or held.doc is None:
                if gone:
                    continue
                raise faults.cannot_be_linked()
            self.unit.edit(table, held)
            doc = dict(held.doc)
            if kind == "Estimate":
                link = {"TxnId": str(invoice.id), "TxnType": "Invoice"}
                doc["TxnStatus"] = "Pending" if gone else "Closed"
                doc["LinkedTxn"] = [] if gone else [link]
            elif kind == "TimeActivity":
                doc["BillableStatus"] = "Billable" if gone else "HasBeenBilled"
            else:
                doc["HasBeenInvoiced"] = not gone
            held.doc = doc

    def _charge(self, name: str, expense: Row, doc: Doc) -> None:
        """One charge a billable row; those of rows that are gone go too, unless invoiced."""
        table = self.books.table("ReimburseCharge")
        wanted = {} if name == "VendorCredit" else billable_rows(doc)
        for charge in list(table.rows.values()):
            if not charge.links or charge.links[0][0] != expense.id or charge.doc is None:
                continue
            line = str(charge.links[0][1])
            if line in wanted and wanted[line][1] == charge.total:
                del wanted[line]
            elif not charge.doc.get("HasBeenInvoiced"):
                self.unit.remove(table, charge)
        for line, (customer, cents, text) in wanted.items():
            row = Row(self.books.new_id("ReimburseCharge"), party=customer, total=cents)
            row.date = str(doc.get("TxnDate") or "")
            row.links = ((expense.id, int(line)),)
            holder = self.books.row("Customer", customer)
            detail: Doc = {"Amount": money(cents), "DetailType": "ReimburseLineDetail"}
            if text:
                detail["Description"] = text
            row.doc = {
                "CustomerRef": {"value": str(customer), "name": holder.name},
                "Amount": money(cents),
                "TxnDate": row.date,
                "HasBeenInvoiced": False,
                "CurrencyRef": doc["CurrencyRef"],
                "LinkedTxn": [{"TxnId": str(expense.id), "TxnType": name}],
                "Line": [{"Id": "1", **detail, "ReimburseLineDetail": {}}],
            }
            self.unit.add(table, row)


def billable_rows(doc: Doc) -> dict[str, tuple[int, int, str]]:
    """Line id -> (customer, cents, text) of the rows that are to be billed to a customer."""
    found: dict[str, tuple[int, int, str]] = {}
    for row in doc.get("Line") or ():
        detail = row.get(row.get("DetailType")) or {}
        if detail.get("BillableStatus") == "Billable":
            customer = int(detail["CustomerRef"]["value"])
            found[row["Id"]] = (customer, to_cents(row["Amount"]), row.get("Description", ""))
    return found
