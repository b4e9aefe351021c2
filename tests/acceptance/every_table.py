"""One `sqlsync up` over both providers, and the scripts that psql runs through it.

The steps of a script are named `TABLE what`: read, inserted, shown, updated, deleted, refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import child_writes
import psycopg
import quickbooks_writes
import xero_writes
from acceptance.product import connect_companies, engine_environment
from child_writes import ChildWrites
from psql_script import Kept, Said, Script, delete, insert, is_plain, matching, update
from xero_world import PER_RECORD, furnish, watched_xero

from schema.loader import load_catalog
from schema.model import Catalog, ChildSpec, ColumnType, DeleteMeans, ObjectSpec
from sqlsync.cli.background import background
from sqlsync.cli.people import set_up_user, user_url
from sqlsync.cli.supervisor import child_command
from sqlsync.database import connect
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.settings import Address
from sqlsync.simulators.testing import Simulator, simulator
from sqlsync.simulators.testing_xero import XeroSimulator

Columns = Mapping[str, Any]
CATALOGS = {name: load_catalog(name) for name in ("quickbooks", "xero")}
ID = {"id": Kept("id")}


@dataclass(frozen=True)
class House:
    """Where all is. `url` is a writer's, through the proxy; `direct` the superuser's."""

    url: str
    direct: str
    quickbooks: Simulator
    xero: XeroSimulator

    def until(self, query: str, seconds: float = 150.0) -> None:
        """Waits until the query's value, read past the proxy, is true."""
        deadline = time.monotonic() + seconds
        with psycopg.connect(self.direct, autocommit=True) as session:
            while not (row := session.execute(query.encode()).fetchone()) or not row[0]:
                assert time.monotonic() < deadline, f"never true: {query}"
                time.sleep(0.05)


@dataclass(frozen=True)
class Told:
    """What psql said of each step of one provider's script; notices: its stderr."""

    writes: Writes
    said: Mapping[str, Said]
    notices: str

    def of(self, table: str, what: str) -> Said:
        return self.said[f"{table} {what}"]

    def steps(self, spec: ObjectSpec) -> Iterator[tuple[str, str, Said]]:
        """(table, what, said) of an object and its child tables."""
        for name, step in self.said.items():
            table, _, what = name.partition(" ")
            if table == spec.table or table in spec.child_by_table:
                yield table, what, step

    def refused(self, table: str) -> str | None:
        """The SQLSTATE by which a provider refuses what its reference allows."""
        child = self.writes.children.get(table)
        return None if child is None else child.refused


@contextmanager
def running_house(server: EmbeddedPostgres, state_dir: Path, database: str) -> Iterator[House]:
    """Both companies are live when the block begins; what they were sent is checked at its end."""
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(f'create database "{database}"')
    direct = server.url(database)
    with (
        simulator(customers=10, invoices=14) as books,
        watched_xero(customers=4, invoices=8) as (xero, _, _),
    ):
        environment = engine_environment(
            direct,
            state_dir,
            books,
            SQLSYNC_PROVIDERS__XERO__API_URL=xero.base_url,
            SQLSYNC_PROVIDERS__XERO__WEBHOOK_KEY=xero.signing_key,
            SQLSYNC_SYNC__REPORTS="false",
            SQLSYNC_LOG__LEVEL="error",
        )
        furnish(xero)
        connect_companies(environment, direct, {"quickbooks": books, "xero": xero})
        with psycopg.connect(direct, autocommit=True) as admin:
            for table in PER_RECORD:
                admin.execute("select sqlsync.enable_object('xero', %s)", [table])
        with background("up", child_command("up", None), environment) as services:
            with connect(direct) as database_session:
                password = set_up_user(database_session, database, write=True)
            url = user_url(Address.parse(services.ready["proxy"]), database, password, database)
            found = House(url, direct, books, xero)
            found.until(
                "select bool_and(state = 'live') from (select state from quickbooks._sync_cdc"
                " union all select state from xero._sync_cdc) c"
            )
            yield found


