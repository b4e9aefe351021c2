"""What answers about every kind of record are put together from: days, lines, files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.values import (
    Doc,
    day_text,
    instant_text,
    ms_date,
    ms_instant,
    rounded,
)


@dataclass(frozen=True, slots=True)
class View:
    """How a record is to be shown. name: single, page or bare."""

    name: str = "single"
    unit_places: int = 2
    today: date = date.min
    base_url: str = ""
    is_summary: bool = False
    is_written: bool = False  # the answer to a write: empty ValidationErrors on lines

    @property
    def has_lines(self) -> bool:
        return self.name != "bare" and not self.is_summary


def dated(doc: Doc, *names: str) -> Doc:
    """Companion text and date of each day the document has."""
    found: Doc = {}
    for name in names:
        day = doc.get(name)
        if day is not None:
            found[f"{name}String"] = day_text(day)
            found[name] = ms_date(day)
    return found


def plain_dates(doc: Doc, *names: str) -> Doc:
    return {name: ms_date(doc[name]) for name in names if doc.get(name) is not None}


def updated(row: Row, *, with_text: bool = True) -> Doc:
    found = {"UpdatedDateUTC": ms_instant(row.updated)}
    if with_text:
        found["UpdatedDateUTCString"] = instant_text(row.updated)
    return found


def some(doc: Doc, *names: str) -> Doc:
    """The named members that are there."""
    return {name: doc[name] for name in names if doc.get(name) is not None}


def attachments(books: Books, row: Row, view: View, endpoint: str) -> list[Doc]:
    return [
        {
            "AttachmentID": file.id,
            "FileName": file.name,
            "Url": f"{view.base_url}/api.xro/2.0/{endpoint}/{row.id}/Attachments/{file.name}",
            "MimeType": file.mime,
            "ContentLength": len(file.body),
        }
        for file in books.files.get(row.id, ())
    ]


def files(books: Books, row: Row, view: View, endpoint: str) -> Doc:
    found: Doc = {"HasAttachments": bool(books.files.get(row.id))}
    if view.name == "single" and found["HasAttachments"]:
        found["Attachments"] = attachments(books, row, view, endpoint)
    return found


def tracking(books: Books, kept: Any) -> list[Doc]:
    """Tracking of a line with the names of category and option."""
    found: list[Doc] = []
    for entry in kept:
        category = books.row("TrackingCategories", entry["TrackingCategoryID"])
        if category is None:
            continue
        doc = books.table("TrackingCategories").doc(category)
        for option in doc["Options"]:
            if option["TrackingOptionID"] == entry["TrackingOptionID"]:
                found.append({"Name": doc["Name"], "Option": option["Name"], **entry})
    return found


def lines(books: Books, doc: Doc, view: View) -> list[Doc]:
    return [_line(books, line, view) for line in doc["LineItems"]]


def _line(books: Books, line: Doc, view: View) -> Doc:
    found: Doc = {}
    item_row = books.row("Items", line["ItemID"]) if line.get("ItemID") else None
    item = books.table("Items").doc(item_row) if item_row else None
    if item is not None:
        found["ItemCode"] = item["Code"]
    if "Description" in line:
        found["Description"] = line["Description"]
    if "UnitAmount" in line:
        unit = line["UnitAmount"]
        found["UnitAmount"] = unit if view.unit_places == 4 else rounded(unit)
    if "TaxType" in line:
        found["TaxType"] = line["TaxType"]
    found["TaxAmount"] = line["TaxAmount"]
    found["LineAmount"] = line["LineAmount"]
    account_doc = books.doc("Accounts", line["AccountID"]) if line.get("AccountID") else None
    if account_doc and account_doc.get("Code"):
        found["AccountCode"] = account_doc["Code"]
    if item is not None and item_row is not None:
        found["Item"] = {"ItemID": item_row.id, "Name": item["Name"], "Code": item["Code"]}
    found["Tracking"] = tracking(books, line["Tracking"])
    if "Quantity" in line:
        found["Quantity"] = line["Quantity"]
    for name in ("DiscountRate", "DiscountAmount"):
        if name in line:
            found[name] = line[name] if name == "DiscountRate" else rounded(line[name])
    found["LineItemID"] = line["LineItemID"]
    if account_doc:
        found["AccountID"] = line["AccountID"]
    if view.is_written:
        found["ValidationErrors"] = []
    return found
