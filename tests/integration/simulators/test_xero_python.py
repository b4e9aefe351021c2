"""The unmodified `xero-python` SDK against the simulated Xero, only its addresses redirected.

Runs where the SDK is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pytest

from sqlsync.simulators.testing_xero import XeroSimulator, xero_simulator

pytest.importorskip("xero_python", reason="xero-python is not installed")

from xero_python import accounting as xero
from xero_python.api_client import ApiClient
from xero_python.api_client.configuration import Configuration
from xero_python.api_client.oauth2 import OAuth2Token, TokenApi
from xero_python.exceptions import AccountingBadRequestException
from xero_python.identity import IdentityApi


@pytest.fixture(scope="module")
def sim() -> Iterator[XeroSimulator]:
    with xero_simulator(customers=20, invoices=200) as found:
        yield found


class Sdk:
    """A client as the SDK's README makes it."""

    def __init__(self, sim: XeroSimulator) -> None:
        self.saved: dict[str, Any] = {}
        token = OAuth2Token(client_id=sim.client_id, client_secret=sim.client_secret)
        self.client = ApiClient(Configuration(oauth2_token=token), pool_threads=1)
        self.client.oauth2_token_getter(lambda: self.saved.get("token"))
        self.client.oauth2_token_saver(lambda given: self.saved.update(token=given))
        self.client.set_oauth2_token(
            {
                "access_token": "none yet",
                "refresh_token": sim.new_refresh_token(),
                "expires_in": 1,
                "token_type": "Bearer",
                "scope": ["offline_access", "accounting.invoices"],
            }
        )
        self.client.refresh_oauth2_token()
        self.api = xero.AccountingApi(self.client, base_url=f"{sim.base_url}/api.xro/2.0")
        self.identity = IdentityApi(self.client, base_url=sim.base_url)
        self.tenant = sim.tenant_id
        self.line = xero.LineItem(
            description="Foobar", quantity=1.0, unit_amount=20.0, account_code="200"
        )

    def contact(self, name: str) -> Any:
        made = self.api.create_contacts(
            self.tenant, xero.Contacts(contacts=[xero.Contact(name=name)])
        )
        return xero.Contact(contact_id=made.contacts[0].contact_id)

    def invoice(self, contact: Any, **more: Any) -> Any:
        body = xero.Invoice(
            type="ACCREC",
            contact=contact,
            line_items=[self.line],
            date=date(2026, 10, 1),
            due_date=date(2026, 10, 20),
            status="AUTHORISED",
            **more,
        )
        made = self.api.create_invoices(self.tenant, xero.Invoices(invoices=[body]), unitdp=4)
        return made.invoices[0]


@pytest.fixture(scope="module")
def sdk(sim: XeroSimulator) -> Iterator[Sdk]:
    held = {
        name: getattr(TokenApi, name)
        for name in ("refresh_token_url", "revoke_token_url", "client_credentials_token_url")
    }
    TokenApi.refresh_token_url = f"{sim.base_url}/connect/token"
    TokenApi.client_credentials_token_url = f"{sim.base_url}/connect/token"
    TokenApi.revoke_token_url = f"{sim.base_url}/connect/revocation"
    yield Sdk(sim)
    for name, value in held.items():
        setattr(TokenApi, name, value)


def test_connections_and_the_organisation_are_read(sdk: Sdk) -> None:
    [connection] = sdk.identity.get_connections()
    assert connection.tenant_id == sdk.tenant
    [organisation] = sdk.api.get_organisations(sdk.tenant).organisations
    assert organisation.name == connection.tenant_name


READ = (
    "accounts",
    "bank_transactions",
    "bank_transfers",
    "batch_payments",
    "branding_themes",
    "budgets",
    "contacts",
    "contact_groups",
    "credit_notes",
    "currencies",
    "invoices",
    "items",
    "journals",
    "linked_transactions",
    "manual_journals",
    "overpayments",
    "payments",
    "payment_services",
    "prepayments",
    "purchase_orders",
    "quotes",
    "repeating_invoices",
    "tax_rates",
    "tracking_categories",
    "users",
)


@pytest.mark.parametrize("name", READ)
def test_every_collection_is_read(sdk: Sdk, name: str) -> None:
    found = getattr(sdk.api, f"get_{name}")(sdk.tenant)
    assert isinstance(getattr(found, name), list)


def test_invoices_are_filtered_sorted_and_paged(sdk: Sdk) -> None:
    found = sdk.api.get_invoices(
        sdk.tenant,
        if_modified_since=datetime(2024, 1, 1, 3, 4, 5, 202000),
        where='Status=="AUTHORISED" AND Date >= DateTime(2020, 1, 1)',
        order="InvoiceNumber ASC",
        page=1,
        unitdp=4,
    )
    assert found.invoices
    assert {one.status for one in found.invoices} == {"AUTHORISED"}
    assert all(one.line_items for one in found.invoices)


