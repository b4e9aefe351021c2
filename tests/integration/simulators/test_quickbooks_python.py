"""The unmodified `python-quickbooks` and `intuit-oauth` against the simulated QuickBooks.

Only their addresses are redirected; what is done is what their READMEs show. Runs where both are
installed: `pip install python-quickbooks intuit-oauth`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.client import HTTPConnection
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from sqlsync.simulators.quickbooks.reports.catalog import reports
from sqlsync.simulators.quickbooks.webhooks import sign
from sqlsync.simulators.testing import Simulator, simulator

pytest.importorskip("quickbooks", reason="python-quickbooks is not installed")
pytest.importorskip("intuitlib", reason="intuit-oauth is not installed")

from intuitlib.client import AuthClient
from intuitlib.enums import Scopes
from intuitlib.exceptions import AuthClientError
from quickbooks import QuickBooks, objects
from quickbooks.batch import batch_create, batch_delete, batch_update
from quickbooks.cdc import change_data_capture
from quickbooks.exceptions import ObjectNotFoundException, QuickbooksException
from quickbooks.objects.base import AttachableRef, EmailAddress
from quickbooks.objects.taxservice import TaxRateDetails, TaxService

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with simulator(customers=20, invoices=200) as found:
        yield found


def auth_client(sim: Simulator, client_id: str | None = None) -> Any:
    """client_id: of an app of its own, since one app has one connection to a company."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AuthClient(
            client_id=client_id or sim.client_id,
            client_secret=sim.client_secret,
            environment=f"{sim.base_url}/.well-known/openid_sandbox_configuration",
            redirect_uri="http://localhost:8000/callback",
        )


@pytest.fixture(scope="module")
def client(sim: Simulator) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QuickBooks, "api_url_v3", f"{sim.base_url}/v3")
        patch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # the library's own word for plain http
        yield QuickBooks(
            auth_client=auth_client(sim),
            refresh_token=sim.new_refresh_token(),
            company_id=sim.realm_id,
            minorversion=75,
        )


@pytest.fixture
def customer(client: Any) -> Any:
    made = objects.Customer()
    made.GivenName, made.FamilyName = "Test", f"Person {datetime.now(UTC):%H%M%S%f}"
    made.save(qb=client)
    return made


def sale(amount: float = 100) -> Any:
    line = objects.SalesItemLine()
    line.Amount = amount
    line.SalesItemLineDetail = objects.SalesItemLineDetail()
    line.SalesItemLineDetail.ItemRef = objects.Ref()
    line.SalesItemLineDetail.ItemRef.value = "1"
    return line


def invoice_for(client: Any, customer: Any, **members: Any) -> Any:
    made = objects.Invoice()
    made.CustomerRef = customer.to_ref()
    made.Line.append(sale())
    for name, value in members.items():
        setattr(made, name, value)
    made.save(qb=client)
    return made


# -- intuit-oauth ------------------------------------------------------------------------------


def consent(sim: Simulator, url: str) -> dict[str, str]:
    """Follows the consent page as a browser would, and returns what comes back."""
    connection = HTTPConnection(sim.address)
    connection.request("POST", url.removeprefix(sim.base_url), urlencode({"answer": "approve"}))
    response = connection.getresponse()
    response.read()
    connection.close()
    assert response.status == 302
    back = parse_qs(urlsplit(response.headers["location"]).query)
    return {name: values[0] for name, values in back.items()}


def test_the_openid_flow_gives_checked_tokens_and_the_persons_name(sim: Simulator) -> None:
    auth = auth_client(sim, "another-app")
    url = auth.get_authorization_url([Scopes.ACCOUNTING, Scopes.OPENID, Scopes.PROFILE])
    back = consent(sim, url)
    assert (back["state"], back["realmId"]) == (auth.state_token, sim.realm_id)
    auth.get_bearer_token(back["code"], realm_id=back["realmId"])
    assert auth.expires_in == 3600
    assert auth.id_token, "the library checked issuer, audience and signature"
    about = auth.get_user_info().json()
    assert (about["givenName"], "email" in about) == ("Mara", False)
    first = auth.refresh_token
    auth.refresh()
    assert auth.refresh_token != first
    assert auth.revoke() is True
    with pytest.raises(AuthClientError) as caught:
        auth.refresh()
    assert caught.value.status_code == 400
    with pytest.raises(AuthClientError):
        auth.get_user_info()


