"""Answers, good and bad, read from the reference's samples and from bodies written here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.model import Catalog
from sqlsync.errors import (
    DuplicateValue,
    NeedsReauth,
    NotPermitted,
    OutcomeUnknown,
    ProviderError,
    ProviderFault,
    ProviderRefusal,
    RateLimited,
    StaleVersion,
    Unreachable,
)
from sqlsync.providers.base import Record, Tombstone
from sqlsync.providers.messages import HttpResponse
from sqlsync.providers.quickbooks.faults import About
from sqlsync.providers.quickbooks.responses import (
    batch_answer,
    cdc_answer,
    needs_new_token,
    query_count,
    query_rows,
    read_answer,
    record_from,
    retry_after,
    single,
)

Sample = Callable[[str], bytes]
SEEN_AT = datetime(2026, 3, 2, 17, 15, 42, 117000, tzinfo=UTC)


def answer(body: bytes, status: int = 200, **headers: str) -> HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, {"intuit_tid": "1-abc", **named}, body)


def test_a_single_record_keeps_its_own_json(sample: Sample, catalog: Catalog) -> None:
    body = sample("customer")
    envelope = read_answer(answer(body), About())
    record = single(envelope, catalog.by_table["customer"])
    assert isinstance(record, Record)
    assert (record.table, record.id, record.version) == ("customer", "58", "3")
    assert record.updated_at == datetime(2026, 3, 2, 17, 15, 40, tzinfo=UTC)
    assert record.raw in body
    assert envelope.at == SEEN_AT


def test_every_sample_of_an_object_in_the_catalog_is_a_record(
    sample: Sample, catalog: Catalog
) -> None:
    for spec in catalog.objects:
        found = single(read_answer(answer(sample(spec.resource)), About()), spec)
        assert isinstance(found, Record)


def test_a_deleted_record_is_a_tombstone(sample: Sample, catalog: Catalog) -> None:
    envelope = read_answer(answer(sample("invoice_deleted")), About())
    assert single(envelope, catalog.by_table["invoice"]) == Tombstone("invoice", "146", None)


def test_query_rows_come_in_order(sample: Sample, catalog: Catalog) -> None:
    spec = catalog.by_table["customer"]
    rows = query_rows(read_answer(answer(sample("query_customers")), About()), spec)
    assert [record_from(spec, row).id for row in rows] == ["58", "59"]


def test_no_rows_is_an_empty_answer(sample: Sample, catalog: Catalog) -> None:
    envelope = read_answer(answer(sample("query_empty")), About())
    assert query_rows(envelope, catalog.by_table["customer"]) == []


def test_rows_under_another_key_are_found(catalog: Catalog) -> None:
    body = b'{"QueryResponse":{"startPosition":1,"CustomerTxn":[{"Id":"1"}]},"time":0}'
    assert query_rows(read_answer(answer(body), About()), catalog.by_table["customer"]) == [
        b'{"Id":"1"}'
    ]


@pytest.mark.parametrize("cut", [rb"\ud83d", b"\xf0\x9f\x9a"])
def test_a_text_cut_inside_a_character_keeps_no_other_record_away(
    cut: bytes, catalog: Catalog
) -> None:
    rows = b'{"Id":"1","DisplayName":"Oak %s"},{"Id":"2","Notes":"\\\\ud83d"}' % cut
    body = b'{"QueryResponse":{"Customer":[%s]},"time":"2026-03-02T09:15:42.117-08:00"}' % rows
    spec = catalog.by_table["customer"]
    first, second = query_rows(read_answer(answer(body), About()), spec)
    found = record_from(spec, first)
    assert isinstance(found, Record) and found.id == "1" and b"Oak" in found.raw
    assert second == b'{"Id":"2","Notes":"\\\\ud83d"}'


def test_a_count(sample: Sample) -> None:
    assert query_count(read_answer(answer(sample("query_count")), About())) == 29


def test_a_change_feed_holds_records_and_tombstones(sample: Sample, catalog: Catalog) -> None:
    envelope = read_answer(answer(sample("cdc_with_deletion")), About())
    found = cdc_answer(envelope, About())
    assert found.total == 3 and found.at == SEEN_AT
    invoices = [record_from(catalog.by_table["invoice"], row) for row in found.rows["invoice"]]
    assert [type(i) for i in invoices] == [Record, Tombstone]
    assert invoices[1] == Tombstone("invoice", "146", datetime(2026, 3, 2, 16, 44, 10, tzinfo=UTC))


def test_an_empty_change_feed(sample: Sample) -> None:
    found = cdc_answer(read_answer(answer(sample("cdc_empty")), About()), About())
    assert found.total == 0


def test_a_batch_gives_each_item_its_outcome(sample: Sample, catalog: Catalog) -> None:
    envelope = read_answer(answer(sample("batch_response_with_fault")), About(changes=True))
    customer, invoice = catalog.by_table["customer"], catalog.by_table["invoice"]
    outcomes = batch_answer(
        envelope,
        {
            "1": About(customer, creates=True, changes=True),
            "2": About(invoice, "145", changes=True),
            "3": About(invoice, "146", changes=True),
            "9": About(invoice, "147", changes=True),
        },
        trace_id="1-abc",
    )
    assert isinstance(outcomes["1"], DuplicateValue)
    assert isinstance(outcomes["2"], StaleVersion)
    assert outcomes["3"] == Tombstone("invoice", "146", None)
    assert isinstance(outcomes["9"], OutcomeUnknown)  # not mentioned: nobody knows
    assert "4" not in outcomes


FAULTS = {
    "fault_400_2010_unsupported_property": ("22023", "2010"),
    "fault_400_2020_required_missing": ("23502", "2020"),
    "fault_400_2030_invalid_id": ("22023", "2030"),
    "fault_400_2050_too_long": ("22001", "2050"),
    "fault_400_2500_invalid_ref": ("23503", "2500"),
    "fault_400_4000_query_parse": ("22023", "4000"),
    "fault_400_4001_query_validation": ("22023", "4001"),
    "fault_400_500_unsupported_operation": ("23514", "500"),
    "fault_400_5010_stale_object": ("40001", "5010"),
    "fault_400_6000_business_validation": ("23514", "6000"),
    "fault_400_6070_amount": ("23514", "6070"),
    "fault_400_610_deleted_txn": ("P0002", "610"),
    "fault_400_610_not_found": ("P0002", "610"),
    "fault_400_6140_duplicate_docnum": ("23505", "6140"),
    "fault_400_6190_subscription": ("42501", "6190"),
    "fault_400_6210_period_closed": ("23514", "6210"),
    "fault_400_6240_duplicate_name": ("23505", "6240"),
    "fault_400_6540_deposited": ("23514", "6540"),
    "fault_401_120_authorization": ("42501", "120"),
    "fault_401_3200_token_expired": ("58000", "3200"),
    "fault_403_3100_wrong_company": ("58000", "3100"),
    "fault_429_3001_throttled": ("53400", None),
    "fault_500_10000_system": ("08007", "10000"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_the_reference_has_its_sqlstate(
    name: str, sample: Sample, catalog: Catalog
) -> None:
    about = About(catalog.by_table["invoice"], "145", changes=True)
    with pytest.raises(ProviderError) as caught:
        read_answer(answer(sample(name), int(name.split("_")[1])), about)
    assert (caught.value.sqlstate, caught.value.code) == FAULTS[name]
    assert caught.value.message.startswith("[QuickBooks] Invoice `145`")
    assert "1-abc" in (caught.value.detail or "") or isinstance(caught.value, RateLimited)


def test_a_fault_may_hide_in_a_good_status(sample: Sample) -> None:
    with pytest.raises(ProviderRefusal):
        read_answer(answer(sample("fault_400_6000_business_validation"), 200), About())


def test_a_null_fault_is_no_fault(catalog: Catalog) -> None:
    body = b'{"fault":null,"QueryResponse":{"totalCount":3},"time":1772471742117}'
    envelope = read_answer(answer(body), About())
    assert query_count(envelope) == 3
    assert envelope.at == SEEN_AT


@pytest.mark.parametrize(
    ("status", "body", "changes", "error"),
    [
        (200, b"<html>welcome to the hotel network</html>", False, ProviderFault),
        (200, b"<html>welcome to the hotel network</html>", True, OutcomeUnknown),
        (200, b'<?xml version="1.0"?><IntuitResponse/>', True, OutcomeUnknown),
        (200, b"", True, OutcomeUnknown),
        (200, b'{"Customer":{"Id":"1"', False, ProviderFault),
        (200, b"\xff\xfe", False, ProviderFault),
        (500, b"", False, ProviderFault),
        (500, b"", True, OutcomeUnknown),
        (502, b"<html>", False, Unreachable),
        (502, b"<html>", True, OutcomeUnknown),
        (503, b"<html>", True, Unreachable),
        (504, b"", True, OutcomeUnknown),
        (302, b"", True, ProviderRefusal),
        (404, b"<html>not found</html>", True, ProviderRefusal),
        (401, b"", False, NeedsReauth),
        (403, b"", False, NotPermitted),
        (429, b"slow down", True, RateLimited),
    ],
)
def test_answers_that_are_no_answers(
    status: int, body: bytes, changes: bool, error: type[ProviderError]
) -> None:
    with pytest.raises(ProviderError) as caught:
        read_answer(answer(body, status), About(changes=changes))
    assert type(caught.value) is error


@given(st.binary(max_size=200), st.sampled_from([200, 400, 401, 429, 500, 503]), st.booleans())
def test_no_body_whatever_escapes_the_error_tree(body: bytes, status: int, changes: bool) -> None:
    try:
        read_answer(answer(body, status), About(changes=changes))
    except ProviderError:
        pass


def test_an_old_token_is_told_from_a_person_without_rights(sample: Sample) -> None:
    assert needs_new_token(answer(sample("fault_401_3200_token_expired"), 401))
    assert needs_new_token(answer(b"", 401))
    assert not needs_new_token(answer(sample("fault_401_120_authorization"), 401))
    assert not needs_new_token(answer(sample("customer"), 200))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60.0),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "soon"}, 60.0),
        (
            {
                "retry_after": "Mon, 02 Mar 2026 17:16:12 GMT",
                "date": "Mon, 02 Mar 2026 17:15:42 GMT",
            },
            30.0,
        ),
    ],
)
def test_how_long_to_keep_away(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(answer(b"", 429, **headers)) == seconds


def test_the_date_header_stands_in_for_a_missing_time() -> None:
    envelope = read_answer(answer(b"{}", date="Mon, 02 Mar 2026 17:15:42 GMT"), About())
    assert envelope.at == datetime(2026, 3, 2, 17, 15, 42, tzinfo=UTC)


def test_without_any_time_the_answer_is_not_believed() -> None:
    with pytest.raises(ProviderFault):
        read_answer(answer(b"{}"), About())


def test_records_of_a_page_are_not_the_page(sample: Sample, catalog: Catalog) -> None:
    rows = query_rows(
        read_answer(answer(sample("query_customers")), About()), catalog.by_table["customer"]
    )
    assert all(first != second for first, second in pairwise(rows))
    assert all(isinstance(row, bytes) for row in rows)
