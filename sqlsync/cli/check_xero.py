"""The session over a Xero organisation that `sqlsync demo --check` runs.

Every check looks at both sides: the tables through psql, the books in the simulator.
"""

from __future__ import annotations

import json
import time
from decimal import Decimal

from sqlsync.cli.checking import Awaited, Psql, expect, quoted
from sqlsync.cli.simulated import SimulatedOrganisation

MISSING_ID = "99999999-9999-4999-8999-999999999999"


class XeroChecks:
    """Each returns what it saw, in a few words, or raises CheckFailed."""

    def __init__(self, psql: Psql, organisation: SimulatedOrganisation) -> None:
        self._psql = psql
        self._organisation = organisation

    def update(self) -> str:
        record_id, _ = self._contacts()
        self._psql.value(f"update xero.contact set first_name = 'Ada' where id = '{record_id}'")
        ours = self._first_name(record_id)
        theirs = self._organisation.read("contact", record_id).get("FirstName")
        expect(ours == theirs == "Ada", f"table {ours!r}, provider {theirs!r}")
        return f"contact {record_id} has the first name {ours} on both sides"

    def refusals(self) -> str:
        first, second = self._contacts()
        held = self._organisation.read("contact", second)
        taken = quoted(self._organisation.read("contact", first)["Name"])
        self._psql.refusal(
            f"update xero.contact set first_name = 'x' where id = '{MISSING_ID}'",
            f"ERROR:  P0002: [Xero] Contact `{MISSING_ID}` not found",
        )
        said = self._psql.refusal(
            f"update xero.contact set name = {taken} where id = '{second}'", "ERROR:  23505: [Xero]"
        )
        expect(self._organisation.read("contact", second) == held, "the provider changed")
        ours = self._psql.value(f"select name from xero.contact where id = '{second}'")
        expect(ours == held["Name"], "the table was changed")
        return said

    def invoice(self) -> str:
        lines = [
            {"Description": text, "Quantity": 2, "UnitAmount": amount, "AccountCode": "200"}
            for text, amount in (("Roasting class", 120.5), ("Beans", 19.95))
        ]
        record_id, total = self._psql.value(
            "insert into xero.invoice (type, contact_id, due_date, status, line_items) values"
            f" ('ACCREC', '{self._contacts()[0]}', current_date + 30, 'AUTHORISED',"
            f" {quoted(json.dumps(lines))}) returning id, total"
        ).split("|")
        held = self._organisation.read("invoice", record_id)
        theirs = Decimal(str(held["Total"]))
        expect(Decimal(total) == theirs, f"total {total}, the provider says {theirs}")
        summed = self._psql.value(
            "select sum(line_amount + tax_amount), count(*) from xero.invoice_line_item"
            f" where invoice_id = '{record_id}'"
        )
        expect(summed == f"{total}|2", f"two lines of {total} were expected, not {summed}")
        self._psql.value(f"update xero.invoice set status = 'VOIDED' where id = '{record_id}'")
        status = self._organisation.read("invoice", record_id)["Status"]
        expect(status == "VOIDED", f"the provider says {status!r}")
        return f"{held['InvoiceNumber']}, total {total}, then {status}"

    def rollback(self) -> str:
        record_id, _ = self._contacts()
        before = self._organisation.read("contact", record_id).get("FirstName", "")
        name = f"Rolled Back {time.time_ns()}"
        self._psql.value(
            "begin",
            f"update xero.contact set first_name = 'Moved' where id = '{record_id}'",
            f"insert into xero.contact (name) values ({quoted(name)})",
            "rollback",
        )
        after = self._organisation.read("contact", record_id).get("FirstName", "")
        expect(after == before, f"the provider's contact is {after!r}, it was {before!r}")
        expect(self._first_name(record_id) == before, "the table was changed")
        left = [
            contact["ContactID"]
            for contact in self._organisation.all("contact")
            if contact["Name"] == name and contact["ContactStatus"] == "ACTIVE"
        ]
        expect(not left, f"the inserted contact is still active at the provider: {left}")
        return f"contact {record_id} is {before} again"

    def change_elsewhere(self) -> Awaited:
        """Changes a contact at the provider; gives what the table is to show."""
        record_id, _ = self._contacts()
        name = f"Elsewhere {time.time_ns()}"
        self._organisation.change("contact", {"ContactID": record_id, "FirstName": name})
        return Awaited(f"select first_name from xero.contact where id = '{record_id}'", name)

    def _contacts(self) -> tuple[str, str]:
        """Two that are active."""
        first, second = self._psql.value(
            "select string_agg(id, ',') from (select id from xero.contact"
            " where contact_status = 'ACTIVE' order by name, id limit 2) c"
        ).split(",")
        return first, second

    def _first_name(self, record_id: str) -> str:
        return self._psql.value(f"select first_name from xero.contact where id = '{record_id}'")
