"""One simulated organisation: every question and command of the Accounting API.

No HTTP here: a Call goes in, an Answer comes out, a refusal is raised as Refused. The web layer
has checked the token, the tenant, the scope and the limits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlsync.simulators.clock import SimulatedClock
from sqlsync.simulators.pdf import one_page
from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.below import allocations, members, tracking_options
from sqlsync.simulators.xero.calls import Answer, Call
from sqlsync.simulators.xero.chart import (
    delete_account,
    delete_category,
)
from sqlsync.simulators.xero.desk import Desk
from sqlsync.simulators.xero.endpoints import Endpoint, endpoints
from sqlsync.simulators.xero.extras import attachments, extra, history
from sqlsync.simulators.xero.fields import spelled
from sqlsync.simulators.xero.items import delete_item
from sqlsync.simulators.xero.journals import journals
from sqlsync.simulators.xero.ledger import Ledger
from sqlsync.simulators.xero.lists import find, is_true, pagination
from sqlsync.simulators.xero.options import Options
from sqlsync.simulators.xero.problems import Invalid, Refused, validation
from sqlsync.simulators.xero.reports import report
from sqlsync.simulators.xero.shapes import render
from sqlsync.simulators.xero.shapes_parts import View
from sqlsync.simulators.xero.shapes_settings import SETTINGS_SHAPES
from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.unit import Change, Unit
from sqlsync.simulators.xero.values import Doc, fold, is_uuid, millis, ms_now
from sqlsync.simulators.xero.writing import (
    Outcome,
    read_elements,
    refuse_failed,
    refused_element,
    shown,
    write_all,
    write_one,
)

Made = TypeVar("Made")

AUCKLAND = ZoneInfo("Pacific/Auckland")
APPLIED_MAX = 10_000
_ALLOCATING = ("CreditNotes", "Overpayments", "Prepayments")


@dataclass(frozen=True, slots=True)
class Applied:
    """A write that was carried out, for tests to count."""

    operation: str  # create | update | delete
    entity: str
    id: str
    requestid: str | None  # the Idempotency-Key
    by: str  # "api" | "person"


@dataclass(eq=False)
class Organisation:
    """The books of one tenant and what its clients may do with them."""

    tenant_id: str
    name: str
    books: Books
    ledger: Ledger
    options: Options
    clock: SimulatedClock
    applied: list[Applied] = field(default_factory=list)
    on_change: Callable[[str, list[Change]], None] = lambda tenant, changes: None

    # -- asking and answering -----------------------------------------------------------------

    def handle(self, call: Call) -> Answer:
        """Answers a request below `/api.xro/2.0`. Raises Refused."""
        first = call.parts[0].lower()
        if first == "reports":
            return self._enveloped(call, report(self, call))
        if first == "journals":
            return self._enveloped(call, journals(self, call))
        found = extra(self, call)
        if found is not None:
            return self._enveloped(call, found)
        endpoint = next((e for e in endpoints().values() if e.name.lower() == first), None)
        if endpoint is None:
            raise problems.not_found()
        depth = len(call.parts)
        if depth == 1:
            return self._collection(call, endpoint)
        if depth == 2:
            return self._record(call, endpoint)
        return self._below(call, endpoint)

    def _collection(self, call: Call, endpoint: Endpoint) -> Answer:
        if call.method not in endpoint.verbs:
            unsupported = endpoint.name == "Organisation" or call.method == "DELETE"
            raise problems.not_implemented() if unsupported else problems.method_not_allowed()
        if call.method == "GET":
            return self._list(call, endpoint)
        return self._write_many(call, endpoint)

    def _record(self, call: Call, endpoint: Endpoint) -> Answer:
        if call.method not in endpoint.record_verbs:
            raise (
                problems.not_found()
                if not endpoint.record_verbs
                else (problems.method_not_allowed())
            )
        if call.method == "GET":
            return self._get(call, endpoint)
        if call.method == "DELETE":
            return self._delete(call, endpoint)
        return self._write_one(call, endpoint)

    # -- reading ------------------------------------------------------------------------------

    def today(self) -> datetime:
        """The present in the organisation's time zone."""
        return self.clock.now().astimezone(AUCKLAND)

    def view(self, call: Call, name: str = "single", **more: bool) -> View:
        places = 4 if call.params.get("unitdp") == "4" else 2
        return View(name, places, self.today().date(), call.base_url, **more)

    def _list(self, call: Call, endpoint: Endpoint) -> Answer:
        found = find(self.books, endpoint, call.params, call.since, self.options, call.client_id)
        view = self.view(call, found.view, is_summary=found.is_summary)
        rows = self._listed(endpoint, found.rows)
        elements = [render(self.books, endpoint.name, row, view) for row in rows]
        return self._answer(call, endpoint, elements, pagination(found))

    def _listed(self, endpoint: Endpoint, rows: list[Row]) -> list[Row]:
        table = self.books.table(endpoint.name)
        hides = (endpoint.name == "Accounts" and not self.options.deleted_accounts_listed) or (
            endpoint.name == "TaxRates" and not self.options.deleted_tax_rates_listed
        )
        if hides:
            return [row for row in rows if table.doc(row)["Status"] != "DELETED"]
        return rows

    def find_row(self, endpoint: Endpoint, word: str) -> Row:
        """A record by its id, or by its number where the address takes one. Raises 404."""
        table = self.books.table(endpoint.name)
        row = table.get(word) if is_uuid(word) else table.rows.get(word)
        if row is None and endpoint.number_index and not is_uuid(word):
            found = table.rows_of(endpoint.number_index, fold(word))
            if endpoint.name in ("Invoices", "CreditNotes"):
                own = [r for r in found if table.doc(r)["Type"].startswith("ACCREC")]
                found = own or found
            row = found[0] if found else None
        if row is None:
            raise problems.not_found()
        return row

    def _get(self, call: Call, endpoint: Endpoint) -> Answer:
        row = self.find_row(endpoint, call.parts[1])
        if endpoint.pdf and "application/pdf" in call.accept:
            return self._pdf(endpoint, row)
        doc = self.books.table(endpoint.name).doc(row)
        is_group = endpoint.name == "ContactGroups"
        if is_group and doc["Status"] != "ACTIVE":
            raise problems.not_found()
        element = render(self.books, endpoint.name, row, self.view(call))
        if endpoint.name == "Budgets":
            element["BudgetLines"] = _budget_lines(doc, call)
        return self._answer(call, endpoint, [element])

    def _pdf(self, endpoint: Endpoint, row: Row) -> Answer:
        doc = self.books.table(endpoint.name).doc(row)
        number = next((doc[n] for n in doc if n.endswith("Number")), row.id)
        text = f"{endpoint.type} {number}   {doc['Date'].isoformat()}   Total {doc['Total']}"
        return Answer(one_page(text), media="application/pdf")

    # -- writing ------------------------------------------------------------------------------

    def desk(self, call: Call) -> Desk:
        user = "Jo Baker" if call.is_person else "System Generated"
        unit = Unit(self.books, millis(self.clock.now()), user)
        return Desk(
            self.books,
            unit,
            self.options,
            self.today().date(),
            self.options.app_name,
            call.client_id,
            4 if call.params.get("unitdp") == "4" else 2,
            is_true(call.params, "allowBackorders"),
        )

    def commit(self, desk: Desk, call: Call) -> None:
        """After a write: journals, the list of applied writes, webhooks."""
        changes = desk.unit.changes()
        self.ledger.follow(changes, desk.unit.now)
        who = "person" if call.is_person else "api"
        for change in changes:
            operation = "delete" if change.is_gone else change.operation.lower()
            self.applied.append(
                Applied(operation, change.table, change.row.id, call.idempotency_key, who)
            )
        del self.applied[:-APPLIED_MAX]
        if changes:
            self.on_change(self.tenant_id, changes)

    def _write_many(self, call: Call, endpoint: Endpoint) -> Answer:
        single = endpoint.one_element or (endpoint.name == "Payments" and call.method == "POST")
        elements = read_elements(endpoint.key, endpoint.type, call.body, one=single)
        desk = self.desk(call)
        creates = call.method == "PUT" and endpoint.name != "TaxRates"
        try:
            outcomes = write_all(desk, endpoint, elements, creates=creates)
            summarizes = call.params.get("summarizeerrors", "").lower() != "false"
            if summarizes and any(outcome.errors for outcome in outcomes):
                if not self.options.failed_bulk_keeps_good:
                    desk.unit.rollback()
                self.commit(desk, call)
                refuse_failed(desk, endpoint, outcomes)
        except Refused as refusal:
            if refusal.status != 400 or not self.options.failed_bulk_keeps_good:
                desk.unit.rollback()
            raise
        self.commit(desk, call)
        view = self.view(call, is_written=True)
        shown_elements = [shown(desk, endpoint, outcome, view) for outcome in outcomes]
        return self._answer(call, endpoint, shown_elements)

    def _write_one(self, call: Call, endpoint: Endpoint) -> Answer:
        row = self.find_row(endpoint, call.parts[1])
        (body,) = read_elements(endpoint.key, endpoint.type, call.body, one=True)
        desk = self.desk(call)
        try:
            outcome = write_one(desk, endpoint, body, row)
        except Refused:
            desk.unit.rollback()
            raise
        refuse_failed(desk, endpoint, [outcome])
        self.commit(desk, call)
        view = self.view(call, is_written=True)
        element = shown(desk, endpoint, outcome, view, marks_ok=False)
        return self._answer(call, endpoint, [element])

    def attempt(
        self, desk: Desk, endpoint: Endpoint, row: Row | None, work: Callable[[], Made]
    ) -> Made:
        """Runs a rule; its Invalid becomes the 400 of one element."""
        try:
            return work()
        except Invalid as problem:
            desk.unit.rollback()
            outcome = Outcome(None, {}, problem.messages, [], row)
            raise validation([refused_element(desk, endpoint, outcome)]) from None
        except Refused:
            desk.unit.rollback()
            raise

    def _delete(self, call: Call, endpoint: Endpoint) -> Answer:
        row = self.find_row(endpoint, call.parts[1])
        desk = self.desk(call)
        elements: list[Doc] | None = None
        if endpoint.name == "Accounts":
            self.attempt(desk, endpoint, row, lambda: delete_account(desk, row))
            elements = [render(self.books, "Accounts", row, self.view(call))]
        elif endpoint.name == "TrackingCategories":
            gone = self.attempt(desk, endpoint, row, lambda: delete_category(desk, row))
            elements = [SETTINGS_SHAPES["TrackingCategories"](self.books, row, gone)]
        elif endpoint.name == "Items":
            self.attempt(desk, endpoint, row, lambda: delete_item(desk, row))
        else:
            desk.unit.remove(endpoint.name, row)
        self.commit(desk, call)
        if elements is None:
            return Answer(b"", 204)
        return self._answer(call, endpoint, elements)

    # -- below a record -------------------------------------------------------------------------

    def _below(self, call: Call, endpoint: Endpoint) -> Answer:
        word = call.parts[2].lower()
        if word == "history" and endpoint.history:
            return self._enveloped(call, history(self, call, endpoint))
        if word == "attachments" and endpoint.attachments:
            found = attachments(self, call, endpoint)
            return found if isinstance(found, Answer) else self._enveloped(call, found)
        if word == "allocations" and endpoint.name in _ALLOCATING:
            applied = allocations(self, call, endpoint)
            return applied if isinstance(applied, Answer) else self._enveloped(call, applied)
        if word == "contacts" and endpoint.name == "ContactGroups":
            return self._enveloped(call, members(self, call))
        if word == "options" and endpoint.name == "TrackingCategories":
            return self._enveloped(call, tracking_options(self, call, endpoint))
        if word == "pdf" and endpoint.pdf and call.method == "GET":
            return self._pdf(endpoint, self.find_row(endpoint, call.parts[1]))
        raise problems.not_found()

    # -- a person's hand ------------------------------------------------------------------------

    def person(self, endpoint: Endpoint, operation: str, body: Doc, call: Call) -> Row:
        """A change made in the service's own pages: only the rules of books apply.

        operation: create, update, delete (as the object allows: status, verb) or void.
        """
        desk = self.desk(call)
        sent = spelled(endpoint.type, body)
        row = None
        if operation != "create":
            row = self.find_row(endpoint, str(sent.pop(endpoint.id_field, "")))
        if operation == "void" and endpoint.name in ("Overpayments", "Prepayments") and row:
            doc = desk.doc(endpoint.name, row)
            desk.unit.replace(endpoint.name, row, {**doc, "Status": "VOIDED"})
            self.commit(desk, call)
            return row
        if operation in ("delete", "void", "archive"):
            deleted = self._person_delete(desk, endpoint, operation, row)
            if deleted is not None:
                self.commit(desk, call)
                return deleted
            status = {"delete": "DELETED", "void": "VOIDED", "archive": "ARCHIVED"}[operation]
            name = "ContactStatus" if endpoint.name == "Contacts" else "Status"
            sent = {name: status}
        if row is None:
            (outcome,) = write_all(desk, endpoint, [sent], creates=True)
        else:
            outcome = write_one(desk, endpoint, sent, row)
        refuse_failed(desk, endpoint, [outcome])
        self.commit(desk, call)
        assert outcome.row is not None
        return outcome.row

    def _person_delete(
        self, desk: Desk, endpoint: Endpoint, operation: str, row: Row | None
    ) -> Row | None:
        """Deletes what has no status for it; None where a status says it."""
        if row is None or operation != "delete":
            return None
        works: dict[str, Callable[[], Any]] = {
            "Accounts": lambda: delete_account(desk, row),
            "Items": lambda: delete_item(desk, row),
            "TrackingCategories": lambda: delete_category(desk, row),
            "LinkedTransactions": lambda: desk.unit.remove("LinkedTransactions", row),
            "BrandingThemes": lambda: desk.unit.remove("BrandingThemes", row),
            "Users": lambda: desk.unit.remove("Users", row),
        }
        if endpoint.name not in works:
            return None
        self.attempt(desk, endpoint, row, works[endpoint.name])
        return row

    # -- envelopes ------------------------------------------------------------------------------

    def _answer(
        self,
        call: Call,
        endpoint: Endpoint,
        elements: list[Doc],
        pages: Doc | None = None,
    ) -> Answer:
        body: Doc = {} if pages is None else {"pagination": pages}
        body[endpoint.key] = elements
        return self._enveloped(call, body)

    def _enveloped(self, call: Call, body: Doc | Answer) -> Answer:
        if isinstance(body, Answer):
            return body
        head: Doc = {}
        if call.parts[0].lower() == "quotes":
            head["SummarizeErrors"] = call.params.get("summarizeerrors", "").lower() != "false"
        head |= {
            "Id": self.books.new_id(),
            "Status": "OK",
            "ProviderName": self.options.app_name,
            "DateTimeUTC": ms_now(millis(self.clock.now())),
        }
        return Answer({**head, **body})


def _budget_lines(doc: Doc, call: Call) -> list[Doc]:
    """The months of a budget within DateFrom and DateTo."""
    first, last = call.params.get("datefrom", "")[:7], call.params.get("dateto", "")[:7]
    return [
        {
            **line,
            "BudgetBalances": [
                month
                for month in line["BudgetBalances"]
                if (not first or month["Period"] >= first) and (not last or month["Period"] <= last)
            ],
        }
        for line in doc["Lines"]
    ]
