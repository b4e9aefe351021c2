"""The tax of a form, worked out from its tax codes. Pure.

US: a row is `TAX` or `NON`, the form's `TxnTaxCodeRef` names the code, and its rates apply to the
sum of the taxed rows. Elsewhere each row names its code; amounts are without tax, with tax
(`TaxInclusive`: `TaxInclusiveAmt` holds the gross amount) or free of it (`NotApplicable`).
A TotalTax that was sent is honoured.
Source: Intuit, "Manage sales tax for US locales", "… for non-US locales".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.regions import region_of
from sqlsync.simulators.quickbooks.settings import Settings
from sqlsync.simulators.quickbooks.store import Books
from sqlsync.simulators.quickbooks.values import Doc, money, to_cents

US_CODES = ("TAX", "NON")


@dataclass(frozen=True, slots=True)
class Rate:
    """One rate of a code. on_tax: it applies to the amount and the tax before it."""

    id: str
    percent: Decimal
    on_tax: bool = False


Rates = Callable[[str], tuple[Rate, ...]]


@dataclass(frozen=True, slots=True)
class TaxRules:
    """How one company says tax. rates: of a code by its id, none where it is unknown."""

    is_us: bool
    rates: Rates
    default_code: str | None = None  # of automated sales tax
    name: str = "sales tax"


@dataclass(frozen=True, slots=True)
class Taxed:
    """TxnTaxDetail, the tax in cents, and what it adds to the sum of the rows."""

    detail: Doc
    cents: int


@dataclass(slots=True)
class _Part:
    net: int = 0
    tax: int = 0
    rate: Rate = field(default_factory=lambda: Rate("", Decimal(0)))


def rules_of(books: Books, settings: Settings, *, purchase: bool) -> TaxRules:
    """The rules of a company for what it sells or buys."""
    member = "PurchaseTaxRateList" if purchase else "SalesTaxRateList"

    def rates(code: str) -> tuple[Rate, ...]:
        row = books.table("TaxCode").get(int(code)) if code.isdigit() else None
        details = ((row.doc or {}) if row else {}).get(member, {}).get("TaxRateDetail", ())
        return tuple(_rate(books, detail) for detail in details)

    automatic = settings.default_tax_code if settings.automated_sales_tax else None
    return TaxRules(settings.is_us, rates, automatic, region_of(settings.country).tax)


def _rate(books: Books, detail: Doc) -> Rate:
    number = str(detail["TaxRateRef"]["value"])
    facts = books.row("TaxRate", int(number)).doc or {}
    on_tax = detail.get("TaxTypeApplicable") == "TaxOnAmountPlusTax"
    return Rate(number, Decimal(str(facts["RateValue"])), on_tax)


def of_form(rules: TaxRules, given: Doc, taxable: int, *, sent: bool) -> Taxed:
    """A US form's tax. sent: the TotalTax in `given` was said by the client, or stands."""
    code = (given.get("TxnTaxCodeRef") or {}).get("value")
    if code is None and taxable and given.get("TotalTax") is None:
        code = rules.default_code
    parts = _parts(rules.rates(str(code)), taxable) if code else []
    cents = sum(part.tax for part in parts)
    if (sent or code is None) and given.get("TotalTax") is not None:
        total = to_cents(given["TotalTax"])
        if parts:
            parts[0].tax += total - cents
        cents = total
    if code is None:
        return Taxed({"TotalTax": money(cents)}, cents)
    detail: Doc = {"TxnTaxCodeRef": {"value": code}, "TotalTax": money(cents)}
    return Taxed({**detail, "TaxLine": [_line(part) for part in parts]}, cents)


def of_rows(rules: TaxRules, doc: Doc, rows: Iterable[Doc], *, sent: bool) -> Taxed:
    """The tax of a form outside the US. Rows get TaxInclusiveAmt, and net amounts, in place.

    Raises 6000 for a row that says no code where one is due, 6160 for one of the US alone.
    """
    way = doc.setdefault("GlobalTaxCalculation", "TaxExcluded")
    if way == "NotApplicable":
        return Taxed({"TotalTax": 0}, 0)
    by_rate: dict[str, _Part] = {}
    for row in rows:
        detail = row.get(row["DetailType"]) or {}
        code = str((detail.get("TaxCodeRef") or {}).get("value") or "")
        if not code:
            raise Fault(
                "6000",
                "Business Validation Error: Make sure all your transactions have a "
                f"{rules.name} rate before you save.",
            )
        if code in US_CODES:
            raise Fault("6160", f"Invalid TaxCodeRef. Supplied value:{code}", "TaxCodeRef")
        rates = rules.rates(code)
        if way == "TaxInclusive":
            _take_out(row, detail, rates)
        for part in _parts(rates, to_cents(row["Amount"])):
            held = by_rate.setdefault(part.rate.id, _Part(rate=part.rate))
            held.net += part.net
            held.tax += part.tax
    if way != "TaxInclusive":  # of the sum, not row by row
        for part in by_rate.values():
            part.tax = _percent(part.net, part.rate.percent)
    given = doc.get("TxnTaxDetail") or {}
    cents = sum(part.tax for part in by_rate.values())
    if sent and given.get("TotalTax") is not None:
        total = to_cents(given["TotalTax"])
        if by_rate:
            next(iter(by_rate.values())).tax += total - cents
        cents = total
    lines = [_line(part) for part in by_rate.values()]
    return Taxed({"TotalTax": money(cents), "TaxLine": lines}, cents)


def _take_out(row: Doc, detail: Doc, rates: tuple[Rate, ...]) -> None:
    """Makes a row's amount net, by the gross amount that was sent, or says the gross one."""
    share = sum((rate.percent for rate in rates), Decimal(0))
    gross = detail.get("TaxInclusiveAmt")
    if gross is None:
        net = to_cents(row["Amount"])
        detail["TaxInclusiveAmt"] = money(net + sum(part.tax for part in _parts(rates, net)))
        return
    cents = to_cents(gross)
    net = int((Decimal(cents) * 100 / (100 + share)).quantize(Decimal(1), ROUND_HALF_UP))
    row["Amount"] = money(net)
    detail["TaxInclusiveAmt"] = money(cents)


def _parts(rates: Iterable[Rate], net: int) -> list[_Part]:
    parts: list[_Part] = []
    before = 0
    for rate in rates:
        base = net + before if rate.on_tax else net
        parts.append(_Part(base, _percent(base, rate.percent), rate))
        before += parts[-1].tax
    return parts


def _percent(cents: int, percent: Decimal) -> int:
    return int((Decimal(cents) * percent / 100).quantize(Decimal(1), ROUND_HALF_UP))


def _line(part: _Part) -> Doc:
    percent: Any = part.rate.percent
    if percent == percent.to_integral_value():
        percent = int(percent)
    return {
        "Amount": money(part.tax),
        "DetailType": "TaxLineDetail",
        "TaxLineDetail": {
            "TaxRateRef": {"value": part.rate.id},
            "PercentBased": True,
            "TaxPercent": percent,
            "NetAmountTaxable": money(part.net),
        },
    }
