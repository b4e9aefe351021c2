"""A document that is being completed, and what all kinds of documents share in that."""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlsync.simulators.quickbooks import documents, faults
from sqlsync.simulators.quickbooks.entities import Entity
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.lines import Pricing
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.settings import Settings
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.taxes import rules_of
from sqlsync.simulators.quickbooks.values import Doc

UNDEPOSITED: Doc = {"value": "4"}
PAYABLES: Doc = {"value": "33", "name": "Accounts Payable (A/P)"}


@dataclass(slots=True)
class Filling:
    """One document of one company on its way. `doc` is filled in place.

    sent: members the client gave; known: the rows before this write; today: Pacific.
    """

    books: Books
    options: Options
    settings: Settings
    today: date
    entity: Entity
    row: Row
    doc: Doc
    sent: frozenset[str]

    @property
    def is_new(self) -> bool:
        return self.row.doc is None and self.row.seed is None

    @property
    def known(self) -> Iterable[Doc]:
        old = self.row.doc
        if old is None and self.row.seed is not None:
            old = documents.stored(self.books, self.entity.name, self.row)
        lines: Iterable[Doc] = (old or {}).get("Line", [])
        return lines

    def pricing(self, *, purchase: bool = False) -> Pricing:
        """What the company's books say of the rows of the form."""
        refused: dict[str, str] = {}
        if not self.settings.allow_discount:
            refused["DiscountLineDetail"] = "Discounts are switched off for this company."
        if not self.settings.allow_shipping:
            refused["SHIPPING_ITEM_ID"] = "Shipping is switched off for this company."
        if not self.settings.allow_gratuity:
            refused["GRATUITY_ITEM_ID"] = "Gratuities are switched off for this company."
        rules = rules_of(self.books, self.settings, purchase=purchase)
        return Pricing(rules, self.options.enforce_line_types, self._parts_of, refused)

    def _parts_of(self, item: str) -> list[Doc]:
        """The rows that one bundle of the item is made of."""
        row = self.books.table("Item").get(int(item)) if item.isdigit() else None
        group = ((row.doc or {}) if row else {}).get("ItemGroupDetail") or {}
        parts: list[Doc] = []
        for line in group.get("ItemGroupLine") or ():
            number = number_of(line.get("ItemRef"))
            held = self.books.table("Item").get(number)
            facts = (held.doc or {}) if held is not None else {}
            detail: Doc = {
                "ItemRef": dict(line["ItemRef"]),
                "UnitPrice": facts.get("UnitPrice") or 0,
                "Qty": line.get("Qty") or 1,
            }
            if self.settings.is_us:
                detail["TaxCodeRef"] = {"value": "TAX" if facts.get("Taxable") else "NON"}
            kind = "SalesItemLineDetail"
            text = {"Description": facts["Description"]} if facts.get("Description") else {}
            parts.append({**text, "DetailType": kind, kind: detail})
        return parts

    @property
    def tax_was_sent(self) -> bool:
        """The client gave the tax, or it stands: rows that were not sent keep theirs."""
        changed = {"Line", "ApplyTaxAfterDiscount", "GlobalTaxCalculation"}
        return "TxnTaxDetail" in self.sent or not self.sent & changed

    def default(self, **members: Any) -> None:
        for name, value in members.items():
            self.doc.setdefault(name, value)

    def due(self, term: Doc | None = None) -> str:
        """TxnDate and the days, or the day of a month, that the term says. Raises 2190."""
        try:
            return self._due(term)
        except (OverflowError, ValueError):
            detail = f"Invalid Date Range. Supplied value:{self.doc['TxnDate']}"
            raise Fault("2190", detail, "TxnDate") from None

    def _due(self, term: Doc | None) -> str:
        day = date.fromisoformat(self.doc["TxnDate"])
        chosen = number_of(term if term is not None else self.doc.get("SalesTermRef"))
        row = self.books.table("Term").get(chosen)
        facts = (row.doc or {}) if row is not None else {}
        if facts.get("Type") != "DATE_DRIVEN":
            return (day + timedelta(days=int(facts.get("DueDays") or 0))).isoformat()
        found = _on_day(day.year, day.month, int(facts["DayOfMonthDue"]))
        if (found - day).days <= int(facts.get("DueNextMonthDays") or 0):
            after = found.replace(day=1) + timedelta(days=32)
            found = _on_day(after.year, after.month, int(facts["DayOfMonthDue"]))
        return found.isoformat()

    def account(self, member: str, *kinds: str) -> None:
        """Raises 6430 where the account the member names is of no such type."""
        row = self.books.table("Account").get(number_of(self.doc.get(member)))
        found = (row.doc or {}).get("AccountType") if row is not None else None
        if found not in kinds:
            detail = f"Invalid account type: {found}. It must be {' or '.join(kinds)}."
            raise Fault("6430", detail, member)

    def positive(self, member: str) -> None:
        amount = self.doc.get(member)
        if amount is None or amount <= 0:
            raise faults.business("You must set a transaction amount.")


def number_of(reference: Any) -> int:
    """The id a reference holds; 0 where it holds no number."""
    value = str((reference or {}).get("value") or "")
    return int(value) if value.isdigit() else 0


def _on_day(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, calendar.monthrange(year, month)[1]))
