"""One simulated company: every question and command of the data service, as bytes in and out.

No HTTP here: the web layer has authenticated and parsed the address; what is answered is the
JSON body. A refusal is raised as Fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlsync.simulators.clock import SimulatedClock
from sqlsync.simulators.quickbooks import documents, faults, files, forms
from sqlsync.simulators.quickbooks.entities import (
    NOT_ASKED,
    NOT_IN_CDC,
    Entity,
    entity_by_word,
    entity_by_wrapper,
)
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.files import Attachments, Sent
from sqlsync.simulators.quickbooks.merging import merge
from sqlsync.simulators.quickbooks.multipart import parse_parts
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.query import Query, invalid, parse
from sqlsync.simulators.quickbooks.reports.catalog import reports
from sqlsync.simulators.quickbooks.reports.desk import ReportDesk
from sqlsync.simulators.quickbooks.select import select
from sqlsync.simulators.quickbooks.settings import PREFERENCES, preferred, settings_of
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.taxservice import create_tax_code
from sqlsync.simulators.quickbooks.unit import Change, Unit
from sqlsync.simulators.quickbooks.values import (
    Doc,
    decode,
    encode,
    envelope_time,
    join_json,
    parse_moment,
    timestamp,
)
from sqlsync.simulators.quickbooks.writer import Writer, Written

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:\-]+")
_WRITE_OPERATIONS = frozenset({"create", "update", "delete", "void"})
APPLIED_MAX = 10_000
BID_MAX = 10  # characters of a bId, where it is part of a requestid


@dataclass(frozen=True, slots=True)
class Applied:
    """A write that was carried out, for tests to count."""

    operation: str
    entity: str
    id: str
    requestid: str | None
    by: str  # "api" | "person"


class Company:
    """The books of one company and what its clients may do with them."""

    def __init__(
        self, realm_id: str, books: Books, options: Options, clock: SimulatedClock
    ) -> None:
        self.realm_id = realm_id
        self.books = books
        self.options = options
        self.clock = clock
        self.desk = ReportDesk(books, options)
        self.files = Attachments(realm_id, options, clock)
        self._begin()
        self.applied: list[Applied] = []
        self.on_change: Callable[[str, list[Change]], None] = lambda realm, changes: None
        self.spoil_item: Callable[[Doc], None] = lambda item: None  # may raise Fault
        self._replays: dict[str, bytes | Fault] = {}

    def _begin(self) -> None:
        """What the options say was chosen stands in Preferences from the start."""
        row = self.books.table("Preferences").get(1)
        if row is None or row.doc is None:
            return
        for name in PREFERENCES:
            value = getattr(self.options, name)
            if value:
                row.doc = preferred(row.doc, name, value)
        row.body = None

    def prefer(self, name: str, value: Any) -> None:
        """A person chooses otherwise (see `PREFERENCES`). Raises ValueError."""
        table = self.books.table("Preferences")
        row = table.rows[1]
        chosen = preferred(row.doc or {}, name, value)
        unit = Unit(self.books, self.clock.epoch())
        unit.edit(table, row)
        row.doc = chosen
        self.on_change(self.realm_id, unit.commit())

    # -- reading ------------------------------------------------------------------------------

    def read(self, entity: Entity, record_id: str, include: str = "") -> bytes:
        """One record. include: `invoiceLink` adds the address where a customer sees it."""
        if entity.name == "CompanyInfo" and record_id == self.realm_id:
            record_id = "1"
        self._check_plan(entity)
        row = self.find(entity, record_id)
        if entity.name == "Attachable":
            self.files.shown(row.id)
        if entity.name == "Invoice" and "invoiceLink" in include.split(","):
            return self._with_link(entity, row)
        return self._enveloped(entity, row)

    def _with_link(self, entity: Entity, row: Row) -> bytes:
        """The link is there for an invoice that may be paid online and has an address."""
        whole = documents.assemble(self.books, entity.name, row)
        if whole.get("AllowOnlineCreditCardPayment") and whole.get("BillEmail"):
            whole["InvoiceLink"] = f"{self.files.origin}/pay/{self.realm_id}/{row.id}"
        return encode({entity.wrapper: whole, "time": envelope_time(self.clock.now())})

    def find(self, entity: Entity, record_id: str) -> Row:
        """The row, or Fault 2030 or 610."""
        number = forms.read_id({"Id": record_id})
        row = self.books.table(entity.name).get(number)
        if row is None:
            raise faults.not_found()
        return row

    def query(self, text: str) -> bytes:
        return b'{"QueryResponse":%b,"time":%b}' % (self._query(text)[0], self._time())

    def _query(self, text: str) -> tuple[bytes, int]:
        """The inside of a QueryResponse, and how many objects are in it."""
        query = parse(text)
        entity = entity_by_word().get(query.entity.lower())
        if entity is None or entity.name in NOT_ASKED:
            raise invalid(f"Invalid context declaration: {query.entity}")
        self._check_plan(entity)
        if query.columns and not self.options.column_lists:
            raise invalid(f"Property {query.columns[0]} not found for Entity {entity.name}")
        found = select(
            self.books,
            self.books.table(entity.name),
            entity,
            query,
            self.options,
            self.clock.today(),
        )
        if query.counts:
            return b'{"totalCount":%d}' % found.total, 0
        if not found.rows:
            return b"{}", 0
        if entity.name == "Attachable":
            for row in found.rows:
                self.files.shown(row.id)
        records: Iterable[bytes]
        if query.columns:
            records = [self._chosen(entity, row, query) for row in found.rows]
        else:
            records = [documents.render(self.books, entity.name, row) for row in found.rows]
        tail = b'"startPosition":%d,"maxResults":%d' % (query.start, len(found.rows))
        if entity.name in self.options.total_count_for:
            tail += b',"totalCount":%d' % found.total
        answer = b'{"%b":%b,%b}' % (entity.wrapper.encode(), join_json(records), tail)
        return answer, len(found.rows)

    def _check_plan(self, entity: Entity) -> None:
        if entity.name in self.options.features_missing:
            raise faults.feature_missing(entity.name)

    def classifications(self, parts: list[str], level: str | None) -> bytes:
        """TaxClassification: `/`, `/{id}`, `/{parent}/children`, `?level=`."""
        table = self.books.table("TaxClassification")
        docs = [table.rows[number].doc or {} for number in table.ids]
        if len(parts) == 1:
            found = [doc for doc in docs if doc["id"] == parts[0]]
            if not found:
                raise faults.not_found()
            return b'{"TaxClassification":%b,"time":%b}' % (encode(found[0]), self._time())
        if parts:
            docs = [doc for doc in docs if (doc.get("parentRef") or {}).get("value") == parts[0]]
        if level is not None:
            docs = [doc for doc in docs if doc["level"] == level]
        return b'{"QueryResponse":{"TaxClassification":%b},"time":%b}' % (
            encode(docs),
            self._time(),
        )

    def report(self, name: str, params: Mapping[str, str]) -> bytes | None:
        """A report by the name in its address; None where there is none of that name."""
        if name not in reports():
            return None
        return self.desk.answer(name, params, self.clock.now(), self.clock.today())

    def rate(self, source: str, day: str) -> bytes:
        """The exchange rate of a day, or the latest before it."""
        home = settings_of(self.books).home
        if source == home:
            rate: Doc = {"AsOfDate": day or self.clock.today().isoformat(), "Rate": 1}
            rate |= {"SourceCurrencyCode": home, "TargetCurrencyCode": home}
            return encode({"ExchangeRate": rate, "time": envelope_time(self.clock.now())})
        known = [
            row
            for row in self.books.table("ExchangeRate").rows.values()
            if row.doc is not None
            and row.doc["SourceCurrencyCode"] == source
            and row.doc["AsOfDate"] <= (day or self.clock.today().isoformat())
        ]
        if not known:
            raise faults.not_found()
        latest = max(known, key=lambda row: str((row.doc or {})["AsOfDate"]))
        return self._enveloped(entity_by_word()["exchangerate"], latest)

    def _chosen(self, entity: Entity, row: Row, query: Query) -> bytes:
        """A record with the columns of a column list alone."""
        whole = documents.assemble(self.books, entity.name, row)
        members = {name.lower(): name for name in whole}
        chosen: Doc = {"domain": "QBO", "sparse": True}
        for column in query.columns:
            top = column.split(".")[0].lower()
            if not any(path[0].lower() == top for path in entity.fields) and top not in members:
                raise invalid(f"Property {column} not found for Entity {entity.name}")
            if top in members:
                chosen[members[top]] = whole[members[top]]
        if "Id" in whole:
            chosen["Id"] = whole["Id"]
        return encode(chosen)

    def cdc(self, names: str, since_text: str) -> bytes:
        """Changes of the named entities since a moment, tombstones last."""
        since = parse_moment(since_text)
        if not names.strip():
            raise faults.missing("entities")
        if since is None:
            raise Fault("2060", f"Invalid date format. Supplied value:{since_text}", "changedSince")
        horizon = self.clock.now() - timedelta(days=self.options.cdc_days)
        if since < int(horizon.timestamp()):
            code = self.options.cdc_too_old_code
            if code is None:
                return self.cdc(names, horizon.isoformat())
            raise Fault(
                code,
                f"changedSince must be within the last {self.options.cdc_days} days. "
                f"Supplied value:{since_text}",
                "changedSince",
            )
        room = self.options.cdc_max
        parts: list[bytes] = []
        for word in names.split(","):
            entity = entity_by_word().get(word.strip().lower())
            if entity is None or entity.name in NOT_IN_CDC:
                raise Fault("2000", f"Object Name: {word.strip()}", "entities")
            self._check_plan(entity)
            part, used = self._changes(entity, since, room)
            room -= used
            parts.append(part)
        return b'{"CDCResponse":[{"QueryResponse":%b}],"time":%b}' % (
            join_json(parts),
            self._time(),
        )

    def _changes(self, entity: Entity, since: int, room: int) -> tuple[bytes, int]:
        table = self.books.table(entity.name)
        rows = table.changed_since(since)
        as_tombstones = self.options.cdc_inactive == "tombstone" and entity.kind == "name_list"
        gone = [(number, at) for number, at in table.tombstones.items() if at >= since]
        if as_tombstones:
            gone += [(row.id, row.updated) for row in rows if not row.active]
            rows = [row for row in rows if row.active]
        if self.options.cdc_drops == "newest":
            rows, gone = rows[:room], gone[: max(0, room - len(rows))]
        else:
            rows = rows[-room:] if room else []
            gone = gone[-(room - len(rows)) :] if room > len(rows) else []
        if not rows and not gone:
            return b"{}", 0
        records = [documents.render(self.books, entity.name, row) for row in rows]
        records += [_tombstone(number, at) for number, at in gone]
        tail = b'"startPosition":1,"maxResults":%d' % len(records)
        if entity.name in self.options.total_count_for:
            tail += b',"totalCount":%d' % len(records)
        return b'{"%b":%b,%b}' % (entity.wrapper.encode(), join_json(records), tail), len(records)

    # -- writing ------------------------------------------------------------------------------

    def write(
        self,
        entity: Entity,
        body: Doc,
        operation: str,
        *,
        include: str = "",
        requestid: str | None = None,
        by: str = "api",
    ) -> bytes:
        """operation: "create" or "update" (both: save), "delete", "void". Replays a requestid."""
        self._check_request_id(requestid, self.options.requestid_max)
        part = self._once(
            requestid, lambda: self._write(entity, body, operation, include, requestid, by)
        )
        return b'{%b,"time":%b}' % (part, self._time())

    def send(
        self, entity: Entity, record_id: str, address: str | None, requestid: str | None
    ) -> bytes:
        self._check_request_id(requestid, self.options.requestid_max)

        def work() -> bytes:
            written = self.writer().send(entity, forms.read_id({"Id": record_id}), address)
            return self._written(written, "send", requestid, "api")

        return b'{%b,"time":%b}' % (self._once(requestid, work), self._time())

    def merge(self, entity: Entity, gone: str, into: str) -> list[Change]:
        """What a person does by renaming one name to another: `gone` is no more."""
        lost, kept = (forms.read_id({"Id": value}) for value in (gone, into))
        changes = merge(self.books, self.options, entity, lost, kept, self.clock.epoch())
        self._note("merge", entity.name, into, None, "person")
        self.on_change(self.realm_id, changes)
        return changes

    def upload(self, content_type: str, body: bytes, requestid: str | None) -> bytes:
        """Files with their descriptions. Each file's refusal stands in the answer."""
        self._check_request_id(requestid, self.options.requestid_max)
        try:
            parts = parse_parts(content_type, body)
        except ValueError as error:
            raise Fault("1050", f"Invalid content type: {error}.") from None
        sent = files.pair(parts)

        def work() -> bytes:
            return files.answer_each(
                sent,
                lambda one: self._upload(one, requestid),
                lambda fault: b'"Fault":%b' % encode(fault.body()),
            )

        return b'{%b,"time":%b}' % (self._once(requestid, work), self._time())

    def _upload(self, sent: Sent, requestid: str | None) -> bytes:
        body, held = self.files.check(sent)
        written = self.writer().save(entity_by_word()["attachable"], {**body, "Id": None})
        if written.row is not None:
            written.row.doc = {**(written.row.doc or {}), **self.files.keep(written.id, held)}
        return self._written(written, "upload", requestid, "api")

    def download(self, record_id: str) -> str:
        """A short-lived address of an attachable's file."""
        row = self.find(entity_by_word()["attachable"], record_id)
        return self.files.link(row.id)

    def tax_service(self, body: Any, requestid: str | None) -> bytes:
        """Makes a tax code with its rates; answers with the bare object."""
        self._check_request_id(requestid, self.options.requestid_max)

        def work() -> bytes:
            self.writer().check_open(entity_by_word()["taxcode"])
            answer, code, changes = create_tax_code(self.books, body, self.clock.epoch())
            self._note("create", "TaxCode", str(code), requestid, "api")
            self.on_change(self.realm_id, changes)
            return encode(answer)

        return self._once(requestid, work)

    def batch(self, body: Any, requestid: str | None = None) -> bytes:
        """Up to 30 writes and queries, each by itself. Items' refusals stand in the answer."""
        self._check_request_id(requestid, self.options.requestid_max_batch)
        items = body.get("BatchItemRequest") if isinstance(body, dict) else None
        if not isinstance(items, list) or not items:
            raise faults.missing("BatchItemRequest")
        if len(items) > self.options.batch_items_max:
            raise faults.business(
                f"The number of batch items exceeds the limit of {self.options.batch_items_max}."
            )
        room = self.options.batch_objects_max
        answers: dict[int, bytes] = {}
        places = range(len(items))
        for place in reversed(places) if self.options.batch_reversed else places:
            answers[place], used = self._batch_item(items[place], requestid, room)
            room -= used
        parts = join_json(answers[place] for place in places)
        return b'{"BatchItemResponse":%b,"time":%b}' % (parts, self._time())

    def _batch_item(self, item: Any, requestid: str | None, room: int) -> tuple[bytes, int]:
        """The item's answer, and how many objects it takes of the answer's room."""
        if not isinstance(item, dict):
            raise faults.not_json()
        name, used = str(item.get("bId", "")), 0
        number = encode(name)
        try:
            if requestid and len(name) > BID_MAX:
                raise Fault("2130", f"Invalid Request Id Format. Supplied value:{name}", "bId")
            self.spoil_item(item)
            if "Query" in item:
                found, used = self._query(str(item["Query"]))
                if used > room:
                    raise faults.too_many_objects(self.options.batch_objects_max)
                part = b'"QueryResponse":%b' % found
            else:
                part = self._batch_write(item, requestid)
        except Fault as fault:
            part, used = b'"Fault":%b' % encode(fault.body()), 0
        return b'{"bId":%b,%b}' % (number, part), used

    def _batch_write(self, item: Doc, requestid: str | None) -> bytes:
        operation = str(item.get("operation", "")).lower()
        if operation not in _WRITE_OPERATIONS:
            raise faults.unsupported(operation)
        named = [name for name in item if name.lower() in entity_by_wrapper()]
        if len(named) != 1:
            raise Fault("2000", f"Object Name: {', '.join(sorted(set(item)))}")
        entity = entity_by_wrapper()[named[0].lower()]
        include = str(item.get("optionsData", ""))
        key = f"{requestid}/{item.get('bId')}" if requestid else None
        body = item[named[0]]
        return self._once(
            key, lambda: self._write(entity, body, operation, include, requestid, "api")
        )

    def _write(
        self,
        entity: Entity,
        body: Any,
        operation: str,
        include: str,
        requestid: str | None,
        by: str,
    ) -> bytes:
        if not isinstance(body, dict):
            raise faults.not_json()
        writer = self.writer()
        if operation == "delete":
            written = writer.delete(entity, body)
        elif operation == "void" or "void" in include.split(","):
            operation, written = "void", writer.void(entity, body)
        else:
            operation = "update" if body.get("Id") else "create"
            written = writer.save(
                entity, body, allow_duplicate_number="allowduplicatedocnum" in include.split(",")
            )
        return self._written(written, operation, requestid, by)

    def writer(self) -> Writer:
        return Writer(self.books, self.options, self.clock.epoch(), self.clock.today())

    def _written(self, written: Written, operation: str, requestid: str | None, by: str) -> bytes:
        name = written.entity.name
        self._note(operation, name, str(written.id), requestid, by)
        self.on_change(self.realm_id, written.changes)
        if written.row is None:
            if name == "Attachable":
                self.files.remove(written.id)
            record = encode({"domain": "QBO", "status": "Deleted", "Id": str(written.id)})
        else:
            record = documents.render(self.books, name, written.row)
        return b'"%b":%b' % (written.entity.wrapper.encode(), record)

    def _note(
        self, operation: str, entity: str, number: str, requestid: str | None, by: str
    ) -> None:
        if len(self.applied) >= APPLIED_MAX:
            del self.applied[: APPLIED_MAX // 2]
        self.applied.append(Applied(operation, entity, number, requestid, by))

    def _once(self, key: str | None, work: Callable[[], bytes]) -> bytes:
        """Carries out `work`, or gives the first answer to the same key again."""
        if key is None:
            return work()
        known = self._replays.get(key)
        if isinstance(known, Fault):
            raise known
        if known is not None:
            return known
        try:
            answer = work()
        except Fault as fault:
            if self.options.replay_refusals:
                self._replays[key] = fault
            raise
        self._replays[key] = answer
        return answer

    @staticmethod
    def _check_request_id(requestid: str | None, longest: int) -> None:
        if requestid is None:
            return
        if not _REQUEST_ID.fullmatch(requestid) or len(requestid) > longest:
            raise Fault("2130", f"Invalid Request Id Format. Supplied value:{requestid}")

    # -- answers ---------------------------------------------------------------------------

    def _enveloped(self, entity: Entity, row: Row) -> bytes:
        record = documents.render(self.books, entity.name, row)
        return b'{"%b":%b,"time":%b}' % (entity.wrapper.encode(), record, self._time())

    def _time(self) -> bytes:
        return b'"%b"' % envelope_time(self.clock.now()).encode()


def _tombstone(number: int, at: int) -> bytes:
    return encode(
        {
            "domain": "QBO",
            "status": "Deleted",
            "Id": str(number),
            "MetaData": {"LastUpdatedTime": timestamp(at)},
        }
    )


def parse_body(data: bytes) -> Any:
    """A JSON body with exact numbers, or Fault 2010 as the service words it."""
    try:
        return decode(data)
    except ValueError:
        raise faults.not_json() from None
