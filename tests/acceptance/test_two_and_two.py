"""Two QuickBooks companies and two Xero organisations, kept by one `sqlsync up`."""

from __future__ import annotations

import json
import logging
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import structlog
from acceptance.product import VERIFIER, engine_environment

from schema.loader import load_catalog
from sqlsync.app.connecting import connect_company
from sqlsync.app.databases import prepare
from sqlsync.cli import run
from sqlsync.cli.background import background
from sqlsync.cli.people import psql_binary, set_up_user, user_url
from sqlsync.cli.supervisor import child_command
from sqlsync.database import connect
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.settings import Address, load_settings
from sqlsync.simulators.testing import Simulator
from sqlsync.simulators.testing_xero import XeroSimulator, both_process

pytestmark = pytest.mark.timeout(300)  # the first test has the house made

XERO_KEY = "acceptance-webhook-key"
NAMES = ("books", "branch", "kestrel", "demo_nz")  # of the connections and of their schemas
OBJECTS = ("account", "customer", "invoice", "contact", "currency", "journal", "organisation")
# An insert and an update of one text, of QuickBooks and of Xero.
_FIRST_CUSTOMER = "(select min(id) from {schema}.customer where active)"
_FIRST_CONTACT = "(select min(id) from {schema}.contact where contact_status = 'ACTIVE')"
WRITES = (
    (
        "insert into {schema}.customer (display_name) values (%s)",
        "update {schema}.customer set notes = %s where id = " + _FIRST_CUSTOMER,
    ),
    (
        "insert into {schema}.contact (name) values (%s)",
        "update {schema}.contact set first_name = %s where id = " + _FIRST_CONTACT,
    ),
)
LINES = [
    {"Description": "Roasting class", "Quantity": 2, "UnitAmount": 120.5, "AccountCode": "200"},
    {"Description": "Beans", "Quantity": 1, "UnitAmount": 9.99, "AccountCode": "200"},
]


@dataclass(frozen=True)
class House:
    """Where all is. companies: realm or tenant by connection."""

    url: str
    direct: str
    environment: Mapping[str, str]
    companies: Mapping[str, str]
    quickbooks: Simulator
    xero: XeroSimulator

    def value(self, query: str, *values: object) -> Any:
        """Read past the proxy."""
        with psycopg.connect(self.direct) as connection:
            row = connection.execute(query, values).fetchone()
        return None if row is None else row[0]

    def until(self, query: str, seconds: float = 30.0) -> float:
        """Waits until the query's first value is true; says how long that took."""
        began = time.monotonic()
        while not self.value(query):
            waited = time.monotonic() - began
            assert waited < seconds, f"never true: {query}\n{self.standing()}"
            time.sleep(0.05)
        return time.monotonic() - began

    def active_contacts(self, name: str) -> list[tuple[str, str]]:
        """(id, name) of a Xero organisation's contacts, as it holds them."""
        held = self.xero.records("contact", self.companies[name])
        return [(c["ContactID"], c["Name"]) for c in held if c["ContactStatus"] == "ACTIVE"]

    def held(self, name: str) -> list[tuple[Any, ...]]:
        """The customers or contacts of a company, as the provider holds them."""
        company = self.companies[name]
        if company in self.xero.tenants:
            members = ("ContactID", "Name", "FirstName", "ContactStatus")
            records = self.xero.records("contact", company)
        else:
            members = ("Id", "DisplayName", "Notes", "Active")
            records = self.quickbooks.records("Customer", company)
        return sorted(tuple(record.get(member) for member in members) for record in records)

    def mirrored(self, name: str) -> list[tuple[Any, ...]]:
        """The same of its tables."""
        columns, table = ("id, name, first_name, contact_status", "contact")
        if self.companies[name] in self.quickbooks.realms:
            columns, table = ("id, display_name, notes, active", "customer")
        with psycopg.connect(self.direct) as connection:
            rows = connection.execute(f"select {columns} from {name}.{table}".encode())
            return sorted(rows.fetchall())

    def standing(self) -> Any:
        return self.value(
            "select jsonb_agg(jsonb_build_array(name, state, state_reason)) from sqlsync.connection"
        )