# -- what is written ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Writes:
    """given: makes the columns of a new row, or None where the table takes none."""

    catalog: Catalog
    given: Callable[[str], Columns | None]
    changes: Mapping[str, Columns]
    children: Mapping[str, ChildWrites]


def quickbooks_of(house: House) -> Writes:
    made = house.quickbooks.person

    def given(table: str) -> Columns | None:
        if table != "bill_payment":
            return quickbooks_writes.WRITES.get(table, ({}, {}))[0] or None
        line = quickbooks_writes.cost("8.80")
        bill = made("Bill", "create", VendorRef={"value": "1"}, Line=[line])
        return quickbooks_writes.bill_payment(bill["Id"])

    changes = {table: entry[1] for table, entry in quickbooks_writes.WRITES.items()}
    changes["bill_payment"] = {"private_note": "by hand"}
    children = child_writes.quickbooks(lambda kind, **body: made(kind, "create", **body))
    return Writes(CATALOGS["quickbooks"], given, changes, children)


def xero_of(house: House) -> Writes:
    refs = xero_writes.Refs(house.xero)

    def given(table: str) -> Columns | None:
        entry = xero_writes.WRITES.get(table)
        return None if entry is None else entry[0](refs)

    changes = {table: entry[1] for table, entry in xero_writes.WRITES.items()}
    return Writes(CATALOGS["xero"], given, changes, child_writes.all_xero(refs.contact))


# -- the script -----------------------------------------------------------------------------------


def script_of(writes: Writes) -> Script:
    """Every table is read; what can be written is, and what cannot is tried."""
    script = Script()
    for name in writes.catalog.by_any_table:
        script.step(f"{name} read", f"select * from {_at(writes.catalog, name)}")
    for spec in writes.catalog.objects:
        _Table(script, writes, spec).write()
    {"quickbooks": _lives_at_quickbooks, "xero": _lives_at_xero}[writes.catalog.provider](script)
    for report in writes.catalog.reports:
        at = _at(writes.catalog, report.table)
        script.step(f"{report.table} insert refused", f"insert into {at} default values")
        script.step(f"{report.table} update refused", f"update {at} set label = 'x'")
        script.step(f"{report.table} delete refused", f"delete from {at}")
    return script


def _lives_at_quickbooks(script: Script) -> None:
    """A name comes back and leaves again; a form is queued to be sent."""
    one = "select min(id) as one from quickbooks.customer where not active"
    script.step("customer chosen", one, r"\gset")
    for what, active in (("made active again", True), ("made inactive", False)):
        where = {"id": Kept("one"), "active": not active}
        script.step(f"customer {what}", update("quickbooks.customer", {"active": active}, where))
    sending = {"email_status": "NeedToSend", "bill_email_address": "ada@mail.example"}
    script.step("invoice chosen", "select min(id) as one from quickbooks.invoice", r"\gset")
    script.step("invoice queued", update("quickbooks.invoice", sending, {"id": Kept("one")}))


def _lives_at_xero(script: Script) -> None:
    """Approved, sent, credited, voided; an account archived."""
    line = [{"Description": "Beans", "Quantity": 1, "UnitAmount": 20, "AccountCode": "200"}]
    given = {"contact_id": Kept("whom"), "status": "AUTHORISED", "line_items": line}
    whom = "select min(id) as whom from xero.contact where contact_status = 'ACTIVE'"
    script.step("contact chosen", whom, r"\gset")
    for table, kind in (("invoice", "ACCREC"), ("credit_note", "ACCRECCREDIT")):
        more = {"due_date": xero_writes.LATER} if table == "invoice" else {}
        made = insert(f"xero.{table}", {**given, "type": kind, **more})
        script.step(f"{table} approved", f"{made} returning id as {table}", r"\gset")
    invoice, note = {"id": Kept("invoice")}, {"id": Kept("credit_note")}
    script.step("invoice sent", update("xero.invoice", {"sent_to_contact": True}, invoice))
    credited = {"credit_note_id": Kept("credit_note"), "invoice_id": Kept("invoice")}
    row = {**credited, "amount": 5, "date": xero_writes.TODAY}
    script.step("credit_note_allocation made", insert("xero.credit_note_allocation", row))
    script.step("credit_note_allocation undone", delete("xero.credit_note_allocation", credited))
    script.step("invoice voided", update("xero.invoice", {"status": "VOIDED"}, invoice))
    script.step("credit_note voided", delete("xero.credit_note", note))
    for table, where in (("invoice", invoice), ("credit_note", note)):
        shown = f"select from xero.{table} where {matching({**where, 'status': 'VOIDED'})}"
        script.step(f"{table} shown void", shown)
    account = {"code": "W99", "name": "Kiosk", "type": "EXPENSE"}
    script.step(
        "account opened", f"{insert('xero.account', account)} returning id as account", r"\gset"
    )
    closed = update("xero.account", {"status": "ARCHIVED"}, {"id": Kept("account")})
    script.step("account archived", closed)


