"""What an insert into tax_code asks of the tax service."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sqlsync.errors import InvalidValue, MissingRequired, ProviderRefusal, ValueTooLong
from sqlsync.providers.messages import HttpResponse
from sqlsync.providers.quickbooks.faults import About
from sqlsync.providers.quickbooks.responses import read_answer
from sqlsync.providers.quickbooks.taxservice import body, code_id

DATE = {"date": "Mon, 02 Mar 2026 10:00:00 GMT"}
NEW = {"TaxRateName": "City", "RateValue": Decimal("8.25"), "TaxAgencyId": "2"}


def code(sales: Any = (), purchases: Any = ()) -> dict[str, Any]:
    return {
        "Name": "Harbour",
        "SalesTaxRateList": {"TaxRateDetail": list(sales)},
        "PurchaseTaxRateList": {"TaxRateDetail": list(purchases)},
    }


def test_rates_that_exist_are_named_and_new_ones_are_described() -> None:
    assert body(code([{"TaxRateRef": {"value": "3"}, "TaxOrder": 0}], [NEW])) == {
        "TaxCode": "Harbour",
        "TaxRateDetails": [
            {"TaxRateId": "3", "TaxApplicableOn": "Sales"},
            {**NEW, "TaxApplicableOn": "Purchase"},
        ],
    }


@pytest.mark.parametrize(
    ("rates", "error", "words"),
    [
        ([], MissingRequired, "needs a rate"),
        ([{"TaxRateName": "City"}], MissingRequired, "lacks RateValue, TaxAgencyId"),
        ([{**NEW, "TaxRateName": "City of Hillside"}], ValueTooLong, "longer than 10"),
        (["3"], InvalidValue, "JSON object"),
    ],
)
def test_what_the_service_cannot_take_is_refused_before_it_is_asked(
    rates: Any, error: type[ProviderRefusal], words: str
) -> None:
    with pytest.raises(error, match=words):
        body(code(rates))


def test_the_bare_answer_names_the_code() -> None:
    answer = HttpResponse(200, DATE, b'{"TaxCode":"Harbour","TaxCodeId":"17","TaxRateDetails":[]}')
    assert code_id(read_answer(answer, About())) == "17"
