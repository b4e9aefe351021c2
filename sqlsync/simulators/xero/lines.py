"""Line items: amounts, taxes, accounts, tracking. What is sent becomes what is kept.

LineAmount = Quantity x UnitAmount less the discount; two of the three give the third. Tax is
computed for each line and rounded to cents, then summed. A line with its LineItemID is changed,
one without is new, one that is not sent is gone.
Source: reference, "Invoices and bills", "Tax and rounding".
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlsync.simulators.xero.desk import Desk
from sqlsync.simulators.xero.problems import Invalid
from sqlsync.simulators.xero.values import ZERO, Doc, fold, is_uuid, number, rounded, total

HUNDRED = Decimal(100)
AMOUNT_MAX = Decimal("9999999999.99")
NO_TAX = "NONE"


@dataclass(frozen=True, slots=True)
class LineKind:
    """What the lines of one kind of document may be."""

    is_sale: bool
    must_code: bool  # an account on every line: the document is approved
    discounts: bool = False
    tax_must_match: bool = False  # bank transactions
    unit_places: int = 2
    needs_bank_free_account: bool = True  # a bank account is no account of a line


@dataclass(frozen=True, slots=True)
class Totals:
    sub_total: Decimal
    total_tax: Decimal
    total: Decimal
    discount: Decimal  # 0.00 where no line has one


def build_lines(
    desk: Desk, sent: list[Any], old: list[Doc], kind: LineKind, amounts: str
) -> list[Doc]:
    """The lines to keep. amounts: Exclusive, Inclusive or NoTax. Raises Invalid."""
    by_id = {line["LineItemID"]: line for line in old}
    built: list[Doc] = []
    for element in sent:
        if not isinstance(element, dict):
            raise Invalid("A line item must be an object.")
        line_id = element.get("LineItemID")
        base = by_id.pop(str(line_id).lower(), None) if is_uuid(line_id) else None
        if line_id and base is None and desk.options.unknown_line_id == "refused":
            raise Invalid(f"The line item {line_id} could not be found on this document.")
        line = _line(desk, element, base, kind, amounts)
        line["LineItemID"] = base["LineItemID"] if base else (line_id or desk.books.new_id())
        built.append(line)
    return built


def retaxed(desk: Desk, old: list[Doc], kind: LineKind, amounts: str) -> list[Doc]:
    """Kept lines under another LineAmountTypes, or now in need of an account."""
    return [
        {**_line(desk, {}, line, kind, amounts), "LineItemID": line["LineItemID"]} for line in old
    ]


def totals_of(lines: list[Doc], amounts: str) -> Totals:
    """SubTotal, TotalTax and Total from lines as kept."""
    line_sum = total(line["LineAmount"] for line in lines)
    tax = total(line["TaxAmount"] for line in lines)
    discount = total(line.get("_discount", ZERO) for line in lines)
    if amounts == "Inclusive":
        return Totals(line_sum - tax, tax, line_sum, discount)
    return Totals(line_sum, tax, line_sum + tax, discount)


def rough_lines(sent: Any) -> list[Doc]:
    """Lines as a refusal echoes them: the sent values, an amount where it can be told."""
    echoed: list[Doc] = []
    for element in sent if isinstance(sent, list) else []:
        if not isinstance(element, dict):
            continue
        quantity = number(element.get("Quantity"))
        unit = number(element.get("UnitAmount"))
        amount = number(element.get("LineAmount"))
        if amount is None and quantity is not None and unit is not None:
            amount = quantity * unit
        line: Doc = {}
        for name in ("ItemCode", "Description"):
            if element.get(name):
                line[name] = element[name]
        if unit is not None:
            line["UnitAmount"] = rounded(unit)
        if element.get("TaxType"):
            line["TaxType"] = element["TaxType"]
        line["LineAmount"] = rounded(amount or ZERO)
        if element.get("AccountCode"):
            line["AccountCode"] = element["AccountCode"]
        line["Tracking"] = []
        if quantity is not None:
            line["Quantity"] = rounded(quantity, 4)
        if is_uuid(element.get("LineItemID")):
            line["LineItemID"] = element["LineItemID"]
        line["ValidationErrors"] = []
        echoed.append(line)
    return echoed


def _line(desk: Desk, sent: Doc, base: Doc | None, kind: LineKind, amounts: str) -> Doc:
    line: Doc = {}
    item = _item(desk, sent, base, kind)
    details = item.get("SalesDetails" if kind.is_sale else "PurchaseDetails", {}) if item else {}
    is_new_item = item is not None and (base is None or base.get("ItemID") != item["_id"])
    if item is not None:
        line["ItemID"] = item["_id"]
    text = sent.get("Description", (base or {}).get("Description"))
    if not text and is_new_item and item is not None:
        text = item.get("Description" if kind.is_sale else "PurchaseDescription") or item["Name"]
    has_amount = any(
        sent.get(name) is not None for name in ("Quantity", "UnitAmount", "LineAmount")
    )
    is_text_only = not has_amount and item is None and (base is None or base.get("_text", False))
    if not text:
        raise Invalid("Description must be at least 1 character.")
    if text:
        line["Description"] = str(text)
    if is_text_only and not sent.get("AccountCode"):
        line |= {"_text": True, "LineAmount": ZERO, "TaxAmount": ZERO, "Tracking": []}
        return line
    account = _account(desk, sent, base, kind, details if is_new_item else {})
    _amounts(line, sent, base, kind, details if is_new_item else {})
    if account is not None:
        line["AccountID"] = account["_id"]
    line["Tracking"] = (
        desk.tracking(sent["Tracking"])
        if sent.get("Tracking") is not None
        else (base["Tracking"] if base else [])
    )
    if len(line["Tracking"]) > 2:
        raise Invalid("A line item can have at most 2 tracking categories.")
    _tax(desk, line, sent, base, account, kind, amounts, details if is_new_item else {})
    return line


def _item(desk: Desk, sent: Doc, base: Doc | None, kind: LineKind) -> Doc | None:
    code = sent.get("ItemCode")
    if code is None and base is not None and base.get("ItemID"):
        row = desk.books.row("Items", base["ItemID"])
        return {**desk.doc("Items", row), "_id": row.id} if row else None
    if not code:
        return None
    found = desk.books.table("Items").rows_of("code", fold(str(code)))
    if not found:
        raise Invalid(f"Item code '{code}' is not valid.")
    doc = desk.doc("Items", found[0])
    if not doc["IsSold" if kind.is_sale else "IsPurchased"]:
        side = "sales" if kind.is_sale else "purchases"
        raise Invalid(f"Item code '{code}' cannot be used on {side} documents.")
    return {**doc, "_id": found[0].id}


def _account(desk: Desk, sent: Doc, base: Doc | None, kind: LineKind, details: Doc) -> Doc | None:
    code = sent.get("AccountCode")
    if code in (None, "") and base is not None and base.get("AccountID"):
        row = desk.books.row("Accounts", base["AccountID"])
        assert row is not None
        doc = desk.doc("Accounts", row)
        return {**doc, "_id": row.id}
    if code in (None, ""):
        code = details.get("COGSAccountCode") or details.get("AccountCode")
    if code in (None, ""):
        if kind.must_code:
            raise Invalid("Account code must be specified.")
        return None
    found = desk.books.table("Accounts").rows_of("code", str(code))
    if not found:
        raise Invalid(f"Account code '{code}' is not a valid code for this document.")
    doc = desk.doc("Accounts", found[0])
    if doc["Status"] != "ACTIVE":
        raise Invalid(
            f"Account code '{code}' has been archived, or has been deleted. "
            "Each line item must reference a valid account."
        )
    is_system = doc.get("SystemAccount") in ("DEBTORS", "CREDITORS")
    if is_system or (doc["Type"] == "BANK" and kind.needs_bank_free_account):
        raise Invalid(f"Account code '{code}' is not a valid code for this document.")
    return {**doc, "_id": found[0].id}


def _amounts(line: Doc, sent: Doc, base: Doc | None, kind: LineKind, details: Doc) -> None:
    places = kind.unit_places
    quantity, unit = number(sent.get("Quantity")), number(sent.get("UnitAmount"))
    amount = number(sent.get("LineAmount"))
    rate, off = _discount(sent, base, kind)
    old = base or {}
    if unit is None and amount is None:
        unit = old.get("UnitAmount") or number(details.get("UnitPrice"))
    if quantity is None and unit and amount is not None and not old:
        quantity = amount / unit
    if quantity is None:
        quantity = old.get("Quantity") or Decimal(1)
    if unit is None and amount is not None and old and quantity == old.get("Quantity"):
        gross = amount if not rate else amount * HUNDRED / (HUNDRED - rate)
        unit = gross / quantity if quantity else ZERO
    if unit is None and amount is not None:
        unit = amount / quantity if quantity else ZERO
    unit = rounded(unit if unit is not None else ZERO, 4)
    if sent.get("UnitAmount") is not None or not old:
        unit = rounded(rounded(unit, places), 4)
    gross = quantity * unit
    taken_off = gross * rate / HUNDRED if rate else off
    expected = rounded(gross - taken_off)
    is_derived = sent.get("UnitAmount") is None and amount is not None
    if amount is not None and not is_derived and rounded(amount) != expected:
        raise Invalid(
            f"The line total {rounded(amount)} does not match the expected line total {expected}"
        )
    line["Quantity"] = rounded(quantity, 4)
    line["UnitAmount"] = unit
    line["LineAmount"] = rounded(amount) if is_derived and amount is not None else expected
    if abs(line["LineAmount"]) > AMOUNT_MAX:
        raise Invalid("The line amount is too large.")
    if rate:
        line["DiscountRate"] = rounded(rate, 4)
    elif off:
        line["DiscountAmount"] = rounded(off, 4)
    if taken_off:
        line["_discount"] = rounded(taken_off)


def _discount(sent: Doc, base: Doc | None, kind: LineKind) -> tuple[Decimal, Decimal]:
    old = base or {}
    rate = number(sent.get("DiscountRate"))
    off = number(sent.get("DiscountAmount"))
    if "DiscountRate" not in sent and "DiscountAmount" not in sent:
        rate, off = old.get("DiscountRate"), old.get("DiscountAmount")
    if (rate or off) and not kind.discounts:
        raise Invalid("Discounts can only be applied to sales invoices and quotes.")
    if rate and not 0 <= rate <= 100:
        raise Invalid("DiscountRate must be between 0 and 100.")
    return rate or ZERO, off or ZERO


def _tax(
    desk: Desk,
    line: Doc,
    sent: Doc,
    base: Doc | None,
    account: Doc | None,
    kind: LineKind,
    amounts: str,
    details: Doc,
) -> None:
    if amounts == "NoTax":
        line["TaxType"], line["TaxAmount"] = NO_TAX, ZERO
        return
    old = base or {}
    tax_type = sent.get("TaxType")
    if not tax_type and "AccountCode" not in sent:
        tax_type = old.get("TaxType")
    tax_type = tax_type or details.get("TaxType") or (account or {}).get("TaxType")
    if not tax_type:
        line["TaxAmount"] = ZERO
        return
    rate = desk.tax_rate(str(tax_type), account)
    line["TaxType"] = rate["TaxType"]
    even = desk.options.tax_rounding == "half_even"
    percent, amount = rate["EffectiveRate"], line["LineAmount"]
    base_amount = HUNDRED if amounts == "Exclusive" else HUNDRED + percent
    computed = rounded(amount * percent / base_amount, even=even)
    given = number(sent.get("TaxAmount"))
    if given is None and old.get("_tax_given") and _same_money(line, old):
        given = old["TaxAmount"]
    if given is not None and rounded(given) != computed:
        if kind.tax_must_match:
            raise Invalid(
                f"The tax amount {rounded(given)} does not match the expected tax amount {computed}"
            )
        line["_tax_given"] = True
        computed = rounded(given)
    line["TaxAmount"] = computed


def _same_money(line: Doc, old: Doc) -> bool:
    return all(line.get(name) == old.get(name) for name in ("LineAmount", "TaxType", "Quantity"))
