"""What a write is held against: the SyncToken, the closed period, the records it refers to."""

from __future__ import annotations

from collections.abc import Iterator

from sqlsync.simulators.quickbooks import faults, forms, lines
from sqlsync.simulators.quickbooks.entities import Entity, entity_of_table
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.settings import settings_of
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.values import Doc

SOMEBODY = "Mara Ostrow"  # who else was working on it

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
        "DefaultTerms",
        "TaxGroupCodeRef",
    )
)

# Named although the reference is one of those above: forms that are paid at once.
_NAMED_ON = frozenset({"SalesReceipt", "RefundReceipt", "Deposit"})
_NAMED_THERE = frozenset({"DepositToAccountRef", "PaymentMethodRef"})
# Referred to by codes, or not by clients.
_NOT_CHECKED = frozenset({"company_currency", "recurring_transaction"})
_PARTIES = ("Customer", "Vendor", "Employee")


def check_token(row: Row, body: Doc) -> None:
    token = body.get("SyncToken")
    if token in (None, ""):
        raise faults.missing("SyncToken")
    if str(token) != str(row.token):
        raise faults.stale(SOMEBODY)


def check_period(books: Books, options: Options, txn_date: str) -> None:
    """Raises 6200 or 6210 for a date in a period that is closed."""
    closed = settings_of(books).closed_until
    if closed is not None and txn_date and txn_date <= closed:
        raise faults.period_closed(options.closed_period_code)


def check_references(books: Books, options: Options, entity: Entity, doc: Doc, old: Doc) -> None:
    """Raises 2500 for what does not exist or is inactive; what was there before may stay.

    Puts the name of what is referred to beside its id.
    """
    before = {(table, value) for _, table, value, _ in forms.references(entity, old)}
    for member, table, value, reference in forms.references(entity, doc):
        found = None if table in _NOT_CHECKED else entity_of_table(table)
        if found is None or value in lines.SPECIAL_ITEMS:
            continue
        if table == "tax_code" and value in ("TAX", "NON"):
            continue
        if found.name == "TaxClassification":
            rows = books.table(found.name).rows.values()
            if not any((row.doc or {}).get("id") == value for row in rows):
                raise faults.bad_reference(member, table, value)
            continue
        row = books.table(found.name).get(int(value)) if value.isdigit() else None
        if row is None:
            raise faults.bad_reference(member, table, value)
        if not row.active and (table, value) not in before:
            if options.inactive_reference_code == "610":
                raise faults.not_found()
            raise Fault("2500", f"Invalid Reference Id : {faults.MADE_INACTIVE}", member)
        _name_reference(entity, member, reference, row)
    for member, kind, reference in _typed(entity, doc):
        _check_typed(books, entity, member, kind, reference)


def _typed(entity: Entity, doc: Doc) -> Iterator[tuple[str, str, Doc]]:
    """References that say themselves what they refer to: (member, type, reference object)."""
    if entity.name == "Purchase":
        yield "EntityRef", str((doc.get("EntityRef") or {}).get("type")), doc.get("EntityRef") or {}
    for row in doc.get("AttachableRef") or ():
        reference = row.get("EntityRef") or {}
        yield "EntityRef", str(reference.get("type")), reference
    for row in doc.get("Line") or ():
        entry = (row.get("JournalEntryLineDetail") or {}).get("Entity") or {}
        if entry:
            yield "EntityRef", str(entry.get("Type")), entry.get("EntityRef") or {}
        reference = (row.get("DepositLineDetail") or {}).get("Entity") or {}
        yield "Entity", str(reference.get("type")), reference


def _check_typed(books: Books, entity: Entity, member: str, kind: str, reference: Doc) -> None:
    value = str(reference.get("value") or "")
    if not value:
        return
    attached = entity.name == "Attachable"
    known = kind in books.tables if attached else kind in _PARTIES
    row = books.table(kind).get(int(value)) if known and value.isdigit() else None
    if row is None:
        raise faults.bad_reference(member, kind.lower(), value)
    if not attached:
        reference["name"] = row.name


def _name_reference(entity: Entity, member: str, reference: Doc, row: Row) -> None:
    named_here = entity.name in _NAMED_ON and member in _NAMED_THERE
    unnamed = (member in _UNNAMED and not named_here) or (
        member == "SalesTermRef" and entity.name in ("Customer", "Bill")
    )
    if unnamed:
        reference.pop("name", None)
    else:
        reference["name"] = row.name
