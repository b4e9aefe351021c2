"""Tax codes are made by a service of their own, with their rates in one call. No I/O.

Its answer is bare (no wrapper, no time) and is not the record: it names the code's id, and the
record is read afterwards. What it has made can be neither changed nor deleted.

Source: reference of TaxService.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlsync.errors import InvalidValue, MissingRequired, ProviderFault, ValueTooLong
from sqlsync.providers.quickbooks.faults import TITLE
from sqlsync.providers.quickbooks.responses import Envelope

RESOURCE = "taxservice/taxcode"
RATE_NAME_LENGTH = 10
_SIDES = {"SalesTaxRateList": "Sales", "PurchaseTaxRateList": "Purchase"}
_NEW_RATE = ("TaxRateName", "RateValue", "TaxAgencyId")


def body(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The call that makes a TaxCode of these members.

    A rate is named by TaxRateRef, or made: TaxRateName, RateValue (percent), TaxAgencyId. Raises
    MissingRequired, InvalidValue or ValueTooLong, nothing sent.
    """
    details = [_detail(rate, side) for rate, side in _rates(fields)]
    if not details:
        raise MissingRequired(
            f"[{TITLE}] Tax code: it needs a rate",
            hint="Give sales_tax_rate_list_tax_rate_detail or the list for purchases.",
            table="tax_code",
            column="sales_tax_rate_list_tax_rate_detail",
        )
    return {"TaxCode": fields.get("Name"), "TaxRateDetails": details}


def code_id(envelope: Envelope) -> str:
    """The id of the code that was made. Raises ProviderFault."""
    found = bytes(envelope.members.get("TaxCodeId", b"")).decode().strip('"')
    if not found or found == "null":
        raise ProviderFault(f"[{TITLE}] Tax code: the answer of the tax service names no id.")
    return found


def _rates(fields: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    for member, side in _SIDES.items():
        for rate in (fields.get(member) or {}).get("TaxRateDetail") or []:
            if not isinstance(rate, Mapping):
                raise InvalidValue(f"[{TITLE}] Tax code: a rate is a JSON object, not {rate!r}")
            yield rate, side


def _detail(rate: Mapping[str, Any], side: str) -> dict[str, Any]:
    existing = (rate.get("TaxRateRef") or {}).get("value")
    if existing is not None:
        return {"TaxRateId": existing, "TaxApplicableOn": side}
    lacking = [name for name in _NEW_RATE if rate.get(name) is None]
    if lacking:
        raise MissingRequired(
            f"[{TITLE}] Tax code: a new rate lacks {', '.join(lacking)}",
            hint='Name a rate that there is, {"TaxRateRef": {"value": "3"}}, or make one of'
            " TaxRateName, RateValue (percent) and TaxAgencyId.",
            table="tax_code",
        )
    name = str(rate["TaxRateName"])
    if len(name) > RATE_NAME_LENGTH:
        raise ValueTooLong(
            f"[{TITLE}] Tax code: the rate's name {name!r} is longer than"
            f" {RATE_NAME_LENGTH} characters",
            table="tax_code",
        )
    made = {member: rate[member] for member in _NEW_RATE}
    return {**made, "TaxApplicableOn": side}