def test_without_openid_there_is_neither_id_token_nor_user(sim: Simulator) -> None:
    auth = auth_client(sim, "another-app")
    back = consent(sim, auth.get_authorization_url([Scopes.ACCOUNTING]))
    auth.get_bearer_token(back["code"])
    assert auth.id_token is None
    with pytest.raises(AuthClientError):
        auth.get_user_info()


def test_a_token_without_the_accounting_scope_reads_no_books(sim: Simulator, client: Any) -> None:
    auth = auth_client(sim, "another-app")
    back = consent(sim, auth.get_authorization_url([Scopes.OPENID]))
    auth.get_bearer_token(back["code"])
    other = QuickBooks(auth_client=auth, refresh_token=auth.refresh_token, company_id=sim.realm_id)
    with pytest.raises(QuickbooksException, match="403"):
        objects.Customer.all(qb=other)


# -- python-quickbooks, in the order of its README -----------------------------------------------


def test_lists_are_filtered_ordered_paged_and_counted(client: Any) -> None:
    Customer, Invoice = objects.Customer, objects.Invoice
    everyone = Customer.all(order_by="FamilyName, GivenName", qb=client)
    assert [c.FamilyName for c in everyone] == sorted(c.FamilyName for c in everyone)
    assert Customer.count(qb=client) == len(everyone) == 20
    found = Customer.filter(start_position=1, max_results=5, Active=True, qb=client)
    assert len(found) == 5
    names = [c.DisplayName for c in everyone[:3]]
    chosen = Customer.choose(names, field="DisplayName", qb=client)
    assert sorted(c.DisplayName for c in chosen) == sorted(names)
    somebody = Invoice.all(qb=client)[0].CustomerRef.value
    dates = [
        i.TxnDate for i in Invoice.filter(CustomerRef=somebody, order_by="TxnDate DESC", qb=client)
    ]
    assert dates == sorted(dates, reverse=True)
    assert dates
    where = "Active = True AND CompanyName LIKE 'A%'"
    matching = Customer.where(where, order_by="DisplayName", max_results=25, qb=client)
    assert len(matching) == Customer.count(where, qb=client) > 0
    text = "SELECT * FROM Customer WHERE Active = True STARTPOSITION 1 MAXRESULTS 2"
    assert len(Customer.query(text, qb=client)) == 2


LISTS = (
    *("Account", "Attachable", "Bill", "BillPayment", "CompanyCurrency", "CompanyInfo"),
    *("CreditMemo", "CustomerType", "Department", "Deposit", "Employee", "Estimate"),
    *("ExchangeRate", "Invoice", "Item", "JournalEntry", "Payment", "PaymentMethod"),
    *("Purchase", "PurchaseOrder", "RecurringTransaction", "RefundReceipt", "SalesReceipt"),
    *("TaxAgency", "TaxCode", "TaxRate", "Term", "TimeActivity", "Transfer", "Vendor"),
    *("VendorCredit", "CreditCardPayment", "Budget"),
)


MODULES = {"CompanyInfo": "company_info", "CreditCardPayment": "creditcardpayment_entity"}


@pytest.mark.parametrize("name", LISTS)
def test_every_list_is_read_and_survives_the_librarys_json(client: Any, name: str) -> None:
    module = import_module(f"quickbooks.objects.{MODULES.get(name, name.lower())}")
    kind = getattr(module, name)
    found = kind.all(qb=client)
    assert found
    assert json.loads(found[0].to_json())


def test_preferences_and_classes_are_read(client: Any) -> None:
    from quickbooks.objects.preferences import Preferences
    from quickbooks.objects.trackingclass import Class

    assert Preferences.get(qb=client).CurrencyPrefs.HomeCurrency.value == "USD"
    assert Class.all(qb=client)


def test_an_object_is_read_changed_and_made(sim: Simulator, client: Any) -> None:
    customer = objects.Customer.get(1, qb=client)
    customer.CompanyName = "New Test Company Name"
    customer.save(qb=client)
    assert sim.record("Customer", "1")["CompanyName"] == "New Test Company Name"
    sim.set_options(company_name_is_enough=True)
    made = objects.Customer()
    made.CompanyName = "Test Company"
    made.save(qb=client)
    sim.set_options(company_name_is_enough=False)
    assert sim.record("Customer", made.Id)["DisplayName"] == "Test Company"


