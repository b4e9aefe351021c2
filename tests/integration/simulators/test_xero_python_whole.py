"""Every method of the unmodified `xero-python` SDK's AccountingApi against the simulated Xero.

Each answer must become the SDK's own models. Runs where the SDK is installed.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from sqlsync.simulators.testing_xero import XeroSimulator, xero_simulator

pytest.importorskip("xero_python", reason="xero-python is not installed")

from xero_python.accounting import AccountingApi
from xero_python.api_client import ApiClient
from xero_python.api_client.configuration import Configuration
from xero_python.api_client.deserializer import deserialize
from xero_python.api_client.oauth2 import OAuth2Token
from xero_python.exceptions import ApiException

Doc = dict[str, Any]
DAY = re.compile(r"\d{4}-\d\d-\d\d")
OF_THE_CLASS = {"get_model_finder", "get_resource_url"}
WITH_FILES = (
    *("account", "bank_transaction", "bank_transfer", "contact", "credit_note", "invoice"),
    *("manual_journal", "purchase_order", "quote", "receipt", "repeating_invoice"),
)
WITH_HISTORY = (
    *("bank_transaction", "bank_transfer", "batch_payment", "contact", "credit_note"),
    *("expense_claim", "invoice", "item", "manual_journal", "overpayment", "payment"),
    *("prepayment", "purchase_order", "quote", "receipt", "repeating_invoice"),
)
NOTES_REFUSED = ("expense_claim", "overpayment", "payment", "prepayment", "receipt")
LISTS = (
    *("accounts", "bank_transactions", "bank_transfers", "batch_payments", "branding_themes"),
    *("budgets", "contact_groups", "contacts", "credit_notes", "currencies", "expense_claims"),
    *("invoice_reminders", "invoices", "items", "journals", "linked_transactions"),
    *("manual_journals", "organisations", "overpayments", "payment_services", "payments"),
    *("prepayments", "purchase_orders", "quotes", "receipts", "repeating_invoices"),
    *("tax_rates", "tracking_categories", "users"),
)
RECORDS = (
    *("account", "bank_transaction", "bank_transfer", "batch_payment", "branding_theme"),
    *("budget", "contact", "contact_group", "credit_note", "expense_claim", "invoice", "item"),
    *("journal", "linked_transaction", "manual_journal", "overpayment", "payment", "prepayment"),
    *("purchase_order", "quote", "receipt", "repeating_invoice", "tracking_category", "user"),
)
REPORTS = (
    *("balance_sheet", "bank_summary", "budget_summary", "executive_summary"),
    *("profit_and_loss", "trial_balance"),
)


@pytest.fixture(scope="module")
def sim() -> Iterator[XeroSimulator]:
    with xero_simulator(customers=10, invoices=40, broad_scopes=True) as found:
        yield found


def as_answered(value: Any) -> Any:
    """Days as Xero's answers write them."""
    if isinstance(value, dict):
        return {name: as_answered(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_answered(inner) for inner in value]
    if isinstance(value, str) and DAY.fullmatch(value):
        moment = datetime.fromisoformat(value).replace(tzinfo=UTC)
        return f"/Date({int(moment.timestamp() * 1000)}+0000)/"
    return value


class Office:
    """The SDK's methods, and records to call them with. `called`: the methods that answered."""

    def __init__(self, sim: XeroSimulator) -> None:
        token = OAuth2Token(client_id=sim.client_id, client_secret=sim.client_secret)
        client = ApiClient(Configuration(oauth2_token=token), pool_threads=1)
        access = sim.token()
        held = {"access_token": access, "token_type": "Bearer", "expires_in": 1800}
        client.oauth2_token_getter(lambda: {**held, "expires_at": 4_000_000_000, "scope": []})
        client.oauth2_token_saver(lambda given: None)
        self.api = AccountingApi(client, base_url=f"{sim.base_url}/api.xro/2.0")
        self.tenant = sim.tenant_id
        self.called: set[str] = set()
        self.numbers = count(1)

    def call(self, method: str, *given: Any, **more: Any) -> Any:
        found = getattr(self.api, method)(self.tenant, *given, **more)
        self.called.add(method)
        return found

    def model(self, name: str, data: Doc) -> Any:
        """A model of the SDK, read as it reads answers."""
        return deserialize(name, as_answered(data), self.api.get_model_finder())

    def many(self, key: str, *elements: Doc) -> Any:
        return self.model(key, {key: list(elements)})

    def word(self, start: str) -> str:
        return f"{start} {next(self.numbers)}"

    def first(self, method: str, member: str) -> Any:
        return getattr(self.call(method), member)[0]

    def made(self, method: str, key: str, body: Doc) -> Any:
        """The one element that a method answers with for one body."""
        answer = self.call(method, self.many(key, body))
        [element] = next(
            value for value in vars(answer).values() if isinstance(value, list) and value
        )
        return element

    # -- bodies ------------------------------------------------------------------------------

    def line(self, code: str = "200") -> Doc:
        return {
            "Description": "Coffee",
            "Quantity": 1.0,
            "UnitAmount": 10.0,
            "AccountCode": code,
        }

    def who(self) -> Doc:
        return {"ContactID": self.contact().contact_id}

    def document(self, **more: Any) -> Doc:
        body: Doc = {"Contact": self.who(), "LineItems": [self.line()], "Date": "2026-10-01"}
        return body | more

    # -- records -----------------------------------------------------------------------------

    def account(self) -> Any:
        number = next(self.numbers)
        body = {"Code": f"9{number}", "Name": f"Account {number}", "Type": "EXPENSE"}
        return self.call("create_account", self.model("Account", body)).accounts[0]

    def bank_transaction(self, kind: str = "SPEND") -> Any:
        own = "200" if kind.startswith("RECEIVE") else "429"
        body = self.document(Type=kind, BankAccount={"Code": "090"}, LineItems=[self.line(own)])
        return self.made("create_bank_transactions", "BankTransactions", body)

    def bank_transfer(self) -> Any:
        banks = self.call("get_accounts", where='Type=="BANK"').accounts
        body = {
            "FromBankAccount": {"AccountID": banks[0].account_id},
            "ToBankAccount": {"AccountID": banks[1].account_id},
            "Amount": 5.0,
        }
        return self.made("create_bank_transfer", "BankTransfers", body)

    def batch_payment(self) -> Any:
        paid = {"Invoice": {"InvoiceID": self.invoice().invoice_id}, "Amount": 5.0}
        body = {"Account": {"Code": "090"}, "Date": "2026-10-10", "Payments": [paid]}
        return self.made("create_batch_payment", "BatchPayments", body)

    def branding_theme(self) -> Any:
        return self.first("get_branding_themes", "branding_themes")

    def budget(self) -> Any:
        return self.first("get_budgets", "budgets")

    def contact(self) -> Any:
        body = {"Name": self.word("Contact"), "EmailAddress": "a@b.test"}
        return self.made("create_contacts", "Contacts", body)

    def contact_group(self) -> Any:
        return self.made("create_contact_group", "ContactGroups", {"Name": self.word("Group")})

    def credit_note(self) -> Any:
        body = self.document(Type="ACCRECCREDIT", Status="AUTHORISED", Contact=self.who())
        return self.made("create_credit_notes", "CreditNotes", body)

    def expense_claim(self) -> Any:
        user = {"UserID": self.user().user_id}
        body = {"User": user, "Receipts": [{"ReceiptID": self.receipt().receipt_id}]}
        return self.made("create_expense_claims", "ExpenseClaims", body)

    def invoice(self, **more: Any) -> Any:
        body = {"Type": "ACCREC", "Status": "AUTHORISED", "DueDate": "2026-10-20", **more}
        return self.made("create_invoices", "Invoices", self.document(**body))

    def item(self) -> Any:
        return self.made("create_items", "Items", {"Code": self.word("item"), "Name": "Bell"})

    def journal(self) -> Any:
        return self.first("get_journals", "journals")

    def linked_transaction(self) -> Any:
        bill = self.invoice(Type="ACCPAY", LineItems=[self.line("429")])
        body = {
            "SourceTransactionID": bill.invoice_id,
            "SourceLineItemID": bill.line_items[0].line_item_id,
        }
        made = self.call("create_linked_transaction", self.model("LinkedTransaction", body))
        return made.linked_transactions[0]

    def manual_journal(self) -> Any:
        lines = [
            {"LineAmount": 5.0, "AccountCode": "400"},
            {"LineAmount": -5.0, "AccountCode": "429"},
        ]
        body = {"Narration": "Accrual", "JournalLines": lines}
        return self.made("create_manual_journals", "ManualJournals", body)

    def _born(self, kind: str) -> str:
        """The id of an over- or prepayment, which a bank transaction makes."""
        made = self.bank_transaction(f"RECEIVE-{kind.upper()}")
        return str(getattr(made, f"{kind}_id"))

    def overpayment(self) -> Any:
        return self.call("get_overpayment", self._born("overpayment")).overpayments[0]

    def prepayment(self) -> Any:
        return self.call("get_prepayment", self._born("prepayment")).prepayments[0]

    def paying(self) -> Doc:
        return {
            "Invoice": {"InvoiceID": self.invoice().invoice_id},
            "Account": {"Code": "090"},
            "Date": "2026-10-10",
            "Amount": 5.0,
        }

    def payment(self) -> Any:
        return self.made("create_payments", "Payments", self.paying())

    def purchase_order(self) -> Any:
        body = self.document(LineItems=[self.line("429")])
        return self.made("create_purchase_orders", "PurchaseOrders", body)

    def quote(self) -> Any:
        return self.made("create_quotes", "Quotes", self.document())

    def receipt(self) -> Any:
        body = self.document(User={"UserID": self.user().user_id}, LineItems=[self.line("429")])
        return self.made("create_receipt", "Receipts", body)

    def repeating_invoice(self) -> Any:
        schedule = {
            "Period": 1,
            "Unit": "MONTHLY",
            "DueDate": 20,
            "DueDateType": "OFFOLLOWINGMONTH",
            "StartDate": "2026-12-01",
        }
        body = self.document(Type="ACCREC", Schedule=schedule)
        del body["Date"]
        return self.made("create_repeating_invoices", "RepeatingInvoices", body)

    def tracking_category(self) -> Any:
        return self.first("get_tracking_categories", "tracking_categories")

    def user(self) -> Any:
        return self.first("get_users", "users")

    def asked_by_the_model(self, kind: str, record: Any) -> Doc:
        """What the SDK's own model of a change may not lack."""
        if kind == "item":
            return {"Code": record.code}
        if kind == "bank_transaction":
            return {
                "Type": "SPEND",
                "Contact": {"ContactID": record.contact.contact_id},
                "BankAccount": {"Code": "090"},
                "LineItems": [self.line("429")],
            }
        return {}

    def id_of(self, kind: str) -> str:
        return str(getattr(getattr(self, kind)(), f"{kind}_id"))


@pytest.fixture(scope="module")
def office(sim: XeroSimulator) -> Office:
    return Office(sim)


@pytest.mark.parametrize("name", LISTS)
def test_a_collection_is_read(office: Office, name: str) -> None:
    found = office.call(f"get_{name}")
    assert isinstance(getattr(found, name), list)


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_is_read_by_its_id(office: Office, kind: str) -> None:
    wanted = office.id_of(kind)
    answer = office.call(f"get_{kind}", wanted)
    [element] = next(v for v in vars(answer).values() if isinstance(v, list) and v)
    assert str(getattr(element, f"{kind}_id")) == wanted


@pytest.mark.parametrize("kind", WITH_FILES)
def test_files_go_up_and_down(office: Office, kind: str) -> None:
    record, media = office.id_of(kind), "application/octet-stream"
    one = f"{kind}_attachment"
    office.call(f"create_{one}_by_file_name", record, "a.txt", b"hello")
    [held] = office.call(f"get_{one}s", record).attachments
    for by in (("id", held.attachment_id), ("file_name", "a.txt")):
        path = office.call(f"get_{one}_by_{by[0]}", record, by[1], media)
        assert Path(path).read_bytes() == b"hello"
    if kind != "account" or hasattr(office.api, f"update_{one}_by_file_name"):
        office.call(f"update_{one}_by_file_name", record, "a.txt", b"bye")
    [held] = office.call(f"get_{one}s", record).attachments
    assert held.content_length == 3


def history(kind: str, verb: str) -> str:
    """How the SDK calls it; no two kinds agree."""
    wholes = ("bank_transaction", "bank_transfer", "batch_payment", "manual_journal")
    if verb == "create":
        return f"create_{kind}_history{'_record' if kind in wholes else ''}"
    plural = kind in ("bank_transaction", "manual_journal")
    return f"get_{kind}{'s' if plural else ''}_history"


@pytest.mark.parametrize("kind", WITH_HISTORY)
def test_notes_are_written_and_read(office: Office, kind: str) -> None:
    record = office.id_of(kind)
    note = office.many("HistoryRecords", {"Details": "Called them"})
    if kind in NOTES_REFUSED:
        with pytest.raises(ApiException) as caught:
            office.call(history(kind, "create"), record, note)
        assert caught.value.status == 400
        office.called.add(history(kind, "create"))
        office.call(history(kind, "get"), record)
        return
    office.call(history(kind, "create"), record, note)
    entries = office.call(history(kind, "get"), record).history_records
    assert entries[0].details == "Called them"


CHANGES: dict[str, Doc] = {
    "bank_transaction": {"Reference": "new"},
    "contact": {"FirstName": "Ada"},
    "contact_group": {"Name": "Renamed"},
    "credit_note": {"Reference": "new"},
    "expense_claim": {"Status": "AUTHORISED"},
    "invoice": {"Reference": "new"},
    "item": {"Name": "Horn"},
    "linked_transaction": {},
    "manual_journal": {"Narration": "New"},
    "purchase_order": {"Reference": "new"},
    "quote": {"Reference": "new"},
    "receipt": {"Reference": "new"},
    "repeating_invoice": {"Status": "DELETED"},
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_record_is_changed_by_its_id(office: Office, kind: str) -> None:
    record = getattr(office, kind)()
    key = "".join(word.capitalize() for word in kind.split("_")) + "s"
    number = str(getattr(record, f"{kind}_id"))
    body = dict(CHANGES[kind])
    if kind == "linked_transaction":
        body["SourceTransactionID"] = record.source_transaction_id
        body["SourceLineItemID"] = record.source_line_item_id
    body |= office.asked_by_the_model(kind, record)
    answer = office.call(f"update_{kind}", number, office.many(key, body))
    [element] = next(v for v in vars(answer).values() if isinstance(v, list) and v)
    assert str(getattr(element, f"{kind}_id")) == number
    for name, value in CHANGES[kind].items():
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
        assert str(getattr(element, snake)) == value


UPSERTS = ("bank_transactions", "contacts", "credit_notes", "invoices", "items", "manual_journals")


@pytest.mark.parametrize("kind", [*UPSERTS, "purchase_orders", "quotes", "repeating_invoices"])
def test_a_collection_is_written_by_post(office: Office, kind: str) -> None:
    one = kind.removesuffix("s")
    record = getattr(office, one)()
    key = "".join(word.capitalize() for word in kind.split("_"))
    number = str(getattr(record, f"{one}_id"))
    body = {**CHANGES[one], f"{key.removesuffix('s')}ID": number}
    body |= office.asked_by_the_model(one, record)
    answer = office.call(f"update_or_create_{kind}", office.many(key, body))
    [element] = getattr(answer, kind)
    assert str(getattr(element, f"{one}_id")) == number


@pytest.mark.parametrize("kind", ["credit_note", "overpayment", "prepayment"])
def test_credit_is_allocated_and_taken_back(office: Office, kind: str) -> None:
    credit = getattr(office, kind)()
    own = {"ContactID": credit.contact.contact_id}
    invoice = office.invoice(Contact=own)
    part = {
        "Invoice": {"InvoiceID": invoice.invoice_id},
        "Amount": 4.0,
        "Date": "2026-10-12",
    }
    number = str(getattr(credit, f"{kind}_id"))
    method = f"create_{kind}_allocation{'' if kind == 'credit_note' else 's'}"
    [made] = office.call(method, number, office.many("Allocations", part)).allocations
    assert made.amount == 4
    gone = office.call(f"delete_{kind}_allocations", number, made.allocation_id)
    assert gone.is_deleted


def test_reports_become_models(office: Office) -> None:
    contact = office.invoice().contact.contact_id
    for side in ("payables", "receivables"):
        assert office.call(f"get_report_aged_{side}_by_contact", contact).reports
    for name in REPORTS:
        assert office.call(f"get_report_{name}").reports
    assert office.call("get_report_ten_ninety_nine").reports == []  # is of the US
    assert office.call("get_reports_list").reports == []  # of those published


def test_numbers_and_types_find_records(office: Office) -> None:
    contact = office.made(
        "create_contacts", "Contacts", {"Name": office.word("C"), "ContactNumber": "c-1"}
    )
    [found] = office.call("get_contact_by_contact_number", "c-1").contacts
    assert found.contact_id == contact.contact_id
    order = office.purchase_order()
    number = order.purchase_order_number
    [found] = office.call("get_purchase_order_by_number", number).purchase_orders
    assert found.purchase_order_id == order.purchase_order_id
    journal = office.journal()
    [found] = office.call("get_journal_by_number", journal.journal_number).journals
    assert found.journal_id == journal.journal_id
    rate = office.first("get_tax_rates", "tax_rates")
    [found] = office.call("get_tax_rate_by_tax_type", rate.tax_type).tax_rates
    assert found.name == rate.name


def test_pages_for_people(office: Office) -> None:
    for kind in ("credit_note", "invoice", "purchase_order", "quote"):
        path = office.call(f"get_{kind}_as_pdf", office.id_of(kind))
        assert Path(path).read_bytes().startswith(b"%PDF-")
    invoice = office.invoice()
    [online] = office.call("get_online_invoice", invoice.invoice_id).online_invoices
    assert online.online_invoice_url.startswith("http")
    office.call("email_invoice", invoice.invoice_id, office.model("RequestEmpty", {}))
    assert office.call("get_invoice", invoice.invoice_id).invoices[0].sent_to_contact


def test_what_the_organisation_and_its_people_may(office: Office) -> None:
    [organisation] = office.call("get_organisations").organisations
    office.call("get_organisation_cis_settings", organisation.organisation_id)
    assert office.call("get_organisation_actions").actions
    office.call("get_contact_cis_settings", office.id_of("contact"))


def test_settings_are_written_and_removed(office: Office) -> None:
    account = office.account()
    change = office.many("Accounts", {"Name": "Renamed account"})
    [changed] = office.call("update_account", account.account_id, change).accounts
    assert changed.name == "Renamed account"
    assert office.call("delete_account", account.account_id).accounts[0].status == "DELETED"
    rate = {"Name": "Sugar", "Rate": 5.0, "IsCompound": False}
    body = {"Name": "Sugar tax", "TaxComponents": [rate], "ReportTaxType": "OUTPUT"}
    office.made("create_tax_rates", "TaxRates", body)
    ended = office.many("TaxRates", {"Name": "Sugar tax", "Status": "DELETED"})
    assert str(office.call("update_tax_rate", ended).tax_rates[0].status) == "DELETED"
    currency = office.model("Currency", {"Code": "SEK", "Description": "Krona"})
    assert office.call("create_currency", currency).currencies
    service = {
        "PaymentServiceName": "Till",
        "PaymentServiceUrl": "https://till.test/pay",
        "PayNowText": "Pay",
    }
    [made] = office.call(
        "create_payment_service", office.many("PaymentServices", service)
    ).payment_services
    theme = office.branding_theme().branding_theme_id
    chosen = office.many("PaymentServices", {"PaymentServiceID": made.payment_service_id})
    office.call("create_branding_theme_payment_services", theme, chosen)
    assert office.call("get_branding_theme_payment_services", theme).payment_services


def test_tracking_is_kept_in_two_categories(office: Office) -> None:
    _, second = office.call("get_tracking_categories").tracking_categories[:2]
    number = second.tracking_category_id
    archived = office.model("TrackingCategory", {"Name": "Old", "Status": "ARCHIVED"})
    office.call("update_tracking_category", number, archived)
    made = office.call(
        "create_tracking_category", office.model("TrackingCategory", {"Name": "Van"})
    )
    category = made.tracking_categories[0].tracking_category_id
    option = office.call(
        "create_tracking_options", category, office.model("TrackingOption", {"Name": "One"})
    ).options[0]
    renamed = office.model("TrackingOption", {"Name": "Two"})
    [changed] = office.call(
        "update_tracking_options", category, option.tracking_option_id, renamed
    ).options
    assert changed.name == "Two"
    office.call("delete_tracking_options", category, option.tracking_option_id)
    office.call("delete_tracking_category", category)


def test_groups_have_members(office: Office) -> None:
    group, one, two = (office.id_of(k) for k in ("contact_group", "contact", "contact"))
    members = office.many("Contacts", {"ContactID": one}, {"ContactID": two})
    office.call("create_contact_group_contacts", group, members)
    office.call("delete_contact_group_contact", group, one)
    [held] = office.call("get_contact_group", group).contact_groups
    assert [contact.contact_id for contact in held.contacts] == [two]
    office.call("delete_contact_group_contacts", group)


def test_money_is_taken_back(office: Office) -> None:
    payment = office.call("create_payment", office.model("Payment", office.paying())).payments[0]
    gone = office.model("PaymentDelete", {"Status": "DELETED"})
    assert office.call("delete_payment", payment.payment_id, gone).payments[0].status == "DELETED"
    batch = {"Status": "DELETED", "BatchPaymentID": office.id_of("batch_payment")}
    office.call("delete_batch_payment", office.model("BatchPaymentDelete", batch))
    by_url = office.model("BatchPaymentDeleteByUrlParam", {"Status": "DELETED"})
    office.call("delete_batch_payment_by_url_param", office.id_of("batch_payment"), by_url)
    by_url = office.model("BankTransferDeleteByUrlParam", {"Status": "DELETED"})
    office.call("delete_bank_transfer", office.id_of("bank_transfer"), by_url)
    transfer = {"BankTransferID": office.id_of("bank_transfer"), "Status": "DELETED"}
    office.call(
        "delete_bank_transfers",
        office.model("BankTransfersDelete", {"BankTransfers": [transfer]}),
    )
    office.call("delete_item", office.id_of("item"))
    office.call("delete_linked_transaction", office.id_of("linked_transaction"))


def test_a_report_that_was_not_published_is_not_there(office: Office) -> None:
    with pytest.raises(ApiException) as caught:
        office.call("get_report_from_id", "none")
    assert caught.value.status == 404
    office.called.add("get_report_from_id")
    assert office.call("post_setup", office.model("Setup", {})).import_summary


def test_no_method_was_left_out(office: Office) -> None:
    methods = {
        name
        for name, _ in inspect.getmembers(AccountingApi, inspect.isfunction)
        if not name.startswith("_") and not name.endswith("_with_http_info")
    }
    assert methods - OF_THE_CLASS - office.called == set()
