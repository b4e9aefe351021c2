"""The rows of forms: ids kept or given, amounts checked, totals made. Pure.

`Line` is replaced as a set: rows with a known Id keep it, others get a new one, rows that were
not sent are gone. The sub-total row is the service's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.seeded import TAX_CODE, TAX_PERMILLE, TAX_RATE, tax_cents
from sqlsync.simulators.quickbooks.values import Doc, money, to_cents

SALES_DETAILS = ("SalesItemLineDetail", "GroupLineDetail", "DescriptionOnly", "DiscountLineDetail")
PURCHASE_DETAILS = ("ItemBasedExpenseLineDetail", "AccountBasedExpenseLineDetail")
SERVER_ROW = "SubTotalLineDetail"
SPECIAL_ITEMS = frozenset({"SHIPPING_ITEM_ID", "GRATUITY_ITEM_ID"})


def number_rows(rows: Iterable[Doc], known: Iterable[Doc], *, first: int = 1) -> list[Doc]:
    """Rows with Id (from `first`) and LineNum; known rows keep their Id, each at most once."""
    ids = {row["Id"] for row in known if "Id" in row}
    last = max((int(i) for i in ids if i.isdigit()), default=first - 1)
    numbered: list[Doc] = []
    for position, row in enumerate(rows, start=1):
        line_id = row.get("Id")
        if line_id in ids:
            ids.discard(line_id)
        else:
            last += 1
            line_id = str(last)
        rest = {name: value for name, value in row.items() if name not in ("Id", "LineNum")}
        numbered.append({"Id": line_id, "LineNum": position, **rest})
    return numbered


def plain(number: Any) -> Any:
    """45 for 45.00, 18.5 for 18.50: how quantities and prices come back."""
    if isinstance(number, Decimal):
        if number == number.to_integral_value():
            return int(number)
        return number.normalize()
    return number


def _amount(row: Doc, detail: Doc, quantity: str = "Qty") -> int:
    """The row's amount in cents. Raises 2020 or 6070."""
    amount = row.get("Amount")
    if amount is None:
        raise faults.missing("Amount")
    price, count = detail.get("UnitPrice"), detail.get(quantity)
    cents = to_cents(amount)
    if cents and price == 0 and count == 0:  # as python-quickbooks says that there is neither
        del detail["UnitPrice"], detail[quantity]
    elif price is not None and count is not None:
        product = Decimal(price) * Decimal(count)
        if to_cents(product) != cents:
            raise faults.wrong_amount(amount)
    return cents


def _checked(rows: Any, allowed: tuple[str, ...], *, strict: bool) -> list[Doc]:
    if not rows:
        raise faults.missing("Line")
    checked: list[Doc] = []
    for row in rows:
        kind = row.get("DetailType")
        if not kind:
            raise faults.missing("DetailType")
        if kind == SERVER_ROW and allowed is SALES_DETAILS:
            continue
        if kind not in allowed and strict:
            raise Fault("2170", f"Invalid Enumeration : {kind}", "DetailType")
        checked.append(dict(row))
    if not checked:
        raise faults.missing("Line")
    return checked


@dataclass(frozen=True, slots=True)
class Priced:
    rows: list[Doc]
    tax: Doc  # TxnTaxDetail
    total: int  # cents


def price_sales(doc: Doc, known: Iterable[Doc], *, tax_sent: bool, strict: bool) -> Priced:
    """Rows, tax and total of a sales form."""
    rows = _checked(doc.get("Line"), SALES_DETAILS, strict=strict)
    discounts = [row for row in rows if row["DetailType"] == "DiscountLineDetail"]
    if len(discounts) > 1:
        raise faults.business("A transaction can have only one discount.")
    priced, subtotal, taxable = [], 0, 0
    for row in (row for row in rows if row["DetailType"] != "DiscountLineDetail"):
        cents, is_taxed = _sales_row(row)
        subtotal += cents
        taxable += cents if is_taxed else 0
        priced.append(row)
    lines = number_rows(priced, known)
    lines.append({"Amount": money(subtotal), "DetailType": SERVER_ROW, SERVER_ROW: {}})
    reduction = 0
    for row in discounts:
        reduction, discount = _discount(row, subtotal)
        lines.append(discount)
    if doc.get("ApplyTaxAfterDiscount") and subtotal:
        taxable -= int(
            (Decimal(reduction) * taxable / subtotal).quantize(Decimal(1), ROUND_HALF_UP)
        )
    tax, tax_total = _tax(doc.get("TxnTaxDetail") or {}, taxable, sent=tax_sent)
    return Priced(lines, tax, subtotal - reduction + tax_total)


