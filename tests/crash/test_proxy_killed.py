"""kill -9 of the proxy process between the provider's answer and COMMIT, at each journal state.

A real proxy, a real client, a simulated company over HTTP. Afterwards another proxy is started,
and then provider and mirror must agree: one effect or none, and nothing left open.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from acceptance.product import command, engine_environment

from sqlsync.embedded import EmbeddedPostgres
from sqlsync.simulators.testing import Simulator, simulator_process

OPEN = "('planned', 'sent', 'acknowledged', 'in_doubt', 'undoing')"
LIMIT_SECONDS = 30


class House:
    """A proxy that can be killed, before a mirror that fills by its own writes."""

    def __init__(self, url: str, environment: dict[str, str], simulator: Simulator) -> None:
        self.url = url
        self.environment = environment
        self.simulator = simulator
        self.proxy: subprocess.Popen[str] | None = None
        self.through = ""

    def start(self) -> None:
        self.proxy = subprocess.Popen(
            [sys.executable, "-m", "sqlsync.cli", "proxy"],
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.proxy.stdout is not None
        word, _, address = self.proxy.stdout.readline().strip().partition("=")
        assert word == "ready proxy", word
        host, _, port = address.rpartition(":")
        self.through = psycopg.conninfo.make_conninfo(self.url, host=host, port=port)

    def kill(self) -> None:
        assert self.proxy is not None
        os.kill(self.proxy.pid, signal.SIGKILL)
        self.proxy.wait(10)

    def in_background(self, *statements: str) -> threading.Thread:
        """A client that will lose its connection."""

        def work() -> None:
            try:
                with psycopg.connect(self.through, autocommit=True) as connection:
                    for statement in statements:
                        connection.execute(statement)
            except psycopg.Error:
                pass

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def journal(self, query: str) -> list[Any]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query).fetchall()

    def until(self, query: str) -> None:
        wait_for(lambda: bool(self.journal(query)), query)

    def until_state(self, state: str) -> None:
        self.until(f"select 1 from sqlsync.journal where state = '{state}'")

    def until_settled(self) -> None:
        wait_for(
            lambda: not self.journal(f"select 1 from sqlsync.journal where state in {OPEN}"),
            "an empty journal",
        )

    def assert_both_sides_agree(self) -> None:
        """Every record that was touched is in the mirror as the provider holds it."""
        for table, entity in (("customer", "Customer"), ("invoice", "Invoice")):
            held = {r["Id"]: r["SyncToken"] for r in self.simulator.records(entity)}

            def mirrored(table: str = table, held: dict[str, str] = held) -> bool:
                rows = self.journal(f"select id, sync_token from quickbooks.{table}")
                return all(held.get(record_id) == token for record_id, token in rows)

            wait_for(mirrored, f"{table}: mirror and provider agree")
            touched = self.journal(
                "select distinct record_id from sqlsync.journal where record_id is not null"
                f" and table_name = '{table}'"
            )
            rows = {row[0] for row in self.journal(f"select id from quickbooks.{table}")}
            for (record_id,) in touched:
                assert (record_id in rows) == (record_id in held), f"{table} {record_id}"


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def base(
    postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    with psycopg.connect(postgres_server.url(), autocommit=True) as admin:
        admin.execute("create database killed")
    url = postgres_server.url("killed")
    with simulator_process(customers=3, invoices=0) as simulator:
        environment = engine_environment(url, tmp_path_factory.mktemp("killed"), simulator)
        for arguments in (
            ["migrate"],
            [
                *("connect", "quickbooks", "--name", "books", "--schema", "quickbooks"),
                *("--company", simulator.realm_id),
                *("--refresh-token", simulator.refresh_token),
            ],
        ):
            done = command(environment, *arguments)
            assert done.returncode == 0, done.stderr
        yield House(url, environment, simulator)


@pytest.fixture
def house(base: House) -> Iterator[House]:
    base.simulator.reset()
    base.start()
    try:
        yield base
    finally:
        if base.proxy is not None and base.proxy.poll() is None:
            base.proxy.terminate()
            base.proxy.wait(20)


@contextmanager
def killed_at(house: House, state: str, *statements: str) -> Iterator[None]:
    """Kills the proxy when the journal shows the state, and starts another."""
    client = house.in_background(*statements)
    house.until_state(state)
    house.kill()
    client.join(20)
    yield
    house.start()
    house.until_settled()
    house.assert_both_sides_agree()


def active(house: House, name: str) -> list[dict[str, Any]]:
    return [
        r
        for r in house.simulator.records("Customer")
        if r["DisplayName"].startswith(name) and r["Active"]
    ]


def new_customer(house: House, name: str) -> str:
    with psycopg.connect(house.through, autocommit=True) as connection:
        row = connection.execute(
            "insert into customer (display_name) values (%s) returning id", [name]
        ).fetchone()
    assert row is not None
    return str(row[0])


def new_invoice(house: House, customer: str) -> str:
    item = next(r["Id"] for r in house.simulator.records("Item") if r["Type"] == "Service")
    line = {
        "DetailType": "SalesItemLineDetail",
        "Amount": 12.5,
        "SalesItemLineDetail": {"ItemRef": {"value": item}},
    }
    with psycopg.connect(house.through, autocommit=True) as connection:
        row = connection.execute(
            "insert into invoice (customer_id, line) values (%s, %s::jsonb) returning id",
            [customer, json.dumps([line])],
        ).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_the_provider_is_asked(house: House, when: str) -> None:
    name = f"Asked {when}"
    house.simulator.trouble("slow", seconds=1.5, when=when, entity="customer")
    with killed_at(house, "sent", f"insert into customer (display_name) values ('{name}')"):
        pass
    assert active(house, name) == []


def test_killed_with_an_answered_insert_in_an_open_block(house: House) -> None:
    with killed_at(
        house,
        "acknowledged",
        "begin",
        "insert into customer (display_name) values ('Answered')",
        "select pg_sleep(1)",
    ):
        pass
    assert active(house, "Answered") == []


def test_killed_with_an_answered_update_in_an_open_block(house: House) -> None:
    record_id = new_customer(house, "Updated and killed")
    with killed_at(
        house,
        "acknowledged",
        "begin",
        f"update customer set notes = 'never committed' where id = '{record_id}'",
        "select pg_sleep(1)",
    ):
        assert house.simulator.record("Customer", record_id)["Notes"] == "never committed"  # type: ignore[index]
    assert not (house.simulator.record("Customer", record_id) or {}).get("Notes")


def test_killed_with_a_delete_that_waits_for_commit(house: House) -> None:
    invoice = new_invoice(house, new_customer(house, "Delete waits"))
    with killed_at(
        house,
        "planned",
        "begin",
        f"delete from invoice where id = '{invoice}'",
        "select pg_sleep(1)",
    ):
        pass
    assert house.simulator.record("Invoice", invoice) is not None
    assert house.journal(f"select 1 from quickbooks.invoice where id = '{invoice}'")


def test_killed_while_a_delete_is_carried_out_at_commit(house: House) -> None:
    invoice = new_invoice(house, new_customer(house, "Delete sent"))
    house.simulator.trouble("slow", seconds=1.5, when="after", entity="invoice")
    with killed_at(house, "sent", "begin", f"delete from invoice where id = '{invoice}'", "commit"):
        pass
    assert house.simulator.record("Invoice", invoice) is None
    wait_for(
        lambda: not house.journal(f"select 1 from quickbooks.invoice where id = '{invoice}'"),
        "the deleted invoice to leave the table",
    )


def test_killed_while_a_rolled_back_write_is_undone(house: House) -> None:
    record_id = new_customer(house, "Undone and killed")
    client = psycopg.connect(house.through)
    client.execute(f"update customer set notes = 'rolled back' where id = '{record_id}'")
    house.simulator.trouble("slow", seconds=1.5, when="after", operation="update")
    rolling = threading.Thread(target=lambda: _quietly(client.rollback))
    rolling.start()
    house.until_state("undoing")
    house.kill()
    rolling.join(20)
    house.start()
    house.until_settled()
    house.assert_both_sides_agree()
    assert not (house.simulator.record("Customer", record_id) or {}).get("Notes")


def test_killed_at_any_moment_of_a_write(house: House) -> None:
    """Six inserts, the proxy killed a little later in each: one effect or none."""
    for attempt in range(6):
        name = f"Any moment {attempt}"
        client = house.in_background(f"insert into customer (display_name) values ('{name}')")
        time.sleep(0.006 * attempt)
        house.kill()
        client.join(20)
        house.start()
        house.until_settled()
        mirrored = house.journal(
            f"select id from quickbooks.customer where display_name = '{name}'"
        )
        assert len(active(house, name)) == len(mirrored) <= 1
    house.assert_both_sides_agree()


def test_a_stop_lets_the_write_in_flight_finish(house: House) -> None:
    """SIGTERM: who writes gets the answer, an open block is rolled back, nobody new comes in."""
    assert house.proxy is not None
    kept = new_customer(house, "Kept by the stop")
    house.simulator.trouble("slow", seconds=1.5, when="after", entity="customer", times=1)
    answers: list[str] = []

    def write() -> None:
        with psycopg.connect(house.through, autocommit=True) as connection:
            answers.append(
                connection.execute(
                    "insert into customer (display_name) values ('Finished')"
                ).statusmessage
                or ""
            )

    writing = threading.Thread(target=write)
    writing.start()
    house.until_state("sent")
    with psycopg.connect(house.through) as idle:
        idle.execute(f"update customer set notes = 'in a block' where id = '{kept}'")
        house.proxy.terminate()
        writing.join(20)
        assert house.proxy.wait(30) == 0
        assert answers == ["INSERT 0 1"]
        with pytest.raises(psycopg.OperationalError):
            idle.execute("select 1")
    assert len(active(house, "Finished")) == 1
    house.start()
    house.until_settled()
    house.assert_both_sides_agree()
    assert not (house.simulator.record("Customer", kept) or {}).get("Notes")


def _quietly(call: Callable[[], object]) -> None:
    try:
        call()
    except psycopg.Error:
        pass
