"""Histories, attachments and the small addresses beside the collections."""

from __future__ import annotations

import mimetypes
from typing import TYPE_CHECKING, Any

from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.calls import Answer, Call
from sqlsync.simulators.xero.endpoints import Endpoint, endpoints
from sqlsync.simulators.xero.problems import Invalid, validation
from sqlsync.simulators.xero.shapes_parts import attachments as rendered_files
from sqlsync.simulators.xero.store import File, Noted, Row
from sqlsync.simulators.xero.values import Doc, instant_text, ms_instant
from sqlsync.simulators.xero.writing import read_elements

if TYPE_CHECKING:
    from sqlsync.simulators.xero.organisation import Organisation

NOTE_MAX = 2500
FILES_MAX = 10
FILE_BYTES_MAX = 10_000_000
_ONLINE = ("Invoices", "CreditNotes")

# -- history ---


def history(organisation: Organisation, call: Call, endpoint: Endpoint) -> Doc:
    row = organisation.find_row(endpoint, call.parts[1])
    if call.method == "GET":
        return {"HistoryRecords": [_noted(entry) for entry in _entries(organisation, row)]}
    if call.method != "PUT":
        raise problems.method_not_allowed()
    if endpoint.name in organisation.options.history_notes_refused:
        raise problems.validation(
            [], "The document with the supplied id was not found for this endpoint."
        )
    desk = organisation.desk(call)
    made: list[Noted] = []
    for body in read_elements("HistoryRecords", "HistoryRecord", call.body):
        text = body.get("Details")
        if not isinstance(text, str) or not text or len(text) > NOTE_MAX:
            message = f"Details must be between 1 and {NOTE_MAX} characters."
            raise validation([{**body, "ValidationErrors": [{"Message": message}]}])
        made.append(Noted(desk.unit.now, "Note", "System Generated", text))
    organisation.books.history.setdefault(row.id, []).extend(made)
    return {"HistoryRecords": [_noted(entry) for entry in made]}


def _entries(organisation: Organisation, row: Row) -> list[Noted]:
    """The newest first; a generated record has been created by somebody too."""
    entries = list(organisation.books.history.get(row.id, ()))
    if not any(entry.changes == "Created" for entry in entries):
        app = organisation.options.app_name
        text = f"Received through the Xero API from {app}"
        entries.insert(0, Noted(row.created, "Created", "System Generated", text))
    return entries[::-1]


def _noted(entry: Noted) -> Doc:
    return {
        "Changes": entry.changes,
        "DateUTCString": instant_text(entry.at, ""),
        "DateUTC": ms_instant(entry.at),
        "User": entry.user,
        "Details": entry.details,
    }


# -- attachments ---


def attachments(organisation: Organisation, call: Call, endpoint: Endpoint) -> Doc | Answer:
    row = organisation.find_row(endpoint, call.parts[1])
    files = organisation.books.files
    if len(call.parts) == 3:
        if call.method != "GET":
            raise problems.method_not_allowed()
        return {"Attachments": _files(organisation, call, endpoint, row)}
    name = call.parts[3]
    held = next((f for f in files.get(row.id, ()) if name in (f.id, f.name)), None)
    if call.method == "GET":
        if held is None:
            raise problems.not_found()
        return Answer(held.body, media=held.mime)
    if call.method not in ("PUT", "POST"):
        raise problems.method_not_allowed()
    return _store(organisation, call, endpoint, row, name, held)


def _store(
    organisation: Organisation,
    call: Call,
    endpoint: Endpoint,
    row: Row,
    name: str,
    held: File | None,
) -> Doc:
    if not call.body:
        raise problems.bad_post("The request body is missing.")
    if len(call.body) > FILE_BYTES_MAX:
        raise validation([], "The file is too large.")
    kept = organisation.books.files.setdefault(row.id, [])
    if held is None and len(kept) >= FILES_MAX:
        raise validation([], f"A document can have at most {FILES_MAX} attachments.")
    mime = call.content_type.partition(";")[0].strip()
    if not mime or "json" in mime or mime == "application/octet-stream":
        mime = mimetypes.guess_type(name)[0] or "application/octet-stream"
    online = call.params.get("includeonline", "").lower() == "true" and endpoint.name in _ONLINE
    made = File(held.id if held else organisation.books.new_id(), name, mime, call.body, online)
    if held is not None:
        kept[kept.index(held)] = made
    else:
        kept.append(made)
    desk = organisation.desk(call)
    desk.unit.replace(endpoint.name, row, desk.doc(endpoint.name, row))
    desk.unit.note(row.id, "Attached a file", f"Attached {name}.")
    organisation.commit(desk, call)
    shown = _files(organisation, call, endpoint, row)
    return {"Attachments": [one for one in shown if one["AttachmentID"] == made.id]}


def _files(organisation: Organisation, call: Call, endpoint: Endpoint, row: Row) -> list[Doc]:
    found = rendered_files(organisation.books, row, organisation.view(call), endpoint.name)
    kept = organisation.books.files.get(row.id, ())
    if endpoint.name in _ONLINE:
        for one, file in zip(found, kept, strict=True):
            one["IncludeOnline"] = file.include_online
    return found


