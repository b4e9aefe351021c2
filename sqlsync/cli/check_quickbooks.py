"""The session over a QuickBooks company that `sqlsync demo --check` runs.

Every check looks at both sides: the tables through psql, the company in the simulator's books.
"""

from __future__ import annotations

import json
import time
from decimal import Decimal

from sqlsync.cli.checking import Awaited, Psql, expect, quoted
from sqlsync.cli.simulated import SimulatedCompany

TABLES = (
    *("_sync_cdc", "account", "bill_payment", "customer", "employee", "invoice", "item"),
    *("payment", "purchase_order", "vendor"),
)
MISSING_ID = "999999999"


class QuickBooksChecks:
    """Each returns what it saw, in a few words, or raises CheckFailed."""

    def __init__(self, psql: Psql, company: SimulatedCompany) -> None:
        self._psql = psql
        self._company = company

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
        said = self._psql.refusal(
            f"update customer set display_name = {quoted(taken)} where id = '{second}'",
            "ERROR:  23505:",
        )
        held = self._company.read("Customer", second)
        expect(self._display_name(second) == before, "the table was changed")
        expect((held["DisplayName"], held["SyncToken"]) == (before, token), "the provider changed")
        return said

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

    def change_elsewhere(self) -> Awaited:
        """Changes a customer at the provider; gives what the table is to show."""
        record_id = self._some_customers(1)[0]
        name = f"Changed Elsewhere {time.time_ns()}"
        self._company.change("Customer", record_id, {"DisplayName": name})
        return Awaited(f"select display_name from customer where id = '{record_id}'", name)

    # -- shared ------------------------------------------------------------------------------

    def _some_customers(self, count: int) -> list[str]:
        ids = self._psql.value(
            f"select string_agg(id, ',') from (select id from customer where active"
            f" order by length(id), id limit {count}) c"
        )
        return ids.split(",")

    def _display_name(self, record_id: str) -> str:
        return self._psql.value(f"select display_name from customer where id = '{record_id}'")
