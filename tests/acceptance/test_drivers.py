"""The same session with the drivers and the ORM that people use."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import asyncpg
import psycopg
import pytest
from acceptance.product import Stack
from sqlalchemy import Numeric, String, create_engine, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

MISSING = "[QuickBooks] Customer `999999999` not found"


def lines(item: str, *amounts: str) -> str:
    return json.dumps(
        [
            {
                "DetailType": "SalesItemLineDetail",
                "Amount": float(amount),
                "SalesItemLineDetail": {"ItemRef": {"value": item}},
            }
            for amount in amounts
        ]
    )


class Names:
    """Display names are unique in the whole company, so each test takes new ones."""

    count = 0

    @classmethod
    def new(cls, prefix: str = "Customer") -> str:
        cls.count += 1
        return f"{prefix} {cls.count} of the drivers"


@pytest.fixture
def item(stack: Stack) -> str:
    with psycopg.connect(stack.url) as connection:
        row = connection.execute("select id from item where type = 'Service' limit 1").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("cursor", [psycopg.Cursor, psycopg.ClientCursor, psycopg.RawCursor])
def test_psycopg_writes_and_reads_its_writes(
    stack: Stack, item: str, cursor: type[psycopg.Cursor[Any]]
) -> None:
    one, two = ("$1", "$2") if cursor is psycopg.RawCursor else ("%s", "%s")
    with psycopg.connect(stack.url, autocommit=True, cursor_factory=cursor) as connection:
        name = Names.new()
        found = connection.execute(
            f"insert into customer (display_name, company_name) values ({one}, {two})"
            " returning id, balance, sync_token",
            [name, "Drivers Ltd"],
        ).fetchone()
        assert found is not None
        record_id = found[0]
        assert found[1:] == (Decimal(0), "0")
        assert stack.fresh("Customer", record_id)["DisplayName"] == name
        changed = connection.execute(
            f"update customer set company_name = {one} where id = {two}", ["Changed", record_id]
        )
        assert (changed.rowcount, changed.statusmessage) == (1, "UPDATE 1")
        assert stack.fresh("Customer", record_id)["CompanyName"] == "Changed"
        row = connection.execute(
            f"select company_name, sync_token from customer where id = {one}", [record_id]
        ).fetchone()
        assert row == ("Changed", "1")
        invoice = connection.execute(
            f"insert into invoice (customer_id, line) values ({one}, {two}::jsonb)"
            " returning id, balance, total_amt",
            [record_id, lines(item, "120.50", "79.50")],
        ).fetchone()
        assert invoice is not None
        assert invoice[1:] == (Decimal("200.00"), Decimal("200.00"))


def test_psycopg_gets_standard_errors(stack: Stack) -> None:
    with psycopg.connect(stack.url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.NoDataFound, match="999999999") as missing:
            connection.execute("update customer set notes = 'x' where id = '999999999'")
        assert missing.value.diag.message_primary == MISSING
        name = Names.new()
        connection.execute("insert into customer (display_name) values (%s)", [name])
        before = len(stack.simulator.records("Customer"))
        with pytest.raises(psycopg.errors.UniqueViolation) as duplicate:
            connection.execute("insert into customer (display_name) values (%s)", [name])
        assert duplicate.value.diag.message_primary.startswith("[QuickBooks] Customer")
        assert len(stack.simulator.records("Customer")) == before
        with pytest.raises(psycopg.errors.GeneratedAlways):
            connection.execute("update customer set balance = 1 where display_name = %s", [name])
        for column in ("created_at", "updated_at"):  # which some ORMs fill by themselves
            with pytest.raises(psycopg.errors.GeneratedAlways, match=column):
                connection.execute(
                    f"insert into customer (display_name, {column}) values (%s, now())",
                    [Names.new()],
                )
        with pytest.raises(psycopg.errors.NotNullViolation):
            connection.execute("insert into invoice (customer_id) values ('1')")
        assert connection.execute("select 1").fetchone() == (1,)


def test_psycopg_pipeline_sends_several_writes_ahead(stack: Stack) -> None:
    first, second = Names.new(), Names.new()
    with psycopg.connect(stack.url, autocommit=True) as connection, connection.pipeline():
        insert = "insert into customer (display_name) values (%s) returning id, display_name"
        one = connection.execute(insert, [first])
        two = connection.execute(insert, [second])
        count = connection.execute(
            "select count(*) from customer where display_name in (%s, %s)", [first, second]
        )
        found = [one.fetchone(), two.fetchone()]
        assert count.fetchone() == (2,)
    assert [row[1] for row in found if row] == [first, second]
    assert all(stack.fresh("Customer", row[0])["Active"] for row in found if row)


def test_rollback_leaves_the_provider_as_it_was(stack: Stack) -> None:
    with psycopg.connect(stack.url) as connection:
        row = connection.execute("select id, notes from customer order by id limit 1").fetchone()
        assert row is not None
        record_id, notes = row
        name = Names.new()
        connection.execute("update customer set notes = 'draft' where id = %s", [record_id])
        made = connection.execute(
            "insert into customer (display_name) values (%s) returning id", [name]
        ).fetchone()
        assert made is not None
        assert stack.fresh("Customer", record_id)["Notes"] == "draft"
        connection.rollback()
        assert stack.fresh("Customer", record_id).get("Notes") == notes
        assert stack.fresh("Customer", made[0])["Active"] is False
        states = connection.execute(
            "select distinct state from _sync_write where state not in"
            " ('mirrored', 'undone', 'refused', 'dropped')"
        ).fetchall()
        assert states == []


def test_savepoints_undo_their_own_writes_alone(stack: Stack) -> None:
    kept, undone = Names.new("Kept"), Names.new("Undone")
    with psycopg.connect(stack.url) as connection:
        insert = "insert into customer (display_name) values (%s) returning id"
        first = connection.execute(insert, [kept]).fetchone()
        connection.execute("savepoint s")
        second = connection.execute(insert, [undone]).fetchone()
        connection.execute("rollback to s")
        connection.commit()
        assert first is not None
        assert second is not None
        assert stack.fresh("Customer", first[0])["Active"] is True
        assert stack.fresh("Customer", second[0])["Active"] is False


def test_a_hard_delete_waits_for_commit(stack: Stack, item: str) -> None:
    with psycopg.connect(stack.url) as connection:
        row = connection.execute(
            "insert into invoice (customer_id, line) values ('1', %s::jsonb) returning id",
            [lines(item, "10")],
        ).fetchone()
        assert row is not None
        connection.commit()
        assert connection.execute("delete from invoice where id = %s", [row[0]]).rowcount == 1
        assert connection.execute("select 1 from invoice where id = %s", [row[0]]).rowcount == 0
        stack.fresh("Invoice", row[0])
        connection.rollback()
        assert connection.execute("select 1 from invoice where id = %s", [row[0]]).rowcount == 1
        connection.execute("delete from invoice where id = %s", [row[0]])
        connection.commit()
        assert stack.simulator.record("Invoice", row[0]) is None


async def test_asyncpg_writes_with_binary_parameters(stack: Stack, item: str) -> None:
    connection = await asyncpg.connect(stack.url)
    try:
        name = Names.new()
        record_id = await connection.fetchval(
            "insert into customer (display_name, notes) values ($1, $2) returning id", name, "é"
        )
        assert stack.fresh("Customer", record_id)["Notes"] == "é"
        assert (
            await connection.execute(
                "update customer set notes = $1 where id = $2", "two", record_id
            )
            == "UPDATE 1"
        )
        row = await connection.fetchrow(
            "insert into invoice (customer_id, txn_date, line) values ($1, $2::date, $3::jsonb)"
            " returning id, balance, txn_date",
            record_id,
            __import__("datetime").date(2026, 3, 1),
            lines(item, "1.10", "2.20"),
        )
        assert row["balance"] == Decimal("3.30")
        with pytest.raises(asyncpg.exceptions.NoDataFoundError, match="not found"):
            await connection.execute("update customer set notes = $1 where id = '999999999'", "x")
        async with connection.transaction():
            await connection.executemany(
                "update customer set notes = $1 where id = $2",
                [("three", record_id), ("four", record_id)],
            )
        assert stack.fresh("Customer", record_id)["Notes"] == "four"
        with pytest.raises(ZeroDivisionError):
            async with connection.transaction():
                await connection.execute(
                    "update customer set notes = $1 where id = $2", "five", record_id
                )
                raise ZeroDivisionError
        assert stack.fresh("Customer", record_id)["Notes"] == "four"
    finally:
        await connection.close()


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customer"
    id: Mapped[str] = mapped_column(String, primary_key=True, server_default=func.now())
    display_name: Mapped[str]
    notes: Mapped[str | None]
    balance: Mapped[Decimal | None] = mapped_column(Numeric, server_default=func.now())
    sync_token: Mapped[str | None] = mapped_column(String, server_default=func.now())


class Invoice(Base):
    __tablename__ = "invoice"
    id: Mapped[str] = mapped_column(String, primary_key=True, server_default=func.now())
    customer_id: Mapped[str]
    line: Mapped[list[Any]] = mapped_column(JSONB)
    total_amt: Mapped[Decimal | None] = mapped_column(Numeric, server_default=func.now())


@pytest.mark.parametrize("driver", ["psycopg"])
def test_sqlalchemy_objects_are_made_changed_and_removed(
    stack: Stack, item: str, driver: str
) -> None:
    engine = create_engine(stack.url.replace("postgresql://", f"postgresql+{driver}://"))
    try:
        with Session(engine) as session:
            names = [Names.new("Orm") for _ in range(3)]
            made = [Customer(display_name=name) for name in names]
            session.add_all(made)
            session.commit()
            ids = [customer.id for customer in made]
            assert [stack.fresh("Customer", i)["DisplayName"] for i in ids] == names
            made[0].notes = "from the ORM"
            session.commit()
            assert stack.fresh("Customer", ids[0])["Notes"] == "from the ORM"
            invoice = Invoice(customer_id=ids[0], line=json.loads(lines(item, "40", "2")))
            session.add(invoice)
            session.commit()
            assert invoice.total_amt == Decimal(42)
            session.delete(invoice)
            session.commit()
            assert stack.simulator.record("Invoice", invoice.id) is None
            session.add(Customer(display_name=names[1]))
            with pytest.raises(IntegrityError):
                session.commit()
            session.rollback()
            found = session.scalars(select(Customer).where(Customer.display_name.in_(names)))
            assert {customer.id for customer in found} == set(ids)
    finally:
        engine.dispose()
