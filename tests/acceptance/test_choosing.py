"""What is synced is chosen with SQL through the proxy, and writes go by it at once."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from acceptance.product import Stack, command


@pytest.fixture
def admin(stack: Stack) -> Iterator[psycopg.Connection]:
    added = command(stack.environment, "user", "add", "chooses", "--write", "--admin")
    assert added.returncode == 0, added.stderr
    with psycopg.connect(added.stdout.strip(), autocommit=True) as connection:
        yield connection
        connection.execute("update _sync_column set enabled = true where not enabled")
        connection.execute("update _sync_object set enabled = true where not enabled")


def test_a_column_comes_and_goes_and_writes_go_by_what_is_there(
    stack: Stack, admin: psycopg.Connection
) -> None:
    columns = ["fax_free_form_number", "notes"]
    admin.execute("update customer set notes = 'before' where id = '2'")
    off = (
        "update _sync_column set enabled = false"
        " where table_name = 'customer' and column_name = any(%s)"
    )
    admin.execute(off, [columns])
    # Every output of this statement is asked for anew, by place.
    found = admin.execute(
        "update customer set family_name = 'Chosen' where id = '2' returning 1 as one, *"
    )
    row = dict(zip((c.name for c in found.description or ()), found.fetchone() or (), strict=True))
    assert (row["one"], row["family_name"]) == (1, "Chosen")
    assert not set(columns) & set(row)
    assert row["raw"]["Notes"] == "before"
    calls = len(stack.simulator.applied())
    with pytest.raises(psycopg.errors.UndefinedColumn):
        admin.execute("update customer set notes = 'gone' where id = '2'")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        admin.execute("insert into customer (display_name, notes) values ('x', 'gone')")
    assert len(stack.simulator.applied()) == calls

    admin.execute("select sqlsync.enable_columns('books', 'customer', variadic %s)", [columns])
    filling = "select bool_or(filling) from _sync_column where table_name = 'customer'"
    deadline = time.monotonic() + 20
    while admin.execute(filling).fetchone() != (False,):
        assert time.monotonic() < deadline, "the worker does not fill"
        time.sleep(0.05)
    note = admin.execute(
        "update customer set family_name = 'Again' where id = '2' returning *, 1 as one"
    )
    names = [c.name for c in note.description or ()]
    assert set(names[-3:-1]) == set(columns)
    row = dict(zip(names, note.fetchone() or (), strict=True))
    assert (row["notes"], row["one"]) == ("before", 1)


def test_what_a_write_needs_and_is_switched_off_is_said(admin: psycopg.Connection) -> None:
    admin.execute("select sqlsync.disable_columns('books', 'invoice', 'customer_id')")
    with pytest.raises(psycopg.errors.NotNullViolation) as refused:
        admin.execute("insert into invoice (doc_number, line) values ('1', '[]')")
    assert refused.value.diag.column_name == "customer_id"
    assert "switched off" in str(refused.value.diag.message_hint)


def test_an_object_that_is_off_takes_no_write_and_catches_up(
    stack: Stack, admin: psycopg.Connection
) -> None:
    admin.execute("update _sync_object set enabled = false where name = 'Vendor'")
    calls = len(stack.simulator.applied())
    for statement in (
        "update vendor set acct_num = 'x' where id = '1'",
        "update vendor set acct_num = 'x' where id = 'nobody'",
        "insert into vendor (display_name) values ('x')",
    ):
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as refused:
            admin.execute(statement)
        assert "sqlsync.enable_object('books', 'vendor')" in str(refused.value.diag.message_hint)
    assert len(stack.simulator.applied()) == calls
    admin.execute("update _sync_object set enabled = true where name = 'Vendor'")
    deadline = time.monotonic() + 20
    state = "select state from _sync_cdc where object = 'vendor'"
    while admin.execute(state).fetchone() != ("live",):
        assert time.monotonic() < deadline, "the vendors are not read anew"
        time.sleep(0.05)


def test_a_union_view_is_read_and_never_written(stack: Stack, admin: psycopg.Connection) -> None:
    admin.execute("select sqlsync.make_union('quickbooks', 'together')")
    found = admin.execute("select distinct connection from together.all_customer").fetchall()
    assert found == [("books",)]
    calls = len(stack.simulator.applied())
    for _ in range(2):  # before and after the proxy has heard of the view
        for statement in (
            "update together.all_customer set notes = 'x' where id = '1'",
            "update together.all_customer set notes = 'x' returning id, notes",
            "insert into together.all_customer (display_name) values ('x')",
            "delete from together.all_customer where id = '1'",
        ):
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as refused:
                admin.execute(statement)
            assert "quickbooks.customer" in str(refused.value.diag.message_hint)
        time.sleep(2.2)  # the names are read anew every two seconds
    assert len(stack.simulator.applied()) == calls
    admin.execute("select sqlsync.drop_union('quickbooks', 'together')")
