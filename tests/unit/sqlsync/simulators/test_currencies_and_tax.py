"""Several currencies, and tax as it is said in and outside the US."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from sqlsync.errors import ConfigError
from sqlsync.simulators.clock import SimulatedClock
from sqlsync.simulators.quickbooks.generate import generate
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.posting.daybook import Daybook
from sqlsync.simulators.quickbooks.posting.standing import Standing
from sqlsync.simulators.quickbooks.service import CompanySpec, Service

EUR, GBP, USD = ({"value": code} for code in ("EUR", "GBP", "USD"))
BANK = {"value": "35"}


@pytest.fixture
def many(make_world: Any) -> Any:
    """A company with several currencies; 1 EUR is 1.0812 USD today."""
    return make_world(multicurrency=True)


def invoice(world: Any, customer: Any, currency: Any, line: Any, **more: Any) -> Any:
    who = {"value": customer["Id"]}
    return world.write("Invoice", CustomerRef=who, CurrencyRef=currency, Line=[line], **more)


def test_one_currency_refuses_every_other(world: Any, make_sale: Any) -> None:
    assert world.refusal("Customer", DisplayName="Velo", CurrencyRef=EUR) == "5030"
    made = world.customer("Velo", CurrencyRef=USD)
    body = {"CustomerRef": {"value": made["Id"]}, "Line": [make_sale(1)]}
    assert world.refusal("Invoice", **body, CurrencyRef=EUR) == "5030"
    shown = world.write("Invoice", **body, ExchangeRate=3)
    assert (shown["CurrencyRef"]["value"], "ExchangeRate" in shown) == ("USD", False)
    prefs = world.read("Preferences", "1")["CurrencyPrefs"]
    assert prefs == {"MultiCurrencyEnabled": False, "HomeCurrency": {"value": "USD"}}


def test_a_names_currency_is_fixed_once_it_is_saved(many: Any) -> None:
    for entity, more in (("Customer", {}), ("Vendor", {}), ("Account", {"AccountType": "Bank"})):
        name = "DisplayName" if entity != "Account" else "Name"
        made = many.write(entity, **{name: f"In euros {entity}"}, CurrencyRef=EUR, **more)
        assert made["CurrencyRef"] == {"value": "EUR", "name": "Euro"}
        again = many.sparse(entity, made, CurrencyRef=GBP)
        assert again["CurrencyRef"]["value"] == "EUR"
    assert many.refusal("Customer", DisplayName="In yen", CurrencyRef={"value": "JPY"}) == "2220"
    many.write("CompanyCurrency", Code="JPY")
    assert many.customer("In yen", CurrencyRef={"value": "JPY"})["Id"]
    parent = {"ParentRef": {"value": many.customer("Above", CurrencyRef=EUR)["Id"]}, "Job": True}
    assert many.customer("Beneath", **parent)["CurrencyRef"]["value"] == "EUR"
    assert many.refusal("Customer", DisplayName="Else", CurrencyRef=GBP, **parent) == "6000"


def test_a_form_is_in_its_customers_currency_with_the_days_rate(many: Any, make_sale: Any) -> None:
    customer = many.customer(CurrencyRef=EUR)
    body = {"CustomerRef": {"value": customer["Id"]}, "Line": [make_sale(200)]}
    assert many.refusal("Invoice", **body) == "2020"
    assert many.refusal("Invoice", **body, CurrencyRef=USD) == "6000"
    shown = many.write("Invoice", **body, CurrencyRef=EUR)
    assert (shown["ExchangeRate"], shown["TotalAmt"]) == (Decimal("1.0812"), 200)
    assert (shown["HomeTotalAmt"], shown["HomeBalance"]) == (Decimal("216.24"), Decimal("216.24"))
    agreed = many.write("Invoice", **body, CurrencyRef=EUR, ExchangeRate=Decimal("1.1"))
    assert agreed["HomeTotalAmt"] == 220
    assert many.refusal("Invoice", **body, CurrencyRef=EUR, ExchangeRate=0) == "2090"
    assert many.read("Customer", customer["Id"])["Balance"] == 400, "in its own currency"
    key = {"CurrencyRef": EUR, "CustomerRef": {"value": customer["Id"]}}
    link = [{"Amount": 50, "LinkedTxn": [{"TxnId": shown["Id"], "TxnType": "Invoice"}]}]
    many.write("Payment", **key, TotalAmt=50, Line=link)
    assert many.read("Invoice", shown["Id"])["HomeBalance"] == Decimal("162.18")


def test_the_currency_may_be_left_out_where_the_company_is_told_so(
    make_world: Any, make_sale: Any
) -> None:
    world = make_world(multicurrency=True, currency_required=False)
    customer = world.customer(CurrencyRef=GBP)
    made = world.write("Invoice", CustomerRef={"value": customer["Id"]}, Line=[make_sale(1)])
    assert made["CurrencyRef"] == {"value": "GBP", "name": "British Pound Sterling"}


def test_home_forms_show_a_rate_of_one(many: Any, make_sale: Any) -> None:
    made = invoice(many, many.customer(), USD, make_sale(10), ExchangeRate=7)
    assert (made["ExchangeRate"], made["HomeTotalAmt"]) == (1, 10)


def test_money_lands_on_accounts_of_home_or_of_the_form(many: Any) -> None:
    customer = {"value": many.customer(CurrencyRef=EUR)["Id"]}
    accounts = {
        code: many.write("Account", Name=code, AccountType="Bank", CurrencyRef={"value": code})
        for code in ("EUR", "GBP")
    }
    body = {"CustomerRef": customer, "CurrencyRef": EUR, "TotalAmt": 5}
    into = {"DepositToAccountRef": {"value": accounts["GBP"]["Id"]}}
    assert many.refusal("Payment", **body, **into) == "6000"
    into = {"DepositToAccountRef": {"value": accounts["EUR"]["Id"]}}
    assert many.write("Payment", **body, **into)["ExchangeRate"] == Decimal("1.0812")


def test_expenses_follow_their_payees_currency(many: Any) -> None:
    vendor = many.write("Vendor", DisplayName="Cadres", CurrencyRef=EUR)
    line = {
        "Amount": 10,
        "DetailType": "AccountBasedExpenseLineDetail",
        "AccountBasedExpenseLineDetail": {"AccountRef": {"value": "63"}},
    }
    body = {
        "PaymentType": "Cash",
        "AccountRef": BANK,
        "EntityRef": {"value": vendor["Id"], "type": "Vendor"},
        "Line": [line],
    }
    assert many.refusal("Purchase", **body, CurrencyRef=USD) == "6000"
    assert many.write("Purchase", **body, CurrencyRef=EUR)["TotalAmt"] == 10
    bill = many.write("Bill", VendorRef={"value": vendor["Id"]}, CurrencyRef=EUR, Line=[line])
    assert bill["HomeBalance"] == Decimal("10.81")


def rate(world: Any, source: str, day: str = "") -> Any:
    from sqlsync.simulators.quickbooks.values import decode

    return decode(world.company.rate(source, day))["ExchangeRate"]


def test_rates_are_those_of_their_day_or_before(many: Any) -> None:
    for day, value in (("2026-02-01", "1.05"), ("2026-02-10", "1.06")):
        many.write("ExchangeRate", SourceCurrencyCode="EUR", AsOfDate=day, Rate=Decimal(value))
    assert rate(many, "EUR", "2026-02-05")["Rate"] == Decimal("1.05")
    assert rate(many, "EUR")["Rate"] == Decimal("1.0812")
    assert rate(many, "USD")["Rate"] == 1
    key = {"SourceCurrencyCode": "EUR", "AsOfDate": "2026-02-10"}
    changed = many.write("ExchangeRate", **key, Rate=2, SyncToken="0")
    assert (changed["SyncToken"], changed["Rate"]) == ("1", 2)
    assert (
        many.refusal("ExchangeRate", **key, SyncToken="1", Rate=2, TargetCurrencyCode="GBP")
        == "2220"
    )
    assert many.refusal("ExchangeRate", **{**key, "SourceCurrencyCode": "XXX"}, Rate=2) == "2220"


def test_currencies_stay_on_once_they_are_on() -> None:
    service = Service(Options())
    company = service.add_company(CompanySpec(2, 0))
    service.set_options({"multicurrency": True})
    row = company.books.row("Preferences", 1)
    assert row.doc["CurrencyPrefs"]["MultiCurrencyEnabled"] is True
    assert row.token == 6
    with pytest.raises(ValueError, match="cannot be switched off"):
        service.set_options({"multicurrency": False})


# -- tax ---------------------------------------------------------------------------------------


def test_a_us_form_has_one_code_and_a_line_for_each_of_its_rates(
    world: Any, make_sale: Any
) -> None:
    new = {"TaxRateName": "City", "RateValue": "1.25", "TaxAgencyId": "1"}
    details = [{"TaxRateId": "3"}, new]
    world.company.tax_service({"TaxCode": "Downtown", "TaxRateDetails": details}, None)
    [code] = world.query("select * from TaxCode where Name = 'Downtown'")["TaxCode"]
    taxed, free = make_sale(100, TaxCodeRef={"value": "TAX"}), make_sale(50)
    form = {"CustomerRef": {"value": "1"}, "Line": [taxed, free]}
    detail = {"TxnTaxCodeRef": {"value": code["Id"]}}
    made = world.write("Invoice", **form, TxnTaxDetail=detail)
    lines = made["TxnTaxDetail"]["TaxLine"]
    assert [line["Amount"] for line in lines] == [Decimal("7.7"), Decimal("1.25")]
    assert {line["TaxLineDetail"]["NetAmountTaxable"] for line in lines} == {100}
    assert made["TotalAmt"] == Decimal("158.95")
    bad = make_sale(1, TaxCodeRef={"value": "2"})
    assert world.refusal("Invoice", CustomerRef={"value": "1"}, Line=[bad]) == "6100"
    assert world.refusal("Invoice", **form, TxnTaxDetail={"TxnTaxCodeRef": {"value": "99"}}) == (
        "2500"
    )


def test_automated_sales_tax_picks_the_code(make_world: Any, make_sale: Any) -> None:
    world = make_world(automated_sales_tax=True)
    taxed = make_sale(100, TaxCodeRef={"value": "TAX"})
    made = world.write("Invoice", CustomerRef={"value": "1"}, Line=[taxed])
    assert made["TxnTaxDetail"]["TxnTaxCodeRef"] == {"value": "2"}
    assert made["TotalAmt"] == Decimal("107.7")


class Abroad:
    """A company in Australia: 10 percent under the code with id 2."""

    def __init__(self, make_world: Any) -> None:
        self.world = make_world()
        self.world.books = self.world.company.books = generate(
            2, 5, 1, self.world.clock.today(), self.world.clock.epoch(), country="AU"
        )

    def invoice(self, *lines: Any, **more: Any) -> Any:
        return self.world.write("Invoice", CustomerRef={"value": "1"}, Line=list(lines), **more)


def test_outside_the_us_rows_name_their_code_and_amounts_are_net(
    make_world: Any, make_sale: Any
) -> None:
    abroad = Abroad(make_world)
    line = make_sale(100, TaxCodeRef={"value": "2"})
    made = abroad.invoice(line, make_sale("0.55", TaxCodeRef={"value": "2"}))
    assert (made["GlobalTaxCalculation"], made["CurrencyRef"]["value"]) == ("TaxExcluded", "AUD")
    assert made["TxnTaxDetail"]["TotalTax"] == Decimal("10.06")
    assert made["TotalAmt"] == Decimal("110.61")
    body = {"CustomerRef": {"value": "1"}, "Line": [make_sale(100)]}
    assert abroad.world.refusal("Invoice", **body) == "6000"
    american = make_sale(100, TaxCodeRef={"value": "TAX"})
    assert abroad.world.refusal("Invoice", CustomerRef={"value": "1"}, Line=[american]) == "6160"
    free = abroad.invoice(make_sale(100), GlobalTaxCalculation="NotApplicable")
    assert (free["TxnTaxDetail"], free["TotalAmt"]) == ({"TotalTax": 0}, 100)


def test_amounts_with_tax_in_them_are_taken_apart(make_world: Any, make_sale: Any) -> None:
    abroad = Abroad(make_world)
    code = {"TaxCodeRef": {"value": "2"}}
    made = abroad.invoice(
        make_sale("110.00", **code, TaxInclusiveAmt="110.00"), GlobalTaxCalculation="TaxInclusive"
    )
    row = made["Line"][0]
    assert (row["Amount"], row["SalesItemLineDetail"]["TaxInclusiveAmt"]) == (
        100,
        Decimal("110.0"),
    )
    assert (made["TxnTaxDetail"]["TotalTax"], made["TotalAmt"]) == (
        Decimal("10.0"),
        Decimal("110.0"),
    )
    said = abroad.invoice(make_sale(100, **code), GlobalTaxCalculation="TaxInclusive")
    assert said["Line"][0]["SalesItemLineDetail"]["TaxInclusiveAmt"] == Decimal("110.0")


def test_bills_outside_the_us_are_taxed_by_their_rows(make_world: Any) -> None:
    abroad = Abroad(make_world)
    kind = "AccountBasedExpenseLineDetail"
    detail = {"AccountRef": {"value": "63"}, "TaxCodeRef": {"value": "2"}}
    line = {"Amount": 50, "DetailType": kind, kind: detail}
    bill = abroad.world.write("Bill", VendorRef={"value": "1"}, Line=[line])
    assert (bill["TxnTaxDetail"]["TotalTax"], bill["Balance"]) == (
        Decimal("5.0"),
        Decimal("55.0"),
    )


@pytest.mark.parametrize(("country", "home"), [("GB", "GBP"), ("CA", "CAD"), ("US", "USD")])
def test_a_generated_company_is_of_its_country(country: str, home: str) -> None:
    service = Service(Options(), SimulatedClock())
    spec = CompanySpec(3, 10, country=country, multicurrency=True)
    books = service.add_company(spec).books
    info = books.row("CompanyInfo", 1).doc
    assert (info["Country"], books.home["value"]) == (country, home)
    foreign = [
        row.doc["CurrencyRef"]["value"]
        for row in books.tables["Invoice"].rows.values()
        if row.doc and row.doc["CurrencyRef"]["value"] != home
    ]
    assert sorted(foreign) == sorted(
        2 * [code for code in ("EUR", "GBP", "CAD", "USD") if code != home][:3]
    )


def test_a_company_cannot_be_just_anywhere() -> None:
    with pytest.raises(ConfigError, match="Atlantis"):
        Service(Options()).add_company(CompanySpec(1, 0, country="Atlantis"))


@pytest.mark.parametrize("country", ["US", "AU"])
def test_books_in_several_currencies_balance_in_the_home_currency(country: str) -> None:
    today, now = date(2026, 3, 2), 1772471742
    books = generate(8, 60, 3, today, now, country=country, multicurrency=True)
    standing = Standing(books)
    for basis in ("Accrual", "Cash"):
        for found in Daybook(standing, basis).transactions():
            assert sum(entry.cents for entry in found.entries) == 0, (basis, found)
    accounts = standing.poster.chart.accounts
    assert sum(standing.balance(account) for account in accounts) == 0
