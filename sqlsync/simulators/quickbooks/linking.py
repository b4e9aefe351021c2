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
        if name == "Bill":
            for kind, number in sorted(before | after):
                if kind == "PurchaseOrder":
                    self._order(number, row.id, (kind, number) in after, doc)

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
            if not gone and _is_billed(kind, doc):
                raise faults.cannot_be_linked()
            if kind == "Estimate":
                link = {"TxnId": str(invoice.id), "TxnType": "Invoice"}
                was = "Accepted" if doc.get("AcceptedBy") or doc.get("AcceptedDate") else "Pending"
                doc["TxnStatus"] = was if gone else "Closed"
                doc["LinkedTxn"] = [] if gone else [link]
            elif kind == "TimeActivity":
                doc["BillableStatus"] = "Billable" if gone else "HasBeenBilled"
            else:
                doc["HasBeenInvoiced"] = not gone
                self._mark_expense(held, billed=not gone)
            held.doc = doc

    def _mark_expense(self, charge: Row, *, billed: bool) -> None:
        """The row of an expense whose charge is invoiced is billed."""
        for name in _EXPENSES:
            for number, line_id in charge.links:
                table = self.books.table(name)
                expense = table.get(number)
                if expense is None or expense.doc is None:
                    continue
                rows = [
                    _billed(row, billed) if row["Id"] == str(line_id) else row
                    for row in expense.doc.get("Line") or ()
                ]
                self.unit.edit(table, expense)
                expense.doc = {**expense.doc, "Line": rows}

    def _order(self, number: int, bill: int, is_linked: bool, doc: Doc) -> None:
        """An order whose every row is billed, or that is billed as a whole, is closed."""
        table = self.books.table("PurchaseOrder")
        order = table.get(number)
        if order is None or order.doc is None:
            if is_linked:
                raise faults.cannot_be_linked()
            return
        bills = {int(link["TxnId"]) for link in order.doc.get("LinkedTxn") or ()} - {bill}
        docs = [(self.books.table("Bill").rows[held].doc or {}) for held in sorted(bills)]
        if is_linked:
            bills.add(bill)
            docs.append(doc)
        whole = any(_links_whole(held, number) for held in docs)
        billed = {line for held in docs for line in _linked_rows(held, number)}
        wanted = {str(row.get("Id")) for row in order.doc.get("Line") or ()}
        closed = bool(docs) and (whole or billed >= wanted)
        self.unit.edit(table, order)
        changed: Doc = {**order.doc, "POStatus": "Closed" if closed else "Open"}
        changed["LinkedTxn"] = [{"TxnId": str(b), "TxnType": "Bill"} for b in sorted(bills)]
        if not bills:
            del changed["LinkedTxn"]
        order.doc = changed

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


def _is_billed(kind: str, doc: Doc) -> bool:
    """By another invoice already."""
    if kind == "Estimate":
        return bool(doc.get("LinkedTxn"))
    if kind == "TimeActivity":
        return doc.get("BillableStatus") == "HasBeenBilled"
    return bool(doc.get("HasBeenInvoiced"))


def _billed(row: Doc, billed: bool) -> Doc:
    kind = row["DetailType"]
    status = "HasBeenBilled" if billed else "Billable"
    return {**row, kind: {**row[kind], "BillableStatus": status}}


def _links_whole(bill: Doc, order: int) -> bool:
    """The bill is for the order as a whole: linked at its top, or by a row to no row."""
    links = list(bill.get("LinkedTxn") or ())
    for row in bill.get("Line") or ():
        links += [link for link in row.get("LinkedTxn") or () if not link.get("TxnLineId")]
    return any(
        link.get("TxnType") == "PurchaseOrder" and str(link.get("TxnId")) == str(order)
        for link in links
    )


def _linked_rows(bill: Doc, order: int) -> set[str]:
    """Ids of the order's rows that rows of the bill are for."""
    return {
        str(link["TxnLineId"])
        for row in bill.get("Line") or ()
        for link in row.get("LinkedTxn") or ()
        if link.get("TxnType") == "PurchaseOrder"
        and str(link.get("TxnId")) == str(order)
        and link.get("TxnLineId")
    }


def billable_rows(doc: Doc) -> dict[str, tuple[int, int, str]]:
    """Line id -> (customer, cents, text) of the rows that are to be billed to a customer."""
    found: dict[str, tuple[int, int, str]] = {}
    for row in doc.get("Line") or ():
        detail = row.get(row.get("DetailType")) or {}
        if detail.get("BillableStatus") == "Billable":
            customer = int(detail["CustomerRef"]["value"])
            found[row["Id"]] = (customer, to_cents(row["Amount"]), row.get("Description", ""))
    return found
