"""TaxService: makes a tax code together with its rates, in one piece.

A rate is an existing one (`TaxRateId`) or a new one with its name, percentage and agency. The
answer is the bare object, without a wrapper key. Codes and rates cannot be changed afterwards.
Source: Intuit, reference of TaxService; SalesTax.xsd.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.unit import Change, Unit
from sqlsync.simulators.quickbooks.values import Doc, timestamp

NAME_MAX, RATE_NAME_MAX = 100, 10
_KNOWN = frozenset(
    (
        *("TaxCode", "TaxCodeId", "TaxRateDetails"),
        *("domain", "sparse", "status", "Id", "SyncToken", "MetaData"),  # of every entity
    )
)
_KNOWN_OF_RATE = frozenset(
    {"TaxRateName", "TaxRateId", "RateValue", "TaxAgencyId", "TaxApplicableOn"}
)
_SIDES = {"Sales": "SalesTaxRateList", "Purchase": "PurchaseTaxRateList"}


def create_tax_code(books: Books, body: Any, now: int) -> tuple[Doc, int, list[Change]]:
    """Makes the code and its new rates, or nothing. Returns the answer, its id and the changes."""
    if not isinstance(body, dict):
        raise faults.not_json()
    _check_known(body, _KNOWN, "TaxService")
    name = _text(body, "TaxCode", NAME_MAX)
    details = body.get("TaxRateDetails")
    if not isinstance(details, list) or not details:
        raise faults.missing("TaxRateDetails")
    if books.holder_of("TaxCode", 0, name) is not None:
        raise faults.duplicate_name("tax code")
    unit = Unit(books, now)
    made: dict[str, Row] = {}  # by name in lower case, for two of one name in one request
    lists: dict[str, list[Doc]] = {member: [] for member in _SIDES.values()}
    shown: list[Doc] = []
    for detail in details:
        if not isinstance(detail, dict):
            raise faults.not_json()
        _check_known(detail, _KNOWN_OF_RATE, "TaxRateDetails")
        side = str(detail.get("TaxApplicableOn") or "Sales")
        if side not in _SIDES:
            raise Fault("2170", f"Invalid Enumeration : {side}", "TaxApplicableOn")
        rate = _existing(books, detail) or _new(books, unit, detail, made)
        held = lists[_SIDES[side]]
        reference = {"value": str(rate.id), "name": rate.name}
        held.append(
            {"TaxRateRef": reference, "TaxTypeApplicable": "TaxOnAmount", "TaxOrder": len(held)}
        )
        facts = rate.doc or {}
        shown.append(
            {
                "TaxRateName": rate.name,
                "TaxRateId": str(rate.id),
                "RateValue": facts["RateValue"],
                "TaxAgencyId": facts["AgencyRef"]["value"],
                "TaxApplicableOn": side,
            }
        )
    row = Row(books.new_id("TaxCode"), name=name)
    row.doc = {
        "Name": name,
        "Description": name,
        "Active": True,
        "Hidden": False,
        "Taxable": True,
        "TaxGroup": True,
        **{member: {"TaxRateDetail": rates} for member, rates in lists.items()},
        "TaxCodeConfigType": "USER_DEFINED",
    }
    unit.add(books.table("TaxCode"), row)
    changes = unit.commit()
    answer: Doc = {"TaxCode": name, "TaxCodeId": str(row.id), "TaxRateDetails": shown}
    return answer, row.id, changes


def _existing(books: Books, detail: Doc) -> Row | None:
    number = detail.get("TaxRateId")
    if number in (None, ""):
        return None
    row = books.table("TaxRate").get(int(str(number))) if str(number).isdigit() else None
    if row is None or not row.active:
        raise faults.bad_reference("TaxRateId", "tax_rate", number)
    return row


def _new(books: Books, unit: Unit, detail: Doc, made: dict[str, Row]) -> Row:
    name = _text(detail, "TaxRateName", RATE_NAME_MAX)
    value = _percentage(detail)
    agency = str(detail.get("TaxAgencyId") or "")
    if not agency:
        raise faults.missing("TaxAgencyId")
    known = books.table("TaxAgency").get(int(agency)) if agency.isdigit() else None
    if known is None:
        raise faults.bad_reference("TaxAgencyId", "tax_agency", agency)
    if books.holder_of("TaxRate", 0, name) is not None or name.lower() in made:
        raise faults.duplicate_name("tax rate")
    row = Row(books.new_id("TaxRate"), name=name)
    row.doc = {
        "Name": name,
        "Description": name,
        "Active": True,
        "RateValue": value,
        "AgencyRef": {"value": agency},
        "SpecialTaxType": "NONE" if value else "ZERO_RATE",
        "DisplayType": "ReadOnly",
        "EffectiveTaxRate": [{"RateValue": value, "EffectiveDate": timestamp(unit.now)}],
    }
    unit.add(books.table("TaxRate"), row)
    made[name.lower()] = row
    return row


def _percentage(detail: Doc) -> Decimal | int:
    value = detail.get("RateValue")
    if value in (None, ""):
        raise faults.missing("RateValue")
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        number = Decimal("NaN")
    if isinstance(value, bool) or not number.is_finite() or not 0 <= number <= 100:
        raise Fault("2150", f"Invalid Percentage. Supplied value:{value}", "RateValue")
    return int(number) if number == number.to_integral_value() else number.normalize()


def _check_known(given: Doc, known: frozenset[str], type: str) -> None:
    for name in given:
        if name not in known:
            raise faults.unknown_property(f"{type}.{name}", name, type)


def _text(given: Doc, member: str, longest: int) -> str:
    value = str(given.get(member) or "").strip()
    if not value:
        raise faults.missing(member)
    if len(value) > longest:
        raise faults.too_long(member, longest, len(value))
    return value
