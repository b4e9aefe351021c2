"""What a write is held against: the SyncToken, the closed period, the records it refers to."""

from __future__ import annotations

from sqlsync.simulators.quickbooks import faults, forms, lines
from sqlsync.simulators.quickbooks.entities import Entity
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.options import Options
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
    )
)

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


def check_token(row: Row, body: Doc) -> None:
    token = body.get("SyncToken")
    if token in (None, ""):
        raise faults.missing("SyncToken")
    if str(token) != str(row.token):
        raise faults.stale(SOMEBODY)


def check_period(options: Options, txn_date: str) -> None:
    closed = options.book_close_date
    if closed is not None and txn_date and txn_date <= closed.isoformat():
        raise faults.period_closed(options.closed_period_code)


def check_references(books: Books, options: Options, entity: Entity, doc: Doc, old: Doc) -> None:
    """Raises 2500 for what does not exist or is inactive; what was there before may stay.

    Puts the name of what is referred to beside its id.
    """
    before = {(table, value) for _, table, value, _ in forms.references(entity, old)}
    for member, table, value, reference in forms.references(entity, doc):
        held = _HELD.get(table)
        if held is None or value in lines.SPECIAL_ITEMS:
            continue
        if table == "tax_code" and value in ("TAX", "NON"):
            continue
        row = books.table(held).get(int(value)) if value.isdigit() else None
        if row is None:
            raise faults.bad_reference(member, table, value)
        if not row.active and (table, value) not in before:
            if options.inactive_reference_code == "610":
                raise faults.not_found()
            raise Fault("2500", f"Invalid Reference Id : {faults.MADE_INACTIVE}", member)
        _name_reference(entity, member, reference, row)


def _name_reference(entity: Entity, member: str, reference: Doc, row: Row) -> None:
    unnamed = member in _UNNAMED or (
        member == "SalesTermRef" and entity.name in ("Customer", "Bill")
    )
    if unnamed:
        reference.pop("name", None)
    else:
        reference["name"] = row.name
