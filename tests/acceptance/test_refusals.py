"""What is no write through the proxy is refused, says what to do, and changes nothing."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import psycopg
import pytest
from acceptance.product import VERIFIER, Stack, command


def customers(stack: Stack) -> list[tuple[str, str | None, str | None]]:
    with psycopg.connect(stack.direct) as connection:
        return connection.execute(
            "select id, notes, sync_token from quickbooks.customer order by id"
        ).fetchall()


FUNCTION = """
create function pg_temp.meddle() returns void language sql
as $$ update quickbooks.customer set notes = 'meddled' $$
"""


@pytest.mark.parametrize(
    ("through_proxy", "statements"),
    [
        (False, ["update quickbooks.customer set notes = 'direct'"]),
        (False, ["delete from quickbooks.customer"]),
        (False, ["truncate quickbooks.customer cascade"]),
        (False, ["copy quickbooks.customer (display_name) from program 'echo x'"]),
        (True, [FUNCTION, "select pg_temp.meddle()"]),
        (True, ["do $$ begin update quickbooks.customer set notes = 'do'; end $$"]),
        (True, ["explain analyze update customer set notes = 'explained'"]),
        (True, ["truncate customer"]),
    ],
    ids=lambda value: value[-1][:40] if isinstance(value, list) else None,
)
def test_a_write_that_goes_past_the_engine_is_refused(
    stack: Stack, through_proxy: bool, statements: list[str]
) -> None:
    before, calls = customers(stack), len(stack.simulator.applied())
    url = stack.url if through_proxy else stack.direct
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements[:-1]:
            connection.execute(statement)
        with pytest.raises(psycopg.Error) as refused:
            connection.execute(statements[-1])
        assert refused.value.diag.sqlstate in ("55000", "0A000")
        assert refused.value.diag.message_hint
        assert connection.execute("select 1").fetchone() == (1,)
    assert customers(stack) == before
    assert len(stack.simulator.applied()) == calls


def test_a_reader_reads_and_may_not_write(stack: Stack) -> None:
    calls = len(stack.simulator.applied())
    with psycopg.connect(stack.reader, autocommit=True) as connection:
        assert connection.execute("select count(*) > 0 from customer").fetchone() == (True,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("update customer set notes = 'x' where id = '1'")
    assert len(stack.simulator.applied()) == calls


def test_a_wrong_password_is_refused_and_others_go_on(stack: Stack) -> None:
    with psycopg.connect(stack.url, autocommit=True) as connection:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(stack.url, password="wrong")
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_forged_webhook_is_refused_and_stores_nothing(stack: Stack) -> None:
    body = json.dumps({"eventNotifications": []}).encode()
    request = urllib.request.Request(
        f"http://{stack.web}/webhooks/quickbooks",
        body,
        {"intuit-signature": VERIFIER, "Content-Type": "application/json"},
    )
    query = "select count(*) from sqlsync.inbox where body = %s"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 401
    with psycopg.connect(stack.direct) as connection:
        assert connection.execute(query, [body]).fetchone() == (0,)


def test_wrong_settings_are_one_clear_line(stack: Stack) -> None:
    for settings, word, code in (
        ({"SQLSYNC_PROXY__LISTEN": "nowhere"}, "HOST:PORT", 2),
        ({"SQLSYNC_PROXI__LISTEN": "127.0.0.1:1"}, "SQLSYNC_PROXI__LISTEN", 2),
        ({"SQLSYNC_DATABASE_URL": "mysql://x"}, "database_url", 2),
        ({"SQLSYNC_DATABASE_URL": "postgresql://x:x@127.0.0.1:1/x"}, "cannot be reached", 1),
    ):
        done = command({**stack.environment, **settings}, "status")
        assert done.returncode == code, done.stderr
        assert word in done.stderr
        assert "Traceback" not in done.stderr


def test_a_side_effect_of_a_write_arrives_by_itself(stack: Stack) -> None:
    """A payment changes its invoice and its customer; nobody wrote those."""
    with psycopg.connect(stack.url, autocommit=True) as connection:
        row = connection.execute(
            "select id, customer_id, balance from invoice where balance > 1 order by id limit 1"
        ).fetchone()
        assert row is not None
        invoice, customer, balance = row
        connection.execute(
            "insert into payment (customer_id, total_amt, line) values (%s, 1, %s::jsonb)",
            [
                customer,
                json.dumps(
                    [{"Amount": 1, "LinkedTxn": [{"TxnId": invoice, "TxnType": "Invoice"}]}]
                ),
            ],
        )
        connection.execute("set statement_timeout = '10s'")
        while connection.execute(
            "select balance from invoice where id = %s", [invoice]
        ).fetchone() != (balance - 1,):
            connection.execute("select pg_sleep(0.05)")
