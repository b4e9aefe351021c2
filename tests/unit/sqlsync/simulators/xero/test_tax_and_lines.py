"""Tax per line, rounding, discounts, unit prices of two or four places."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

CENT = Decimal("0.01")


def money(text: Any) -> Decimal:
    return Decimal(text).quantize(CENT, ROUND_HALF_UP)


@pytest.mark.parametrize(
    ("kind", "amounts", "expected"),
    [
        ("Exclusive", ["10.00", "20.00"], ("30.00", "4.50", "34.50")),
        ("Inclusive", ["115.00"], ("100.00", "15.00", "115.00")),
        ("Inclusive", ["10.00", "10.00"], ("17.40", "2.60", "20.00")),
        ("NoTax", ["10.00"], ("10.00", "0.00", "10.00")),
        ("Exclusive", ["0.03", "0.03", "0.03"], ("0.09", "0.00", "0.09")),
        ("Exclusive", ["0.10", "0.10"], ("0.20", "0.04", "0.24")),  # 0.015 each, up
    ],
)
def test_tax_is_rounded_for_each_line_and_then_summed(
    world: Any, kind: str, amounts: list[str], expected: tuple[str, ...]
) -> None:
    invoice = world.invoice(None, *amounts, LineAmountTypes=kind)
    figures = tuple(str(invoice[name]) for name in ("SubTotal", "TotalTax", "Total"))
    assert figures == expected


def test_a_half_may_go_to_the_even_cent_instead(make_world: Any) -> None:
    world = make_world(tax_rounding="half_even")
    assert world.invoice(None, "0.10")["TotalTax"] == Decimal("0.02")
    assert world.invoice(None, "0.30")["TotalTax"] == Decimal("0.04")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"Quantity": 3, "UnitAmount": "2.50"}, ("3.0000", "2.50", "7.50")),
        ({"Quantity": 4, "UnitAmount": None, "LineAmount": 10}, ("4.0000", "2.50", "10.00")),
        ({"Quantity": None, "UnitAmount": "2.50", "LineAmount": 10}, ("4.0000", "2.50", "10.00")),
        ({"Quantity": None, "UnitAmount": "9.99"}, ("1.0000", "9.99", "9.99")),
    ],
)
def test_two_of_quantity_price_and_amount_give_the_third(
    world: Any, make_line: Any, given: dict[str, Any], expected: tuple[str, ...]
) -> None:
    sent = {**make_line("1"), **given}
    sent = {name: value for name, value in sent.items() if value is not None}
    [line] = world.invoice(LineItems=[sent])["LineItems"]
    names = ("Quantity", "UnitAmount", "LineAmount")
    assert tuple(str(line[name]) for name in names) == expected


def test_four_places_are_kept_with_unitdp_and_else_rounded(world: Any, make_line: Any) -> None:
    contact = {"ContactID": world.contact()["ContactID"]}
    body = {"Type": "ACCREC", "Contact": contact, "LineItems": [make_line("1.2345", Quantity=100)]}
    exact = world.put("Invoices", body, unitdp="4")
    assert exact["LineItems"][0]["UnitAmount"] == Decimal("1.2345")
    assert exact["LineItems"][0]["LineAmount"] == Decimal("123.45")
    path = f"Invoices/{exact['InvoiceID']}"
    assert str(world.one(path)["LineItems"][0]["UnitAmount"]) == "1.23"
    assert str(world.one(path, unitdp="4")["LineItems"][0]["UnitAmount"]) == "1.2345"
    rough = world.put("Invoices", body)
    assert rough["LineItems"][0]["LineAmount"] == Decimal("123.00")
    order = {"Contact": contact, "LineItems": [make_line("1.2345", Quantity=100)]}
    made = world.put("PurchaseOrders", order)
    assert made["LineItems"][0]["UnitAmount"] == Decimal("1.2345")


def test_discounts_lower_the_line_and_are_summed(world: Any, make_line: Any) -> None:
    lines = [make_line("40.00", DiscountRate=10), make_line("30.00", DiscountAmount=5)]
    invoice = world.invoice(LineItems=lines)
    assert [line["LineAmount"] for line in invoice["LineItems"]] == [36, 25]
    assert invoice["TotalDiscount"] == Decimal("9.00")
    assert invoice["IsDiscounted"] is True
    contact = {"ContactID": world.contact()["ContactID"]}
    bill = {"Type": "ACCPAY", "Contact": contact, "LineItems": [make_line("1", DiscountRate=5)]}
    assert "Discounts" in world.refusal("PUT", "Invoices", bill)[0]


def test_tax_may_be_overridden_on_invoices_and_must_match_on_bank_transactions(
    world: Any, make_line: Any
) -> None:
    invoice = world.invoice(LineItems=[make_line("100.00", TaxAmount="14.99")])
    assert invoice["TotalTax"] == Decimal("14.99")
    assert world.change(invoice, Reference="x")["TotalTax"] == Decimal("14.99")
    [line] = invoice["LineItems"]
    same = {"LineItemID": line["LineItemID"], "Description": "other"}
    assert world.change(invoice, LineItems=[same])["TotalTax"] == Decimal("14.99")
    more = {"LineItemID": line["LineItemID"], "Quantity": 2}
    assert world.change(invoice, LineItems=[more])["TotalTax"] == Decimal("30.00")
    contact = {"ContactID": world.contact()["ContactID"]}
    body = {"Type": "RECEIVE", "Contact": contact, "BankAccount": {"Code": "090"}}
    lines = [make_line("115.00", TaxAmount="14.99")]
    [message] = world.refusal("PUT", "BankTransactions", {**body, "LineItems": lines})
    assert "does not match" in message
    made = world.put("BankTransactions", {**body, "LineItems": [make_line("115.00")]})
    assert (made["LineAmountTypes"], made["TotalTax"]) == ("Inclusive", Decimal("15.00"))


def test_an_item_fills_what_the_line_leaves_open(world: Any) -> None:
    [line] = world.invoice(LineItems=[{"ItemCode": "HB-1KG", "Quantity": 24}])["LineItems"]
    assert line["UnitAmount"] == Decimal("27.50")
    assert line["LineAmount"] == Decimal("660.00")
    assert (line["AccountCode"], line["TaxType"]) == ("200", "OUTPUT2")
    assert line["Item"]["Name"] == "House blend 1 kg"
    dear = [{"ItemCode": "HB-1KG", "UnitAmount": 30, "Description": "Special"}]
    [line] = world.invoice(LineItems=dear)["LineItems"]
    assert (line["UnitAmount"], line["Description"]) == (Decimal("30.00"), "Special")


def test_tracking_is_resolved_by_name_or_id_and_limited(world: Any, make_line: Any) -> None:
    named = [{"Name": "Region", "Option": "north"}]
    [line] = world.invoice(LineItems=[make_line("1", Tracking=named)])["LineItems"]
    assert (line["Tracking"][0]["Name"], line["Tracking"][0]["Option"]) == ("Region", "North")
    contact = {"ContactID": world.contact()["ContactID"]}
    for bad in ([{"Name": "Region", "Option": "Moon"}], [*named, *named], [{"Name": "Shop"}]):
        lines = [make_line("1", Tracking=bad)]
        body = {"Type": "ACCREC", "Contact": contact, "LineItems": lines}
        assert world.refusal("PUT", "Invoices", body)


LINES = st.lists(
    st.tuples(
        st.integers(1, 99_999),  # cents
        st.integers(1, 400),  # hundredths
        st.integers(0, 40),  # percent off
        st.sampled_from(["OUTPUT2", "ZERORATED", "NONE"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(lines=LINES, kind=st.sampled_from(["Exclusive", "Inclusive", "NoTax"]))
def test_totals_follow_from_the_lines_whatever_they_are(
    lines: list[tuple[int, int, int, str]], kind: str
) -> None:
    world = SHARED
    sent = [
        {
            "Description": "x",
            "UnitAmount": str(Decimal(cents) / 100),
            "Quantity": str(Decimal(hundredths) / 100),
            "DiscountRate": percent,
            "AccountCode": "200",
            "TaxType": tax,
        }
        for cents, hundredths, percent, tax in lines
    ]
    invoice = world.invoice(CONTACT, LineItems=sent, LineAmountTypes=kind)
    wanted_lines, wanted_tax = Decimal(0), Decimal(0)
    for cents, hundredths, percent, tax in lines:
        amount = money(Decimal(cents) / 100 * Decimal(hundredths) / 100 * (100 - percent) / 100)
        rate = Decimal(15 if tax == "OUTPUT2" and kind != "NoTax" else 0)
        base = 100 + rate if kind == "Inclusive" else Decimal(100)
        wanted_lines += amount
        wanted_tax += money(amount * rate / base)
    assert invoice["TotalTax"] == wanted_tax
    if kind == "Inclusive":
        assert invoice["Total"] == wanted_lines
        assert invoice["SubTotal"] == wanted_lines - wanted_tax
    else:
        assert invoice["SubTotal"] == wanted_lines
        assert invoice["Total"] == wanted_lines + wanted_tax
    posts = world.ledger.posts(world.ledger.journals[-1])
    assert sum(post.net for post in posts) == 0


@pytest.fixture(autouse=True, scope="module")
def _shared_world(request: pytest.FixtureRequest) -> None:
    global SHARED, CONTACT
    world_type = request.getfixturevalue("module_world")
    SHARED = world_type()
    CONTACT = SHARED.contact("Shared")


SHARED: Any = None
CONTACT: Any = None
