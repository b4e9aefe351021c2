"""Further SDKs of PyPI, unmodified: `qbosdk` and `xerosdk` (of Fyle) and `pyxero`.

What they send to the services' addresses is sent to the simulated services instead. Each part
runs where its SDK is installed.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pytest

from sqlsync.simulators.testing import Simulator, simulator
from sqlsync.simulators.testing_xero import XeroSimulator, xero_simulator

requests = pytest.importorskip("requests", reason="no SDK that uses requests is installed")
Doc = dict[str, Any]


@pytest.fixture(scope="module")
def books() -> Iterator[Simulator]:
    with simulator(customers=10, invoices=20) as found:
        yield found


@pytest.fixture(scope="module")
def xero() -> Iterator[XeroSimulator]:
    with xero_simulator(customers=10, invoices=20, auto_approve=True, broad_scopes=True) as found:
        yield found


@pytest.fixture
def redirected(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Requests to Intuit and Xero go to the simulators of this module."""
    send = requests.Session.send

    def elsewhere(session: Any, prepared: Any, **more: Any) -> Any:
        for hosts, name in (("intuit", "books"), ("xero", "xero")):
            pattern = re.compile(rf"^https://[\w.-]*\.{hosts}\.com", re.IGNORECASE)
            if pattern.match(prepared.url):
                base = request.getfixturevalue(name).base_url
                prepared.url = pattern.sub(base, prepared.url)
        return send(session, prepared, **more)

    monkeypatch.setattr(requests.Session, "send", elsewhere)


# -- qbosdk --------------------------------------------------------------------------------------


@pytest.fixture
def qbo(books: Simulator, redirected: None) -> Any:
    qbosdk = pytest.importorskip("qbosdk", reason="qbosdk is not installed")
    token = books.new_refresh_token()
    return qbosdk.QuickbooksOnlineSDK(
        "an id", "a secret", token, books.realm_id, environment="sandbox"
    )


def test_qbosdk_reads_every_collection(qbo: Any, books: Simulator) -> None:
    held = books.counts()
    for name, entity in (
        *(("accounts", "Account"), ("vendors", "Vendor"), ("employees", "Employee")),
        *(("classes", "Class"), ("departments", "Department"), ("items", "Item")),
        *(("tax_codes", "TaxCode"), ("tax_rates", "TaxRate"), ("customers", "Customer")),
    ):
        found = getattr(qbo, name).get()
        assert len(found) == held[entity], name
        pages = list(getattr(qbo, name).get_all_generator())
        assert sum(len(page) for page in pages) == held[entity], name
    for name in ("bills", "bill_payments", "purchases", "journal_entries", "attachments"):
        assert isinstance(getattr(qbo, name).get(), list)
    for name in ("accounts", "vendors", "items", "tax_codes"):
        assert getattr(qbo, name).count() > 0
    assert qbo.company_info.get()["CompanyName"]
    assert "SalesFormsPrefs" in qbo.preferences.get()
    assert qbo.exchange_rates.get_by_source("USD")["Rate"] == 1
    assert list(qbo.vendors.get_inactive("2020-01-01T00:00:00-08:00")) == []


