"""Answers: envelopes, refusals of every shape, limits, elements of a bulk write."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from schema.rows import child_rows, record_row
from sqlsync.errors import (
    BadReference,
    DuplicateValue,
    InvalidValue,
    NeedsReauth,
    NotFound,
    NotPermitted,
    OutcomeUnknown,
    ProviderFault,
    ProviderRefusal,
    RateLimited,
    RuleBroken,
    Unreachable,
)
from sqlsync.providers.base import Record, Tombstone
from sqlsync.providers.messages import HttpResponse
from sqlsync.providers.xero import responses
from sqlsync.providers.xero.added import options_of
from sqlsync.providers.xero.calls import Calls
from sqlsync.providers.xero.faults import About
from sqlsync.providers.xero.values import ZERO_ID

from .conftest import ID

Facts = Callable[[str], Calls]
Sample = Callable[[str], Any]

DATE = {"date": "Mon, 02 Nov 2026 01:00:00 GMT"}
READS, WRITES = About(), About(changes=True)


def answer(body: Any = b"", status: int = 200, **headers: str) -> HttpResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status, {n.replace("_", "-"): v for n, v in headers.items()}, content)


def envelope(**members: Any) -> responses.Envelope:
    body = {"Status": "OK", "DateTimeUTC": "/Date(1793579462618)/", **members}
    return responses.read_answer(answer(body), READS)


def invoice(**members: Any) -> dict[str, Any]:
    return {"InvoiceID": ID, "UpdatedDateUTC": "/Date(1792466047513+0000)/", **members}


# -- good answers --------------------------------------------------------------------------


def test_an_envelope_has_the_providers_clock_and_pages() -> None:
    found = envelope(pagination={"page": 2, "pageSize": 100, "pageCount": 3, "itemCount": 250})
    assert found.at == datetime(2026, 11, 2, 0, 31, 2, 618000, UTC)
    assert found.pagination == responses.Pagination(2, 3, 250)


def test_an_answer_without_a_body_is_empty_and_takes_the_time_from_its_header() -> None:
    for status in (204, 304):
        found = responses.read_answer(HttpResponse(status, DATE, b""), WRITES)
        assert found.members == {} and found.at == datetime(2026, 11, 2, 1, tzinfo=UTC)
    silent = responses.read_answer(HttpResponse(204, {}, b""), WRITES)
    with pytest.raises(ProviderFault, match="what time"):
        silent.at  # noqa: B018


@pytest.mark.parametrize(
    ("name", "table", "count"),
    [
        ("invoices_list_page", "invoice", 3),
        ("contacts_list_page", "contact", 3),
        ("invoice_single", "invoice", 1),
        ("accounts_list", "account", 7),
        ("tax_rates_list", "tax_rate", 4),
        ("organisation", "organisation", 1),
    ],
)
def test_the_samples_are_read_whole(
    name: str, table: str, count: int, sample: Sample, calls: Facts
) -> None:
    body = sample(name)
    found = responses.read_answer(answer(body), READS)
    records = responses.records_in(found, calls(table))
    assert len(records) == len(body[calls(table).collection])
    assert len(records) >= min(count, 1)
    for record in records:
        assert record_row(calls(table).spec, record.raw)["id"] == record.id


def test_the_samples_lines_become_rows(sample: Sample, calls: Facts) -> None:
    found = responses.read_answer(answer(sample("invoice_single")), READS)
    [record] = responses.records_in(found, calls("invoice"))
    assert record.updated_at == datetime(2026, 10, 20, 3, 14, 7, 513000, UTC)
    spec = calls("invoice").spec
    rows = child_rows(spec, spec.child_by_table["invoice_line_item"], record.raw)
    assert [row["quantity"] for row in rows] == [24, 1]


def test_a_record_is_handed_on_as_the_text_it_came_as(calls: Facts) -> None:
    raw = b'{"DateTimeUTC":"/Date(1)/","Invoices":[{"InvoiceID":"%s","Total":779.70 }]}'
    found = responses.read_answer(answer(raw % ID.encode()), READS)
    [record] = responses.records_in(found, calls("invoice"))
    assert b'"Total":779.70 ' in record.raw


def test_a_record_without_a_key_is_nonsense(calls: Facts) -> None:
    for record in ({}, {"InvoiceID": None}, {"InvoiceID": ZERO_ID}, {"InvoiceID": ""}):
        with pytest.raises(ProviderFault):
            responses.records_in(envelope(Invoices=[record]), calls("invoice"))


def test_what_was_deleted_for_good_is_gone_though_a_list_shows_it(calls: Facts) -> None:
    account = {"AccountID": ID, "Status": "DELETED"}
    assert responses.records_in(envelope(Accounts=[account]), calls("account")) == []
    found = responses.record_from(calls("account"), json.dumps(account).encode())
    assert isinstance(found, Tombstone)
    kept = responses.records_in(envelope(Invoices=[invoice(Status="DELETED")]), calls("invoice"))
    assert len(kept) == 1


# -- added members -------------------------------------------------------------------------


def test_options_know_their_category(calls: Facts) -> None:
    category = {"TrackingCategoryID": "c", "Options": [{"TrackingOptionID": "o", "Name": "North"}]}
    [raw] = options_of(calls("tracking_option"), [json.dumps(category).encode()])
    row = record_row(calls("tracking_option").spec, raw)
    assert (row["id"], row["tracking_category_id"], row["name"]) == ("o", "c", "North")


def test_entries_of_a_history_get_a_key_of_parent_moment_and_place(calls: Facts) -> None:
    entry = {"Changes": "Note", "DateUTC": "/Date(1792548011090+0000)/"}
    rows = envelope(HistoryRecords=[entry, entry, {**entry, "DateUTC": "/Date(5)/"}])
    known = {"ParentEndpoint": "Invoices", "ParentID": ID}
    found = responses.records_in(rows, calls("history_record"), known)
    assert [record.id for record in found] == [
        f"{ID}:1792548011090:0",
        f"{ID}:1792548011090:1",
        f"{ID}:5:0",
    ]


def test_the_settings_of_reminders_are_one_row(calls: Facts) -> None:
    found = responses.records_in(
        envelope(InvoiceReminders=[{"Enabled": True}]), calls("invoice_reminder")
    )
    assert [record.id for record in found] == ["settings"]


# -- refusals ------------------------------------------------------------------------------

PROBLEM = {"Type": None, "Title": "Unauthorized", "Status": 401, "Instance": "i", "Extensions": {}}
EXPIRED = answer({**PROBLEM, "Detail": "TokenExpired: token expired at …"}, 401)
NO_SCOPE = answer(
    {**PROBLEM, "Detail": "AuthorizationUnsuccessful"},
    401,
    www_authenticate='Bearer error="insufficent_scope"',
)

REFUSALS = [
    (EXPIRED, READS, NeedsReauth),
    (NO_SCOPE, READS, NotPermitted),
    (answer({"detail": "AuthorizationUnsuccessful"}, 401), READS, NotPermitted),
    (answer(b"", 401, www_authenticate="Bearer error=insufficient_scope"), READS, NotPermitted),
    (answer({"Title": "Forbidden", "Detail": "AuthenticationUnsuccessful"}, 403), READS,
     NotPermitted),
    (answer(b"", 404), READS, NotFound),
    (answer(b"The resource you're looking for cannot be found", 404), WRITES, NotFound),
    (answer(b"", 404), About(creates=True, changes=True), BadReference),
    (answer({"ErrorNumber": 16, "Type": "QueryParseException", "Message": "No property"}, 400),
     READS, ProviderRefusal),
    (answer({"ErrorNumber": 17, "Type": "PostDataInvalidException", "Message": "x"}, 400), WRITES,
     InvalidValue),
    (answer({"ErrorNumber": None, "Type": "HighVolumeException", "Message": "x"}, 400), READS,
     ProviderRefusal),
    (answer(b"<xml/>", 400), WRITES, ProviderRefusal),
    (answer(b"", 405), WRITES, ProviderRefusal),
    (answer(b"", 412), READS, ProviderRefusal),
    (answer(b"", 501), WRITES, ProviderRefusal),
    (answer(b"", 302), READS, ProviderRefusal),
    (answer(b"", 429), WRITES, RateLimited),
    (answer(b"The Organisation is offline", 503), WRITES, Unreachable),
    (answer(b"The Xero API is currently offline for maintenance", 503), WRITES, Unreachable),
    (answer(b"The Xero API is temporarily unavailable", 503), READS, Unreachable),
    (answer(b"<html>gateway", 503), WRITES, OutcomeUnknown),
    (answer(b"<html>gateway", 503), READS, Unreachable),
    (answer(b"", 500), WRITES, OutcomeUnknown),
    (answer(b"", 500), READS, ProviderFault),
    (answer(b"", 502), READS, Unreachable),
    (answer(b"<Response/>", 200), WRITES, OutcomeUnknown),
    (answer(b"<Response/>", 200), READS, ProviderFault),
    (answer(b'{"Invoices": [', 200), READS, ProviderFault),
]  # fmt: skip


@pytest.mark.parametrize(("response", "about", "error"), REFUSALS)
def test_each_refusal_has_its_class(
    response: HttpResponse, about: About, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        responses.read_answer(response, about)
    assert type(caught.value) is error


def test_only_a_token_that_is_bad_is_renewed() -> None:
    assert responses.needs_new_token(EXPIRED)
    assert responses.needs_new_token(
        answer(b"", 401, www_authenticate="Bearer error=invalid_token")
    )
    assert not responses.needs_new_token(NO_SCOPE)
    assert not responses.needs_new_token(answer(b"", 403))


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("error_400_high_volume", ProviderRefusal),
        ("error_400_idempotency_reuse", OutcomeUnknown),
        ("error_400_query_parse", ProviderRefusal),
        ("error_401_insufficient_scope", NotPermitted),
        ("error_401_token_expired", NeedsReauth),
        ("error_403_tenant_not_connected", NotPermitted),
        ("error_404", NotFound),
        ("error_429_concurrent", RateLimited),
        ("error_429_day", RateLimited),
        ("error_429_minute", RateLimited),
        ("error_503_organisation_offline", Unreachable),
        ("validation_error_400", DuplicateValue),
        ("validation_error_invoice_status_400", RuleBroken),
        ("invoices_bulk_response_default_400", BadReference),
    ],
)
def test_the_samples_refusals_have_their_classes(
    name: str, error: type[Exception], sample: Sample
) -> None:
    given = sample(f"{name}.http")
    body = given["body"] if isinstance(given["body"], dict) else given["body"].encode()
    headers = {n.lower(): v for n, v in given.get("headers", {}).items()}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(error) as caught:
        responses.read_answer(HttpResponse(given["status"], headers, content), WRITES)
    assert type(caught.value) is error


def test_a_missing_scope_is_named(calls: Facts) -> None:
    with pytest.raises(NotPermitted, match="the consent does not cover it") as caught:
        responses.read_answer(NO_SCOPE, About(calls("payment").spec))
    assert caught.value.hint is not None and "accounting.payments" in caught.value.hint


LIMITS = [
    ("minute", "27", "minute", 27.0),
    ("day", "41233", "day", 41233.0),
    ("daily", "", "day", 3600.0),
    ("DayLimit", "", "day", 3600.0),
    ("concurrent", "", "concurrent", 1.0),
    ("Concurrency", "", "concurrent", 1.0),
    ("AppMinute", "", "appminute", 20.0),
    ("", "", "unsaid", 5.0),
    ("", "27", "minute", 27.0),
    ("minute", "soon", "minute", 60.0),
]


@pytest.mark.parametrize(("said", "after", "problem", "seconds"), LIMITS)
def test_each_limit_says_how_long_to_stay_away(
    said: str, after: str, problem: str, seconds: float
) -> None:
    refused = answer(b"", 429, x_rate_limit_problem=said, retry_after=after)
    assert responses.limit_problem(refused) == problem
    assert responses.retry_after(refused) == seconds


def test_what_is_left_is_read_from_every_answer() -> None:
    told = answer(b"{}", x_minlimit_remaining="57", x_daylimit_remaining="4871")
    assert responses.limits_left(told) == (57, 4871)
    assert responses.limits_left(answer(b"{}", x_minlimit_remaining="?")) == (None, None)


# -- elements of a write -------------------------------------------------------------------


def test_each_element_of_a_bulk_write_has_its_outcome(calls: Facts) -> None:
    facts = calls("invoice")
    abouts = [About(facts.spec, creates=True, changes=True)] * 3
    good = invoice(StatusAttributeString="OK", Warnings=[], Total="71.30")
    bad = invoice(
        InvoiceID=ZERO_ID,
        StatusAttributeString="ERROR",
        ValidationErrors=[{"Message": "Invoice # must be unique."}],
    )
    warned = invoice(StatusAttributeString="WARNING", Warnings=[{"Message": "Only AUTHORISED …"}])
    found = responses.written(envelope(Invoices=[good, bad, warned]), facts, abouts)
    assert [type(outcome) for outcome in found] == [Record, DuplicateValue, Record]
    assert isinstance(found[0], Record)
    assert set(json.loads(found[0].raw)) == {"InvoiceID", "UpdatedDateUTC", "Total"}


def test_the_sample_of_a_bulk_write_is_ok_refused_and_warned(sample: Sample, calls: Facts) -> None:
    facts = calls("invoice")
    found = responses.read_answer(answer(sample("invoices_bulk_response_summarize_false")), WRITES)
    outcomes = responses.written(found, facts, [About(facts.spec, changes=True)] * 3)
    assert [type(outcome) for outcome in outcomes] == [Record, BadReference, Record]
    good, _, warned = outcomes
    assert isinstance(good, Record) and isinstance(warned, Record)
    assert responses.is_whole(facts, good, {"LineItems": [{}]})
    assert not responses.is_whole(facts, warned, {})  # it shows a part of the record only


def test_fewer_answers_than_writes_leave_all_unknown(calls: Facts) -> None:
    facts = calls("invoice")
    found = responses.written(envelope(Invoices=[invoice()]), facts, [About(facts.spec)] * 2)
    assert [type(outcome) for outcome in found] == [OutcomeUnknown] * 2


def test_lines_that_are_not_there_though_they_were_sent_show_a_part_only(calls: Facts) -> None:
    record = Record("invoice", ID, json.dumps(invoice(LineItems=[])).encode())
    assert not responses.is_whole(calls("invoice"), record, {"LineItems": [{"Description": "a"}]})
    assert responses.is_whole(calls("invoice"), record, {"Reference": "x"})