def _at(catalog: Catalog, table: str) -> str:
    return f'{catalog.provider}."{table}"'


class _Table:
    """The steps of one object: its own rows, and those of its child tables."""

    def __init__(self, script: Script, writes: Writes, spec: ObjectSpec) -> None:
        self.script, self.writes, self.spec = script, writes, spec
        self.at = _at(writes.catalog, spec.table)

    def write(self) -> None:
        """What a DELETE takes away is made anew, so that every table has a row to compare."""
        spec, given = self.spec, self.writes.given(self.spec.table)
        self.script.forget("id")
        if given is None:
            self._step("found", f"select min(id) as id from {self.at}", r"\gset")
            self._step("insert refused", insert(self.at, _anything(spec)))
        else:
            self._insert("inserted", given)
        self._update()
        for child in spec.children:
            self._children(child)
        if spec.delete_means is DeleteMeans.NONE:
            self._step("delete refused", delete(self.at, ID))
            self.script.show(f"{spec.table} id")
            return
        self.script.show(f"{spec.table} id")
        self._step("deleted", delete(self.at, ID))
        self._step("left", f"select from {self.at} where {matching(ID)}")
        if spec.delete_means is DeleteMeans.DELETE:
            again = self.writes.given(spec.table)
            assert again is not None
            self._insert("inserted again", again)

    def _insert(self, what: str, given: Columns) -> None:
        self.script.forget("id")
        self._step(what, insert(self.at, given) + " returning id", r"\gset")

    def _update(self) -> None:
        spec = self.spec
        changes = self.writes.changes.get(spec.table)
        if not spec.can("update"):
            self._step("update refused", update(self.at, _anything(spec), ID))
        elif changes:
            plain = {column: value for column, value in changes.items() if is_plain(value)}
            self._step("updated", update(self.at, changes, ID))
            self._step("shown", f"select from {self.at} where {matching({**ID, **plain})}")

    def _children(self, child: ChildSpec) -> None:
        at, parent = _at(self.writes.catalog, child.table), {child.parent_column: Kept("id")}
        writes = self.writes.children.get(child.table)
        if child.read_only or not self.spec.can("update"):
            row = {**parent, child.fields[0].column: None}
            self._step("insert refused", insert(at, row), child=child)
        if child.read_only or not self.spec.can("update") or writes is None:
            return
        rows = [{**parent, **row} for row in writes.rows]
        self._step("inserted", insert(at, *rows), child=child)
        passing = " or ".join(f"({matching(row)})" for row in rows[: -writes.kept])
        if passing:
            self._step("deleted", f"delete from {at} where {passing}", child=child)
        if writes.changes:
            self._step("updated", update(at, writes.changes, rows[-1]), child=child)
            after = matching({**rows[-1], **writes.changes})
            self._step("shown", f"select from {at} where {after}", child=child)

    def _step(
        self, what: str, statement: str, keep: str = ";", child: ChildSpec | None = None
    ) -> None:
        table = self.spec.table if child is None else child.table
        self.script.step(f"{table} {what}", statement, keep)


def _anything(spec: ObjectSpec) -> Columns:
    """Some column, with a value that no row has."""
    field = next(f for f in spec.fields if f.column != "id")
    return {field.column: "x" if field.type is ColumnType.TEXT else None}