def test_qbosdk_writes_and_takes_back(qbo: Any) -> None:
    vendor = qbo.vendors.post({"DisplayName": "Ivy and Co"})["Vendor"]
    assert qbo.vendors.search_vendor_by_display_name("Ivy and Co")["Id"] == vendor["Id"]
    row = {
        "Amount": 12.5,
        "DetailType": "AccountBasedExpenseLineDetail",
        "AccountBasedExpenseLineDetail": {"AccountRef": {"value": "61"}},
    }
    bill = qbo.bills.post({"VendorRef": {"value": vendor["Id"]}, "Line": [row]})["Bill"]
    assert qbo.bills.get_by_id(bill["Id"])["TotalAmt"] == 12.5
    spent = {
        "PaymentType": "Cash",
        "AccountRef": {"value": "35"},
        "EntityRef": {"value": vendor["Id"], "type": "Vendor"},
        "Line": [row],
    }
    purchase = qbo.purchases.post(spent)["Purchase"]
    assert qbo.purchases.get_by_id(purchase["Id"])["Purchase"][0]["TotalAmt"] == 12.5
    lines = [
        {
            "Amount": 5,
            "DetailType": "JournalEntryLineDetail",
            "JournalEntryLineDetail": {"PostingType": way, "AccountRef": {"value": account}},
        }
        for way, account in (("Debit", "61"), ("Credit", "35"))
    ]
    entry = qbo.journal_entries.post({"Line": lines})["JournalEntry"]
    assert qbo.journal_entries.get_by_id(entry["Id"])["TotalAmt"] == 5
    paid = {
        "VendorRef": {"value": vendor["Id"]},
        "PayType": "Check",
        "TotalAmt": 12.5,
        "CheckPayment": {"BankAccountRef": {"value": "35"}},
        "Line": [{"Amount": 12.5, "LinkedTxn": [{"TxnId": bill["Id"], "TxnType": "Bill"}]}],
    }
    payment = qbo.bill_payments.post(paid)["BillPayment"]
    assert qbo.bills.get_by_id(bill["Id"])["Balance"] == 0
    assert qbo.bill_payments.get()[-1]["Id"] == payment["Id"]
    assert qbo.bills.delete(bill["Id"])["Bill"]["status"] == "Deleted"  # its token is 1 by now


def test_qbosdk_uploads_and_says_what_was_wrong(qbo: Any) -> None:
    from qbosdk.exceptions import InvalidTokenError, WrongParamsError

    vendor = qbo.vendors.post({"DisplayName": "With papers"})["Vendor"]
    content = base64.b64encode(b"hello").decode()
    file = qbo.attachments.post(vendor["Id"], "Vendor", content, "note.txt")["Attachable"]
    assert (file["FileName"], file["Size"]) == ("note.txt", 5)
    assert file["AttachableRef"][0]["EntityRef"]["value"] == vendor["Id"]
    with pytest.raises(WrongParamsError) as caught:
        qbo.vendors.post({"DisplayName": "With papers"})
    assert "6240" in caught.value.response
    with pytest.raises(InvalidTokenError):
        type(qbo)("an id", "a secret", "nonsense", "1", environment="production")


def test_qbosdk_revokes(books: Simulator, redirected: None) -> None:
    module = pytest.importorskip("qbosdk.qbosdk", reason="qbosdk is not installed")
    token = books.new_refresh_token()
    assert module.revoke_refresh_token(token, "an id", "a secret")["message"]
    with pytest.raises(Exception, match="400"):
        module.QuickbooksOnlineSDK("an id", "a secret", token, books.realm_id, "sandbox")


# -- xerosdk -------------------------------------------------------------------------------------


@pytest.fixture
def fyle(xero: XeroSimulator, redirected: None) -> Any:
    xerosdk = pytest.importorskip("xerosdk", reason="xerosdk is not installed")
    token = xero.new_refresh_token()
    sdk = xerosdk.XeroSDK("https://api.xero.com", xero.client_id, xero.client_secret, token)
    [tenant] = sdk.tenants.get_all()
    sdk.set_tenant_id(tenant["tenantId"])
    return sdk


def test_xerosdk_reads_every_collection(fyle: Any, xero: XeroSimulator) -> None:
    assert fyle.organisations.get_all()[0]["OrganisationID"]
    for name, key in (
        *(("accounts", "Accounts"), ("items", "Items"), ("currencies", "Currencies")),
        *(("tax_rates", "TaxRates"), ("tracking_categories", "TrackingCategories")),
        *(("invoices", "Invoices"), ("payments", "Payments"), ("contacts", "Contacts")),
        ("bank_transactions", "BankTransactions"),
    ):
        assert fyle.__getattribute__(name).get_all()[key], name
    for name, key in (("invoices", "Invoices"), ("payments", "Payments")):
        pages = list(getattr(fyle, name).list_all_generator())
        assert len(pages) >= 2 and pages[-1][key] == []
    assert fyle.connections.get_all()[0]["tenantId"] == xero.tenant_id


