"""The whole session of the product, run through a real client: `sqlsync demo --check`.

Each check prints one line and raises CheckFailed where it does not hold. The client is psql
where there is one; the other side is looked at in the simulator's own books.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlsync.cli.people import psql_binary
from sqlsync.cli.simulated import SimulatedCompany
from sqlsync.errors import SqlsyncError

TABLES = (
    *("_sync_cdc", "account", "bill_payment", "customer", "employee", "invoice", "item"),
    *("payment", "purchase_order", "vendor"),
)
MISSING_ID = "999999999"
WEBHOOK_SECONDS = 2.0
STATEMENT_SECONDS = 60


class CheckFailed(SqlsyncError):
    """Something that was promised does not hold."""


@dataclass(frozen=True, slots=True)
class DemoAddresses:
    """Where the demo's parts are."""

    url: str  # of the demo's user, through the proxy
    simulator: str  # http://HOST:PORT
    realm: str
    web: str  # HOST:PORT
    verifier: str = field(repr=False)
    poll_seconds: float  # between polls of an active company


@dataclass(frozen=True, slots=True)
class Answer:
    """What psql said."""

    out: str
    err: str
    code: int

    @property
    def value(self) -> str:
        """The first line of the result, columns separated by |."""
        return self.out.split("\n", 1)[0]


