"""The check that holds our QuickBooks bodies against Intuit's schemas, itself checked."""

from __future__ import annotations

import json
from typing import Any

import pytest
import quickbooks_xsd
from quickbooks_xsd import problems

pytestmark = pytest.mark.skipif(
    not quickbooks_xsd.is_there(),
    reason=f"bodies are checked against no schema: {quickbooks_xsd.FOLDER} is missing",
)
SAMPLES = quickbooks_xsd.FOLDER.parent / "samples"


def sale(**members: Any) -> Any:
    kind = "SalesItemLineDetail"
    detail = {"ItemRef": {"value": "1"}, "Qty": 1, "UnitPrice": 5}
    return {"Amount": 5, "DetailType": kind, kind: detail, **members}


def test_the_references_own_records_fit() -> None:
    _, elements = quickbooks_xsd.schema()
    checked = 0
    for path in sorted(SAMPLES.glob("*.json")):
        found = json.loads(path.read_text())
        for name in set(found) & set(elements) if isinstance(found, dict) else ():
            checked += 1
            assert problems(name, found[name]) == [], path.name
    assert checked > 35


@pytest.mark.parametrize(
    ("entity", "body", "what"),
    [
        ("Customer", {"Colour": "red"}, "Customer has no Colour"),
        ("Customer", {"BillAddr": {"Colour": "red"}}, "PhysicalAddress has no Colour"),
        ("Customer", {"BillAddr": "Quay Road 1"}, "is no PhysicalAddress"),
        ("Customer", {"Taxable": "true"}, "is no xs:boolean"),
        ("Customer", {"Balance": "5"}, "is no xs:decimal"),
        ("Customer", {"ParentRef": "5"}, "is no reference"),
        ("Customer", {"ParentRef": {"value": 5}}, "is a text"),
        ("Customer", {"ParentRef": {"id": "5"}}, "is no reference"),
        ("Customer", {"DisplayName": 5}, "is no text"),
        ("Invoice", {"TxnDate": "2. March"}, "is no xs:date"),
        ("Invoice", {"Line": sale()}, "comes as a list"),
        ("Invoice", {"CustomerRef": [{"value": "1"}]}, "comes once"),
        ("Invoice", {"Line": [sale(DetailType="Gift")]}, "is none of LineDetailTypeEnum"),
        ("Invoice", {"Line": [sale(Amount="5")]}, "is no xs:decimal"),
        ("JournalEntry", {"Adjustment": 1}, "is no xs:boolean"),
        ("Widget", {}, "no such element"),
    ],
)
def test_what_does_not_fit_is_named(entity: str, body: Any, what: str) -> None:
    assert any(what in problem for problem in problems(entity, body)), problems(entity, body)


def test_what_json_says_otherwise_fits() -> None:
    memo = {"CustomerMemo": {"value": "Thanks"}, "sparse": True, "domain": "QBO"}
    assert problems("Invoice", {**memo, "Line": [sale()], "PrivateNote": None}) == []
    assert problems("Term", {"Name": "Net 7", "Type": "STANDARD", "DueDays": 7}) == []
    template = {"Invoice": {"Line": [sale()], "RecurringInfo": {"Name": "Monthly"}}}
    assert problems("RecurringTransaction", {"RecurringTransaction": template}) == []
    assert problems("RecurringTransaction", {"Invoice": {"Lines": []}}) != []
    rate = {"TaxRateName": "City", "RateValue": 1, "TaxAgencyId": "1"}
    assert problems("TaxService", {"TaxCode": "T", "TaxRateDetails": [rate]}) == []
