"""Addresses below one record: allocations, members of a group, options of a category."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.calls import Answer, Call
from sqlsync.simulators.xero.chart import delete_option, save_option
from sqlsync.simulators.xero.contacts import add_members, remove_members
from sqlsync.simulators.xero.desk import Desk
from sqlsync.simulators.xero.endpoints import Endpoint
from sqlsync.simulators.xero.payments import allocate, unallocate
from sqlsync.simulators.xero.shapes_contacts import contact_brief
from sqlsync.simulators.xero.shapes_documents import allocation
from sqlsync.simulators.xero.shapes_settings import tracking_option
from sqlsync.simulators.xero.store import Row
from sqlsync.simulators.xero.values import Doc, ms_date
from sqlsync.simulators.xero.writing import read_elements

if TYPE_CHECKING:
    from sqlsync.simulators.xero.organisation import Organisation


def allocations(organisation: Organisation, call: Call, endpoint: Endpoint) -> Doc | Answer:
    """PUT applies credit to invoices, DELETE takes it back and answers the bare allocation."""
    row = organisation.find_row(endpoint, call.parts[1])
    desk = organisation.desk(call)
    if call.method == "DELETE" and len(call.parts) == 4:
        return Answer(_taken_back(organisation, call, endpoint, row, desk))
    if call.method not in ("PUT", "POST") or len(call.parts) != 3:
        raise problems.method_not_allowed()
    elements = read_elements("Allocations", "Allocation", call.body)

    def work() -> list[Row]:
        return [allocate(desk, endpoint.name, row, body) for body in elements]

    made = organisation.attempt(desk, endpoint, row, work)
    organisation.commit(desk, call)
    books = organisation.books
    table = books.table("Allocations")
    shown = [allocation(books, entry, table.doc(entry), with_source=True) for entry in made]
    return {"Allocations": [{**one, "ValidationErrors": []} for one in shown]}


def _taken_back(
    organisation: Organisation, call: Call, endpoint: Endpoint, row: Row, desk: Desk
) -> Doc:
    def work() -> Doc:
        return unallocate(desk, endpoint.name, row, call.parts[3].lower())

    gone = organisation.attempt(desk, endpoint, row, work)
    organisation.commit(desk, call)
    return {
        "AllocationID": gone["AllocationID"],
        "Amount": gone["Amount"],
        "Date": ms_date(gone["Date"]),
        "Invoice": {"InvoiceID": gone["InvoiceID"]},
        "IsDeleted": True,
    }


def members(organisation: Organisation, call: Call) -> Doc | Answer:
    """PUT adds contacts to a group, DELETE removes one or all."""
    desk = organisation.desk(call)
    group = call.parts[1].lower()
    if call.method == "PUT" and len(call.parts) == 3:
        sent = read_elements("Contacts", "Contact", call.body)
        added = add_members(desk, group, sent)
        organisation.commit(desk, call)
        return {"Contacts": [contact_brief(organisation.books, one) for one in added]}
    if call.method == "DELETE":
        remove_members(desk, group, call.parts[3] if len(call.parts) > 3 else None)
        organisation.commit(desk, call)
        return Answer(b"", 204)
    raise problems.method_not_allowed()


def tracking_options(organisation: Organisation, call: Call, endpoint: Endpoint) -> Doc:
    """PUT adds options, POST changes one, DELETE takes one away."""
    row = organisation.find_row(endpoint, call.parts[1])
    desk = organisation.desk(call)
    option = call.parts[3].lower() if len(call.parts) > 3 else None
    work: Callable[[], list[Doc]]
    if call.method == "DELETE" and option:

        def work() -> list[Doc]:
            return [delete_option(desk, row, option)]

    elif (call.method == "PUT" and not option) or (call.method == "POST" and option):
        sent = read_elements("Options", "TrackingOption", call.body)

        def work() -> list[Doc]:
            return [save_option(desk, row, body, option) for body in sent]

    else:
        raise problems.method_not_allowed()
    made = organisation.attempt(desk, endpoint, row, work)
    organisation.commit(desk, call)
    return {"Options": [tracking_option(one) for one in made]}
