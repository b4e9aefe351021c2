"""The rows of forms: ids kept or given, amounts checked, totals made. Pure.

`Line` is replaced as a set: rows with a known Id keep it, others get a new one, rows that were
not sent are gone. The sub-total row is the service's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.taxes import US_CODES, TaxRules, of_form, of_rows
from sqlsync.simulators.quickbooks.values import Doc, money, to_cents

SALES_DETAILS = ("SalesItemLineDetail", "GroupLineDetail", "DescriptionOnly", "DiscountLineDetail")
PURCHASE_DETAILS = ("ItemBasedExpenseLineDetail", "AccountBasedExpenseLineDetail")
LINES_MAX = 10_000
TAXED_LINES_MAX = 750  # of an invoice with tax on a row
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
    if len(rows) > LINES_MAX:
        raise faults.business(f"A transaction can have at most {LINES_MAX} lines.")
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
class Pricing:
    """What the company's books say of rows.

    parts: of a bundle by the item's id, as rows for one of it. strict: rows of other forms are
    refused. refused: item or kind of row -> why the company does not take it.
    """

    tax: TaxRules
    strict: bool
    parts: Callable[[str], list[Doc]] = lambda item: []
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Priced:
    rows: list[Doc]
    tax: Doc  # TxnTaxDetail
    total: int  # cents


def price_sales(doc: Doc, known: Iterable[Doc], pricing: Pricing, *, tax_sent: bool) -> Priced:
    """Rows, tax and total of a sales form."""
    rows = _checked(doc.get("Line"), SALES_DETAILS, strict=pricing.strict)
    discounts = [row for row in rows if row["DetailType"] == "DiscountLineDetail"]
    if len(discounts) > 1:
        raise faults.business("A transaction can have only one discount.")
    if discounts and "DiscountLineDetail" in pricing.refused:
        raise faults.business(pricing.refused["DiscountLineDetail"])
    priced = [row for row in rows if row["DetailType"] != "DiscountLineDetail"]
    sold: list[Doc] = []  # rows and the rows inside of bundles, which tax is worked out on
    for row in priced:
        sold += _sales_row(row, pricing)
    if not pricing.tax.is_us:
        tax = of_rows(pricing.tax, doc, sold, sent=tax_sent)
        for row in priced:
            _sum_bundle(row)
    subtotal = sum(to_cents(row.get("Amount") or 0) for row in priced)
    lines = number_rows(priced, known)
    lines.append({"Amount": money(subtotal), "DetailType": SERVER_ROW, SERVER_ROW: {}})
    reduction = 0
    for row in discounts:
        reduction, discount = _discount(row, subtotal)
        lines.append(discount)
    if pricing.tax.is_us:
        taxable = sum(to_cents(row["Amount"]) for row in sold if is_taxed(row))
        if doc.get("ApplyTaxAfterDiscount") and subtotal:
            taxable -= int(
                (Decimal(reduction) * taxable / subtotal).quantize(Decimal(1), ROUND_HALF_UP)
            )
        tax = of_form(pricing.tax, doc.get("TxnTaxDetail") or {}, taxable, sent=tax_sent)
    return Priced(lines, tax.detail, subtotal - reduction + tax.cents)


def is_taxed(row: Doc) -> bool:
    code = (row.get("SalesItemLineDetail") or {}).get("TaxCodeRef") or {}
    return bool(code.get("value") == "TAX")


def _sum_bundle(row: Doc) -> None:
    inner = (row.get("GroupLineDetail") or {}).get("Line")
    if inner:
        row["Amount"] = money(sum(to_cents(part["Amount"]) for part in inner))


def _sales_row(row: Doc, pricing: Pricing) -> list[Doc]:
    """Completes a row in place. Returns the rows that are sold by it."""
    kind = row["DetailType"]
    if kind == "DescriptionOnly":
        row.pop("Amount", None)
        row.setdefault("DescriptionLineDetail", {})
        return []
    if kind == "GroupLineDetail":
        return _bundle(row, pricing)
    detail = dict(row.get(kind) or {})
    cents = _amount(row, detail)
    for name in ("Qty", "UnitPrice"):
        if name in detail:
            detail[name] = plain(detail[name])
    code = (detail.get("TaxCodeRef") or {}).get("value")
    if pricing.tax.is_us:
        if code not in (None, "", *US_CODES):
            raise Fault("6100", f"Invalid Line TaxCode. Supplied value:{code}", "TaxCodeRef")
        detail["TaxCodeRef"] = {"value": code or "NON"}
    item = str((detail.get("ItemRef") or {}).get("value") or "")
    if item in pricing.refused:
        raise faults.business(pricing.refused[item])
    if not item:
        detail["ItemRef"] = {"value": "1"}
    row["Amount"] = money(cents)
    row[kind] = detail
    return [row]


def _bundle(row: Doc, pricing: Pricing) -> list[Doc]:
    """A bundle is worth its rows: those that were sent, or the item's parts so many times."""
    detail = dict(row.get("GroupLineDetail") or {})
    item = str((detail.get("GroupItemRef") or {}).get("value") or "")
    inner = [dict(part) for part in detail.get("Line") or ()]
    if not inner and item:
        count = Decimal(detail.get("Quantity") or 1)
        inner = [_times(part, count) for part in pricing.parts(item)]
        detail["Quantity"] = plain(count)
    if not inner:
        row["Amount"] = money(to_cents(row.get("Amount") or 0))
        row["GroupLineDetail"] = detail
        return []
    sold: list[Doc] = []
    for part in inner:
        part.setdefault("DetailType", "SalesItemLineDetail")
        sold += _sales_row(part, pricing)
    detail["Line"] = number_rows(inner, ())
    row["GroupLineDetail"] = detail
    _sum_bundle(row)
    return detail["Line"] if sold else []


