"""Files of attachables and the making of tax codes, by the service's rules, without HTTP."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.multipart import Part, parse_parts
from sqlsync.simulators.quickbooks.values import decode, encode

BOUNDARY = "xYz"
KIND = f'multipart/form-data; boundary="{BOUNDARY}"'
PDF = b"%PDF-1.4\r\n--not a boundary\r\n\x00\xff"


def body(*parts: tuple[str, bytes], end: bytes = b"\r\n") -> bytes:
    """Parts as (headers, data); the headers' lines end as all others."""
    pieces = [
        b"--" + BOUNDARY.encode() + end + head.encode().replace(b"|", end) + end * 2 + data + end
        for head, data in parts
    ]
    return b"".join(pieces) + b"--" + BOUNDARY.encode() + b"--" + end


def about(number: str, **metadata: Any) -> tuple[str, bytes]:
    head = f'Content-Disposition: form-data; name="file_metadata_{number}"'
    return f"{head}|Content-Type: application/json", encode(metadata)


def content(number: str, data: bytes = PDF, name: str = "receipt.pdf") -> tuple[str, bytes]:
    head = f'Content-Disposition: form-data; name="file_content_{number}"; filename="{name}"'
    return f"{head}|Content-Type: application/pdf", data


def upload(world: Any, *parts: tuple[str, bytes]) -> list[Any]:
    answer = decode(world.company.upload(KIND, body(*parts), None))
    return list(answer["AttachableResponse"])


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_parts_keep_their_bytes_whatever_ends_their_lines(end: bytes) -> None:
    head, _ = content("01")
    coded = head + "|Content-Transfer-Encoding: base64"
    parts = parse_parts(KIND, body(content("01"), (coded, b"aGVs\nbG8="), end=end))
    assert parts == [
        Part("file_content_01", "receipt.pdf", "application/pdf", PDF),
        Part("file_content_01", "receipt.pdf", "application/pdf", b"hello"),
    ]


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", body(content("01"))),
        (KIND, b"--xYz\r\n\r\nno end"),
        (KIND, b"--xYz\r\nno blank line\r\n--xYz--"),
    ],
)
def test_what_is_no_multipart_body_is_refused(world: Any, kind: str, given: bytes) -> None:
    with pytest.raises(Fault, match="1050"):
        world.company.upload(kind, given, None)


def test_an_uploaded_file_is_described_and_comes_down_unchanged(world: Any) -> None:
    customer = world.customer()
    reference = [{"EntityRef": {"value": customer["Id"], "type": "Customer"}}]
    [made] = upload(world, about("01", Note="signed", AttachableRef=reference), content("01"))
    record = made["Attachable"]
    assert (record["FileName"], record["ContentType"], record["Size"], record["Note"]) == (
        *("receipt.pdf", "application/pdf", len(PDF)),
        "signed",
    )
    assert record["FileAccessUri"] == f"/v3/company/9341450000000001/download/{record['Id']}"
    assert world.read("Attachable", record["Id"]) == record
    link = world.company.download(record["Id"])
    held = world.company.files.fetch(link.rpartition("/")[2])
    assert held.data == PDF
    assert world.query("select * from Attachable where FileName = 'receipt.pdf'")["maxResults"] == 1


def test_links_end_and_reading_the_record_renews_its_own(make_world: Any) -> None:
    world = make_world(file_link_seconds=100)
    [made] = upload(world, content("01"))
    record = made["Attachable"]
    own = record["TempDownloadUri"].rpartition("/")[2]
    asked = world.company.download(record["Id"]).rpartition("/")[2]
    world.later(101)
    assert world.company.files.fetch(own) is None
    assert world.company.files.fetch(asked) is None
    world.read("Attachable", record["Id"])
    assert world.company.files.fetch(own).data == PDF
    world.write("Attachable", "delete", Id=record["Id"], SyncToken="0")
    assert world.company.files.fetch(own) is None