def test_batches_create_update_and_delete(sim: Simulator, client: Any, customer: Any) -> None:
    fresh = [objects.Customer(), objects.Customer(), objects.Customer()]
    for one, name in zip(fresh, ("Batch one", "Batch two", "Batch one"), strict=True):
        one.DisplayName = name
    results = batch_create(fresh, qb=client)
    assert [c.DisplayName for c in results.successes] == ["Batch one", "Batch two"]
    [fault] = results.faults
    assert fault.original_object.DisplayName == "Batch one"
    assert fault.Error[0].Message == "Duplicate Name Exists Error"
    for one in results.successes:
        one.Notes = "changed together"
    assert len(batch_update(results.successes, qb=client).successes) == 2
    payments = []
    for _ in range(2):
        payment = objects.Payment()
        payment.CustomerRef, payment.TotalAmt = customer.to_ref(), 10
        payment.save(qb=client)
        payments.append(objects.Payment.get(payment.Id, qb=client))
    assert len(batch_delete(payments, qb=client).successes) == 2
    assert sim.record("Payment", payments[0].Id) is None


def test_change_data_capture_names_what_changed(client: Any, customer: Any) -> None:
    made = invoice_for(client, customer)
    made.delete(qb=client)
    since = datetime.now(UTC) - timedelta(minutes=5)
    kinds = [objects.Invoice, objects.Customer]
    response = change_data_capture(kinds, f"{since:%Y-%m-%dT%H:%M:%SZ}", qb=client)
    assert customer.Id in [c.Id for c in response.Customer]
    assert (made.Id, "Deleted") in [(i.Id, getattr(i, "status", "")) for i in response.Invoice]


def test_notes_and_files_are_attached(
    sim: Simulator, client: Any, customer: Any, tmp_path: Path
) -> None:
    def attachment(**members: Any) -> Any:
        made = objects.Attachable()
        reference = AttachableRef()
        reference.EntityRef = customer.to_ref()
        made.AttachableRef.append(reference)
        for name, value in members.items():
            setattr(made, name, value)
        made.save(qb=client)
        return sim.record("Attachable", made.Id)

    assert attachment(Note="This is a note")["Note"] == "This is a note"
    path = tmp_path / "filename.pdf"
    path.write_bytes(b"%PDF-1.4 from a path")
    facts = {"FileName": "Filename", "ContentType": "application/pdf"}
    first = attachment(_FilePath=str(path), **facts)
    second = attachment(_FileBytes=b"%PDF-1.4 bytes", **facts)
    assert (first["Size"], second["Size"]) == (20, 14)
    connection = HTTPConnection(sim.address)
    connection.request("GET", second["TempDownloadUri"].removeprefix(sim.base_url))
    assert connection.getresponse().read() == b"%PDF-1.4 bytes"
    connection.close()


def test_params_go_with_a_save(client: Any, customer: Any) -> None:
    invoice_for(client, customer, DocNumber="TWICE")
    again = objects.Invoice()
    again.CustomerRef, again.DocNumber = customer.to_ref(), "TWICE"
    again.Line.append(sale())
    with pytest.raises(QuickbooksException) as caught:
        again.save(qb=client)
    assert caught.value.error_code == 6140
    again.save(qb=client, params={"include": "allowduplicatedocnum"})


def test_an_invoice_has_a_link_is_sent_printed_and_voided(
    sim: Simulator, client: Any, customer: Any
) -> None:
    made = invoice_for(client, customer, AllowOnlineCreditCardPayment=True)
    made.BillEmail = EmailAddress()
    made.BillEmail.Address = "test@email.example"
    made.save(qb=client)
    shared = objects.Invoice.get(made.Id, qb=client, params={"include": "invoiceLink"})
    assert shared.InvoiceLink.startswith("http")
    assert not getattr(objects.Invoice.get(made.Id, qb=client), "InvoiceLink", "")
    made.send(qb=client, send_to="somebody@email.example")
    assert sim.record("Invoice", made.Id)["EmailStatus"] == "EmailSent"
    assert made.download_pdf(qb=client).startswith(b"%PDF")
    fresh = invoice_for(client, customer)
    by_id = objects.Invoice()
    by_id.Id = int(fresh.Id)
    by_id.void(qb=client)
    assert sim.record("Invoice", fresh.Id)["TotalAmt"] == 0


