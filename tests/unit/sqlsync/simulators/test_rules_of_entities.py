"""Rules of the entities beside invoices, payments and names: what they refuse, what they do."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.values import decode

BANK, CARD, UNDEPOSITED, RECEIVABLES, PAYABLES, RENT = (
    {"value": number} for number in ("35", "42", "4", "84", "33", "61")
)


def cost(amount: Any, **detail: Any) -> dict[str, Any]:
    return {
        "Amount": amount,
        "DetailType": "AccountBasedExpenseLineDetail",
        "AccountBasedExpenseLineDetail": {"AccountRef": RENT, **detail},
    }


def posting(kind: str, amount: Any, account: Any = RENT, **detail: Any) -> dict[str, Any]:
    return {
        "Amount": amount,
        "DetailType": "JournalEntryLineDetail",
        "JournalEntryLineDetail": {"PostingType": kind, "AccountRef": account, **detail},
    }


def receipt(world: Any, make_sale: Any, amount: Any = 50) -> dict[str, Any]:
    customer = world.query("select * from Customer maxresults 1")["Customer"][0]
    ref = {"value": customer["Id"]}
    return world.write("SalesReceipt", CustomerRef=ref, Line=[make_sale(amount)])  # type: ignore[no-any-return]


def test_a_credit_memo_is_used_up_by_a_payment_of_nothing(world: Any, make_sale: Any) -> None:
    customer = world.customer()
    invoice = world.invoice(customer, 100)
    ref = {"value": customer["Id"]}
    memo = world.write("CreditMemo", CustomerRef=ref, Line=[make_sale(40)])
    assert (memo["RemainingCredit"], memo["Balance"]) == (40, 40)
    assert world.read("Customer", customer["Id"])["Balance"] == 60
    links = [("Invoice", invoice["Id"]), ("CreditMemo", memo["Id"])]
    rows = [{"Amount": 30, "LinkedTxn": [{"TxnId": n, "TxnType": kind}]} for kind, n in links]
    payment = world.write("Payment", CustomerRef=ref, TotalAmt=0, Line=rows)
    assert payment["UnappliedAmt"] == 0
    assert world.read("Invoice", invoice["Id"])["Balance"] == 70
    assert world.read("CreditMemo", memo["Id"])["RemainingCredit"] == 10
    assert world.read("Customer", customer["Id"])["Balance"] == 60
    memo = world.read("CreditMemo", memo["Id"])
    world.write("CreditMemo", "delete", Id=memo["Id"], SyncToken=memo["SyncToken"])
    assert world.read("Invoice", invoice["Id"])["Balance"] == 100
    assert world.read("Customer", customer["Id"])["Balance"] == 100


def test_a_vendor_credit_is_used_up_by_a_bill_payment(world: Any) -> None:
    vendor = {"value": world.write("Vendor", DisplayName="Brandt Frames")["Id"]}
    bill = world.write("Bill", VendorRef=vendor, Line=[cost(100)])
    credit = world.write("VendorCredit", VendorRef=vendor, Line=[cost(20)])
    assert world.read("Vendor", vendor["value"])["Balance"] == 80
    links = [("Bill", bill["Id"], 100), ("VendorCredit", credit["Id"], 20)]
    rows = [{"Amount": a, "LinkedTxn": [{"TxnId": n, "TxnType": kind}]} for kind, n, a in links]
    paid = {"PayType": "Check", "CheckPayment": {"BankAccountRef": BANK}, "TotalAmt": 80}
    world.write("BillPayment", VendorRef=vendor, Line=rows, **paid)
    assert world.read("Bill", bill["Id"])["Balance"] == 0
    assert world.read("VendorCredit", credit["Id"])["Balance"] == 0
    assert world.read("Vendor", vendor["value"])["Balance"] == 0


def test_a_deposited_receipt_cannot_be_changed_until_the_deposit_lets_it_go(
    world: Any, make_sale: Any
) -> None:
    sold = receipt(world, make_sale)
    link = {"TxnId": sold["Id"], "TxnType": "SalesReceipt"}
    assert (
        world.refusal(
            "Deposit", DepositToAccountRef=BANK, Line=[{"Amount": 50, "LinkedTxn": [link]}]
        )
        == "2020"
    )
    link["TxnLineId"] = "0"
    deposit = world.write(
        "Deposit", DepositToAccountRef=BANK, Line=[{"Amount": 50, "LinkedTxn": [link]}]
    )
    assert deposit["TotalAmt"] == 50
    sold = world.read("SalesReceipt", sold["Id"])
    key = {"Id": sold["Id"], "SyncToken": sold["SyncToken"]}
    assert world.refusal("SalesReceipt", **key, sparse=True, PrivateNote="x") == "6540"
    assert world.refusal("SalesReceipt", "delete", **key) == "6540"
    with pytest.raises(Fault, match="6540"):
        world.write("SalesReceipt", include="void", **key)
    assert (
        world.refusal(
            "Deposit", DepositToAccountRef=BANK, Line=[{"Amount": 50, "LinkedTxn": [link]}]
        )
        == "620"
    )
    world.write("Deposit", "delete", Id=deposit["Id"], SyncToken=deposit["SyncToken"])
    sold = world.read("SalesReceipt", sold["Id"])
    voided = world.write("SalesReceipt", include="void", Id=sold["Id"], SyncToken=sold["SyncToken"])
    assert (voided["TotalAmt"], voided["PrivateNote"]) == (0, "Voided")


def test_a_deposited_payment_says_so(world: Any) -> None:
    customer = world.customer()
    payment = world.payment(customer, 75)
    link = {"TxnId": payment["Id"], "TxnType": "Payment", "TxnLineId": "0"}
    deposit = world.write(
        "Deposit", DepositToAccountRef=BANK, Line=[{"Amount": 75, "LinkedTxn": [link]}]
    )
    linked = [{"TxnId": deposit["Id"], "TxnType": "Deposit"}]
    assert world.read("Payment", payment["Id"])["LinkedTxn"] == linked


def test_journal_entries_balance(world: Any) -> None:
    assert world.refusal("JournalEntry", Line=[posting("Debit", 5)]) == "2250"
    unequal = [posting("Debit", 5), posting("Credit", 6)]
    assert world.refusal("JournalEntry", Line=unequal) == "2300"
    negative = [posting("Debit", -5), posting("Credit", -5)]
    assert world.refusal("JournalEntry", Line=negative) == "2290"
    nameless = [posting("Debit", 5, RECEIVABLES), posting("Credit", 5)]
    assert world.refusal("JournalEntry", Line=nameless) == "6000"
    customer = world.customer()
    named = {"Type": "Customer", "EntityRef": {"value": customer["Id"]}}
    entry = world.write(
        "JournalEntry", Line=[posting("Debit", 5, RECEIVABLES, Entity=named), posting("Credit", 5)]
    )
    assert [line["Id"] for line in entry["Line"]] == ["0", "1"]
    assert entry["TotalAmt"] == 5
    assert world.read("Customer", customer["Id"])["Balance"] == 5
    world.write("JournalEntry", "delete", Id=entry["Id"], SyncToken=entry["SyncToken"])
    assert world.read("Customer", customer["Id"])["Balance"] == 0


def test_an_expense_is_paid_from_an_account_of_its_kind(world: Any) -> None:
    assert (
        world.refusal("Purchase", PaymentType="CreditCard", AccountRef=BANK, Line=[cost(5)])
        == "6430"
    )
    vendor = {"value": "1", "type": "Vendor"}
    made = world.write(
        "Purchase", PaymentType="CreditCard", AccountRef=CARD, EntityRef=vendor, Line=[cost(5)]
    )
    assert (made["TotalAmt"], made["Credit"]) == (5, False)
    assert made["EntityRef"]["name"]
    gone = {"value": "999", "type": "Vendor"}
    body = {"PaymentType": "Cash", "AccountRef": BANK, "EntityRef": gone, "Line": [cost(5)]}
    assert world.refusal("Purchase", **body) == "2500"


def test_a_billable_row_makes_a_charge_that_goes_with_it(world: Any) -> None:
    customer = world.customer()
    bill = {"BillableStatus": "Billable"}
    assert (
        world.refusal("Purchase", PaymentType="Cash", AccountRef=BANK, Line=[cost(5, **bill)])
        == "6310"
    )
    bill["CustomerRef"] = {"value": customer["Id"]}  # type: ignore[assignment]
    made = world.write("Purchase", PaymentType="Cash", AccountRef=BANK, Line=[cost(5, **bill)])
    where = f"where CustomerRef = '{customer['Id']}'"
    (charge,) = world.query(f"select * from ReimburseCharge {where}")["ReimburseCharge"]
    assert (charge["Amount"], charge["HasBeenInvoiced"]) == (5, False)
    assert charge["LinkedTxn"] == [{"TxnId": made["Id"], "TxnType": "Purchase"}]
    world.write("Purchase", "delete", Id=made["Id"], SyncToken=made["SyncToken"])
    assert world.query(f"select * from ReimburseCharge {where}") == {}


def test_invoicing_closes_an_estimate_and_bills_time(world: Any, make_sale: Any) -> None:
    customer = world.customer()
    ref = {"value": customer["Id"]}
    estimate = world.write("Estimate", CustomerRef=ref, Line=[make_sale(80)])
    assert estimate["TxnStatus"] == "Pending"
    hours = {"NameOf": "Employee", "EmployeeRef": {"value": "1"}, "Hours": 2}
    assert world.refusal("TimeActivity", **hours, BillableStatus="Billable") == "6310"
    time = world.write("TimeActivity", **hours, BillableStatus="Billable", CustomerRef=ref)
    links = [
        {"TxnId": estimate["Id"], "TxnType": "Estimate"},
        {"TxnId": time["Id"], "TxnType": "TimeActivity"},
    ]
    invoice = world.invoice(customer, 80, LinkedTxn=links)
    assert invoice["LinkedTxn"] == links
    estimate = world.read("Estimate", estimate["Id"])
    assert estimate["TxnStatus"] == "Closed"
    assert estimate["LinkedTxn"] == [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]
    assert world.read("TimeActivity", time["Id"])["BillableStatus"] == "HasBeenBilled"
    world.write("Invoice", "delete", Id=invoice["Id"], SyncToken=invoice["SyncToken"])
    assert world.read("Estimate", estimate["Id"])["TxnStatus"] == "Pending"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"NameOf": "Employee", "Hours": 1}, "2020"),
        ({"NameOf": "Employee", "EmployeeRef": {"value": "1"}}, "2020"),
        ({"NameOf": "Employee", "EmployeeRef": {"value": "1"}, "Hours": 1, "Minutes": 61}, "2090"),
        ({"NameOf": "Somebody", "Hours": 1}, "2170"),
    ],
)
def test_time_needs_somebody_and_a_length(world: Any, body: Any, code: str) -> None:
    assert world.refusal("TimeActivity", **body) == code


def test_terms_say_when_a_form_is_due(world: Any) -> None:
    customer = world.customer()
    days = world.write("Term", Name="Net 7", DueDays=7)
    assert days["Type"] == "STANDARD"
    form = {"TxnDate": "2026-03-02", "SalesTermRef": {"value": days["Id"]}}
    assert world.invoice(customer, 5, **form)["DueDate"] == "2026-03-09"
    tenth = {"value": "6"}  # the next 10th, or that of the month after where it is near
    for day, due in (("2026-02-20", "2026-03-10"), ("2026-03-02", "2026-04-10")):
        assert world.invoice(customer, 5, TxnDate=day, SalesTermRef=tenth)["DueDate"] == due


def test_terms_need_days_or_a_day(world: Any) -> None:
    assert world.refusal("Term", Name="No days") == "2020"
    assert world.refusal("Term", Name="Day", Type="DATE_DRIVEN") == "2020"
    assert world.refusal("Term", Name="Net 30", DueDays=3) == "6240"


def test_sub_classes_and_sub_locations_nest_five_levels_deep(world: Any) -> None:
    for entity in ("Class", "Department"):
        parent: dict[str, Any] = {}
        for level in range(1, 6):
            made = world.write(entity, Name=f"Level {level}", **parent)
            parent = {"ParentRef": {"value": made["Id"]}}
        assert made["FullyQualifiedName"].count(":") == 4
        assert made[f"Sub{entity}"] is True
        assert world.refusal(entity, Name="Too deep", **parent) == "6180"


def test_money_moves_between_two_accounts(world: Any) -> None:
    same = {"FromAccountRef": BANK, "ToAccountRef": BANK}
    assert world.refusal("Transfer", **same, Amount=5) == "6000"
    other = {"FromAccountRef": BANK, "ToAccountRef": {"value": "36"}}
    assert world.refusal("Transfer", **other, Amount=0) == "6000"
    assert world.write("Transfer", **other, Amount=5)["Amount"] == 5
    cards = {"CreditCardAccountRef": BANK, "BankAccountRef": BANK}
    assert world.refusal("CreditCardPayment", **cards, Amount=5) == "6430"


def test_a_rate_is_known_by_currency_and_day(world: Any) -> None:
    rate = {"SourceCurrencyCode": "EUR", "AsOfDate": "2025-12-24"}
    made = world.write("ExchangeRate", **rate, Rate="1.07")
    assert (made["Rate"], made["SyncToken"]) == (Decimal("1.07"), "0")
    assert "Id" not in made
    assert world.refusal("ExchangeRate", **rate, Rate="1.08") == "2020"
    changed = world.write("ExchangeRate", **rate, Rate="1.08", SyncToken="0")
    assert changed["SyncToken"] == "1"
    assert world.refusal("ExchangeRate", **rate, Rate="1.09", SyncToken="0") == "5010"
    assert world.refusal("ExchangeRate", **rate | {"SourceCurrencyCode": "XXX"}, Rate=1) == "2220"
    asked = decode(world.company.rate("EUR", "2025-12-31"))["ExchangeRate"]
    assert asked["AsOfDate"] == "2025-12-24"
    where = "where SourceCurrencyCode = 'EUR' and AsOfDate = '2025-12-24'"
    assert len(world.query(f"select * from ExchangeRate {where}")["ExchangeRate"]) == 1


def test_a_template_comes_wrapped_and_books_nothing(world: Any, make_sale: Any) -> None:
    customer = world.customer()
    info = {
        "Name": "Plan",
        "RecurType": "Automated",
        "ScheduleInfo": {"IntervalType": "Monthly", "StartDate": "2026-04-01"},
    }
    form = {"CustomerRef": {"value": customer["Id"]}, "Line": [make_sale(90)]}
    made = world.write("RecurringTransaction", Invoice={**form, "RecurringInfo": info})
    assert list(made) == ["Invoice"]
    assert made["Invoice"]["TotalAmt"] == 90
    assert made["Invoice"]["RecurringInfo"]["ScheduleInfo"]["NextDate"] == "2026-04-01"
    assert "DocNumber" not in made["Invoice"]
    assert world.read("Customer", customer["Id"])["Balance"] == 0
    found = world.query("select * from RecurringTransaction where Type = 'Invoice'")
    assert made in found["RecurringTransaction"]
    assert world.query("select * from RecurringTransaction where Type = 'Bill'") == {}
    again = {**form, "RecurringInfo": info}
    assert world.refusal("RecurringTransaction", Invoice=again) == "6240"
    assert world.refusal("RecurringTransaction", Invoice=form) == "2020"
    assert world.refusal("RecurringTransaction", Payment=again) == "2000"
    key = {"Id": made["Invoice"]["Id"], "SyncToken": "0"}
    world.write("RecurringTransaction", "delete", Invoice=key)
    with pytest.raises(Fault, match="610"):
        world.read("RecurringTransaction", key["Id"])


def test_settings_change_group_by_group(world: Any) -> None:
    before = world.read("Preferences", "1")
    groups = {"SalesFormsPrefs": {"AllowDeposit": False, "AutoApplyCredit": True}}
    after = world.sparse("Preferences", before, **groups)
    forms = {**before["SalesFormsPrefs"], "AllowDeposit": False}
    assert after["SalesFormsPrefs"] == forms  # the other is read-only
    assert after["TaxPrefs"] == before["TaxPrefs"]
    info = world.read("CompanyInfo", "1")
    body = {"CompanyName": "Hillside Bikes", "CompanyAddr": info["CompanyAddr"]}
    assert world.sparse("CompanyInfo", info, **body)["LegalName"] == info["LegalName"]


def test_attachables_and_budgets_need_what_they_are_about(world: Any) -> None:
    assert world.refusal("Attachable", AttachableRef=[]) == "2020"
    nobody = [{"EntityRef": {"type": "Customer", "value": "999"}}]
    assert world.refusal("Attachable", Note="x", AttachableRef=nobody) == "2500"
    somebody = [{"EntityRef": {"type": "Customer", "value": "1"}}]
    made = world.write("Attachable", Note="x", AttachableRef=somebody)
    assert made["AttachableRef"] == somebody
    assert len(made["Id"]) == 19
    dates = {"StartDate": "2026-12-31", "EndDate": "2026-01-01"}
    assert world.refusal("Budget", Name="B", **dates) == "2190"


@pytest.mark.parametrize(
    "entity",
    ["CustomerType", "ReimburseCharge", "TaxClassification", "TaxCode", "TaxPayment", "TaxRate"],
)
def test_what_is_read_only_takes_no_write(world: Any, entity: str) -> None:
    assert world.refusal(entity, Name="x") == "500"


def test_a_plan_may_lack_an_entity(make_world: Any) -> None:
    world = make_world(features_missing=("Class",))
    assert world.refusal("Class", Name="x") == "5030"
    for ask in (lambda: world.query("select * from Class"), lambda: world.read("Class", "1")):
        with pytest.raises(Fault, match="5030"):
            ask()
    assert world.query("select * from Department")["Department"]


# -- odds and ends of the reference ------------------------------------------------------------


def test_the_companys_addresses_name_countries_by_their_code(world: Any) -> None:
    held = world.read("CompanyInfo", "1")
    address = {"Line1": "12 Quay Road", "Country": "United States"}
    changed = world.sparse("CompanyInfo", held, CompanyAddr=address)
    assert changed["CompanyAddr"]["Country"] == "USA"


def test_a_tax_identifier_is_shown_masked_and_kept_whole(world: Any) -> None:
    vendor = world.write("Vendor", DisplayName="Taxed", TaxIdentifier="123-45-6789")
    assert vendor["TaxIdentifier"] == "XXXXXXX6789"
    assert world.books.row("Vendor", int(vendor["Id"])).doc["TaxIdentifier"] == "123-45-6789"


def test_stock_stays_stock_and_is_not_sold_before_it_is_there(world: Any, make_sale: Any) -> None:
    accounts = ("IncomeAccountRef", "79"), ("ExpenseAccountRef", "80"), ("AssetAccountRef", "81")
    item = world.write(
        "Item",
        Name="Frame",
        Type="Inventory",
        InvStartDate="2026-02-01",
        QtyOnHand=5,
        TrackQtyOnHand=True,
        **{member: {"value": number} for member, number in accounts},
    )
    key = {"Id": item["Id"], "SyncToken": item["SyncToken"], "sparse": True}
    assert world.refusal("Item", **key, Type="Service") == "6000"
    line = make_sale(5)
    line["SalesItemLineDetail"]["ItemRef"] = {"value": item["Id"]}
    form = {"CustomerRef": {"value": "1"}, "Line": [line]}
    assert world.refusal("Invoice", **form, TxnDate="2026-01-31") == "6270"
    assert world.write("Invoice", **form, TxnDate="2026-02-01")["Id"]


def test_lengths_that_depend_on_more_than_their_member(world: Any, make_sale: Any) -> None:
    account = {"Name": "Till", "AccountType": "Bank"}
    assert world.refusal("Account", **account, AcctNum="12345678") == "2050"
    assert world.write("Account", **account, AcctNum="1234567")["AcctNum"] == "1234567"
    address = {f"Line{number}": "x" * 401 for number in range(1, 6)}
    assert world.refusal("Customer", DisplayName="Far", BillAddr=address) == "2050"
    form = {"CustomerRef": {"value": "1"}, "Line": [make_sale(5)]}
    for field, code in (
        ({"DefinitionId": "1", "StringValue": "x" * 32}, "2050"),
        ({"DefinitionId": "9", "StringValue": "x"}, "3000"),
    ):
        assert world.refusal("Invoice", **form, CustomField=[field]) == code
    many = {**form, "Line": [make_sale(1)] * 10_001}
    assert world.refusal("Invoice", **many) == "6000"


def test_a_batch_items_name_is_short_where_it_is_part_of_a_key(world: Any) -> None:
    item = {"operation": "create", "Vendor": {"DisplayName": "Keyed"}, "bId": "x" * 11}
    answer = world.company.batch({"BatchItemRequest": [item]}, "key-1")
    assert b'"code":"2130"' in answer
    assert b"Keyed" in world.company.batch({"BatchItemRequest": [item]})


STOCK = {
    "Type": "Inventory",
    "TrackQtyOnHand": True,
    "QtyOnHand": 1,
    "InvStartDate": "2026-01-01",
    "IncomeAccountRef": {"value": "79"},
    "ExpenseAccountRef": {"value": "80"},
    "AssetAccountRef": {"value": "81"},
}


@pytest.mark.parametrize(
    ("entity", "body", "code"),
    [
        ("Customer", {"DisplayName": "A", "Balance": 5}, "6060"),
        ("Customer", {"DisplayName": "A", "Job": True}, "6150"),
        ("Customer", {"DisplayName": "A", "TaxExemptionReasonId": 16}, "2090"),
        ("Customer", {"DisplayName": "A", "PrimaryEmailAddr": {"Address": "a@b.c, d"}}, "2210"),
        ("Account", {"Name": "A", "AccountType": "Bank", "OpeningBalance": 5}, "6060"),
        ("Account", {"Name": "A", "AccountType": "Bank", "AccountSubType": "Travel"}, "6000"),
        ("Account", {"Name": "A", "AccountType": "Bank", "AccountSubType": "Nowhere"}, "2170"),
        ("Item", {"Name": "A", "Type": "Category", "UnitPrice": 3}, "6000"),
        ("Item", {"Name": "A", "SubItem": True, "IncomeAccountRef": {"value": "79"}}, "6150"),
        ("Item", {**STOCK, "Name": "A", "TrackQtyOnHand": False}, "2020"),
        ("Item", {**STOCK, "Name": "A", "AssetAccountRef": BANK}, "6430"),
        ("Item", {**STOCK, "Name": "A", "ExpenseAccountRef": RENT}, "6430"),
        ("Item", {**STOCK, "Name": "A", "IncomeAccountRef": {"value": "80"}}, "6430"),
        ("Class", {"Name": "A", "SubClass": True}, "6150"),
    ],
)
def test_what_names_need_beside_their_name(world: Any, entity: str, body: Any, code: str) -> None:
    assert world.refusal(entity, **body) == code


def test_names_with_all_they_need_are_taken(world: Any) -> None:
    world.customer("A", Balance=5, OpenBalanceDate="2026-01-01", TaxExemptionReasonId=15)
    world.customer("B", PrimaryEmailAddr={"Address": "a@b.c, d@e.f"})
    world.write("Account", Name="A", AccountType="Income", AccountSubType="SalesRetail")
    world.write("Item", Name="A", **STOCK)
    world.write("Item", Name="Parts", Type="Category")


def test_untaxed_customers_say_why_where_tax_is_automated(make_world: Any) -> None:
    world = make_world(automated_sales_tax=True)
    assert world.refusal("Customer", DisplayName="A", Taxable=False) == "2020"
    assert world.customer("A", Taxable=False, TaxExemptionReasonId=3)["Taxable"] is False


def test_rows_of_forms_have_limits_of_their_own(world: Any, make_sale: Any) -> None:
    customer = {"value": world.customer()["Id"]}
    taxed = make_sale(1, TaxCodeRef={"value": "TAX"})
    off = {"Amount": -1, "DetailType": "DiscountLineDetail", "DiscountLineDetail": {}}
    tip = make_sale(1)
    tip["SalesItemLineDetail"]["ItemRef"] = {"value": "GRATUITY_ITEM_ID"}
    for rows, code in (
        ([taxed] * 751, "6000"),
        ([make_sale(5), off], "2140"),
        ([tip], "6000"),
    ):
        assert world.refusal("Invoice", CustomerRef=customer, Line=rows) == code
    world.write("Invoice", CustomerRef=customer, Line=[taxed] * 750)
    world.write("Invoice", CustomerRef=customer, Line=[make_sale(1)] * 751)
    allowed = {"NameValue": [{"Name": "SalesFormsPrefs.AllowGratuity", "Value": "true"}]}
    preferences = world.read("Preferences", "1")
    world.sparse("Preferences", preferences, OtherPrefs=allowed)
    world.write("Invoice", CustomerRef=customer, Line=[tip])
    vendor = {"value": world.write("Vendor", DisplayName="Brandt Frames")["Id"]}
    for kind in ("AccountBasedExpenseLineDetail", "ItemBasedExpenseLineDetail"):
        bare = {"Amount": 5, "DetailType": kind, kind: {}}
        assert world.refusal("Bill", VendorRef=vendor, Line=[bare]) == "6440"
    paid = world.payment({"Id": customer["value"]}, 5)
    link = {"TxnId": paid["Id"], "TxnType": "Payment", "TxnLineId": "1"}
    row = {"Amount": 5, "LinkedTxn": [link]}
    assert world.refusal("Deposit", DepositToAccountRef=BANK, Line=[row]) == "620"
    nameless = {"Amount": 5, "DepositLineDetail": {"AccountRef": RENT}}
    assert world.refusal("Deposit", DepositToAccountRef=BANK, Line=[nameless]) == "2020"


def linked(amount: Any, *links: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"Amount": amount, "LinkedTxn": [{"TxnId": n, "TxnType": kind}]} for kind, n in links]


def test_a_payment_settles_a_journal_entry_and_an_entry_pays_an_invoice(world: Any) -> None:
    customer = world.customer()
    who = {"value": customer["Id"]}
    named = {"Entity": {"Type": "Customer", "EntityRef": who}}

    def entry(way: str, other: str, amount: int) -> str:
        rows = [posting(way, amount, RECEIVABLES, **named), posting(other, amount)]
        return str(world.write("JournalEntry", Line=rows)["Id"])

    def balance() -> Any:
        return world.read("Customer", customer["Id"])["Balance"]

    owes, gives = entry("Debit", "Credit", 60), entry("Credit", "Debit", 25)
    assert balance() == 35
    pay = {"CustomerRef": who, "TotalAmt": 60}
    too_much = linked(61, ("JournalEntry", owes))
    assert world.refusal("Payment", **{**pay, "TotalAmt": 90}, Line=too_much) == "6000"
    payment = world.write("Payment", **pay, Line=linked(60, ("JournalEntry", owes)))
    assert payment["Line"][0]["LinkedTxn"] == [{"TxnId": owes, "TxnType": "JournalEntry"}]
    assert (payment["UnappliedAmt"], balance()) == (0, -25)
    assert world.refusal("Payment", **pay, Line=linked(1, ("JournalEntry", owes))) == "6000"
    invoice = world.invoice(customer, 100)
    both = linked(25, ("JournalEntry", gives), ("Invoice", invoice["Id"]))
    world.write("Payment", CustomerRef=who, TotalAmt=0, Line=both)
    assert (world.read("Invoice", invoice["Id"])["Balance"], balance()) == (75, 75)
    for number in (owes, gives):  # what they settled is open again
        world.write("JournalEntry", "delete", Id=number, SyncToken="1")
    assert world.read("Payment", payment["Id"])["UnappliedAmt"] == 60
    assert (world.read("Invoice", invoice["Id"])["Balance"], balance()) == (100, 40)
    stranger = {"value": world.customer("Somebody else")["Id"]}
    owes = entry("Debit", "Credit", 10)
    strange = {"CustomerRef": stranger, "TotalAmt": 10, "Line": linked(10, ("JournalEntry", owes))}
    assert world.refusal("Payment", **strange) == "620"
    plain = world.write("JournalEntry", Line=[posting("Debit", 5), posting("Credit", 5, BANK)])
    nobody = linked(5, ("JournalEntry", plain["Id"]))
    assert world.refusal("Payment", **pay, Line=nobody) == "620"


def test_an_expense_to_a_customer_is_settled_and_a_cheque_is_not_linked(world: Any) -> None:
    who = {"value": world.customer()["Id"]}
    row = cost(30, AccountRef=RECEIVABLES)
    for kind, answer in (("Cash", None), ("Check", "620")):
        payee = {"EntityRef": {**who, "type": "Customer"}}
        paid = world.write("Purchase", PaymentType=kind, AccountRef=BANK, Line=[row], **payee)
        kind = "Expense" if kind == "Cash" else kind
        body = {"CustomerRef": who, "TotalAmt": 30, "Line": linked(30, (kind, paid["Id"]))}
        if answer is None:
            payment = world.write("Payment", **body)
            assert payment["Line"][0]["LinkedTxn"][0]["TxnType"] == "Expense"
        else:
            assert world.refusal("Payment", **body) == answer


def test_bill_payments_link_journal_entries_and_deposits(world: Any) -> None:
    who = {"value": world.write("Vendor", DisplayName="Brandt Frames")["Id"]}
    how = {"VendorRef": who, "PayType": "Check", "CheckPayment": {"BankAccountRef": BANK}}

    def owed() -> Any:
        return world.read("Vendor", who["value"])["Balance"]

    named = {"Entity": {"Type": "Vendor", "EntityRef": who}}
    rows = [posting("Credit", 40, PAYABLES, **named), posting("Debit", 40)]
    entry = world.write("JournalEntry", Line=rows)["Id"]
    world.write("BillPayment", **how, TotalAmt=40, Line=linked(40, ("JournalEntry", entry)))
    assert owed() == 0
    credit = world.write("VendorCredit", VendorRef=who, Line=[cost(15)])["Id"]
    detail = {"AccountRef": PAYABLES, "Entity": {**who, "type": "Vendor"}}
    back = {"Amount": 15, "DetailType": "DepositLineDetail", "DepositLineDetail": detail}
    deposit = world.write("Deposit", DepositToAccountRef=BANK, Line=[back])["Id"]
    assert owed() == 0  # the vendor's credit, paid back
    both = linked(15, ("Deposit", deposit), ("VendorCredit", credit))
    paid = world.write("BillPayment", **how, TotalAmt=0, Line=both)
    assert [row["LinkedTxn"][0]["TxnType"] for row in paid["Line"]] == ["Deposit", "VendorCredit"]
    assert (world.read("VendorCredit", credit)["Balance"], owed()) == (0, 0)
    assert world.refusal("BillPayment", **how, TotalAmt=5, Line=linked(5, ("Deposit", deposit)))
    changed = {**back, "Amount": 5}
    found = world.read("Deposit", deposit)
    world.sparse("Deposit", found, Line=[changed])
    assert world.read("BillPayment", paid["Id"])["Line"][0]["Amount"] == 5
    assert (world.read("VendorCredit", credit)["Balance"], owed()) == (0, -10)  # paid in advance