# -- small addresses ---

ACTIONS = (
    "CreateApprovedInvoice",
    "CreateApprovedBill",
    "CreateDraftInvoice",
    "CreateDraftBill",
    "UseMulticurrency",
    "CreateRepeatingInvoice",
    "CreateAndApprovePurchaseOrder",
    "AttachFilesToInvoice",
    "SendInvoiceEmail",
)


def extra(organisation: Organisation, call: Call) -> Doc | Answer | None:
    """The answer of an address that is no collection or record; None for all others."""
    words = tuple(part.lower() for part in call.parts)
    if words == ("invoicereminders", "settings") and call.method == "GET":
        return {"InvoiceReminders": [{"Enabled": False}]}
    if words == ("organisation", "actions") and call.method == "GET":
        return {"Actions": [{"Name": name, "Status": "ALLOWED"} for name in ACTIONS]}
    if words[0] in ("organisation", "contacts") and words[2:] == ("cissettings",):
        if call.method != "GET":
            raise problems.method_not_allowed()
        return _cis(organisation, call, words[0])
    if words[0] == "brandingthemes" and words[2:] == ("paymentservices",):
        return _theme_services(organisation, call)
    if words[0] == "invoices" and len(words) == 3:
        return _invoice_extra(organisation, call, words[2])
    if words == ("setup",) and call.method == "POST":
        return _setup()
    return None


def _cis(organisation: Organisation, call: Call, word: str) -> Doc:
    """The Construction Industry Scheme is off: these books are not of the UK."""
    if word == "organisation":
        return {"CISSettings": [{"CISContractorEnabled": False, "CISSubContractorEnabled": False}]}
    organisation.find_row(endpoints()["Contacts"], call.parts[1])
    return {"CISSettings": [{"CISEnabled": False}]}


def _theme_services(organisation: Organisation, call: Call) -> Doc:
    row = organisation.find_row(endpoints()["BrandingThemes"], call.parts[1])
    desk = organisation.desk(call)
    doc = desk.doc("BrandingThemes", row)
    services = organisation.books.table("PaymentServices")
    if call.method == "POST":
        (body,) = read_elements("PaymentServices", "PaymentService", call.body, one=True)
        service = desk.need("PaymentServices", body.get("PaymentServiceID"))
        linked = dict.fromkeys((*doc.get("Services", ()), service.id))
        desk.unit.replace("BrandingThemes", row, {**doc, "Services": tuple(linked)})
        organisation.commit(desk, call)
        doc = desk.doc("BrandingThemes", row)
    elif call.method != "GET":
        raise problems.method_not_allowed()
    shown = [
        {"PaymentServiceID": service_id, **services.doc(services.rows[service_id])}
        for service_id in doc.get("Services", ())
    ]
    return {"PaymentServices": shown}


def _invoice_extra(organisation: Organisation, call: Call, word: str) -> Doc | Answer | None:
    if word not in ("onlineinvoice", "email"):
        return None
    row = organisation.find_row(endpoints()["Invoices"], call.parts[1])
    desk = organisation.desk(call)
    doc = desk.doc("Invoices", row)
    is_sale = doc["Type"] == "ACCREC"
    if word == "onlineinvoice" and call.method == "GET":
        if not is_sale or doc["Status"] in ("DRAFT", "DELETED", "VOIDED"):
            raise problems.not_found()
        url = f"https://in.xero.com/{row.id.replace('-', '')}"
        return {"OnlineInvoices": [{"OnlineInvoiceUrl": url}]}
    if word == "email" and call.method == "POST":
        return _email(organisation, call, row, doc, desk, is_sale=is_sale)
    raise problems.method_not_allowed()


def _email(
    organisation: Organisation, call: Call, row: Row, doc: Doc, desk: Any, *, is_sale: bool
) -> Answer:
    endpoint = endpoints()["Invoices"]

    def work() -> None:
        if not is_sale or doc["Status"] not in ("SUBMITTED", "AUTHORISED", "PAID"):
            raise Invalid("Only SUBMITTED, AUTHORISED or PAID sales invoices can be emailed.")
        contact = organisation.books.doc("Contacts", doc["ContactID"])
        if not contact.get("EmailAddress"):
            raise Invalid("The contact has no email address.")
        moves = doc["Status"] != "SUBMITTED"
        desk.unit.replace("Invoices", row, {**doc, "SentToContact": moves})
        desk.unit.note(row.id, "Sent", f"Emailed to {contact['EmailAddress']}.")

    organisation.attempt(desk, endpoint, row, work)
    organisation.commit(desk, call)
    return Answer(b"", 204)


def _setup() -> Doc:
    counts = dict.fromkeys(
        ("Total", "New", "Updated", "Deleted", "Locked", "System", "Errored", "NewOrUpdated"), 0
    )
    return {
        "ImportSummary": {
            "Accounts": {**counts, "Present": False},
            "Organisation": {"Present": False},
        }
    }
