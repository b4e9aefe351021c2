"""One write on the books: checked in the service's order, then carried out whole.

Order: unknown property, required, lengths and enumerations, references, SyncToken, rules of
business, duplicates. Everything happens on a Unit; a Fault anywhere puts all back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache

from schema.model import Writable
from sqlsync.simulators.quickbooks import (
    documents,
    faults,
    filling_others,
    forms,
    lines,
    recurring,
)
from sqlsync.simulators.quickbooks.booking import Booker
from sqlsync.simulators.quickbooks.checks import check_period, check_references, check_token
from sqlsync.simulators.quickbooks.completing import Completer
from sqlsync.simulators.quickbooks.crediting import APPLIED_BY, payment_of_credit
from sqlsync.simulators.quickbooks.entities import Entity, entities
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.posting.effects import mark_figures
from sqlsync.simulators.quickbooks.settings import settings_of
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.unit import Change, Unit
from sqlsync.simulators.quickbooks.values import Doc, money, timestamp

_ASKED_ALWAYS = frozenset({"CustomerRef", "VendorRef", "PaymentType"})


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
        if entity.name == "ExchangeRate":
            body = self._known_rate(body)
        if body.get("Id") in (None, ""):
            if not entity.can("create"):
                raise faults.unsupported("create")
            create = self._create_template if entity.name == recurring.NAME else self._create
            return self._crediting(
                self._within(
                    lambda unit: create(unit, entity, body, allow_duplicate_number), entity
                )
            )
        if not entity.can("update"):
            raise faults.unsupported("update")
        return self._crediting(
            self._within(
                lambda unit: self._update(unit, entity, body, allow_duplicate_number), entity
            )
        )

    def _crediting(self, written: Written) -> Written:
        """Uses credit up after an invoice or credit memo, where the company wants that."""
        entity, row = written.entity, written.row
        if row is None or entity.name not in APPLIED_BY:
            return written
        if not settings_of(self.books).auto_apply_credit:
            return written
        body = payment_of_credit(self.books, entity.name, row)
        if body is None:
            return written
        payment = entities()["Payment"]
        paid = self._within(lambda unit: self._create(unit, payment, body, duplicates=True))
        return Written(entity, row.id, row, [*written.changes, *paid.changes])

    def delete(self, entity: Entity, body: Doc) -> Written:
        if not entity.can("delete"):
            raise faults.unsupported("delete")

        if entity.name == recurring.NAME and "Id" not in body:
            body = recurring.unwrap(body)[1]

        def work(unit: Unit) -> Row:
            row = self._current(entity, body)
            _refuse_deposited(row)
            check_period(self.books, self.options, row.date)
            Booker(unit, self.options).empty(entity, row)
            unit.remove(self.books.table(entity.name), row)
            return row

        return self._within(work, entity, gone=True)

    def void(self, entity: Entity, body: Doc) -> Written:
        if not entity.can("void"):
            raise faults.unsupported("void")

        def work(unit: Unit) -> Row:
            row = self._current(entity, body)
            _refuse_deposited(row)
            check_period(self.books, self.options, row.date)
            doc = dict(documents.stored(self.books, entity.name, row))
            unit.edit(self.books.table(entity.name), row, operation="Void")
            Booker(unit, self.options).empty(entity, row)
            row.total = row.open = 0
            note = doc.get("PrivateNote", "")
            if not note.startswith("Voided"):
                doc["PrivateNote"] = f"Voided - {note}"[:4000] if note else "Voided"
            if entity.name in ("Invoice", "SalesReceipt"):
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
            if not all(map(forms.is_mail, to.split(","))):
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

    def check_open(self, entity: Entity | None) -> None:
        """Raises 6190 or 5030 where the subscription or the plan forbids the write."""
        if self.options.write_refused == "6190":
            raise faults.subscription_ended()
        if entity is not None and entity.name in self.options.features_missing:
            raise faults.feature_missing(entity.name)

    # -- how each is done ------------------------------------------------------------------------

    def _within(
        self, work: Callable[[Unit], Row], entity: Entity | None = None, *, gone: bool = False
    ) -> Written:
        self.check_open(entity)
        unit = Unit(self.books, self.now)
        try:
            row = work(unit)
            mark_figures(unit, self.options)
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
        check_references(self.books, self.options, entity, doc, {})
        unit.main = entity.name
        row = Row(self.books.next_id_of(entity.name))
        completer = Completer(self.books, self.options, self.today)
        completer.fill(entity, row, doc, sent=frozenset(doc), duplicates=duplicates)
        row.id = self.books.new_id(entity.name)
        unit.add(self.books.table(entity.name), row)
        Booker(unit, self.options).finish(entity, row, doc)
        return row

    def _create_template(self, unit: Unit, entity: Entity, body: Doc, duplicates: bool) -> Row:
        """A recurring transaction: completed as what it makes, and booked nowhere."""
        made, inner = recurring.unwrap(body)
        forms.check_properties(made, inner)
        forms.check_required(made, inner)
        info = recurring.schedule(inner)
        table = self.books.table(entity.name)
        if any(
            ((r.doc or {}).get("RecurringInfo") or {}).get("Name") == info["Name"]
            for r in table.rows.values()
        ):
            raise faults.duplicate_name("recurring transaction")
        doc = forms.prune(forms.clean(made, inner, creating=True))
        check_references(self.books, self.options, made, doc, {})
        row = Row(self.books.next_id_of(entity.name))
        completer = Completer(self.books, self.options, self.today)
        completer.fill(made, row, doc, sent=frozenset(doc), duplicates=duplicates, is_template=True)
        unit.main = entity.name
        row.id = self.books.new_id(entity.name)
        unit.add(table, row)
        if isinstance(doc.get("TotalAmt"), int) and made.name not in ("Payment", "BillPayment"):
            doc["TotalAmt"] = money(doc["TotalAmt"])
        row.doc = {"Type": made.name, **doc, "RecurringInfo": info}
        return row

    def _known_rate(self, body: Doc) -> Doc:
        """A rate is known by its currency and day; one that is there is changed."""
        key = filling_others.rate_key(
            str(body.get("SourceCurrencyCode")), str(body.get("AsOfDate"))[:10]
        )
        known = self.books.table("ExchangeRate").numbers.get(key, set())
        rest = {name: value for name, value in body.items() if name != "Id"}
        return rest if not known else {**rest, "Id": str(min(known))}

    def _update(self, unit: Unit, entity: Entity, body: Doc, duplicates: bool) -> Row:
        sparse = body.get("sparse") in (True, "true")
        forms.check_properties(entity, body)
        if not sparse:
            forms.check_required(entity, body)
        elif self.options.sparse_needs_refs:
            for name in _ASKED_ALWAYS & set(entity.required):
                if not body.get(name):
                    raise faults.missing(name)
        cleaned = forms.clean(entity, body, creating=False)
        row = self._find(entity, forms.read_id(body))
        old = documents.stored(self.books, entity.name, row)
        doc = self._merged(entity, self._shown(entity, row, old), cleaned, sparse=sparse)
        for name in entity.required:
            if sparse and name in cleaned and not doc.get(name):
                raise faults.missing(name)
        check_references(self.books, self.options, entity, doc, old)
        check_token(row, body)
        _refuse_deposited(row)
        check_period(self.books, self.options, row.date)
        unit.main = entity.name
        unit.edit(self.books.table(entity.name), row)
        completer = Completer(self.books, self.options, self.today)
        completer.fill(entity, row, doc, sent=frozenset(cleaned), duplicates=duplicates)
        Booker(unit, self.options).finish(entity, row, doc)
        return row

    def _shown(self, entity: Entity, row: Row, old: Doc) -> Doc:
        """The stored document with the computed members a client may write."""
        if entity.name in ("Payment", "BillPayment"):
            computed = documents.computed(self.books, entity.name, row)
            return {**old, "TotalAmt": computed["TotalAmt"], "Line": computed["Line"]}
        if entity.name == "Item" and "QtyOnHand" in old:
            return {**old, **documents.computed(self.books, "Item", row)}
        return dict(old)

    def _merged(self, entity: Entity, old: Doc, sent: Doc, *, sparse: bool) -> Doc:
        if entity.kind == "singleton":
            settings: Doc = forms.prune(_deep(old, sent))
            return settings
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
        check_token(row, body)
        return row


def _refuse_deposited(row: Row) -> None:
    if row.deposit:
        raise faults.deposited()


def _deep(old: Doc, sent: Doc) -> Doc:
    """Settings, group by group: what a group does not mention stays."""
    merged = dict(old)
    for name, value in sent.items():
        held = old.get(name)
        both = isinstance(value, dict) and isinstance(held, dict)
        merged[name] = _deep(held, value) if both and held is not None else value
    return merged


@cache
def writable(entity: str) -> frozenset[str]:
    """Top members that an update may change, so that a full update without them clears them."""
    found = entities()[entity]
    names = {path[0] for path, f in found.fields.items() if f.writable is Writable.ALWAYS}
    return frozenset(names | {path[0] for path in found.rows})
