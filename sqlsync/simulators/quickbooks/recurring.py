"""Recurring transactions: templates of other transactions, wrapped in the type they make.

`{"RecurringTransaction": {"Invoice": {…, "RecurringInfo": {…}}}}`; a body may leave the outer
name out. A template is completed as its type is, but has no number and books nothing.
Source: Intuit, reference of RecurringTransaction; python-quickbooks.
"""

from __future__ import annotations

from typing import Any

from sqlsync.simulators.quickbooks import faults, forms
from sqlsync.simulators.quickbooks.entities import Entity, entities, entity_by_word
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.values import Doc

NAME = "RecurringTransaction"
_TYPES = frozenset(
    (
        *("Bill", "CreditMemo", "Deposit", "Estimate", "Invoice", "JournalEntry", "Purchase"),
        *("PurchaseOrder", "RefundReceipt", "SalesReceipt", "Transfer", "VendorCredit"),
    )
)


def unwrap(body: Doc) -> tuple[Entity, Doc]:
    """The type a body is about, and the members of it. Raises 2000 or 2020."""
    inner: Any = body.get(NAME, body)
    named = [name for name in inner if name.lower() in entity_by_word()] if inner else []
    if len(named) != 1 or not isinstance(inner[named[0]], dict):
        raise faults.missing(NAME)
    entity = entity_by_word()[named[0].lower()]
    if entity.name not in _TYPES:
        raise Fault("2000", f"Object Name: {named[0]}")
    found: Doc = inner[named[0]]
    return entity, found


def schedule(body: Doc) -> Doc:
    """The body's RecurringInfo, checked."""
    info = body.get("RecurringInfo")
    if not isinstance(info, dict):
        raise faults.missing("RecurringInfo")
    cleaned = forms.clean(entities()[NAME], {"RecurringInfo": info}, creating=True)
    found: Doc = forms.prune(cleaned)["RecurringInfo"]
    for name in ("Name", "RecurType"):
        if not found.get(name):
            raise faults.missing(f"RecurringInfo.{name}")
    found.setdefault("Active", True)
    dates = found.get("ScheduleInfo") or {}
    if found["RecurType"] != "Unscheduled" and not dates.get("IntervalType"):
        raise faults.missing("RecurringInfo.ScheduleInfo.IntervalType")
    if dates.get("StartDate"):
        dates.setdefault("NextDate", dates["StartDate"])
    return found
