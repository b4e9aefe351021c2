"""A file as QuickBooks takes it: one part that tells of it, one with its bytes."""

from __future__ import annotations

import json
from email.parser import BytesParser
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.loader import load_catalog
from sqlsync.errors import OutcomeUnknown, ProviderRefusal
from sqlsync.providers.base import File, Record
from sqlsync.providers.messages import HttpResponse
from sqlsync.providers.quickbooks.faults import About
from sqlsync.providers.quickbooks.files import hangs_on, metadata, upload_request, uploaded
from sqlsync.providers.quickbooks.requests import Company
from sqlsync.providers.quickbooks.responses import read_answer

CATALOG = load_catalog("quickbooks")
INVOICE, ATTACHABLE = CATALOG.by_table["invoice"], CATALOG.by_table["attachable"]
ABOUT = About(ATTACHABLE, creates=True, changes=True)
COMPANY = Company("https://books.example", "7")
names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60)


@given(name=names, data=st.binary(max_size=2000), key=st.uuids().map(str))
def test_what_is_sent_is_read_by_any_reader_of_multipart(name: str, data: bytes, key: str) -> None:
    file = File(name, "image/png", data)
    told = metadata(INVOICE, "95", file, note=None, public=True)
    request = upload_request(COMPANY, told, file, key)
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    assert request.body is not None
    first, second = BytesParser(policy=HTTP).parsebytes(head + request.body).iter_parts()
    assert json.loads(first.get_payload(decode=True)) == {
        "AttachableRef": [{"EntityRef": {"type": "Invoice", "value": "95"}, "IncludeOnSend": True}],
        "FileName": name,
        "ContentType": "image/png",
    }
    assert second.get_content_type() == "image/png"
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    assert request.body.split(b"--" + boundary)[2].endswith(b"\r\n\r\n" + data + b"\r\n")
    assert request.changes


def answer(body: object) -> object:
    date = {"date": "Mon, 02 Mar 2026 10:00:00 GMT"}
    return read_answer(HttpResponse(200, date, json.dumps(body).encode()), ABOUT)


def test_a_refusal_inside_a_good_answer_is_raised() -> None:
    fault = {"Error": [{"Message": "m", "Detail": "d", "code": "6000"}], "type": "ValidationFault"}
    with pytest.raises(ProviderRefusal):
        uploaded(answer({"AttachableResponse": [{"Fault": fault}]}), ABOUT)


@pytest.mark.parametrize("body", [{}, {"AttachableResponse": []}, {"AttachableResponse": [{}]}])
def test_an_answer_without_the_file_is_an_unknown_outcome(body: object) -> None:
    with pytest.raises(OutcomeUnknown):
        uploaded(answer(body), ABOUT)


def test_a_file_hangs_on_the_record_it_names() -> None:
    reference = {"EntityRef": {"type": "invoice", "value": "95"}}
    record = Record("attachable", "1", json.dumps({"AttachableRef": [reference]}).encode())
    assert hangs_on(record, INVOICE, "95")
    assert not hangs_on(record, INVOICE, "96")
    assert not hangs_on(record, CATALOG.by_table["bill"], "95")