def test_files_of_one_request_succeed_and_fail_by_themselves(make_world: Any) -> None:
    world = make_world(file_bytes_max=50)
    unknown = [{"EntityRef": {"value": "99999", "type": "Invoice"}}]
    answers = upload(
        world,
        content("01"),
        *(about("02"), content("02", b"x" * 51)),
        content("03", name="tool.exe"),
        content("04", b""),
        *(about("05", AttachableRef=unknown), content("05")),
        *(about("06", FileName="named.png", ContentType="image/png"), content("06")),
    )
    codes = [one["Fault"]["Error"][0]["code"] if "Fault" in one else None for one in answers]
    assert codes == [None, "6000", "1050", "6000", "2500", None]
    assert answers[5]["Attachable"]["FileName"] == "named.png"
    for parts in ((about("01"),), (about("01"), content("02")), (("X: y", b""), content("01"))):
        with pytest.raises(Fault):
            upload(world, *parts)


def test_an_upload_under_the_same_requestid_is_made_once(world: Any) -> None:
    first = world.company.upload(KIND, body(content("01")), "r-1")
    again = world.company.upload(KIND, body(content("01")), "r-1")
    assert decode(first)["AttachableResponse"] == decode(again)["AttachableResponse"]
    assert len(world.company.files.files) == 1


def test_a_note_has_no_file_to_download(world: Any) -> None:
    note = world.write("Attachable", Note="call back")
    with pytest.raises(Fault, match="610"):
        world.company.download(note["Id"])


# -- tax codes ---------------------------------------------------------------------------------


def tax(world: Any, name: str | None, *details: Any, requestid: str | None = None) -> Any:
    given = {"TaxCode": name, "TaxRateDetails": list(details)}
    return decode(world.company.tax_service(given, requestid))


NEW = {"TaxRateName": "City", "RateValue": "1.25", "TaxAgencyId": "1"}


def test_a_tax_code_is_made_with_its_rates_and_answered_bare(world: Any) -> None:
    bought = {"TaxRateId": "3", "TaxApplicableOn": "Purchase"}
    made = tax(world, "Downtown", NEW, bought, requestid="t-1")
    assert made["TaxRateDetails"] == [
        {
            "TaxRateName": "City",
            "TaxRateId": made["TaxRateDetails"][0]["TaxRateId"],
            "RateValue": Decimal("1.25"),
            "TaxAgencyId": "1",
            "TaxApplicableOn": "Sales",
        },
        {
            "TaxRateName": "California",
            "TaxRateId": "3",
            "RateValue": Decimal("7.7"),
            "TaxAgencyId": "1",
            "TaxApplicableOn": "Purchase",
        },
    ]
    code = world.read("TaxCode", made["TaxCodeId"])
    assert (code["Name"], code["TaxCodeConfigType"]) == ("Downtown", "USER_DEFINED")
    [sold] = code["SalesTaxRateList"]["TaxRateDetail"]
    rate = world.read("TaxRate", sold["TaxRateRef"]["value"])
    assert (rate["Name"], rate["RateValue"], rate["Active"]) == ("City", Decimal("1.25"), True)
    assert [r["TaxRateRef"]["value"] for r in code["PurchaseTaxRateList"]["TaxRateDetail"]] == ["3"]
    assert tax(world, "Other", NEW, requestid="t-1") == made


@pytest.mark.parametrize(
    ("name", "details", "code"),
    [
        (None, [NEW], "2020"),
        ("x" * 101, [NEW], "2050"),
        ("New", [], "2020"),
        ("california", [NEW], "6240"),
        ("New", [{**NEW, "TaxRateName": "County"}], "6240"),
        ("New", [NEW, NEW], "6240"),
        ("New", [{**NEW, "TaxRateName": "x" * 11}], "2050"),
        ("New", [{**NEW, "RateValue": 101}], "2150"),
        ("New", [{**NEW, "RateValue": "much"}], "2150"),
        ("New", [{**NEW, "TaxAgencyId": "77"}], "2500"),
        ("New", [{"TaxRateId": "77"}], "2500"),
        ("New", [{"TaxRateName": "City", "RateValue": 1}], "2020"),
        ("New", [{**NEW, "TaxApplicableOn": "Gifts"}], "2170"),
        ("New", [{**NEW, "Colour": "red"}], "2010"),
    ],
)
def test_bad_tax_codes_are_refused_and_leave_nothing(
    world: Any, name: str | None, details: Any, code: str
) -> None:
    before = world.query("select count(*) from TaxRate")
    with pytest.raises(Fault) as caught:
        tax(world, name, *details)
    assert caught.value.code == code
    assert world.query("select count(*) from TaxRate") == before
