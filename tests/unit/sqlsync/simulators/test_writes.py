"""Create, update, void, delete and deactivate, by the service's rules."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sqlsync.simulators.quickbooks.faults import Fault


def test_created_record_has_what_the_service_makes(world: Any) -> None:
    customer = world.customer(CompanyName="Ostrow")
    assert customer["SyncToken"] == "0"
    assert customer["MetaData"] == {
        "CreateTime": "2026-03-02T09:15:42-08:00",
        "LastUpdatedTime": "2026-03-02T09:15:42-08:00",
    }
    assert customer["FullyQualifiedName"] == "Ostrow Cycling Club"
    assert customer["Active"] is True
    assert world.read("Customer", customer["Id"]) == customer


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"DisplayName": "A", "Colour": "red"}, "2010"),
        ({"DisplayName": "A", "BillAddr": {"Colour": "red"}}, "2010"),
        ({}, "6080"),
        ({"DisplayName": "x" * 501}, "2050"),
        ({"DisplayName": "A", "PreferredDeliveryMethod": "Pigeon"}, "2170"),
        ({"DisplayName": "A", "PrimaryEmailAddr": {"Address": "nobody"}}, "2210"),
        ({"DisplayName": "A:B"}, "2040"),
        ({"DisplayName": "A", "Taxable": "perhaps"}, "2230"),
        ({"DisplayName": "A", "OpenBalanceDate": "yesterday"}, "2060"),
        ({"DisplayName": "A", "Balance": "much"}, "2090"),
        ({"DisplayName": "acme CORP"}, "6240"),
        ({"Id": "abc", "SyncToken": "0"}, "2030"),
        ({"Id": "99", "SyncToken": "0", "sparse": True}, "610"),
        ({"Id": "1", "sparse": True}, "2020"),
        ({"Id": "1", "SyncToken": "7", "sparse": True}, "5010"),
        ({"DisplayName": "A", "ParentRef": {"value": "99"}}, "2500"),
    ],
)
def test_bad_bodies_are_refused_with_their_code(world: Any, body: Any, code: str) -> None:
    before = world.query("select count(*) from Customer")
    assert world.refusal("Customer", **body) == code
    assert world.query("select count(*) from Customer") == before


def test_read_only_properties_are_ignored(world: Any) -> None:
    customer = world.customer(FullyQualifiedName="other", BalanceWithJobs=5, SyncToken="9")
    assert customer["FullyQualifiedName"] == "Ostrow Cycling Club"
    assert customer["SyncToken"] == "0"


def test_names_are_one_space_over_customers_vendors_and_employees(world: Any) -> None:
    world.write("Vendor", DisplayName="Shared")
    assert world.refusal("Customer", DisplayName="shared") == "6240"
    assert world.refusal("Employee", GivenName="G", FamilyName="F", DisplayName="SHARED") == "6240"
    customer = world.customer("Free")
    assert world.refusal("Vendor", DisplayName="free") == "6240"
    world.sparse("Customer", customer, DisplayName="Renamed")
    assert world.write("Vendor", DisplayName="Free")["DisplayName"] == "Free"


def test_sparse_update_changes_what_is_sent_and_full_update_nulls_the_rest(world: Any) -> None:
    customer = world.customer(Notes="old", CompanyName="Ostrow")
    customer = world.sparse("Customer", customer, Notes="new")
    assert (customer["Notes"], customer["CompanyName"], customer["SyncToken"]) == (
        "new",
        "Ostrow",
        "1",
    )
    customer = world.write(
        "Customer", Id=customer["Id"], SyncToken="1", DisplayName="Ostrow Cycling Club"
    )
    assert "Notes" not in customer
    assert "CompanyName" not in customer
    assert customer["Active"] is True


def test_empty_text_clears_and_null_in_a_sparse_update_does_not(world: Any) -> None:
    customer = world.customer(Notes="old", CompanyName="Ostrow")
    customer = world.sparse("Customer", customer, Notes="", CompanyName=None)
    assert "Notes" not in customer
    assert customer["CompanyName"] == "Ostrow"


def test_deactivated_name_is_marked_and_free_again_and_comes_back(world: Any) -> None:
    customer = world.customer("Shop")
    gone = world.sparse("Customer", customer, Active=False)
    assert (gone["Active"], gone["DisplayName"]) == (False, "Shop (deleted)")
    second = world.customer("Shop")
    key = {"Id": gone["Id"], "SyncToken": "1", "sparse": True}
    assert world.refusal("Customer", **key, Active=True) == "6240"
    world.sparse("Customer", second, DisplayName="Other shop")
    assert world.sparse("Customer", gone, Active=True)["DisplayName"] == "Shop"


def test_open_balance_forbids_deactivation(world: Any) -> None:
    customer = world.customer()
    world.invoice(customer, 10)
    key = {"Id": customer["Id"], "SyncToken": "0", "sparse": True}
    assert world.refusal("Customer", **key, Active=False) == "6220"


def test_names_have_no_delete(world: Any) -> None:
    assert world.refusal("Customer", "delete", Id="1", SyncToken="0") == "500"


def test_inactive_and_unknown_references_are_refused(world: Any) -> None:
    gone = world.sparse("Customer", world.customer(), Active=False)
    line = {"Amount": 1, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {}}
    for number in (gone["Id"], "99999"):
        assert world.refusal("Invoice", CustomerRef={"value": number}, Line=[line]) == "2500"


def test_invoice_gets_sub_total_number_dates_and_totals(world: Any, make_sale: Any) -> None:
    customer = world.customer(PrimaryEmailAddr={"Address": "mara@example.com"})
    invoice = world.write(
        "Invoice",
        CustomerRef={"value": customer["Id"]},
        SalesTermRef={"value": "3"},
        ApplyTaxAfterDiscount=False,
        TxnTaxDetail={"TxnTaxCodeRef": {"value": "2"}},
        Line=[
            make_sale(225, Qty=5, UnitPrice=45, TaxCodeRef={"value": "TAX"}),
            make_sale("120.00", Qty=2, UnitPrice=60, TaxCodeRef={"value": "TAX"}),
            {
                "DetailType": "DiscountLineDetail",
                "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10},
            },
        ],
    )
    kinds = [line["DetailType"] for line in invoice["Line"]]
    assert kinds == ["SalesItemLineDetail"] * 2 + ["SubTotalLineDetail", "DiscountLineDetail"]
    assert [line["Amount"] for line in invoice["Line"]] == [225, 120, 345, Decimal("34.5")]
    assert invoice["TxnTaxDetail"]["TotalTax"] == Decimal("26.57")
    assert invoice["TotalAmt"] == invoice["Balance"] == Decimal("337.07")
    assert (invoice["TxnDate"], invoice["DueDate"]) == ("2026-03-02", "2026-04-01")
    assert invoice["DocNumber"] == "1001"
    assert invoice["BillEmail"] == {"Address": "mara@example.com"}
    assert world.read("Customer", customer["Id"])["Balance"] == Decimal("337.07")


def test_amount_must_be_quantity_times_price(world: Any, make_sale: Any) -> None:
    line = make_sale(100, Qty=3, UnitPrice=45)
    assert world.refusal("Invoice", CustomerRef={"value": "1"}, Line=[line]) == "6070"


@pytest.mark.parametrize(
    "body",
    [
        {"CustomerRef": {"value": "1"}},
        {"CustomerRef": {"value": "1"}, "Line": []},
        {"Line": [{"Amount": 1, "DetailType": "SalesItemLineDetail"}]},
        {"CustomerRef": {"value": "1"}, "Line": [{"DetailType": "SalesItemLineDetail"}]},
        {"CustomerRef": {"value": "1"}, "Line": [{"Amount": 1}]},
    ],
)
def test_invoice_without_what_it_needs_is_2020(world: Any, body: Any) -> None:
    assert world.refusal("Invoice", **body) == "2020"


def test_lines_are_replaced_as_a_set_and_known_rows_keep_their_id(
    world: Any, make_sale: Any
) -> None:
    invoice = world.invoice(world.customer(), 10, 20, 30)
    ids = [line.get("Id") for line in invoice["Line"]]
    assert ids == ["1", "2", "3", None]
    kept = {**invoice["Line"][1], "Amount": 25}
    invoice = world.sparse("Invoice", invoice, Line=[kept, make_sale(5)])
    rows = [(line.get("Id"), line["Amount"]) for line in invoice["Line"]]
    assert rows == [("2", 25), ("4", 5), (None, 30)]
    assert invoice["TotalAmt"] == 30
    again = world.sparse("Invoice", invoice, PrivateNote="lines stay")
    assert again["Line"] == invoice["Line"]


def test_sent_tax_is_honoured_and_stays_until_rows_change(world: Any, make_sale: Any) -> None:
    tax = {"TxnTaxCodeRef": {"value": "2"}, "TotalTax": 5}
    taxed = make_sale(100, TaxCodeRef={"value": "TAX"})
    invoice = world.write("Invoice", CustomerRef={"value": "1"}, Line=[taxed], TxnTaxDetail=tax)
    assert invoice["TotalAmt"] == 105
    invoice = world.sparse("Invoice", invoice, PrivateNote="x")
    assert invoice["TotalAmt"] == 105
    invoice = world.sparse("Invoice", invoice, Line=[{**taxed, "Amount": 200}])
    assert invoice["TotalAmt"] == Decimal("215.4")


def test_document_numbers_go_up_and_duplicates_are_refused(world: Any) -> None:
    customer = world.customer()
    first, second = world.invoice(customer), world.invoice(customer)
    assert int(second["DocNumber"]) == int(first["DocNumber"]) + 1
    line = [{"Amount": 1, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {}}]
    body = {"CustomerRef": {"value": customer["Id"]}, "Line": line, "DocNumber": "1001"}
    with pytest.raises(Fault) as caught:
        world.write("Invoice", **body)
    assert caught.value.detail.endswith(
        f"DocNumber=1001 is assigned to TxnType=Invoice with TxnId={first['Id']}"
    )
    assert world.write("Invoice", include="allowduplicatedocnum", **body)["DocNumber"] == "1001"
    world.write("Invoice", **{**body, "DocNumber": "A-7"})
    assert int(world.invoice(customer)["DocNumber"]) == int(second["DocNumber"]) + 1


def test_payment_pays_invoices_and_both_sides_show_the_link(world: Any) -> None:
    customer = world.customer()
    invoice = world.invoice(customer, 100)
    world.later()
    payment = world.payment(customer, 150, {invoice["Id"]: 60})
    assert (payment["TotalAmt"], payment["UnappliedAmt"]) == (150, 90)
    paid = world.read("Invoice", invoice["Id"])
    assert paid["Balance"] == 40
    assert paid["LinkedTxn"] == [{"TxnId": payment["Id"], "TxnType": "Payment"}]
    assert paid["SyncToken"] == "1"
    assert paid["MetaData"]["LastUpdatedTime"] == "2026-03-02T09:16:42-08:00"
    party = world.read("Customer", customer["Id"])
    assert party["Balance"] == -50
    assert party["SyncToken"] == "0"
    assert party["MetaData"]["LastUpdatedTime"] == "2026-03-02T09:16:42-08:00"


def test_over_application_is_refused_and_changes_nothing(world: Any) -> None:
    customer = world.customer()
    first, second = world.invoice(customer, 100), world.invoice(customer, 50)
    before = [world.read("Invoice", i["Id"]) for i in (first, second)]
    paid = {first["Id"]: 100, second["Id"]: 60}
    with pytest.raises(Fault) as caught:
        world.payment(customer, 500, paid)
    assert caught.value.code == "6000"
    with pytest.raises(Fault) as caught:
        world.payment(customer, 100, {first["Id"]: 60, second["Id"]: 50})
    assert caught.value.code == "6000"
    assert [world.read("Invoice", i["Id"]) for i in (first, second)] == before
    assert world.read("Customer", customer["Id"])["Balance"] == 150


def test_payment_of_another_customers_invoice_cannot_be_linked(world: Any) -> None:
    invoice = world.invoice(world.customer())
    with pytest.raises(Fault) as caught:
        world.payment({"Id": "1"}, 10, {invoice["Id"]: 10})
    assert caught.value.code == "620"


def test_parent_may_pay_for_its_sub_customer(world: Any) -> None:
    parent = world.customer("Parent")
    job = world.customer("Job", ParentRef={"value": parent["Id"]})
    assert job["FullyQualifiedName"] == "Parent:Job"
    invoice = world.invoice(job, 100)
    shown = world.read("Customer", parent["Id"])
    assert (shown["Balance"], shown["BalanceWithJobs"]) == (0, 100)
    world.payment(parent, 100, {invoice["Id"]: 100})
    assert world.read("Customer", parent["Id"])["BalanceWithJobs"] == 0


@pytest.mark.parametrize("operation", ["void", "delete"])
def test_voiding_or_deleting_an_invoice_frees_its_payments(world: Any, operation: str) -> None:
    customer = world.customer()
    invoice = world.invoice(customer, 100)
    payment = world.payment(customer, 100, {invoice["Id"]: 100})
    answer = world.write("Invoice", operation, Id=invoice["Id"], SyncToken="1")
    freed = world.read("Payment", payment["Id"])
    assert (freed["UnappliedAmt"], freed["Line"], freed["SyncToken"]) == (100, [], "1")
    assert world.read("Customer", customer["Id"])["Balance"] == -100
    if operation == "delete":
        assert answer == {"domain": "QBO", "status": "Deleted", "Id": invoice["Id"]}
        key = {"Id": invoice["Id"], "SyncToken": "2", "sparse": True}
        assert world.refusal("Invoice", **key) == "610"
        assert world.query("select count(*) from Invoice") == {"totalCount": 0}
    else:
        assert (answer["TotalAmt"], answer["Balance"], answer["LinkedTxn"]) == (0, 0, [])
        assert answer["PrivateNote"] == "Voided"
        assert {line["Amount"] for line in answer["Line"]} == {0}
        assert answer["Line"][0]["SalesItemLineDetail"]["ItemRef"]["value"] == "1"
        assert answer["SyncToken"] == "2"


@pytest.mark.parametrize(
    ("operation", "include"), [("void", ""), ("update", "void"), ("delete", "")]
)
def test_voiding_or_deleting_a_payment_opens_its_invoices(
    world: Any, operation: str, include: str
) -> None:
    customer = world.customer()
    invoice = world.invoice(customer, 100)
    payment = world.payment(customer, 120, {invoice["Id"]: 100})
    world.write("Payment", operation, include, Id=payment["Id"], SyncToken="0", sparse=True)
    opened = world.read("Invoice", invoice["Id"])
    assert (opened["Balance"], opened["LinkedTxn"], opened["SyncToken"]) == (100, [], "2")
    assert world.read("Customer", customer["Id"])["Balance"] == 100
    if operation != "delete":
        voided = world.read("Payment", payment["Id"])
        assert (voided["TotalAmt"], voided["UnappliedAmt"], voided["Line"]) == (0, 0, [])


def test_note_on_a_payment_leaves_its_invoice_untouched(world: Any) -> None:
    customer = world.customer()
    invoice = world.invoice(customer, 100)
    payment = world.payment(customer, 100, {invoice["Id"]: 100})
    before = world.read("Invoice", invoice["Id"])
    world.later()
    world.sparse("Payment", payment, PrivateNote="thanks")
    assert world.read("Invoice", invoice["Id"]) == before


def test_lowered_invoice_gives_the_excess_back_to_the_payment(world: Any) -> None:
    customer = world.customer()
    invoice = world.invoice(customer, 100)
    payment = world.payment(customer, 100, {invoice["Id"]: 100})
    lines = [{**world.read("Invoice", invoice["Id"])["Line"][0], "Amount": 70}]
    world.sparse("Invoice", world.read("Invoice", invoice["Id"]), Line=lines)
    assert world.read("Invoice", invoice["Id"])["Balance"] == 0
    assert world.read("Payment", payment["Id"])["UnappliedAmt"] == 30
    assert world.read("Customer", customer["Id"])["Balance"] == -30


def test_bill_payments_pay_bills(world: Any) -> None:
    vendor = world.write("Vendor", DisplayName="Brandt Frames")
    line = {
        "Amount": "412.50",
        "DetailType": "AccountBasedExpenseLineDetail",
        "AccountBasedExpenseLineDetail": {"AccountRef": {"value": "60"}},
    }
    bill = world.write("Bill", VendorRef={"value": vendor["Id"]}, Line=[line])
    body = {
        "VendorRef": {"value": vendor["Id"]},
        "PayType": "Check",
        "CheckPayment": {"BankAccountRef": {"value": "35"}},
        "TotalAmt": 200,
        "Line": [{"Amount": 200, "LinkedTxn": [{"TxnId": bill["Id"], "TxnType": "Bill"}]}],
    }
    payment = world.write("BillPayment", **body)
    assert payment["CheckPayment"]["BankAccountRef"] == {"value": "35", "name": "Checking"}
    paid = world.read("Bill", bill["Id"])
    assert paid["Balance"] == Decimal("212.5")
    assert paid["LinkedTxn"] == [{"TxnId": payment["Id"], "TxnType": "BillPaymentCheck"}]
    assert world.read("Vendor", vendor["Id"])["Balance"] == Decimal("212.5")
    world.write("BillPayment", "update", "void", Id=payment["Id"], SyncToken="0", sparse=True)
    assert world.read("Bill", bill["Id"])["Balance"] == Decimal("412.5")
    card = {**body, "PayType": "CreditCard"}
    assert world.refusal("BillPayment", **card) == "2020"


def test_purchase_order_is_totalled_and_numbered(world: Any) -> None:
    line = {
        "Amount": 800,
        "DetailType": "ItemBasedExpenseLineDetail",
        "ItemBasedExpenseLineDetail": {"ItemRef": {"value": "12"}, "Qty": 4, "UnitPrice": 200},
    }
    body = {"VendorRef": {"value": "1"}, "Line": [line]}
    assert world.refusal("PurchaseOrder", **body) == "2020"
    order = world.write("PurchaseOrder", **body, APAccountRef={"value": "33"})
    assert (order["TotalAmt"], order["POStatus"]) == (800, "Open")
    assert order["Line"][0]["ItemBasedExpenseLineDetail"]["ItemRef"]["name"] == "Steel frame"


def test_renaming_a_customer_reaches_forms_without_touching_them(make_world: Any) -> None:
    world = make_world(customers=3, invoices=20)
    generated = world.query("select * from Invoice where CustomerRef = '1'")["Invoice"][0]
    written = world.invoice({"Id": "1"}, 10)
    world.later()
    world.sparse("Customer", world.read("Customer", "1"), DisplayName="Acme Corporation")
    for before in (generated, written):
        after = world.read("Invoice", before["Id"])
        assert after["CustomerRef"]["name"] == "Acme Corporation"
        assert after["MetaData"] == before["MetaData"]


def test_closed_period_refuses_writes_dated_in_it(make_world: Any) -> None:
    from datetime import date

    world = make_world(book_close_date=date(2025, 12, 31))
    customer = world.customer()
    line = [{"Amount": 1, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {}}]
    body = {"CustomerRef": {"value": customer["Id"]}, "Line": line}
    assert world.refusal("Invoice", **body, TxnDate="2025-12-31") == "6210"
    assert world.write("Invoice", **body, TxnDate="2026-01-01")["TotalAmt"] == 1


def test_same_requestid_is_carried_out_once_and_answered_alike(world: Any) -> None:
    first = world.write("Customer", DisplayName="Once", requestid="abc-1")
    second = world.write("Customer", DisplayName="Once", requestid="abc-1")
    assert first == second
    assert len(world.company.applied) == 1
    assert world.refusal("Customer", DisplayName="Twice", requestid="x" * 51) == "2130"
    assert world.refusal("Customer", DisplayName="Twice", requestid="no spaces") == "2130"


def test_batch_items_succeed_and_fail_by_themselves(world: Any) -> None:
    from sqlsync.simulators.quickbooks.values import decode

    items = [
        {"bId": "1", "operation": "create", "Customer": {"DisplayName": "Acme Corp"}},
        {"bId": "2", "operation": "create", "Customer": {"DisplayName": "New"}},
        {"bId": "3", "Query": "select count(*) from Customer"},
        {"bId": "4", "operation": "explode", "Customer": {}},
    ]
    for _ in range(2):  # the second time is a replay
        answer = decode(world.company.batch({"BatchItemRequest": items}, "batch-1"))
        one, two, three, four = answer["BatchItemResponse"]
        assert one["Fault"]["Error"][0]["code"] == "6240"
        assert two["Customer"]["DisplayName"] == "New"
        assert three["QueryResponse"] == {"totalCount": 4}
        assert four["Fault"]["Error"][0]["code"] == "500"
    assert len(world.company.applied) == 1
    with pytest.raises(Fault):
        world.company.batch({"BatchItemRequest": [items[2]] * 31})


def test_items_and_accounts_follow_their_rules(world: Any) -> None:
    assert world.refusal("Item", Name="Thing") == "2020"
    income = {"value": "1"}
    item = world.write("Item", Name="Thing", IncomeAccountRef=income)
    assert item["Type"] == "Service"
    assert world.refusal("Item", Name="thing", IncomeAccountRef=income) == "6240"
    child = world.write("Item", Name="Thing", IncomeAccountRef=income, ParentRef={"value": "1"})
    assert child["FullyQualifiedName"] == "Services:Thing"
    assert world.refusal("Account", Name="Fees") == "6010"
    account = world.write("Account", Name="Fees", AccountType="Expense")
    assert account["Classification"] == "Expense"
    assert account["AccountSubType"]


def test_sending_marks_the_form_and_needs_an_address(world: Any) -> None:
    from sqlsync.simulators.quickbooks.entities import entity_by_word

    invoice = world.invoice(world.customer())
    entity = entity_by_word()["invoice"]
    with pytest.raises(Fault) as caught:
        world.company.send(entity, invoice["Id"], None, None)
    assert caught.value.code == "6420"
    world.company.send(entity, invoice["Id"], "mara@example.com", None)
    sent = world.read("Invoice", invoice["Id"])
    assert sent["EmailStatus"] == "EmailSent"
    assert sent["DeliveryInfo"]["DeliveryType"] == "Email"


def test_ended_subscription_refuses_every_write(make_world: Any) -> None:
    world = make_world(write_refused="6190")
    assert world.refusal("Customer", DisplayName="A") == "6190"


def test_sparse_updates_may_have_to_name_whom_they_are_about(make_world: Any) -> None:
    world = make_world(sparse_needs_refs=True)
    customer = world.customer()
    invoice = world.invoice(customer)
    key = {"Id": invoice["Id"], "SyncToken": "0", "sparse": True, "PrivateNote": "x"}
    assert world.refusal("Invoice", **key) == "2020"
    assert world.write("Invoice", **key, CustomerRef=invoice["CustomerRef"])["PrivateNote"] == "x"
    assert world.sparse("Customer", customer, Notes="needs nothing")["Notes"]