def test_xerosdk_writes_what_fyle_writes(fyle: Any) -> None:
    contact = fyle.contacts.post({"Name": "Fyle vendor"})["Contacts"][0]
    found = fyle.contacts.search_contact_by_contact_name("Fyle vendor")
    assert found["ContactID"] == contact["ContactID"]
    who = {"ContactID": contact["ContactID"]}
    line = {"Description": "Taxi", "Quantity": 1, "UnitAmount": 20.0, "AccountCode": "429"}
    bill = {
        "Type": "ACCPAY",
        "Contact": who,
        "LineItems": [line],
        "Status": "AUTHORISED",
        "Date": "2026-10-01",
        "DueDate": "2026-10-20",
        "LineAmountTypes": "Inclusive",
    }
    invoice = fyle.invoices.post(bill)["Invoices"][0]
    assert fyle.invoices.get_by_id(invoice["InvoiceID"])["Invoices"][0]["Total"] == 20
    paid = {
        "Invoice": {"InvoiceID": invoice["InvoiceID"]},
        "Account": {"Code": "090"},
        "Date": "2026-10-10",
        "Amount": 20.0,
    }
    payment = fyle.payments.post(paid)["Payments"][0]
    again = fyle.payments.get_by_id(payment["PaymentID"])["Payments"][0]
    assert again["Invoice"]["InvoiceID"] == invoice["InvoiceID"]
    spent = {
        "Type": "SPEND",
        "Contact": who,
        "LineItems": [line],
        "BankAccount": {"Code": "090"},
    }
    made = fyle.bank_transactions.post(spent)["BankTransactions"][0]
    file = fyle.attachments.post_attachment(
        "banktransactions", made["BankTransactionID"], "taxi.png", b"png"
    )
    assert file["Attachments"][0]["ContentLength"] == 3
    listed = fyle.attachments.get_attachments("BankTransactions", made["BankTransactionID"])
    assert listed["Attachments"][0]["FileName"] == "taxi.png"
    rate = {"Name": "Fyle tax", "TaxComponents": [{"Name": "T", "Rate": 5}]}
    rate["ReportTaxType"] = "OUTPUT"
    assert fyle.tax_rates.put(rate)["TaxRates"][0]["TaxType"]
    ended = {"Name": "Fyle tax", "Status": "DELETED"}
    assert fyle.tax_rates.post(ended)["TaxRates"][0]["Status"] == "DELETED"


def test_xerosdk_names_refusals_and_drops_its_connection(fyle: Any, xero: XeroSimulator) -> None:
    from xerosdk.exceptions import WrongParamsError, XeroSDKError

    fyle.contacts.post({"Name": "Once"})
    with pytest.raises(WrongParamsError) as caught:
        fyle.invoices.post({"Type": "ACCPAY"})
    assert caught.value.args[0]["Type"] == "ValidationException"
    with pytest.raises(XeroSDKError):
        type(fyle)("https://api.xero.com", xero.client_id, xero.client_secret, "nonsense")


# -- pyxero ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def credentials(xero: XeroSimulator) -> Any:
    """Connected as the README shows: the address, the consent, the callback."""
    auth = pytest.importorskip("xero.auth", reason="pyxero is not installed")
    constants = pytest.importorskip("xero.constants")
    callback = "http://localhost:8765/callback"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
        for name in ("AUTHORIZE", "TOKEN", "CONNECTIONS"):
            old = getattr(auth, f"XERO_OAUTH2_{name}_URL")
            path = re.sub(r"^https://[\w.]+", "", old)
            patch.setattr(auth, f"XERO_OAUTH2_{name}_URL", f"{xero.base_url}{path}")
        scopes = constants.XeroScopes
        found = auth.OAuth2Credentials(
            "an app of its own",  # scopes add up over the consents of one app
            "a secret",
            callback_uri=callback,
            scope=[
                scopes.OFFLINE_ACCESS,
                scopes.ACCOUNTING_CONTACTS,
                scopes.ACCOUNTING_TRANSACTIONS,
                scopes.ACCOUNTING_SETTINGS,
                scopes.ACCOUNTING_REPORTS_READ,
                scopes.ACCOUNTING_ATTACHMENTS,
            ],
        )
        found.base_url = xero.base_url
        answer = requests.get(found.generate_url(), allow_redirects=False, timeout=10)
        found.verify(answer.headers["location"])
        before = found.token["refresh_token"]
        found.refresh()
        assert found.token["refresh_token"] != before and not found.expired()
        patch.setattr(auth, "XERO_OAUTH2_CONNECTIONS_URL", "/connections")
        found.set_default_tenant()
        yield found