def _times(part: Doc, count: Decimal) -> Doc:
    detail = part["SalesItemLineDetail"]
    quantity = Decimal(detail["Qty"]) * count
    cents = to_cents(Decimal(detail["UnitPrice"]) * quantity)
    more = {**detail, "Qty": plain(quantity)}
    return {**part, "Amount": money(cents), "SalesItemLineDetail": more}


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
        if cents < 0:
            raise Fault("2140", f"Invalid Amount. Supplied value:{row['Amount']}", "Amount")
        detail["PercentBased"] = False
    detail.setdefault("DiscountAccountRef", {"value": "86"})
    return cents, {
        "Amount": money(cents),
        "DetailType": "DiscountLineDetail",
        "DiscountLineDetail": detail,
    }


def price_purchase(
    doc: Doc, known: Iterable[Doc], pricing: Pricing, *, tax_sent: bool
) -> tuple[list[Doc], int]:
    """Rows and total of a bill, order or expense; outside the US its tax too, in place."""
    rows = _checked(doc.get("Line"), PURCHASE_DETAILS, strict=pricing.strict)
    for row in rows:
        kind = row["DetailType"]
        detail = dict(row.get(kind) or {})
        if kind == "AccountBasedExpenseLineDetail" and not detail.get("AccountRef"):
            raise faults.detail_required("AccountRef")
        if kind == "ItemBasedExpenseLineDetail" and not detail.get("ItemRef"):
            raise faults.detail_required("ItemRef")
        cents = _amount(row, detail)
        for name in ("Qty", "UnitPrice"):
            if name in detail:
                detail[name] = plain(detail[name])
        detail.setdefault("BillableStatus", "NotBillable")
        if pricing.tax.is_us:
            detail.setdefault("TaxCodeRef", {"value": "NON"})
        row["Amount"] = money(cents)
        row[kind] = detail
    if pricing.tax.is_us:
        given = (doc.get("TxnTaxDetail") or {}).get("TotalTax")
        tax = to_cents(given) if given else 0
    else:
        taxed = of_rows(pricing.tax, doc, rows, sent=tax_sent)
        doc["TxnTaxDetail"], tax = taxed.detail, taxed.cents
    return number_rows(rows, known), sum(to_cents(row["Amount"]) for row in rows) + tax


def voided(value: Any) -> Any:
    """A form's rows with every amount and quantity at nought."""
    if isinstance(value, list):
        return [voided(element) for element in value]
    if not isinstance(value, dict):
        return value
    zeroed = ("Amount", "UnitPrice", "Qty")
    return {name: 0 if name in zeroed else voided(inner) for name, inner in value.items()}
