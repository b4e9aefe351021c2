"""What forms do to each other, and what a company chooses in its Preferences."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.service import CompanySpec, Service

VENDOR, CUSTOMER = {"value": "1"}, {"value": "1"}
PAYABLES = {"value": "33"}


def cost(amount: Any, *links: Any, **detail: Any) -> Any:
    kind = "AccountBasedExpenseLineDetail"
    row = {
        "Amount": amount,
        "DetailType": kind,
        kind: {"AccountRef": {"value": "63"}, **detail},
    }
    return {**row, "LinkedTxn": list(links)} if links else row


def order_of(world: Any, *amounts: int) -> Any:
    lines = [cost(amount) for amount in amounts]
    return world.write("PurchaseOrder", VendorRef=VENDOR, APAccountRef=PAYABLES, Line=lines)


def test_an_order_is_closed_once_each_of_its_rows_is_billed(world: Any) -> None:
    order = order_of(world, 10, 20)

    def link(line: str) -> Any:
        return {"TxnId": order["Id"], "TxnType": "PurchaseOrder", "TxnLineId": line}

    first = world.write("Bill", VendorRef=VENDOR, Line=[cost(10, link("1"))])
    held = world.read("PurchaseOrder", order["Id"])
    assert (held["POStatus"], held["SyncToken"]) == ("Open", "1")
    assert held["LinkedTxn"] == [{"TxnId": first["Id"], "TxnType": "Bill"}]
    second = world.write("Bill", VendorRef=VENDOR, Line=[cost(20, link("2"))])
    held = world.read("PurchaseOrder", order["Id"])
    assert (held["POStatus"], len(held["LinkedTxn"])) == ("Closed", 2)
    noted = world.sparse("PurchaseOrder", held, PrivateNote="kept")
    assert (noted["LinkedTxn"], noted["POStatus"]) == (held["LinkedTxn"], "Closed")
    world.sparse("Bill", second, Line=[cost(20)])
    assert world.read("PurchaseOrder", order["Id"])["POStatus"] == "Open"
    world.write("Bill", "delete", Id=first["Id"], SyncToken=first["SyncToken"])
    assert "LinkedTxn" not in world.read("PurchaseOrder", order["Id"])


def test_a_bill_for_a_whole_order_closes_it_and_must_be_its_vendors(world: Any) -> None:
    order = order_of(world, 10, 20)
    link = {"TxnId": order["Id"], "TxnType": "PurchaseOrder"}
    lines = {"Line": [cost(30)], "LinkedTxn": [link]}
    assert world.refusal("Bill", VendorRef={"value": "2"}, **lines) == "620"
    world.write("Bill", VendorRef=VENDOR, **lines)
    assert world.read("PurchaseOrder", order["Id"])["POStatus"] == "Closed"
    wrong = cost(1, {**link, "TxnLineId": "9"})
    assert world.refusal("Bill", VendorRef=VENDOR, Line=[wrong]) == "620"


def test_an_estimate_is_invoiced_once_and_opens_again_as_it_was(world: Any, make_sale: Any) -> None:
    accepted = {"TxnStatus": "Accepted", "AcceptedBy": "Mara"}
    estimate = world.write("Estimate", CustomerRef=CUSTOMER, Line=[make_sale(5)], **accepted)
    body = {
        "CustomerRef": CUSTOMER,
        "Line": [make_sale(5)],
        "LinkedTxn": [{"TxnId": estimate["Id"], "TxnType": "Estimate"}],
    }
    invoice = world.write("Invoice", **body)
    assert world.read("Estimate", estimate["Id"])["TxnStatus"] == "Closed"
    assert world.refusal("Invoice", **body) == "620"
    world.write("Invoice", "delete", Id=invoice["Id"], SyncToken="0")
    assert world.read("Estimate", estimate["Id"])["TxnStatus"] == "Accepted"


def test_a_billable_row_is_billed_when_its_charge_is_invoiced(world: Any, make_sale: Any) -> None:
    row = cost(40, BillableStatus="Billable", CustomerRef=CUSTOMER)
    bill = world.write("Bill", VendorRef=VENDOR, Line=[cost(1), row])
    [charge] = [
        c
        for c in world.query("select * from ReimburseCharge")["ReimburseCharge"]
        if c["LinkedTxn"][0]["TxnId"] == bill["Id"]
    ]
    link = [{"TxnId": charge["Id"], "TxnType": "ReimburseCharge"}]
    form = {"CustomerRef": CUSTOMER, "Line": [make_sale(40)], "LinkedTxn": link}

    def status() -> str:
        detail = world.read("Bill", bill["Id"])["Line"][1]["AccountBasedExpenseLineDetail"]
        return str(detail["BillableStatus"])

    invoice = world.write("Invoice", **form)
    assert status() == "HasBeenBilled"
    assert world.refusal("Invoice", **form) == "620"
    world.write("Invoice", "delete", Id=invoice["Id"], SyncToken="0")
    assert status() == "Billable"


def test_a_bundle_is_worth_its_parts(world: Any) -> None:
    parts = [
        {"ItemRef": {"value": "3"}, "Qty": 2},  # 45.00, taxed
        {"ItemRef": {"value": "5"}, "Qty": 1},  # 135.00
    ]
    bundle = world.write(
        "Item", Name="Season check", Type="Group", ItemGroupDetail={"ItemGroupLine": parts}
    )
    row = {
        "DetailType": "GroupLineDetail",
        "GroupLineDetail": {"GroupItemRef": {"value": bundle["Id"]}, "Quantity": 2},
    }
    tax = {"TxnTaxCodeRef": {"value": "2"}}
    made = world.write("Invoice", CustomerRef=CUSTOMER, Line=[row], TxnTaxDetail=tax)
    group, total = made["Line"]
    assert [part["Amount"] for part in group["GroupLineDetail"]["Line"]] == [180, 270]
    assert (group["Amount"], total["Amount"]) == (450, 450)
    assert made["TotalAmt"] == Decimal("484.65")


# -- choices -----------------------------------------------------------------------------------


def test_credit_is_used_up_by_itself_where_the_company_wants_that(
    make_world: Any, make_sale: Any
) -> None:
    world = make_world(auto_apply_credit=True)
    assert world.read("Preferences", "1")["SalesFormsPrefs"]["AutoApplyCredit"] is True
    customer = world.customer()
    old, young = world.invoice(customer, 60), world.invoice(customer, 60)
    who = {"value": customer["Id"]}
    memo = world.write("CreditMemo", CustomerRef=who, Line=[make_sale(100)])
    assert memo["RemainingCredit"] == 0
    balances = [world.read("Invoice", one["Id"])["Balance"] for one in (old, young)]
    assert balances == [0, 20]
    more = world.write("CreditMemo", CustomerRef=who, Line=[make_sale(50)])
    assert more["RemainingCredit"] == 30
    third = world.invoice(customer, 40)
    assert third["Balance"] == 10
    [*_, payment] = world.query("select * from Payment")["Payment"]
    assert (payment["TotalAmt"], len(payment["Line"])) == (0, 2)
    assert world.read("Customer", customer["Id"])["Balance"] == 10


def test_choices_made_by_people_are_seen_in_preferences_and_change_their_time() -> None:
    service = Service(Options())
    company = service.add_company(CompanySpec(2, 0))
    told: list[Any] = []
    company.on_change = lambda realm, changes: told.extend(changes)
    service.set_options({"book_close_date": "2026-01-31", "custom_purchase_numbers": True})
    doc = company.books.row("Preferences", 1).doc
    assert doc["AccountingInfoPrefs"]["BookCloseDate"] == "2026-01-31"
    pairs = {pair["Name"]: pair["Value"] for pair in doc["OtherPrefs"]["NameValue"]}
    assert pairs["VendorAndPurchasesPrefs.UseCustomTxnNumbers"] == "true"
    assert [(c.entity, c.operation) for c in told] == [("Preferences", "Update")] * 2
    service.set_options({"book_close_date": None})
    assert "BookCloseDate" not in company.books.row("Preferences", 1).doc["AccountingInfoPrefs"]


def test_own_numbers_are_the_clients_to_give(make_world: Any) -> None:
    world = make_world()
    sales = world.read("Preferences", "1")
    world.sparse("Preferences", sales, SalesFormsPrefs={"CustomTxnNumbers": True})
    assert "DocNumber" not in world.invoice(world.customer())
    assert order_of(world, 5)["DocNumber"] == "1001"
    world = make_world(custom_purchase_numbers=True)
    assert "DocNumber" not in order_of(world, 5)


def test_a_period_is_closed_by_preferences_not_by_the_client(make_world: Any) -> None:
    world = make_world(book_close_date=date(2026, 2, 28))
    held = world.read("Preferences", "1")
    assert held["AccountingInfoPrefs"]["BookCloseDate"] == "2026-02-28"
    world.sparse("Preferences", held, AccountingInfoPrefs={"BookCloseDate": "2020-01-01"})
    who = {"CustomerRef": CUSTOMER, "TotalAmt": 5}
    assert world.refusal("Payment", **who, TxnDate="2026-02-28") == "6210"
    assert world.write("Payment", **who, TxnDate="2026-03-01")["Id"]


@pytest.mark.parametrize("member", ["AllowDiscount", "AllowShipping", "AllowDeposit"])
def test_what_is_switched_off_is_refused(world: Any, make_sale: Any, member: str) -> None:
    discount = {"DetailType": "DiscountLineDetail", "Amount": 1, "DiscountLineDetail": {}}
    shipping = make_sale(9)
    shipping["SalesItemLineDetail"]["ItemRef"] = {"value": "SHIPPING_ITEM_ID"}
    lines, more = [make_sale(100)], {}
    if member == "AllowDeposit":
        more = {"Deposit": 10}
    else:
        lines.append(discount if member == "AllowDiscount" else shipping)
    form = {"CustomerRef": CUSTOMER, "Line": lines, **more}
    assert world.write("Invoice", **form)["Id"]
    held = world.read("Preferences", "1")
    world.sparse("Preferences", held, SalesFormsPrefs={member: False})
    assert world.refusal("Invoice", **form) == "6000"
