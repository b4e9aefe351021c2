"""One write on the books: checked in the service's order, then carried out whole.

Order: unknown property, required, lengths and enumerations, references, SyncToken, rules of
business, duplicates. Everything happens on a Unit; a Fault anywhere puts all back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

from schema.model import Writable
from sqlsync.simulators.quickbooks import documents, faults, forms, lines, namelists
from sqlsync.simulators.quickbooks.entities import Entity, entities
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.ledger import PURCHASES, SALES, Ledger, Side
from sqlsync.simulators.quickbooks.names import TERM_DAYS
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.store import Books, Change, Row, Unit
from sqlsync.simulators.quickbooks.values import Doc, timestamp, to_cents

SOMEBODY = "Mara Ostrow"  # who else was working on it
USD: Doc = {"value": "USD", "name": "United States Dollar"}

# References the service returns without a name.
_UNNAMED = frozenset(
    (
        "DepositToAccountRef",
        "PaymentMethodRef",
        "DefaultTaxCodeRef",
        "TermRef",
        "TaxCodeRef",
        "TxnTaxCodeRef",
        "TaxRateRef",
        "ParentRef",
        "CustomerTypeRef",
    )
)


@dataclass(frozen=True, slots=True)
class Written:
    """A write that was carried out. row None: the record is gone."""

    entity: Entity
    id: int
    row: Row | None
    changes: list[Change]


class Writer:
    """Writes to one company at one moment. now: epoch seconds; today: Pacific date."""

    def __init__(self, books: Books, options: Options, now: int, today: date) -> None:
        self.books = books
        self.options = options
        self.now = now
        self.today = today

    # -- the operations ------------------------------------------------------------------------

    def save(self, entity: Entity, body: Doc, *, allow_duplicate_number: bool = False) -> Written:
        """Creates (no Id) or updates, sparsely or in full."""
        if body.get("Id") in (None, ""):
            if not entity.can("create"):
                raise faults.unsupported("create")
            return self._within(
                lambda unit: self._create(unit, entity, body, allow_duplicate_number)
            )
        if not entity.can("update"):
            raise faults.unsupported("update")
        return self._within(lambda unit: self._update(unit, entity, body, allow_duplicate_number))

    def delete(self, entity: Entity, body: Doc) -> Written:
        if not entity.can("delete"):
            raise faults.unsupported("delete")

        def work(unit: Unit) -> Row:
            row = self._current(entity, body)
            self._check_period(row.date)
            self._empty(unit, entity, row)
            unit.remove(self.books.table(entity.name), row)
            return row

        return self._within(work, entity, gone=True)

    def void(self, entity: Entity, body: Doc) -> Written:
        if not entity.can("void"):
            raise faults.unsupported("void")

        def work(unit: Unit) -> Row:
            row = self._current(entity, body)
            self._check_period(row.date)
            doc = dict(documents.stored(self.books, entity.name, row))
            unit.edit(self.books.table(entity.name), row, operation="Void")
            self._empty(unit, entity, row)
            row.total = row.open = 0
            note = doc.get("PrivateNote", "")
            if not note.startswith("Voided"):
                doc["PrivateNote"] = f"Voided - {note}"[:4000] if note else "Voided"
            if entity.name == "Invoice":
                doc["Line"] = lines.voided(doc["Line"])
                doc["TxnTaxDetail"] = {"TotalTax": 0}
                doc["LinkedTxn"] = []
                doc.pop("Deposit", None)
            row.doc = doc
            return row

        return self._within(work, entity)

    def send(self, entity: Entity, record_id: int, address: str | None) -> Written:
        """Marks a form as e-mailed."""
        if not entity.can("send"):
            raise faults.unsupported("send")

        def work(unit: Unit) -> Row:
            row = self._find(entity, record_id)
            doc = dict(documents.stored(self.books, entity.name, row))
            member = "POEmail" if entity.name == "PurchaseOrder" else "BillEmail"
            to = address or (doc.get(member) or {}).get("Address")
            if not to:
                raise Fault("6420", "Email address is required", member)
            if "@" not in to:
                detail = "Email Address does not conform to the syntax rules of RFC 822."
                raise Fault("2210", f"{detail} Supplied value:{to}", member)
            unit.edit(self.books.table(entity.name), row, operation="Emailed")
            if entity.name != "Payment":
                doc[member] = {"Address": to}
                doc["EmailStatus"] = "EmailSent"
                doc["DeliveryInfo"] = {
                    "DeliveryType": "Email",
                    "DeliveryTime": timestamp(self.now),
                }
            row.doc = doc
            return row

        return self._within(work, entity)

    # -- how each is done ------------------------------------------------------------------------

    def _within(
        self, work: Callable[[Unit], Row], entity: Entity | None = None, *, gone: bool = False
    ) -> Written:
        if self.options.write_refused == "6190":
            raise faults.subscription_ended()
        unit = Unit(self.books, self.now)
        try:
            row = work(unit)
        except BaseException:
            unit.rollback()
            raise
        changes = unit.commit()
        name = entity.name if entity else unit.main
        return Written(entities()[name], row.id, None if gone else row, changes)

    def _create(self, unit: Unit, entity: Entity, body: Doc, duplicates: bool) -> Row:
        forms.check_properties(entity, body)
        forms.check_required(entity, body)
        doc = forms.prune(forms.clean(entity, body, creating=True))
        self._check_references(entity, doc, {})
        unit.main = entity.name
        row = Row(self.books.next_id_of(entity.name))
        self._fill(unit, entity, row, doc, sent=frozenset(doc), duplicates=duplicates)
        row.id = self.books.new_id(entity.name)
        unit.add(self.books.table(entity.name), row)
        self._finish(unit, entity, row, doc)
        return row

    def _update(self, unit: Unit, entity: Entity, body: Doc, duplicates: bool) -> Row:
        sparse = body.get("sparse") in (True, "true")
        forms.check_properties(entity, body)
        if not sparse:
            forms.check_required(entity, body)
        cleaned = forms.clean(entity, body, creating=False)
        row = self._find(entity, forms.read_id(body))
        old = documents.stored(self.books, entity.name, row)
        doc = self._merged(entity, self._shown(entity, row, old), cleaned, sparse=sparse)
        for name in entity.required:
            if sparse and name in cleaned and not doc.get(name):
                raise faults.missing(name)
        self._check_references(entity, doc, old)
        self._check_token(row, body)
        self._check_period(row.date)
        unit.main = entity.name
        unit.edit(self.books.table(entity.name), row)
        self._fill(unit, entity, row, doc, sent=frozenset(cleaned), duplicates=duplicates)
        self._finish(unit, entity, row, doc)
        return row

    def _shown(self, entity: Entity, row: Row, old: Doc) -> Doc:
        """The stored document with the computed members a client may write."""
        if entity.name in ("Payment", "BillPayment"):
            computed = documents.computed(self.books, entity.name, row)
            return {**old, "TotalAmt": computed["TotalAmt"], "Line": computed["Line"]}
        return dict(old)

    def _merged(self, entity: Entity, old: Doc, sent: Doc, *, sparse: bool) -> Doc:
        if sparse:
            kept = dict(old)
            clears = self.options.sparse_null == "clears"
            sent = {name: value for name, value in sent.items() if value is not None or clears}
            if self.options.sparse_merges_objects:
                for name, value in sent.items():
                    if isinstance(value, dict) and isinstance(old.get(name), dict):
                        sent[name] = {**old[name], **value}
        else:
            stays = self.options.full_update_keeps
            kept = {n: v for n, v in old.items() if n in stays or n not in writable(entity.name)}
            sent = {name: value for name, value in sent.items() if value is not None}
        merged: Doc = forms.prune({**kept, **sent})
        return merged

    # -- checks -----------------------------------------------------------------------------

    def _find(self, entity: Entity, record_id: int) -> Row:
        table = self.books.table(entity.name)
        row = table.get(record_id)
        if row is None:
            if record_id in table.tombstones:
                raise faults.deleted_elsewhere()
            raise faults.not_found()
        return row

    def _current(self, entity: Entity, body: Doc) -> Row:
        row = self._find(entity, forms.read_id(body))
        self._check_token(row, body)
        return row

    def _check_token(self, row: Row, body: Doc) -> None:
        token = body.get("SyncToken")
        if token in (None, ""):
            raise faults.missing("SyncToken")
        if str(token) != str(row.token):
            raise faults.stale(SOMEBODY)

    def _check_period(self, txn_date: str) -> None:
        closed = self.options.book_close_date
        if closed is not None and txn_date and txn_date <= closed.isoformat():
            raise faults.period_closed(self.options.closed_period_code)

    def _check_references(self, entity: Entity, doc: Doc, old: Doc) -> None:
        """Raises 2500 for what does not exist or is inactive; what was there before may stay."""
        before = {(table, value) for _, table, value, _ in forms.references(entity, old)}
        for member, table, value, reference in forms.references(entity, doc):
            held = _HELD.get(table)
            if held is None or value in lines.SPECIAL_ITEMS:
                continue
            if table == "tax_code" and value in ("TAX", "NON"):
                continue
            row = self.books.table(held).get(int(value)) if value.isdigit() else None
            if row is None:
                raise faults.bad_reference(member, table, value)
            if not row.active and (table, value) not in before:
                if self.options.inactive_reference_code == "610":
                    raise faults.not_found()
                raise Fault("2500", f"Invalid Reference Id : {faults.MADE_INACTIVE}", member)
            self._name_reference(entity, member, reference, row)

    @staticmethod
    def _name_reference(entity: Entity, member: str, reference: Doc, row: Row) -> None:
        unnamed = member in _UNNAMED or (
            member == "SalesTermRef" and entity.name in ("Customer", "Bill")
        )
        if unnamed:
            reference.pop("name", None)
        else:
            reference["name"] = row.name

    # -- completing documents ------------------------------------------------------------------

    def _fill(
        self,
        unit: Unit,
        entity: Entity,
        row: Row,
        doc: Doc,
        *,
        sent: frozenset[str],
        duplicates: bool,
    ) -> None:
        """Server-made values that can be refused; may change `doc`, never the row's links."""
        if (doc.get("CurrencyRef") or USD).get("value") != "USD":
            raise faults.business("Multicurrency is not enabled for this company.")
        if entity.kind == "name_list":
            namelists.complete(self.books, entity.name, doc, row, self.options)
            return
        doc["CurrencyRef"] = USD
        doc.setdefault("TxnDate", row.date or self.today.isoformat())
        self._check_period(doc["TxnDate"])
        old = row.doc or (documents.stored(self.books, entity.name, row) if row.seed else {})
        known = old.get("Line", []) if isinstance(old, dict) else []
        strict = self.options.enforce_line_types
        if entity.name == "Invoice":
            self._fill_invoice(row, doc)
            # A stored tax stands until rows change; then the service works it out again.
            tax_stands = not sent & {"Line", "ApplyTaxAfterDiscount"}
            taxed = "TxnTaxDetail" in sent or tax_stands
            priced = lines.price_sales(doc, known, tax_sent=taxed, strict=strict)
            doc["Line"], doc["TxnTaxDetail"] = priced.rows, priced.tax
            doc["TotalAmt"] = priced.total
            self._name_accounts(doc)
        elif entity.name in ("Bill", "PurchaseOrder"):
            doc.setdefault("APAccountRef", {"value": "33", "name": "Accounts Payable (A/P)"})
            doc["Line"], doc["TotalAmt"] = lines.price_purchase(doc, known, strict=strict)
            if entity.name == "Bill":
                doc.setdefault("DueDate", self._due(doc))
            else:
                doc.setdefault("POStatus", "Open")
                doc.setdefault("EmailStatus", "NotSet")
                doc.setdefault("CustomField", [])
        elif entity.name == "BillPayment":
            self._fill_bill_payment(doc)
        else:
            doc.setdefault("DepositToAccountRef", {"value": "4"})
            doc["ProcessPayment"] = False
        self._check_references(entity, doc, doc)
        self._number(entity, row, doc, duplicates)

    def _fill_invoice(self, row: Row, doc: Doc) -> None:
        customer = self.books.row("Customer", int(doc["CustomerRef"]["value"]))
        if row.doc is None and row.seed is None:
            facts = documents.assemble(self.books, "Customer", customer)
            for name in ("BillAddr", "ShipAddr"):
                if name not in doc and name in facts:
                    doc[name] = facts[name]
            if "BillEmail" not in doc and facts.get("PrimaryEmailAddr"):
                doc["BillEmail"] = {"Address": facts["PrimaryEmailAddr"]["Address"]}
            if "SalesTermRef" not in doc and facts.get("SalesTermRef"):
                doc["SalesTermRef"] = dict(facts["SalesTermRef"])
        for name in (
            "AllowIPNPayment",
            "AllowOnlinePayment",
            "AllowOnlineCreditCardPayment",
            "AllowOnlineACHPayment",
            "FreeFormAddress",
            "ApplyTaxAfterDiscount",
        ):
            doc.setdefault(name, False)
        doc.setdefault("PrintStatus", "NeedToPrint")
        doc.setdefault("EmailStatus", "NotSet")
        doc.setdefault("LinkedTxn", [])
        doc["LinkedTxn"] = [x for x in doc["LinkedTxn"] if x.get("TxnType") != "Payment"]
        doc["CustomField"] = _custom_fields(doc.get("CustomField"))
        doc.setdefault("DueDate", self._due(doc))
        if doc["EmailStatus"] == "NeedToSend" and not (doc.get("BillEmail") or {}).get("Address"):
            raise Fault("6420", "Email address is required", "BillEmail")

    def _name_accounts(self, doc: Doc) -> None:
        """The income account behind each row's item."""
        for row in doc["Line"]:
            detail = row.get("SalesItemLineDetail")
            number = (detail or {}).get("ItemRef", {}).get("value", "")
            item = self.books.table("Item").get(int(number)) if number.isdigit() else None
            income = (item.doc or {}).get("IncomeAccountRef") if item else None
            if detail is not None and income:
                detail["ItemAccountRef"] = dict(income)

    def _fill_bill_payment(self, doc: Doc) -> None:
        kind = doc["PayType"]
        member, account = {
            "Check": ("CheckPayment", "BankAccountRef"),
            "CreditCard": ("CreditCardPayment", "CCAccountRef"),
        }[kind]
        if not ((doc.get(member) or {}).get(account) or {}).get("value"):
            raise faults.missing(f"{member}.{account}")
        if kind == "Check":
            doc[member] = {"PrintStatus": "NotSet", **doc[member]}

    def _due(self, doc: Doc) -> str:
        term = (doc.get("SalesTermRef") or {}).get("value")
        days = TERM_DAYS.get(int(term), 0) if term and str(term).isdigit() else 0
        return (date.fromisoformat(doc["TxnDate"]) + timedelta(days=days)).isoformat()

    def _number(self, entity: Entity, row: Row, doc: Doc, duplicates: bool) -> None:
        """Gives a DocNumber where the service does, and refuses one that is taken."""
        if entity.name == "Payment":
            return
        table = self.books.table(entity.name)
        number = doc.get("DocNumber")
        if number is None:
            gives = entity.name != "Bill" and not self.options.custom_transaction_numbers
            if gives and not row.number:
                doc["DocNumber"] = str(max(1000, table.last_number) + 1)
            return
        checked = self.options.warn_duplicate_numbers and not duplicates
        if not checked or entity.name == "BillPayment" or number == row.number:
            return
        for other in sorted(table.numbers.get(number, ())):
            same_party = entity.name != "Bill" or (
                str(table.rows[other].party) == doc["VendorRef"]["value"]
            )
            if table.rows[other] is not row and same_party:
                raise faults.duplicate_number(number, entity.name, other)

    # -- booking ------------------------------------------------------------------------------

    def _finish(self, unit: Unit, entity: Entity, row: Row, doc: Doc) -> None:
        """Puts the completed document into the row and books what follows from it."""
        if entity.kind == "name_list":
            self._finish_name(unit, entity, row, doc)
        else:
            self._finish_transaction(unit, entity, row, doc)

    def _finish_name(self, unit: Unit, entity: Entity, row: Row, doc: Doc) -> None:
        opening = doc.pop("Balance", None)
        if opening and row.doc is None and row.seed is None:
            row.open = to_cents(opening)
        old_name, old_parent = row.name, row.parent
        if row.active and not doc["Active"]:
            unit.edit(self.books.table(entity.name), row, operation="Deactivate")
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
                    unit.edit(table, child, token=False, touch=False)
            if self.options.rename_reaches_forms:
                self._rename(unit, entity, row)

    def _rename(self, unit: Unit, entity: Entity, row: Row) -> None:
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
                    unit.edit(table, form, token=False, touch=False)
                    form.doc = {**form.doc, member: {"value": str(row.id), "name": row.name}}

    def _finish_transaction(self, unit: Unit, entity: Entity, row: Row, doc: Doc) -> None:
        ledger = Ledger(unit, self.options)
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

    def _empty(self, unit: Unit, entity: Entity, row: Row) -> None:
        """Takes a transaction out of the books: links and what is owed for it."""
        ledger = Ledger(unit, self.options)
        unit.edit(self.books.table(entity.name), row, operation=unit.operation_of(row))
        if entity.name in ("Invoice", "Bill"):
            side = SALES if entity.name == "Invoice" else PURCHASES
            ledger.release(side, row, 0)
            ledger.owe(side, row.party, -row.open)
        elif entity.name in ("Payment", "BillPayment"):
            side = SALES if entity.name == "Payment" else PURCHASES
            ledger.set_payment(side, row, total=0, party=row.party, links={})
        ledger.finish()


_HELD = {
    entity_table: name
    for name, entity_table in (
        ("Customer", "customer"),
        ("Vendor", "vendor"),
        ("Employee", "employee"),
        ("Item", "item"),
        ("Account", "account"),
        ("Term", "term"),
        ("TaxCode", "tax_code"),
        ("PaymentMethod", "payment_method"),
    )
}


@cache
def writable(entity: str) -> frozenset[str]:
    """Top members that an update may change, so that a full update without them clears them."""
    found = entities()[entity]
    names = {path[0] for path, f in found.fields.items() if f.writable is Writable.ALWAYS}
    return frozenset(names | {path[0] for path in found.rows})


def _custom_fields(given: Any) -> list[Doc]:
    """The company's one legacy custom field, with the value that was sent."""
    values = {field.get("DefinitionId"): field.get("StringValue") for field in given or ()}
    fields: list[Doc] = []
    for number, label in (("1", "Crew #"),):
        field: Doc = {"DefinitionId": number, "Name": label, "Type": "StringType"}
        if values.get(number):
            field["StringValue"] = str(values[number])
        fields.append(field)
    return fields