@pytest.fixture(scope="module")
def house(
    postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    with psycopg.connect(postgres_server.url(), autocommit=True) as admin:
        admin.execute("create database two_and_two")
    direct = postgres_server.url("two_and_two")
    state_dir = tmp_path_factory.mktemp("two_and_two")
    with both_process(customers=6, invoices=8, companies=2, organisations=2) as (books, xero):
        companies = dict(zip(NAMES, (*books.realms, *xero.tenants), strict=True))
        environment = engine_environment(
            direct,
            state_dir,
            books,
            SQLSYNC_PROVIDERS__XERO__API_URL=xero.base_url,
            SQLSYNC_PROVIDERS__XERO__WEBHOOK_KEY=XERO_KEY,
            SQLSYNC_LOG__LEVEL="error",
        )
        with pytest.MonkeyPatch.context() as surroundings:
            for name, value in environment.items():
                surroundings.setenv(name, value)
            settings = load_settings()
        prepare(direct)
        for name, company in companies.items():
            connect_company(
                settings,
                direct,
                provider="xero" if company in xero.tenants else "quickbooks",
                name=name,
                schema_name=name,
                company_id=company,
                refresh_token=(books.refresh_tokens | xero.refresh_tokens)[company],
            )
        with psycopg.connect(direct, autocommit=True) as admin:
            for name in NAMES:  # what is not looked at costs time
                admin.execute(
                    f"update {name}._sync_cdc set state = 'paused'"
                    " where object <> all(%s)".encode(),
                    [list(OBJECTS)],
                )
                admin.execute(
                    f"update {name}._sync_object set enabled = false"
                    " where kind = 'report' and enabled".encode()
                )
        with background("up", child_command("up", None), environment) as services:
            with connect(direct) as database:
                password = set_up_user(database, "two_and_two", write=True)
            proxy = Address.parse(services.ready["proxy"])
            url = user_url(proxy, "two_and_two", password, "two_and_two")
            web = f"http://{services.ready['web']}/webhooks"
            found = House(url, direct, environment, companies, books, xero)
            found.until(
                "select count(*) = 4 from sqlsync.connection where state = 'live'", seconds=60
            )
            books.webhooks(f"{web}/quickbooks", VERIFIER)
            xero.webhooks(f"{web}/xero", XERO_KEY)
            yield found


@pytest.fixture
def in_this_process(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Runs a command: (exit code, stdout, stderr). A process for each would take a minute."""
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def work(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    yield work
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "entity", "key"), [("books", "Invoice", "Id"), ("kestrel", "Invoice", "InvoiceID")]
)
def test_a_file_goes_up_and_comes_down_again(
    house: House,
    tmp_path: Path,
    in_this_process: Callable[..., tuple[int, str, str]],
    name: str,
    entity: str,
    key: str,
) -> None:
    twin = house.xero if name == "kestrel" else house.quickbooks
    record_id = min(r[key] for r in twin.records(entity, house.companies[name]))
    sent = tmp_path / "receipt.pdf"
    sent.write_bytes(bytes(range(256)) * 300)
    where = (name, "invoice", record_id)
    code, said, err = in_this_process("upload", *where, sent)
    assert code == 0, err
    [listed] = json.loads(in_this_process("files", *where, "--json")[1])
    assert (listed["id"], listed["size"]) == (said.strip(), 76800)
    for target, expected in ((tmp_path / "back.pdf", 0), (tmp_path / "back.pdf", 2)):
        code, _, err = in_this_process("download", *where, "--to", target)
        assert code == expected, err
        assert target.read_bytes() == sent.read_bytes()
    assert "is there already" in err
    for wrong, words in (
        (("upload", *where, tmp_path / "none.pdf"), "cannot be read"),
        (("upload", name, "nothing", "1", sent), "has no table"),
        (("download", *where, "other.pdf"), "no file 'other.pdf'"),
    ):
        code, _, err = in_this_process(*wrong)
        assert code in (1, 2)
        assert words in err


# -- writing to Xero -------------------------------------------------------------------------------


def test_a_session_with_psql_over_the_tables_of_an_organisation(house: House) -> None:
    """Read, insert, update, void, archive, delete; after each both sides agree."""
    xero = house.xero
    script = r"""
\set ON_ERROR_STOP on
insert into kestrel.contact (name, email_address) values (:'name', 'ada@mail.example')
  returning id as contact \gset
insert into kestrel.invoice (type, contact_id, due_date, status, line_items)
  values ('ACCREC', :'contact', '2027-01-31', 'AUTHORISED', :'lines')
  returning id as invoice, sub_total, total_tax, total, amount_due \gset
\echo :sub_total :total_tax :total :amount_due
select quantity, line_amount from kestrel.invoice_line_item where invoice_id = :'invoice'
  order by position;
update kestrel.invoice_line_item set quantity = 3 where invoice_id = :'invoice' and position = 1
  returning line_amount;
update kestrel.invoice set status = 'VOIDED' where id = :'invoice' returning status, amount_due;
insert into kestrel.invoice (type, contact_id, line_items)
  values ('ACCPAY', :'contact', :'lines') returning id as bill, status as bill_status \gset
\echo :bill_status
delete from kestrel.invoice where id = :'bill';
select status from kestrel.invoice where id = :'bill';
delete from kestrel.contact where id = :'contact';
select contact_status from kestrel.contact where id = :'contact';
\echo :contact :invoice :bill
"""
    done = subprocess.run(
        [
            *(psql_binary(), "-XAtq", house.url),
            *("-v", f"name=Ada {uuid4().hex[:8]}", "-v", f"lines={json.dumps(LINES)}"),
        ],
        input=script,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *printed, ids = done.stdout.splitlines()
    assert printed == [
        "250.99 37.65 288.64 288.64",
        "2.0000|241.00",
        "1.0000|9.99",
        "361.50",
        "VOIDED|0.00",
        "DRAFT",
        "DELETED",
        "ARCHIVED",
    ]
    contact, invoice, bill = ids.split()
    held = [xero.record("contact", contact), xero.record("invoice", invoice)]
    assert [record and record.get("Status", record.get("ContactStatus")) for record in held] == [
        "ARCHIVED",
        "VOIDED",
    ]
    assert (xero.record("invoice", bill) or {}).get("Status", "DELETED") == "DELETED"
    assert f"Contact `{contact}` was archived at Xero; Xero does not delete contacts" in done.stderr


def test_what_xero_refuses_is_a_postgres_error_and_changes_nothing(house: House) -> None:
    (one, taken), (other, _) = house.active_contacts("kestrel")[:2]
    calls = len(house.xero.applied())
    nobody, insert = str(uuid4()), "insert into kestrel.invoice (type, contact_id, line_items)"
    refusals: list[tuple[str, str, str]] = [
        (f"update kestrel.contact set name = 'x' where id = '{nobody}'", "P0002", f"`{nobody}`"),
        (f"update kestrel.contact set name = '{taken}' where id = '{other}'", "23505", "already"),
        ("insert into kestrel.invoice (type) values ('ACCREC')", "23502", "contact_id"),
        (f"{insert} values ('ACCREC', '{nobody}', '{json.dumps(LINES)}')", "23503", "ontact"),
        ("update kestrel.invoice set total = 1", "428C9", 'column "total" is read-only'),
        ("update kestrel.journal set source_type = 'x'", "55000", "journals"),
        ("delete from kestrel.organisation", "55000", "organisation"),
        ("truncate kestrel.contact", "0A000", "TRUNCATE"),
        ("delete from kestrel.balance_sheet", "55000", "BalanceSheet"),
    ]
    refusals += [
        (
            f"insert into kestrel.{spec.table} default values",
            "55000",
            f"create {spec.title.lower()}",
        )
        for spec in load_catalog("xero").objects
        if spec.enabled and not spec.can("create")
    ]
    with psycopg.connect(house.url, autocommit=True) as connection:
        for statement, sqlstate, word in refusals:
            with pytest.raises(psycopg.Error) as refused:
                connection.execute(statement.encode())
            diag = refused.value.diag
            assert diag.sqlstate == sqlstate, (statement, str(refused.value))
            assert word in (diag.message_primary or ""), str(refused.value)
            if sqlstate != "0A000":
                assert (diag.message_primary or "").startswith("[Xero] ")
        taken_code = "insert into kestrel.currency (code) select code from kestrel.currency"
        done = connection.execute(f"{taken_code} on conflict (code) do nothing".encode())
        assert done.rowcount == 0
    assert len(house.xero.applied()) == calls
    ours = house.value("select name from kestrel.contact where id = %s", one)
    assert ours == taken


def test_a_driver_writes_several_rows_and_a_rollback_leaves_xero_as_it_was(house: House) -> None:
    tag = uuid4().hex[:8]

    def held(pattern: str) -> list[str]:
        found = (name for _, name in house.active_contacts("kestrel"))
        return sorted(name for name in found if name.startswith(pattern))

    with psycopg.connect(house.url) as connection:
        rows = connection.execute(
            "insert into kestrel.contact (name) select %s || n from generate_series(1, 3) n"
            " returning id, contact_status",
            [f"{tag} "],
        ).fetchall()
        assert [status for _, status in rows] == ["ACTIVE"] * 3
        connection.commit()
        assert held(tag) == [f"{tag} {n}" for n in (1, 2, 3)]
        first = rows[0][0]
        with connection.transaction():
            connection.execute(
                "update kestrel.contact set first_name = %s where id = %s", ["Kept", first]
            )
            with pytest.raises(ZeroDivisionError), connection.transaction():
                connection.execute(
                    "update kestrel.contact set first_name = %s where id = %s", ["Lost", first]
                )
                connection.execute("insert into kestrel.contact (name) values (%s)", [f"{tag} 4"])
                assert held(tag)[-1] == f"{tag} 4"
                raise ZeroDivisionError
        assert (house.xero.record("contact", first) or {})["FirstName"] == "Kept"
        assert held(tag) == [f"{tag} {n}" for n in (1, 2, 3)]
        # One of them is taken, so none is made.
        with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
            connection.execute(
                "insert into kestrel.contact (name) values (%s), (%s)", [f"{tag} 5", f"{tag} 2"]
            )
        assert held(tag) == [f"{tag} {n}" for n in (1, 2, 3)]
    query = "select first_name from kestrel.contact where id = %s"
    assert house.value(query, first) == "Kept"
    assert house.value("select count(*) from kestrel._sync_write where state = 'parked'") == 0


# -- side by side --------------------------------------------------------------------------------


def changes_elsewhere(house: House, word: str) -> dict[str, Callable[[], str]]:
    """By connection: somebody changes a record in its company; gives a query that sees it."""

    def customer(name: str) -> str:
        realm = house.companies[name]
        changed = house.quickbooks.person("Customer", "update", realm=realm, Id="1", Notes=word)
        assert changed["Notes"] == word
        return f"select notes = '{word}' from {name}.customer where id = '1'"

    def contact(name: str) -> str:
        tenant = house.companies[name]
        record_id, _ = house.active_contacts(name)[0]
        house.xero.person("contact", "update", tenant=tenant, ContactID=record_id, FirstName=word)
        return f"select first_name = '{word}' from {name}.contact where id = '{record_id}'"

    return {
        name: (lambda n=name, c=change: c(n))  # type: ignore[misc]
        for name, change in zip(NAMES, (customer, customer, contact, contact), strict=True)
    }


def test_a_change_in_a_company_arrives_by_webhook_in_its_own_tables_alone(house: House) -> None:
    word = f"heard {uuid4().hex[:8]}"
    changes = changes_elsewhere(house, word)
    shown = {
        name: f"select count(*) from {name}."
        + ("contact" if first_name else "customer")
        + f" where {'first_name' if first_name else 'notes'} = '{word}'"
        for name, first_name in zip(NAMES, (False, False, True, True), strict=True)
    }
    for number, name in enumerate(NAMES):
        assert house.until(changes[name](), seconds=5.0) < 5.0
        noticed = f"select count(*) from {name}._sync_change where noticed_by = 'webhook'"
        assert house.value(noticed) > 0
        assert [house.value(shown[other]) for other in NAMES] == [
            int(other <= number) for other in range(4)
        ]
    assert house.xero.status()["webhooks"]["intent"] == "ok"


def test_nothing_of_one_company_is_ever_in_the_tables_of_another(house: House) -> None:
    """Random transactions over all four, kept and rolled back, and changes by others between."""
    seed = uuid4().int % 1_000_000
    print(f"seed {seed}")
    random = Random(seed)
    with psycopg.connect(house.url) as connection:
        for step in range(24):
            company = random.choice(NAMES)
            if random.random() < 0.3:
                changes_elsewhere(house, f"{company} {step}")[company]()
                continue
            try:
                for number in range(random.randint(1, 3)):
                    company = random.choice(NAMES)
                    text = f"{company} {seed} {step}.{number}"
                    statement = random.choice(WRITES[company in ("kestrel", "demo_nz")])
                    connection.execute(statement.format(schema=company).encode(), [text])
            except psycopg.errors.SerializationFailure:  # somebody else changed that very field
                connection.rollback()
            else:
                random.choice((connection.commit, connection.rollback))()
    for name in NAMES:
        wanted = house.held(name)
        deadline = time.monotonic() + 30
        while (found := house.mirrored(name)) != wanted:
            assert time.monotonic() < deadline, (name, set(found) ^ set(wanted))
            time.sleep(0.1)
            wanted = house.held(name)
        for other in NAMES:
            strange = [row for row in found if other != name and f"{other} {seed}" in str(row)]
            assert strange == [], (name, other)
    open_writes = "select count(*) from sqlsync.journal where state not in ('mirrored', 'undone')"
    assert house.value(f"{open_writes} and state <> 'refused'") == 0


def test_a_revoked_grant_in_one_company_leaves_the_others_live(
    house: House, in_this_process: Callable[..., tuple[int, str, str]]
) -> None:
    gone: dict[str, Simulator | XeroSimulator] = {"branch": house.quickbooks, "demo_nz": house.xero}
    for name, simulator in gone.items():
        simulator.revoke(house.companies[name])
        simulator.expire_tokens()
    with psycopg.connect(house.url, autocommit=True) as connection:
        for name, first_name in zip(NAMES, (False, False, True, True), strict=True):
            statement = WRITES[first_name][1].format(schema=name).encode()
            if name not in gone:
                assert connection.execute(statement, ["goes on"]).rowcount == 1
                continue
            with pytest.raises(psycopg.Error) as refused:
                connection.execute(statement, ["nobody hears"])
            assert refused.value.diag.sqlstate == "58000"
            assert "sqlsync connect" in (refused.value.diag.message_hint or "")
            counted = connection.execute(f"select count(*) > 0 from {name}.invoice".encode())
            assert counted.fetchone() == (True,)  # what is mirrored stays readable
    changes = changes_elsewhere(house, f"still {uuid4().hex[:8]}")
    unheard = {name: changes[name]() for name in gone}
    for name in ("books", "kestrel"):
        house.until(changes[name](), seconds=10)
    states = "select array_agg(state order by id) from sqlsync.connection"
    assert house.value(states) == ["live", "needs_reauth", "live", "needs_reauth"]

    for name, simulator in gone.items():
        company = house.companies[name]
        token = simulator.new_refresh_token(company)
        provider = "xero" if simulator is house.xero else "quickbooks"
        again = ["--schema", name, "--company", company, "--refresh-token", token]
        code, _, err = in_this_process("connect", provider, "--name", name, *again)
        assert code == 0, err
    for query in unheard.values():
        house.until(query)
    house.until("select count(*) = 4 from sqlsync.connection where state = 'live'")
