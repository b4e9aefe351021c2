"""Aged receivables and payables of one contact: a row for each of its documents."""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlsync.simulators.xero.calls import Call
from sqlsync.simulators.xero.desk import long_day
from sqlsync.simulators.xero.invoicing import APPROVED
from sqlsync.simulators.xero.problems import not_found, validation
from sqlsync.simulators.xero.reports_rows import Rows, cell, header, row, section, text
from sqlsync.simulators.xero.store import Books
from sqlsync.simulators.xero.values import ZERO, Doc, day_text, is_uuid, read_date

if TYPE_CHECKING:
    from sqlsync.simulators.xero.organisation import Organisation


def aged(organisation: Organisation, call: Call, *, is_sale: bool) -> tuple[list[str], Rows]:
    contact_id = call.params.get("contactid", "")
    if not is_uuid(contact_id):
        raise validation([], "contactId must be specified.")
    contact = organisation.books.row("Contacts", contact_id)
    if contact is None:
        raise not_found()
    today = organisation.today().date()
    end = today.replace(day=monthrange(today.year, today.month)[1])
    until = read_date(call.params.get("date")) or end
    first = read_date(call.params.get("fromdate"))
    last = read_date(call.params.get("todate")) or end
    books = organisation.books
    name = "Number" if is_sale else "Reference"
    heads = ("Date", name, "Due Date", "", "Total", "Paid", "Credited", "Due")
    rows: Rows = [header(*heads)]
    opening, lines, sums = _lines(books, contact.id, is_sale, first, last, until, today)
    if first is not None:
        figures = [cell(day_text(first)), cell("Opening Balance"), *(cell("") for _ in range(5))]
        rows.append(section("", [row(*figures, cell(text(opening)))]))
    sum_cells = [cell("Total"), cell(""), cell(""), cell(""), *(cell(text(s)) for s in sums)]
    rows.append(section("", [*lines, row(*sum_cells, kind="SummaryRow")]))
    closing = [cell("Closing Balance"), *(cell("") for _ in range(6))]
    rows.append(section("", [row(*closing, cell(text(opening + sums[3])), kind="SummaryRow")]))
    span = f"From {long_day(first)} to {long_day(last)}" if first else f"To {long_day(last)}"
    titles = [
        "Invoices" if is_sale else "Bills",
        books.doc("Contacts", contact.id)["Name"],
        span,
        f"Showing payments to {long_day(until)}",
    ]
    return titles, rows


def _lines(
    books: Books,
    contact_id: str,
    is_sale: bool,
    first: date | None,
    last: date,
    until: date,
    today: date,
) -> tuple[Decimal, Rows, list[Decimal]]:
    """What was due before the span, the documents within it, and their sums."""
    table = books.table("Invoices")
    kind = "ACCREC" if is_sale else "ACCPAY"
    found = [(r.id, table.doc(r)) for r in table.rows_of("contact", contact_id)]
    mine = [(i, d) for i, d in found if d["Type"] == kind and d["Status"] in APPROVED]
    opening = ZERO
    lines: Rows = []
    sums = [ZERO] * 4
    for record_id, doc in sorted(mine, key=lambda pair: (pair[1]["Date"], pair[0])):
        paid, credited = _settled(books, record_id, until)
        due = doc["Total"] - paid - credited
        if doc["Date"] > last:
            continue
        if first is not None and doc["Date"] < first:
            opening += due
            continue
        figures = [doc["Total"], paid, credited, due]
        sums = [a + b for a, b in zip(sums, figures, strict=True)]
        lines.append(_line(record_id, doc, figures, today))
    return opening, lines, sums


def _line(record_id: str, doc: Doc, figures: list[Decimal], today: date) -> Doc:
    due_day = doc.get("DueDate")
    late = (today - due_day).days if due_day and figures[3] > 0 else 0
    words = f"{late} days overdue" if late > 0 else ""
    values = [
        day_text(doc["Date"]),
        doc["InvoiceNumber"],
        day_text(due_day) if due_day else "",
        words,
        *(text(figure) for figure in figures),
    ]
    return row(*(cell(value, invoiceID=record_id) for value in values))


def _settled(books: Books, record_id: str, until: date) -> tuple[Decimal, Decimal]:
    paid = credited = ZERO
    for entry in books.table("Payments").rows_of("target", record_id):
        doc = books.table("Payments").doc(entry)
        if doc["Status"] == "AUTHORISED" and doc["Date"] <= until:
            paid += doc["Amount"]
    for entry in books.table("Allocations").rows_of("invoice", record_id):
        doc = books.table("Allocations").doc(entry)
        if doc["Date"] <= until:
            credited += doc["Amount"]
    return paid, credited