def test_an_account_comes_from_json(client: Any) -> None:
    account = objects.Account.from_json(
        {"AccountType": "Accounts Receivable", "AcctNum": "123123", "Name": "MyJobs"}
    )
    account.save(qb=client)
    again = objects.Account.get(account.Id, qb=client)
    assert (again.Classification, again.AcctNum) == ("Asset", "123123")


def test_forms_of_every_kind_are_made(client: Any, customer: Any) -> None:
    vendor = objects.Vendor.all(qb=client)[0]
    account = objects.Account.filter(AccountType="Expense", max_results=1, qb=client)[0]
    bank = objects.Account.filter(AccountType="Bank", max_results=1, qb=client)[0]
    bill = objects.Bill()
    line = objects.AccountBasedExpenseLine()
    line.Amount, line.DetailType = 25, "AccountBasedExpenseLineDetail"
    line.AccountBasedExpenseLineDetail = objects.AccountBasedExpenseLineDetail()
    line.AccountBasedExpenseLineDetail.AccountRef = account.to_ref()
    bill.Line.append(line)
    bill.VendorRef = vendor.to_ref()
    bill.save(qb=client)
    assert objects.Bill.get(bill.Id, qb=client).Balance == 25
    estimate = objects.Estimate()
    estimate.CustomerRef = customer.to_ref()
    estimate.Line.append(sale())
    estimate.save(qb=client)
    assert estimate.Id
    transfer = objects.Transfer()
    savings = objects.Account.where("Name = 'Savings'", qb=client)[0]
    transfer.Amount = 5
    transfer.FromAccountRef, transfer.ToAccountRef = bank.to_ref(), savings.to_ref()
    transfer.save(qb=client)
    assert transfer.Id
    service = TaxService()
    service.TaxCode = "Made by the library"
    rate = TaxRateDetails()
    rate.TaxRateName, rate.RateValue, rate.TaxAgencyId = "Lib", 2, "1"
    rate.TaxApplicableOn = "Sales"
    service.TaxRateDetails.append(rate)
    made = service.save(qb=client)
    assert (made.TaxCode, made.TaxRateDetails[0].TaxRateName) == ("Made by the library", "Lib")


def test_a_payment_pays_an_invoice(sim: Simulator, client: Any, customer: Any) -> None:
    made = invoice_for(client, customer)
    payment = objects.Payment()
    payment.CustomerRef, payment.TotalAmt = customer.to_ref(), 100
    payment.TxnDate = f"{date.today()}"
    line = objects.PaymentLine()
    line.Amount = 100
    line.LinkedTxn.append(made.to_linked_txn())
    payment.Line.append(line)
    payment.save(qb=client)
    assert sim.record("Invoice", made.Id)["Balance"] == 0
    objects.Payment.get(payment.Id, qb=client).void(qb=client)
    assert sim.record("Invoice", made.Id)["Balance"] == 100


@pytest.mark.parametrize("name", sorted(reports()))
def test_reports_are_read(client: Any, name: str) -> None:
    dates = {"start_date": "2024-01-01", "end_date": f"{date.today()}"}
    report = client.get_report(name, {**dates, "agency_id": "1"})
    assert report["Header"]["ReportName"] == name
    assert report["Rows"]["Row"]


def test_accounts_show_their_balance(sim: Simulator, client: Any) -> None:
    sheet = client.get_report("TrialBalance", {"date_macro": "All"})
    (account,) = objects.Account.filter(Name="Undeposited Funds", qb=client)
    (row,) = (r for r in sheet["Rows"]["Row"] if r.get("ColData", [{}])[0].get("id") == account.Id)
    assert float(row["ColData"][1]["value"]) == account.CurrentBalance > 0


def test_a_refusal_is_the_librarys_exception(client: Any) -> None:
    with pytest.raises(ObjectNotFoundException) as caught:
        objects.Customer.get(99999, qb=client)
    assert (caught.value.error_code, caught.value.message) == (610, "Object Not Found")
    with pytest.raises(QuickbooksException) as refused:
        objects.Customer.query("select nothing", qb=client)
    assert refused.value.error_code == 4000


def test_a_notifications_signature_is_checked_by_the_library(client: Any) -> None:
    body = b'[{"specversion":"1.0"}]'
    assert client.validate_webhook_signature(body.decode(), sign(body, "key"), "key")
    assert not client.validate_webhook_signature(body.decode(), sign(body, "other"), "key")
