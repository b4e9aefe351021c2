"""Putting a completed document into its row, and what follows from it elsewhere in the books."""

from __future__ import annotations

from sqlsync.simulators.quickbooks import faults, namelists
from sqlsync.simulators.quickbooks.entities import Entity
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.ledger import PURCHASES, SALES, Ledger, Side
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.store import Row
from sqlsync.simulators.quickbooks.unit import Unit
from sqlsync.simulators.quickbooks.values import Doc, to_cents


class Booker:
    """The bookings of one unit."""

    def __init__(self, unit: Unit, options: Options) -> None:
        self.unit = unit
        self.books = unit.books
        self.options = options

    def finish(self, entity: Entity, row: Row, doc: Doc) -> None:
        """Puts the completed document into the row and books what follows from it."""
        if entity.kind == "name_list":
            self._finish_name(entity, row, doc)
        else:
            self._finish_transaction(entity, row, doc)

    def _finish_name(self, entity: Entity, row: Row, doc: Doc) -> None:
        opening = doc.pop("Balance", None)
        if opening and row.doc is None and row.seed is None:
            row.open = to_cents(opening)
        old_name, old_parent = row.name, row.parent
        if row.active and not doc["Active"]:
            self.unit.edit(self.books.table(entity.name), row, operation="Deactivate")
        row.name = doc[namelists.name_member(entity.name)]
        row.active = doc["Active"]
        row.parent = int((doc.get("ParentRef") or {}).get("value") or 0)
        row.doc = doc
        if entity.name == "Customer" and row.parent != old_parent:
            self.books.jobs.get(old_parent, set()).discard(row.id)
            if row.parent:
                self.books.jobs.setdefault(row.parent, set()).add(row.id)
        if old_name and old_name != row.name:
            table = self.books.table(entity.name)
            for child in table.rows.values():  # their FullyQualifiedName
                if child.parent == row.id:
                    self.unit.edit(table, child, token=False, touch=False)
            if self.options.rename_reaches_forms:
                self._rename(entity, row)

    def _rename(self, entity: Entity, row: Row) -> None:
        """Forms show the new name; their times do not change."""
        member = {"Customer": "CustomerRef", "Vendor": "VendorRef"}.get(entity.name)
        if member is None:
            return
        sides = (
            ("Invoice", "Payment")
            if entity.name == "Customer"
            else (
                "Bill",
                "BillPayment",
                "PurchaseOrder",
            )
        )
        for name in sides:
            table = self.books.table(name)
            for form in table.rows.values():
                if form.party == row.id and form.doc is not None:
                    self.unit.edit(table, form, token=False, touch=False)
                    form.doc = {**form.doc, member: {"value": str(row.id), "name": row.name}}

    def _finish_transaction(self, entity: Entity, row: Row, doc: Doc) -> None:
        ledger = Ledger(self.unit, self.options)
        doc = dict(doc)
        total = doc.pop("TotalAmt", 0)
        side = PURCHASES if entity.name in ("Bill", "BillPayment") else SALES
        member = "CustomerRef" if side is SALES and "CustomerRef" in doc else "VendorRef"
        party = int(doc[member]["value"])
        if entity.name == "Invoice":
            due = total - to_cents(doc.get("Deposit") or 0)
            ledger.set_document(SALES, row, total=total, due=due, party=party)
        elif entity.name == "Bill":
            ledger.set_document(PURCHASES, row, total=total, due=total, party=party)
        elif entity.name == "PurchaseOrder":
            row.total, row.party = total, party
        else:
            cents = to_cents(total)
            if cents < 0:
                raise Fault("2140", f"Invalid Amount. Supplied value:{total}", "TotalAmt")
            links = self._links(side, doc.pop("Line", None) or [], party)
            ledger.set_payment(side, row, total=cents, party=party, links=links)
        doc.pop("UnappliedAmt", None)
        doc.pop("Balance", None)
        row.date, row.number, row.doc = doc["TxnDate"], doc.get("DocNumber"), doc
        ledger.finish()

    def _links(self, side: Side, rows: list[Doc], party: int) -> dict[int, int]:
        """What a payment's rows pay. Raises 620 for what is not there to be paid."""
        links: dict[int, int] = {}
        for row in rows:
            linked = row.get("LinkedTxn")
            if not linked:
                raise faults.missing("LinkedTxn")
            if row.get("Amount") is None:
                raise faults.missing("Amount")
            cents = to_cents(row["Amount"])
            if cents < 0:
                raise Fault("2140", f"Invalid Amount. Supplied value:{row['Amount']}", "Amount")
            for link in linked:
                number = str(link.get("TxnId", ""))
                known = link.get("TxnType") == side.document and number.isdigit()
                document = self.books.table(side.document).get(int(number)) if known else None
                if document is None or not self._may_pay(side, party, document.party):
                    detail = "The linked transaction cannot be validated."
                    raise Fault("620", f"TxnID Cannot Be Linked : {detail}", "TxnId")
                links[document.id] = links.get(document.id, 0) + cents
        return links

    def _may_pay(self, side: Side, payer: int, party: int) -> bool:
        """A customer pays for itself and for the sub-customers beneath it."""
        while party != payer and side is SALES and party:
            party = self.books.row("Customer", party).parent
        return party == payer

    def empty(self, entity: Entity, row: Row) -> None:
        """Takes a transaction out of the books: links and what is owed for it."""
        ledger = Ledger(self.unit, self.options)
        self.unit.edit(self.books.table(entity.name), row, operation=self.unit.operation_of(row))
        if entity.name in ("Invoice", "Bill"):
            side = SALES if entity.name == "Invoice" else PURCHASES
            ledger.release(side, row, 0)
            ledger.owe(side, row.party, -row.open)
        elif entity.name in ("Payment", "BillPayment"):
            side = SALES if entity.name == "Payment" else PURCHASES
            ledger.set_payment(side, row, total=0, party=row.party, links={})
        ledger.finish()
