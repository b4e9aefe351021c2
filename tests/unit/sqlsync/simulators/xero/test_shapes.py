"""Answers have the shape of the reference's samples: members, their order, kinds of value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.endpoints import endpoints
from sqlsync.simulators.xero.fields import members_of
from sqlsync.simulators.xero.values import encode
from sqlsync.simulators.xero.webhooks import Event, notification, sign

SAMPLES = Path(__file__).parents[6] / "shared/reference/xero/samples"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the reference's sample bodies are not on this machine"
)


def sample(name: str) -> Any:
    found = json.loads((SAMPLES / f"{name}.json").read_text())
    return found.get("body", found) if isinstance(found, dict) else found


def kind(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    if isinstance(value, dict | list):
        return type(value).__name__
    if isinstance(value, str) and value.startswith("/Date("):
        return "date with offset" if "+" in value else "date"
    return "number" if isinstance(value, int | float) else "text"


def differences(made: Any, wanted: Any, path: str = "") -> list[str]:
    """Where a made body departs from a sample: kinds that differ, members nobody documented."""
    if isinstance(wanted, dict) and isinstance(made, dict):
        found = [f"{path}.{name} is not in the sample" for name in made if name not in wanted]
        for name in made.keys() & wanted.keys():
            found += differences(made[name], wanted[name], f"{path}.{name}")
        return found
    if isinstance(wanted, list) and isinstance(made, list):
        if not wanted or not made:
            return []
        return [
            text
            for element in made
            for text in min((differences(element, model, f"{path}[]") for model in wanted), key=len)
        ]
    return [] if kind(made) == kind(wanted) else [f"{path}: {kind(made)} not {kind(wanted)}"]


def in_order(made: Any, wanted: Any) -> bool:
    """Whether the members both have come in the same order."""
    shared = [name for name in wanted if name in made]
    return shared == [name for name in made if name in wanted]


def plain(answer: Any) -> Any:
    """An answer as any client reads it."""
    return json.loads(encode(answer))


@pytest.fixture(scope="module")
def busy(module_world: Any) -> Any:
    return module_world(customers=20, invoices=200)


# Beyond a sample, from the object reference or the other samples of the same object.
MORE = {
    "invoice": {"TotalDiscount", "Attachments", "BrandingThemeID", "FullyPaidOnDate", "Url",
                "ItemCode", "Item", "BatchPaymentID"},
    "contact": {"TaxNumber", "Balances", "Region", "PurchasesDefaultAccountCode", "Bills",
                "ContactNumber", "SalesDefaultAccountCode", "PaymentTerms", "DefaultCurrency",
                "SalesDefaultLineAmountType"},
}  # fmt: skip


def unexplained(found: list[str], of: str) -> list[str]:
    return [
        text
        for text in found
        if text.partition(" is not")[0].rpartition(".")[2] not in MORE.get(of, set())
        or not text.endswith("is not in the sample")
    ]


@needs_samples
@pytest.mark.parametrize(
    ("path", "params", "name", "of"),
    [
        ("Invoices", {"page": "1"}, "invoices_list_page", "invoice"),
        ("Invoices", {}, "invoices_list_unpaged", "invoice"),
        ("Invoices", {"summaryOnly": "true"}, "invoices_list_summary_only", "invoice"),
        ("Contacts", {"page": "1", "includeArchived": "true"}, "contacts_list_page", "contact"),
        ("Accounts", {}, "accounts_list", ""),
        ("TaxRates", {}, "tax_rates_list", ""),
        ("Organisation", {}, "organisation", ""),
        ("Reports/ProfitAndLoss", {"periods": "1"}, "report_profit_and_loss", ""),
    ],
)
def test_lists_have_the_samples_shape(
    busy: Any, path: str, params: dict[str, str], name: str, of: str
) -> None:
    made, wanted = plain(busy.ask("GET", path, **params)), sample(name)
    assert list(made) == list(wanted)
    assert unexplained(differences(made, wanted), of) == []
    (key,) = (name for name, value in wanted.items() if isinstance(value, list))
    assert all(in_order(one, wanted[key][0]) for one in made[key])


@needs_samples
@pytest.mark.parametrize(("table", "name"), [("Invoices", "invoice"), ("Contacts", "contact")])
def test_single_records_have_the_samples_shape(busy: Any, table: str, name: str) -> None:
    wanted = sample(f"{name}_single")
    for row in busy.books.table(table).by_id()[:60]:
        made = plain(busy.ask("GET", f"{table}/{row.id}"))
        more = MORE["invoice"] | MORE["contact"]
        wrong = [
            text
            for text in differences(made, wanted)
            if text.partition(" is not")[0].rpartition(".")[2] not in more
        ]
        assert wrong == []
        assert in_order(made[table][0], wanted[table][0])


@needs_samples
def test_an_invoice_in_full_misses_nothing_of_the_sample(busy: Any) -> None:
    wanted = sample("invoice_single")["Invoices"][0]
    row = next(
        row
        for row in busy.books.table("Invoices").by_id()
        if busy.books.table("Invoices").doc(row)["Type"] == "ACCREC"
    )
    made = busy.one(f"Invoices/{row.id}")
    assert set(wanted) - set(made) == set()


@needs_samples
def test_history_has_the_samples_shape(world: Any) -> None:
    invoice = world.invoice()
    world.pay(invoice, 5)
    made = plain(world.ask("GET", f"Invoices/{invoice['InvoiceID']}/History"))
    assert differences(made, sample("history_records")) == []


@needs_samples
def test_payments_are_created_and_deleted_as_in_the_samples(world: Any) -> None:
    invoice = world.invoice(None, "678.00")
    body = {
        "Invoice": {"InvoiceID": invoice["InvoiceID"]},
        "Account": {"Code": "090"},
        "Date": "2026-10-20",
        "Amount": 300.0,
        "Reference": "Part payment",
    }
    made = plain(world.ask("PUT", "Payments", body))
    wanted = sample("payment_create.http")
    assert differences(made, wanted) == []
    assert list(made["Payments"][0]) == list(wanted["Payments"][0])
    path = f"Payments/{made['Payments'][0]['PaymentID']}"
    gone = plain(world.ask("POST", path, {"Status": "DELETED"}))
    wanted = sample("payment_delete.http")
    assert differences(gone, wanted) == []
    assert list(gone["Payments"][0]) == list(wanted["Payments"][0])


@needs_samples
def test_bulk_answers_have_the_samples_shape(world: Any) -> None:
    contact = world.contact()
    draft = world.invoice(contact, Status="DRAFT")
    sent = json.loads((SAMPLES / "invoices_bulk_request.json").read_text())["body"]
    for one in sent["Invoices"][:2]:
        one["Contact"]["ContactID"] = contact["ContactID"]
    sent["Invoices"][2]["InvoiceID"] = draft["InvoiceID"]
    made = plain(world.ask("POST", "Invoices", sent, summarizeErrors="false"))
    wanted = sample("invoices_bulk_response_summarize_false")
    assert list(made) == list(wanted)
    good, failed, warned = made["Invoices"]
    more = {"Payments", "CreditNotes", "AmountCredited", "HasAttachments", "InvoiceAddresses",
            "Attachments", "UpdatedDateUTCString"}  # fmt: skip
    wrong = [
        text
        for text in differences(good, wanted["Invoices"][0])
        if text.partition(" is not")[0].rpartition(".")[2] not in more
    ]
    assert wrong == []
    assert differences(failed, wanted["Invoices"][1]) == []
    assert list(failed) == list(wanted["Invoices"][1])
    assert warned["Warnings"] == wanted["Invoices"][2]["Warnings"]
    sent["Invoices"] = sent["Invoices"][1:2]
    refused = world.refused("POST", "Invoices", sent)
    wanted = sample("invoices_bulk_response_default_400.http")
    assert differences(plain(refused.body), wanted) == []
    assert list(refused.body["Elements"][0]) == list(wanted["Elements"][0])


@needs_samples
def test_refusals_have_the_samples_words(world: Any) -> None:
    world.contact("Tui Street Café")
    refused = world.refused("PUT", "Contacts", {"Name": "Tui Street Café"})
    assert plain(refused.body) == sample("validation_error_400.http")
    bill = world.bill()
    world.pay(bill, "115.00")
    refused = world.refused("POST", f"Invoices/{bill['InvoiceID']}", {"Status": "DELETED"})
    wanted = sample("validation_error_invoice_status_400.http")
    wanted["Elements"][0]["InvoiceID"] = bill["InvoiceID"]
    assert plain(refused.body) == wanted
    refused = world.refused("GET", "Invoices", where='Foo=="x"')
    assert plain(refused.body) == sample("error_400_query_parse.http")
    for made, name in (
        (problems.high_volume("Contacts"), "error_400_high_volume"),
        (problems.key_reused("sync-2026-11-02-000841"), "error_400_idempotency_reuse"),
        (problems.scope_missing(), "error_401_insufficient_scope"),
        (problems.token_expired("11/02/2026 00:59:58"), "error_401_token_expired"),
        (problems.tenant_not_connected(), "error_403_tenant_not_connected"),
        (problems.not_found(), "error_404"),
        (problems.offline(), "error_503_organisation_offline"),
        (problems.limited("concurrent", None), "error_429_concurrent"),
    ):
        whole = json.loads((SAMPLES / f"{name}.http.json").read_text())
        assert made.status == whole["status"]
        body = plain(made.body)
        if isinstance(body, dict) and "Instance" in body:
            body["Instance"] = whole["body"]["Instance"]
        assert body == whole["body"]
        for header in ("WWW-Authenticate", "X-Rate-Limit-Problem"):
            assert made.headers.get(header) == whole.get("headers", {}).get(header)


@needs_samples
def test_a_notification_is_signed_as_the_sample_is() -> None:
    wanted = json.loads((SAMPLES / "webhook_delivery.json").read_text())
    body = wanted["raw_body"].encode()
    assert sign(body, wanted["signing_key"]) == wanted["headers"]["x-xero-signature"]
    tenant = "8f2b6c1e-3d47-4a5e-9b0c-51a7d2e64f90"
    record = "c3a5f08d-1b96-47e2-8d40-5f6b92e7a3c1"
    event = Event(tenant, "Invoices", record, "UPDATE", 1792466047513, 76)
    made = json.loads(notification([event], "FXNGWLCCGVANWHKILRUB"))
    assert made["events"][0] == wanted["parsed"]["events"][0]
    assert list(made) == list(wanted["parsed"])
    intent = json.loads((SAMPLES / "webhook_intent_to_receive.json").read_text())
    first = intent["deliveries"][0]
    empty = notification((), "S0m3r4Nd0mt3xt")
    assert empty == first["raw_body"].encode()
    assert sign(empty, intent["signing_key"]) == first["x-xero-signature"]


# Members the service shows beyond the official data file, as recorded or shown in its examples.
BEYOND = {"ID", "HasValidationErrors", "HasErrors", "IsDiscounted", "InvoiceAddresses", "Item",
          "IsDeleted", "IsArchived", "IsActive", "Attachments", "Type", "Status", "Services",
          "AddToWatchlist", "TotalDiscount", "CreatedDateUTCString"}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(endpoints()) - {"Journals"}))
def test_every_member_shown_is_known(busy: Any, name: str) -> None:
    endpoint = endpoints()[name]
    known = {member.name for member in members_of(endpoint.type).values()}
    for one in busy.get(name, page="1"):
        assert set(one) - known - BEYOND == set()
