"""Putting a completed document into its row, and what follows from it elsewhere in the books."""

from __future__ import annotations

from datetime import datetime

from sqlsync.simulators.clock import PACIFIC
from sqlsync.simulators.quickbooks import faults, namelists
from sqlsync.simulators.quickbooks.entities import Entity
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.ledger import PURCHASES, SALES, SIDE_OF, Ledger, Side
from sqlsync.simulators.quickbooks.linking import Linker, own_links
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.owing import OTHERS, owed, owed_rows
from sqlsync.simulators.quickbooks.posting.goods import is_stocked, units_of
from sqlsync.simulators.quickbooks.posting.standing import standing_of
from sqlsync.simulators.quickbooks.store import Row
from sqlsync.simulators.quickbooks.unit import Unit
from sqlsync.simulators.quickbooks.values import Doc, to_cents

_WITH_PARTY = {
    "Customer": ("Invoice", "Payment", "CreditMemo", "SalesReceipt", "RefundReceipt", "Estimate"),
    "Vendor": ("Bill", "BillPayment", "PurchaseOrder", "VendorCredit", "CreditCardPayment"),
}
_COMPUTED = ("UnappliedAmt", "Balance", "RemainingCredit", "HomeBalance", "HomeTotalAmt")


class Booker:
    """The bookings of one unit."""

    def __init__(self, unit: Unit, options: Options) -> None:
        self.unit = unit
        self.books = unit.books
        self.options = options
        self.linker = Linker(unit)

    def finish(self, entity: Entity, row: Row, doc: Doc) -> None:
        """Puts the completed document into the row and books what follows from it."""
        if entity.kind == "name_list":
            self._finish_name(entity, row, doc)
        elif entity.kind == "transaction":
            self._finish_transaction(entity, row, doc)
        else:
            row.doc = doc

    def _finish_name(self, entity: Entity, row: Row, doc: Doc) -> None:
        opening = doc.pop("Balance", None)
        if opening and row.doc is None and row.seed is None:
            row.open = row.total = to_cents(opening)
        if entity.name == "Item":
            self._count(row, doc)
        old_name, old_parent = row.name, row.parent
        active = doc.get("Active", True)
        if row.active and not active:
            self.unit.edit(self.books.table(entity.name), row, operation="Deactivate")
        row.name = doc[namelists.name_member(entity.name)]
        row.active = active
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

    def _count(self, item: Row, doc: Doc) -> None:
        """A quantity other than that on hand is a count of the stock, of today."""
        before = item.doc or {}
        if not (is_stocked(before) and is_stocked(doc)):
            return
        counted = units_of(doc["QtyOnHand"]) - standing_of(self.books).on_hand(item.id)
        doc["QtyOnHand"] = before["QtyOnHand"]
        if counted:
            today = datetime.fromtimestamp(self.unit.now, PACIFIC).date()
            item.links = (*item.links, (today.toordinal(), counted))

    def _rename(self, entity: Entity, row: Row) -> None:
        """Forms show the new name; their times do not change."""
        member = f"{entity.name}Ref"
        for name in _WITH_PARTY.get(entity.name, ()):
            table = self.books.table(name)
            for form in table.rows.values():
                if form.party == row.id and form.doc is not None:
                    self.unit.edit(table, form, token=False, touch=False)
                    form.doc = {**form.doc, member: {"value": str(row.id), "name": row.name}}

    def _finish_transaction(self, entity: Entity, row: Row, doc: Doc) -> None:
        ledger = Ledger(self.unit, self.options)
        doc = dict(doc)
        total = doc.pop("TotalAmt", 0)
        party = _party(doc)
        side = SIDE_OF.get(entity.name)
        before = row.doc or {}
        if side is None:
            ledger.refit(entity.name, row, doc)
            row.total, row.party = total, party
        elif entity.name == side.document:
            due = total - to_cents(doc.get("Deposit") or 0)
            ledger.set_document(side, row, total=total, due=due, party=party)
        elif entity.name == side.credit:
            ledger.set_credit(side, row, total=total, party=party)
        else:
            cents = to_cents(total)
            if cents < 0:
                raise Fault("2140", f"Invalid Amount. Supplied value:{total}", "TotalAmt")
            links = self._links(side, doc.pop("Line", None) or [], party)
            ledger.set_payment(side, row, total=cents, party=party, links=links)
        for name in _COMPUTED:
            doc.pop(name, None)
        self._book_rows(ledger, entity.name, before, -1)
        self._book_rows(ledger, entity.name, doc, 1)
        self.linker.link(entity.name, row, own_links(before), doc)
        row.date, row.number, row.doc = doc.get("TxnDate", ""), doc.get("DocNumber"), doc
        ledger.finish()

    def _book_rows(self, ledger: Ledger, name: str, doc: Doc, sign: int) -> None:
        """Rows on receivables and payables are owed by the customer and to the vendor."""
        for side in (SALES, PURCHASES):
            for row in owed_rows(self.books, side.party, name, doc):
                ledger.owe(side, row.party, row.cents * sign)

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
                number, kind = str(link.get("TxnId", "")), str(link.get("TxnType"))
                document = self._linked(side, kind, int(number)) if number.isdigit() else None
                if document is None or not self._may_pay(side, party, document[1]):
                    raise faults.cannot_be_linked()
                links[document[0].id] = links.get(document[0].id, 0) + cents
        return links

    def _linked(self, side: Side, kind: str, number: int) -> tuple[Row, int] | None:
        """What a row links, and whose it is; None where it can't be linked."""
        if kind in (side.document, side.credit):
            row = self.books.table(kind).get(number)
            return None if row is None else (row, row.party)
        name = OTHERS[side.party].get(kind)
        row = self.books.table(name).get(number) if name is not None else None
        if name is None or row is None or row.doc is None:
            return None
        if name == "Purchase" and row.doc.get("PaymentType") != "Cash":
            return None
        found = owed(self.books, side.party, name, row.doc)
        return None if found is None else (row, found.party)

    def _may_pay(self, side: Side, payer: int, party: int) -> bool:
        """A customer pays for itself and for the sub-customers beneath it."""
        while party != payer and side is SALES and party:
            party = self.books.row("Customer", party).parent
        return party == payer

    def empty(self, entity: Entity, row: Row) -> None:
        """Takes a record out of the books: links and what is owed for it."""
        self.unit.edit(self.books.table(entity.name), row, operation=self.unit.operation_of(row))
        if entity.kind != "transaction":
            return
        ledger = Ledger(self.unit, self.options)
        side = SIDE_OF.get(entity.name)
        if side is not None and entity.name == side.payment:
            ledger.set_payment(side, row, total=0, party=row.party, links={})
        elif side is not None:
            ledger.release(side, row, 0)
            ledger.owe(side, row.party, row.open if entity.name == side.credit else -row.open)
        else:
            ledger.refit(entity.name, row, {})
        self._book_rows(ledger, entity.name, row.doc or {}, -1)
        self.linker.link(entity.name, row, own_links(row.doc or {}), {})
        ledger.finish()


def _party(doc: Doc) -> int:
    """The customer or vendor a transaction is about; 0 where there is none."""
    return _number(doc.get("CustomerRef") or doc.get("VendorRef"))


def _number(reference: Doc | None) -> int:
    value = str((reference or {}).get("value") or "")
    return int(value) if value.isdigit() else 0
