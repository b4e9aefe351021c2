"""What a company's plan allows: one document in XML, at an address off the usual path.

Source: Intuit, EntitlementResponse.xsd; reference of Entitlements.
"""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape, quoteattr

from sqlsync.simulators.quickbooks.values import Doc

_FEATURES = ("1", "Class Tracking"), ("11", "Locations"), ("31", "Multiple Currencies")


def plan(today: str) -> Doc:
    """The record, as the control endpoint shows it and `to_xml` writes it."""
    return {
        "Id": "1",
        "QboCompany": "true",
        "PlanName": "QuickBooks Online Plus",
        "MaxUsers": "5",
        "CurrentUsers": "2",
        "DaysRemainingTrial": "0",
        "Entitlement": [
            {"id": number, "name": name, "term": "Off" if number == "31" else "On"}
            for number, name in _FEATURES
        ],
        "Thresholds": [{"name": "ClassesAndLocations", "limit": "40", "currentCount": "5"}],
        "SupportedLanguages": "en",
        "CompanyStartDate": today,
        "FiscalYearStartMonth": "January",
    }


def to_xml(record: Doc) -> bytes:
    parts: list[str] = []
    for name, value in record.items():
        if name == "Entitlement":
            parts += [_feature(feature) for feature in value]
        elif name == "Thresholds":
            inner = "".join(f"<Threshold>{_members(one)}</Threshold>" for one in value)
            parts.append(f"<Thresholds>{inner}</Thresholds>")
        elif name != "Id":
            parts.append(f"<{name}>{escape(str(value))}</{name}>")
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    return f"{head}<EntitlementsResponse>{''.join(parts)}</EntitlementsResponse>".encode()


def _feature(feature: dict[str, Any]) -> str:
    rest = {name: value for name, value in feature.items() if name != "id"}
    return f"<Entitlement id={quoteattr(feature['id'])}>{_members(rest)}</Entitlement>"


def _members(values: dict[str, Any]) -> str:
    return "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in values.items())