class Psql:
    """psql, one run a script. Statements are sent one by one, as a person types them."""

    def __init__(self, url: str) -> None:
        self._command = [psql_binary(), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", url]

    def run(self, *statements: str, verbose: bool = False) -> Answer:
        script = ["\\set VERBOSITY verbose"] if verbose else []
        script += [s if s.startswith("\\") else s + ";" for s in statements]
        done = subprocess.run(
            self._command,
            input="\n".join(script) + "\n",
            text=True,
            capture_output=True,
            timeout=STATEMENT_SECONDS,
            check=False,
            env={**os.environ, "PGCONNECT_TIMEOUT": "10", "LC_ALL": "C"},
        )
        return Answer(done.stdout.strip(), done.stderr.strip(), done.returncode)

    def value(self, *statements: str) -> str:
        """The answer of statements that must succeed."""
        answer = self.run(*statements)
        if answer.code != 0:
            raise CheckFailed(f"psql: {answer.err}")
        return answer.value


def run_checks(addresses: DemoAddresses, say: Callable[[str], None] = print) -> None:
    """All of them, in order. Raises CheckFailed at the first that does not hold."""
    session = _Session(addresses)
    checks: Sequence[tuple[str, Callable[[], str]]] = (
        ("\\dt lists _sync_cdc and the tables", session.tables),
        ("customers are found by company name", session.customer_query),
        ("an update is at the provider and in the table at once", session.update),
        ("an update of a customer that is not there is an error", session.missing),
        ("a duplicate display name is 23505 and changes neither side", session.duplicate),
        ("an invoice comes back with the provider's totals", session.invoice),
        ("BEGIN, two writes, ROLLBACK leaves the provider as it was", session.rollback),
        ("a change at the provider arrives by webhook", session.webhook),
        ("… and by polling when webhooks are off", session.polling),
    )
    for title, check in checks:
        say(f"ok  {title}: {check()}")
    say(f"all {len(checks)} checks passed")


class _Session:
    """The checks. Each returns what it saw, in a few words."""

    def __init__(self, addresses: DemoAddresses) -> None:
        self._addresses = addresses
        self._psql = Psql(addresses.url)
        self._company = SimulatedCompany(addresses.simulator, addresses.realm)

    def tables(self) -> str:
        answer = self._psql.run("\\dt")
        listed = {line.split("|")[1] for line in answer.out.splitlines() if "|" in line}
        missing = [table for table in TABLES if table not in listed]
        expect(not missing, f"\\dt does not list {', '.join(missing)}: {answer.out or answer.err}")
        return f"{len(listed)} tables"

    def customer_query(self) -> str:
        company_name = self._psql.value(
            "select company_name from customer where company_name is not null order by id limit 1"
        )
        expect(company_name, "no customer has a company name")
        found = self._psql.value(
            "select id, display_name, company_name, email, phone, balance, created_at, updated_at"
            f" from customer where company_name = {quoted(company_name)}"
        )
        columns = found.split("|")
        expect(len(columns) == 8, f"eight columns were asked for, not {found!r}")
        held = self._company.read("Customer", columns[0])
        expect(held["CompanyName"] == company_name, f"the provider says {held['CompanyName']!r}")
        return found

    def update(self) -> str:
        record_id = self._some_customers(1)[0]
        self._psql.value(
            f"update customer set display_name = 'Acme Corporation' where id = '{record_id}'"
        )
        ours = self._display_name(record_id)
        theirs = self._company.read("Customer", record_id)["DisplayName"]
        expect(ours == theirs == "Acme Corporation", f"table {ours!r}, provider {theirs!r}")
        return f"customer {record_id} is {ours} on both sides"

    def missing(self) -> str:
        answer = self._psql.run(f"update customer set display_name = 'x' where id = '{MISSING_ID}'")
        wanted = f"ERROR:  [QuickBooks] Customer `{MISSING_ID}` not found"
        expect(wanted in answer.err, f"{wanted!r} was expected, not {answer.err or answer.out!r}")
        return wanted

    def duplicate(self) -> str:
        first, second = self._some_customers(2)
        taken, before = self._display_name(first), self._display_name(second)
        token = self._company.read("Customer", second)["SyncToken"]
        answer = self._psql.run(
            f"update customer set display_name = {quoted(taken)} where id = '{second}'",
            verbose=True,
        )
        expect("ERROR:  23505:" in answer.err, f"23505 was expected: {answer.err or answer.out!r}")
        held = self._company.read("Customer", second)
        expect(self._display_name(second) == before, "the table was changed")
        expect((held["DisplayName"], held["SyncToken"]) == (before, token), "the provider changed")
        return answer.err.splitlines()[0].split("ERROR:", 1)[1].strip()

    def invoice(self) -> str:
        customer = self._some_customers(1)[0]
        items = self._psql.value(
            "select string_agg(id, ',') from (select id from item where type = 'Service'"
            " and active order by id limit 2) i"
        ).split(",")
        lines = [
            {
                "DetailType": "SalesItemLineDetail",
                "Amount": amount,
                "SalesItemLineDetail": {"ItemRef": {"value": item}, "Qty": 1, "UnitPrice": amount},
            }
            for item, amount in zip([items[0], items[-1]], (120.5, 79.5), strict=True)
        ]
        record_id, balance = self._psql.value(
            f"insert into invoice (customer_id, line) values ('{customer}',"
            f" {quoted(json.dumps(lines))}) returning id, balance"
        ).split("|")
        held = self._company.read("Invoice", record_id)
        theirs = (Decimal(str(held["Balance"])), Decimal(str(held["TotalAmt"])))
        expect(Decimal(balance) == theirs[0], f"balance {balance}, the provider says {theirs[0]}")
        stored = self._psql.value(f"select balance from invoice where id = '{record_id}'")
        expect(Decimal(stored) == theirs[0], f"the table says {stored}")
        children = self._psql.value(
            f"select count(*) from invoice_line where invoice_id = '{record_id}'"
            " and sales_item_line_detail_item_id is not null"
        )
        expect(children == "2", f"two lines were expected in invoice_line, not {children}")
        return f"invoice {record_id}, balance {balance} of {theirs[1]}"

    def rollback(self) -> str:
        record_id = self._some_customers(1)[0]
        before = self._company.read("Customer", record_id)["DisplayName"]
        name = f"Rolled Back {time.time_ns()}"
        self._psql.value(
            "begin",
            f"update customer set display_name = {quoted(name)} where id = '{record_id}'",
            f"insert into customer (display_name) values ({quoted(name + ' too')})",
            "rollback",
        )
        after = self._company.read("Customer", record_id)["DisplayName"]
        expect(after == before, f"the provider's customer is {after!r}, it was {before!r}")
        expect(self._display_name(record_id) == before, "the table was changed")
        left = [
            customer["Id"]
            for customer in self._company.all("Customer")
            if customer["DisplayName"].startswith(name) and customer["Active"]
        ]
        expect(not left, f"the inserted customer is still active at the provider: {left}")
        return f"customer {record_id} is {before} again"

    def webhook(self) -> str:
        address = f"http://{self._addresses.web}/webhooks/quickbooks"
        self._company.send_webhooks_to(address, self._addresses.verifier)
        return f"after {self._changed_elsewhere(WEBHOOK_SECONDS):.2f} s"

    def polling(self) -> str:
        self._company.send_webhooks_to(None, self._addresses.verifier)
        seconds = self._changed_elsewhere(self._addresses.poll_seconds + 5)
        return f"after {seconds:.2f} s, polled every {self._addresses.poll_seconds:g} s"

    # -- shared ------------------------------------------------------------------------------

    def _changed_elsewhere(self, limit_seconds: float) -> float:
        """Changes a customer at the provider; seconds until the table shows it."""
        record_id = self._some_customers(1)[0]
        name = f"Changed Elsewhere {time.time_ns()}"
        self._company.change("Customer", record_id, {"DisplayName": name})
        began = time.monotonic()
        while self._display_name(record_id) != name:
            waited = time.monotonic() - began
            expect(waited < limit_seconds, f"not in the table after {waited:.1f} s")
            time.sleep(0.05)
        return time.monotonic() - began

    def _some_customers(self, count: int) -> list[str]:
        ids = self._psql.value(
            f"select string_agg(id, ',') from (select id from customer where active"
            f" order by length(id), id limit {count}) c"
        )
        return ids.split(",")

    def _display_name(self, record_id: str) -> str:
        return self._psql.value(f"select display_name from customer where id = '{record_id}'")


def expect(holds: Any, otherwise: str) -> None:
    """Raises CheckFailed with the words where it does not hold."""
    if not holds:
        raise CheckFailed(otherwise)


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