def test_an_invoice_is_made_paid_unpaid_and_voided(sdk: Sdk) -> None:
    invoice = sdk.invoice(sdk.contact("Bruce Banner"), reference="Website")
    assert (invoice.total, invoice.amount_due) == (23, 23)
    payment = xero.Payment(
        invoice=xero.Invoice(invoice_id=invoice.invoice_id),
        account=xero.Account(code="090"),
        date=date(2026, 10, 3),
        amount=10.0,
    )
    [paid] = sdk.api.create_payments(sdk.tenant, xero.Payments(payments=[payment])).payments
    assert paid.payment_type == "ACCRECPAYMENT"
    sdk.api.delete_payment(sdk.tenant, paid.payment_id, xero.PaymentDelete(status="DELETED"))
    void = xero.Invoices(invoices=[xero.Invoice(status="VOIDED")])
    [voided] = sdk.api.update_invoice(sdk.tenant, invoice.invoice_id, void).invoices
    assert voided.status == "VOIDED"


def test_credit_is_allocated(sdk: Sdk) -> None:
    contact = sdk.contact("Credit Customer")
    invoice = sdk.invoice(contact)
    note = xero.CreditNote(
        type="ACCRECCREDIT",
        contact=contact,
        status="AUTHORISED",
        date=date(2026, 10, 2),
        line_items=[sdk.line],
    )
    notes = xero.CreditNotes(credit_notes=[note])
    [made] = sdk.api.create_credit_notes(sdk.tenant, notes).credit_notes
    part = xero.Allocation(
        amount=5.0, date=date(2026, 10, 4), invoice=xero.Invoice(invoice_id=invoice.invoice_id)
    )
    sdk.api.create_credit_note_allocation(
        sdk.tenant, made.credit_note_id, xero.Allocations(allocations=[part])
    )
    [after] = sdk.api.get_credit_note(sdk.tenant, made.credit_note_id).credit_notes
    assert after.remaining_credit == 18


def test_settings_orders_files_and_notes_are_written(sdk: Sdk) -> None:
    api, tenant = sdk.api, sdk.tenant
    contact = sdk.contact("Many Things")
    item = xero.Item(code="abc1", name="abc", purchase_details=xero.Purchase(unit_price=1.25))
    assert api.create_items(tenant, xero.Items(items=[item])).items[0].item_id
    account = xero.Account(code="1234", name="Foo", type=xero.AccountType.EXPENSE)
    assert api.create_account(tenant, account).accounts[0].account_id
    order = xero.PurchaseOrder(contact=contact, line_items=[sdk.line], date=date(2026, 10, 1))
    orders = xero.PurchaseOrders(purchase_orders=[order])
    assert api.create_purchase_orders(tenant, orders).purchase_orders[0].total == 23
    quote = xero.Quote(contact=contact, line_items=[sdk.line], date=date(2026, 10, 1))
    assert api.create_quotes(tenant, xero.Quotes(quotes=[quote])).quotes[0].total == 23
    invoice = sdk.invoice(contact)
    note = xero.HistoryRecords(history_records=[xero.HistoryRecord(details="hi")])
    api.create_invoice_history(tenant, invoice.invoice_id, note)
    entries = api.get_invoice_history(tenant, invoice.invoice_id).history_records
    assert [entry.changes for entry in entries] == ["Note", "Approved", "Created"]
    files = api.create_invoice_attachment_by_file_name(
        tenant, invoice.invoice_id, "a.txt", b"hello"
    )
    assert files.attachments[0].content_length == 5


@pytest.mark.parametrize(
    "name", ["profit_and_loss", "balance_sheet", "trial_balance", "bank_summary"]
)
def test_reports_are_read(sdk: Sdk, name: str) -> None:
    [report] = getattr(sdk.api, f"get_report_{name}")(sdk.tenant).reports
    assert report.rows


def test_a_refusal_names_the_rule(sdk: Sdk) -> None:
    sdk.contact("Taken")
    with pytest.raises(AccountingBadRequestException) as caught:
        sdk.contact("Taken")
    message = str(caught.value.reason)
    assert message.startswith("The contact name Taken is already assigned")


def test_the_token_is_renewed_and_revoked(sdk: Sdk) -> None:
    before = sdk.saved["token"]["refresh_token"]
    sdk.client.refresh_oauth2_token()
    assert sdk.saved["token"]["refresh_token"] != before
    sdk.client.revoke_oauth2_token()