def _sales_row(row: Doc) -> tuple[int, bool]:
    kind = row["DetailType"]
    if kind == "DescriptionOnly":
        row.pop("Amount", None)
        row.setdefault("DescriptionLineDetail", {})
        return 0, False
    if kind == "GroupLineDetail":
        detail = dict(row.get("GroupLineDetail") or {})
        inner = detail.get("Line") or []
        cents = sum(to_cents(part.get("Amount") or 0) for part in inner)
        if row.get("Amount") is not None:
            cents = to_cents(row["Amount"])
        row["Amount"] = money(cents)
        row[kind] = detail
        return cents, False
    detail = dict(row.get(kind) or {})
    cents = _amount(row, detail)
    for name in ("Qty", "UnitPrice"):
        if name in detail:
            detail[name] = plain(detail[name])
    code = (detail.get("TaxCodeRef") or {}).get("value")
    if code not in (None, "", "TAX", "NON"):
        raise Fault("6000", "Business Validation Error: Invalid tax code on the line.")
    detail["TaxCodeRef"] = {"value": code or "NON"}
    if not (detail.get("ItemRef") or {}).get("value"):
        detail["ItemRef"] = {"value": "1"}
    row["Amount"] = money(cents)
    row[kind] = detail
    return cents, code == "TAX"


def _discount(row: Doc, subtotal: int) -> tuple[int, Doc]:
    detail = dict(row.get("DiscountLineDetail") or {})
    if detail.get("PercentBased"):
        percent = detail.get("DiscountPercent")
        if percent is None:
            raise Fault("6090", "Discount line needs DiscountPercent when PercentBased is true.")
        if not 0 <= percent <= 100:
            raise Fault("6090", "DiscountPercent must be between 0 and 100.")
        cents = to_cents(Decimal(subtotal) * Decimal(percent) / 10000)
        detail["DiscountPercent"] = plain(percent)
    else:
        if row.get("Amount") is None:
            raise Fault("6090", "Discount line needs an Amount or a percentage.")
        cents = to_cents(row["Amount"])
        detail["PercentBased"] = False
    detail.setdefault("DiscountAccountRef", {"value": "86"})
    return cents, {
        "Amount": money(cents),
        "DetailType": "DiscountLineDetail",
        "DiscountLineDetail": detail,
    }


def _tax(given: Doc, taxable: int, *, sent: bool) -> tuple[Doc, int]:
    """TxnTaxDetail and its total: a sent TotalTax is honoured, else computed from the code."""
    code = (given.get("TxnTaxCodeRef") or {}).get("value")
    if sent and given.get("TotalTax") is not None:
        cents = to_cents(given["TotalTax"])
    elif code == TAX_CODE:
        cents = tax_cents(taxable)
    elif code is None and not sent and given.get("TotalTax") is not None:
        cents = to_cents(given["TotalTax"])
    else:
        cents = 0
    if code is None:
        return {"TotalTax": money(cents)}, cents
    line = {
        "Amount": money(cents),
        "DetailType": "TaxLineDetail",
        "TaxLineDetail": {
            "TaxRateRef": {"value": TAX_RATE},
            "PercentBased": True,
            "TaxPercent": Decimal(TAX_PERMILLE) / 10,
            "NetAmountTaxable": money(taxable),
        },
    }
    return {"TxnTaxCodeRef": {"value": code}, "TotalTax": money(cents), "TaxLine": [line]}, cents


def price_purchase(doc: Doc, known: Iterable[Doc], *, strict: bool) -> tuple[list[Doc], int]:
    """Rows and total of a bill or purchase order."""
    rows = _checked(doc.get("Line"), PURCHASE_DETAILS, strict=strict)
    total = 0
    for row in rows:
        kind = row["DetailType"]
        detail = dict(row.get(kind) or {})
        if kind == "AccountBasedExpenseLineDetail" and not detail.get("AccountRef"):
            raise faults.missing("AccountRef")
        if kind == "ItemBasedExpenseLineDetail" and not detail.get("ItemRef"):
            raise faults.missing("ItemRef")
        cents = _amount(row, detail)
        total += cents
        for name in ("Qty", "UnitPrice"):
            if name in detail:
                detail[name] = plain(detail[name])
        detail.setdefault("BillableStatus", "NotBillable")
        detail.setdefault("TaxCodeRef", {"value": "NON"})
        row["Amount"] = money(cents)
        row[kind] = detail
    tax = (doc.get("TxnTaxDetail") or {}).get("TotalTax")
    return number_rows(rows, known), total + (to_cents(tax) if tax else 0)


def voided(value: Any) -> Any:
    """A form's rows with every amount and quantity at nought."""
    if isinstance(value, list):
        return [voided(element) for element in value]
    if not isinstance(value, dict):
        return value
    zeroed = ("Amount", "UnitPrice", "Qty")
    return {name: 0 if name in zeroed else voided(inner) for name, inner in value.items()}