def test_pyxero_reads_filters_and_pages(credentials: Any, xero: XeroSimulator) -> None:
    from xero import Xero

    books = Xero(credentials)
    assert credentials.tenant_id == xero.tenant_id
    for name in (
        *("accounts", "banktransactions", "banktransfers", "batchpayments", "brandingthemes"),
        *("contactgroups", "contacts", "creditnotes", "currencies", "invoices", "items"),
        *("manualjournals", "organisations", "overpayments", "payments", "prepayments"),
        *("purchaseorders", "quotes", "repeatinginvoices", "taxrates", "trackingcategories"),
        "users",
    ):
        found = getattr(books, name).all()
        assert isinstance(found, list), name
    [first, *_] = books.contacts.all()
    assert books.contacts.get(first["ContactID"])[0]["Name"] == first["Name"]
    assert books.contacts.filter(Name=first["Name"])[0]["ContactID"] == first["ContactID"]
    assert isinstance(books.contacts.filter(since=datetime(2013, 1, 1)), list)
    late = books.invoices.filter(DueDate__lt=date(2030, 1, 1), Status="AUTHORISED", page=1)
    assert late and isinstance(late[0]["DueDate"], datetime)
    assert books.invoices.filter(raw="AmountDue > 0", order="Date DESC")
    contact = late[0]["Contact"]["ContactID"]
    assert books.invoices.filter(Contact_ContactID=contact)
    assert books.invoices.get_history(late[0]["InvoiceID"])
    assert books.reports.get("ProfitAndLoss")[0]["ReportID"] == "ProfitAndLoss"


def test_pyxero_writes_in_xml(credentials: Any) -> None:
    from xero import Xero

    books = Xero(credentials)
    [contact] = books.contacts.put({"Name": "Py Contact", "EmailAddress": "py@contact.test"})
    contact["LastName"] = "Snake"
    [changed] = books.contacts.save(contact)
    assert (changed["ContactID"], changed["LastName"]) == (contact["ContactID"], "Snake")
    made = books.contacts.put([{"Name": "Py One"}, {"Name": "Py Two"}])
    assert [one["Name"] for one in made] == ["Py One", "Py Two"]
    line = {"Description": "Tea & cake", "Quantity": "2", "UnitAmount": "10", "AccountCode": "200"}
    body = {
        "Type": "ACCREC",
        "Status": "AUTHORISED",
        "Contact": {"ContactID": contact["ContactID"]},
        "Date": date(2026, 10, 1),
        "DueDate": date(2026, 10, 20),
        "LineItems": [line],
    }
    [invoice] = books.invoices.put(body)
    assert invoice["LineItems"][0]["Description"] == "Tea & cake"
    owed = {"InvoiceID": invoice["InvoiceID"]}
    paid = {"Invoice": owed, "Account": {"Code": "090"}, "Date": date(2026, 10, 5), "Amount": "5"}
    [payment] = books.payments.put(paid)
    books.payments.delete(payment["PaymentID"])
    [again] = books.invoices.get(invoice["InvoiceID"])
    assert again["AmountPaid"] == 0
    note = {**body, "Type": "ACCRECCREDIT", "LineItems": [{**line, "Quantity": "1"}]}
    [credit] = books.creditnotes.put({k: v for k, v in note.items() if k != "DueDate"})
    assert credit["RemainingCredit"] == 11.5
    books.invoices.put_history(invoice["InvoiceID"], "Sent by post")
    books.invoices.put_attachment_data(invoice["InvoiceID"], "a.txt", b"hello", "text/plain")
    assert books.invoices.get_attachment_data(invoice["InvoiceID"], "a.txt") == b"hello"


def test_pyxero_says_what_was_wrong(credentials: Any) -> None:
    from xero import Xero
    from xero.exceptions import XeroBadRequest, XeroNotFound

    books = Xero(credentials)
    with pytest.raises(XeroNotFound):
        books.contacts.get("00000000-0000-4000-8000-000000000000")
    with pytest.raises(XeroBadRequest):
        books.invoices.filter(raw="nonsense ~ 1")
    with pytest.raises(XeroBadRequest, match="Name"):
        books.contacts.put({"Name": "x" * 300})
