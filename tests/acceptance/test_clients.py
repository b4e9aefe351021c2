"""What ORMs write by themselves, and what clients do on tables that are not mirrored.

SQLAlchemy with psycopg and asyncpg, and psql, are run always; Django, pg8000, psycopg2, node's
pg and Java's pgjdbc where they are installed, which the reason of a skip says.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import psycopg
import pytest
from acceptance.product import Stack
from sqlalchemy import (
    Connection,
    FetchedValue,
    String,
    create_engine,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.exc import StaleDataError

from sqlsync.embedded_binaries import find_binaries


def needed(module: str) -> Any:
    """An optional client; without it the test is skipped, and says what was not tried."""
    try:
        return importlib.import_module(module)
    except ImportError:
        pytest.skip(f"{module} is not installed: this client was NOT tried through the proxy")


def given() -> Any:
    return mapped_column(String, server_default=FetchedValue(), server_onupdate=FetchedValue())


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customer"
    id: Mapped[str] = mapped_column(String, primary_key=True, server_default=FetchedValue())
    display_name: Mapped[str]
    notes: Mapped[str | None]
    active: Mapped[bool | None] = mapped_column(server_default=FetchedValue())
    sync_token: Mapped[str | None] = given()


class Vendor(Base):
    __tablename__ = "vendor"
    id: Mapped[str] = mapped_column(String, primary_key=True, server_default=FetchedValue())
    display_name: Mapped[str]
    sync_token: Mapped[str] = given()
    __mapper_args__ = {"version_id_col": sync_token, "version_id_generator": False}  # noqa: RUF012


def write_as_an_orm_does(connection: Connection) -> None:
    """One walk through the unit of work; each step reads what the one before wrote."""
    tag = uuid4().hex[:8]

    def named(pattern: str) -> Any:
        return Customer.display_name.like(f"{tag} {pattern}%")

    with Session(connection) as session:
        made = [Customer(display_name=f"{tag} bulk {n}") for n in range(4)]
        session.add_all(made)
        session.commit()
        assert [c.display_name for c in made] == [f"{tag} bulk {n}" for n in range(4)]
        ids = [c.id for c in made]
        assert not any(record_id.startswith("new:") for record_id in ids)
        tokens = [c.sync_token for c in made]
        for n, customer in enumerate(made):
            customer.notes = f"note {n}"
        session.commit()
        assert [c.notes for c in made] == [f"note {n}" for n in range(4)]
        assert all(c.sync_token != token for c, token in zip(made, tokens, strict=True))

        rows = [{"display_name": f"{tag} core {n}"} for n in range(3)]
        statement = insert(Customer).returning(Customer.display_name, sort_by_parameter_order=True)
        assert list(session.scalars(statement, rows)) == [row["display_name"] for row in rows]
        session.execute(insert(Customer), [{"display_name": f"{tag} many {n}"} for n in range(2)])
        session.commit()

        session.execute(update(Customer), [{"id": i, "notes": "by key"} for i in ids])
        changed = update(Customer).where(named("core")).values(notes=Customer.display_name + "!")
        found = session.scalars(changed.returning(Customer)).all()
        assert [c.notes for c in found] == [c.display_name + "!" for c in found]
        session.commit()
        session.merge(Customer(id=ids[0], notes="merged"))
        row = upsert(Customer).values(id=ids[1], display_name=f"{tag} bulk 1", notes="upserted")
        replaced = row.on_conflict_do_update(
            index_elements=[Customer.id], set_={"notes": row.excluded.notes}
        )
        assert session.scalars(replaced.returning(Customer.notes)).one() == "upserted"
        assert session.execute(row.on_conflict_do_nothing().returning(Customer.id)).all() == []
        session.commit()
        locked = select(Customer).where(Customer.id == ids[0]).with_for_update()
        assert session.scalars(locked).one().notes == "merged"
        with pytest.raises(ZeroDivisionError), session.begin_nested():
            session.execute(update(Customer).where(Customer.id == ids[0]).values(notes="undone"))
            raise ZeroDivisionError
        with pytest.raises(IntegrityError), session.begin_nested():
            session.add(Customer(display_name=f"{tag} bulk 1"))
            session.flush()
        session.commit()
        assert session.scalar(select(Customer.notes).where(Customer.id == ids[0])) == "merged"
        session.delete(made[2])
        session.execute(delete(Customer).where(named("many")))
        session.commit()
        gone = select(func.count()).where(named(""), Customer.active.is_(False))
        assert session.scalar(gone) == 3  # customers become inactive, the rows stay

        vendor = Vendor(display_name=f"{tag} version")
        session.add(vendor)
        session.commit()
        token = vendor.sync_token
        vendor.display_name = f"{tag} version 2"
        session.commit()
        assert vendor.sync_token != token
        stale = update(Vendor).where(Vendor.id == vendor.id).values(display_name=f"{tag} version 3")
        session.execute(stale.execution_options(synchronize_session=False))
        vendor.display_name = f"{tag} version 4"
        with pytest.raises(StaleDataError):
            session.flush()
        session.rollback()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
def test_sqlalchemys_own_write_patterns(stack: Stack, driver: str) -> None:
    needed(driver)
    engine = create_engine(stack.url.replace("postgresql://", f"postgresql+{driver}://"))
    try:
        with engine.connect() as connection:
            write_as_an_orm_does(connection)
    finally:
        engine.dispose()


async def test_sqlalchemys_own_write_patterns_with_asyncpg(stack: Stack) -> None:
    needed("greenlet")  # SQLAlchemy's asyncio part
    engine = needed("sqlalchemy.ext.asyncio").create_async_engine(
        stack.url.replace("postgresql://", "postgresql+asyncpg://")
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(write_as_an_orm_does)
    finally:
        await engine.dispose()


def test_django_models_are_made_changed_and_removed(stack: Stack) -> None:
    needed("django")
    done = subprocess.run(
        [sys.executable, "-c", DJANGO],
        env={**os.environ, "SQLSYNC_URL": stack.url},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


DJANGO = """
import os, uuid
from urllib.parse import urlsplit
import django
from django.conf import settings
url = urlsplit(os.environ["SQLSYNC_URL"])
settings.configure(USE_TZ=True, DATABASES={"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": url.path[1:], "USER": url.username,
    "PASSWORD": url.password, "HOST": url.hostname, "PORT": url.port}})
django.setup()
from django.db import IntegrityError, models, transaction
class Customer(models.Model):
    id = models.TextField(primary_key=True, db_default=models.Value("given"))
    display_name = models.TextField()
    notes = models.TextField(null=True)
    class Meta:
        managed, db_table, app_label = False, "customer", "books"
tag, all_of = uuid.uuid4().hex[:8], Customer.objects
one = all_of.create(display_name=tag)
one.notes = "saved"
one.save()
assert all_of.get(id=one.id).notes == "saved"
assert all_of.get_or_create(display_name=tag)[1] is False
all_of.update_or_create(display_name=tag, defaults={"notes": "again"})
all_of.bulk_create([Customer(display_name=f"{tag} {n}") for n in range(3)])
many = list(all_of.filter(display_name__startswith=tag))
for n, customer in enumerate(many):
    customer.notes = f"n{n}"
assert all_of.bulk_update(many, ["notes"]) == 4
with transaction.atomic():
    locked = all_of.select_for_update().get(id=one.id)
    try:
        with transaction.atomic():
            all_of.create(display_name=tag)
    except IntegrityError:
        locked.notes = "kept"
        locked.save(update_fields=["notes"])
try:
    with transaction.atomic():
        all_of.filter(id=one.id).update(notes="undone")
        raise ZeroDivisionError
except ZeroDivisionError:
    assert all_of.get(id=one.id).notes == "kept"
assert all_of.filter(display_name__startswith=tag + " ").delete()[0] == 3
"""


def test_nodes_pg_sends_queries_ahead(stack: Stack) -> None:
    node = shutil.which("node")
    if (
        node is None
        or subprocess.run([node, "-e", "require('pg')"], capture_output=True).returncode
    ):
        pytest.skip("node with the package pg is not there: it was NOT tried through the proxy")
    done = subprocess.run(
        [node, "-e", NODE],
        env={**os.environ, "SQLSYNC_URL": stack.url},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


NODE = """
const { Client } = require('pg'), assert = require('assert');
(async () => {
  const client = new Client(process.env.SQLSYNC_URL), tag = 'node ' + Date.now();
  await client.connect();
  const made = await client.query(
    'insert into customer (display_name) values ($1) returning id', [tag]);
  const id = made.rows[0].id, set = 'update customer set notes = $1 where id = $2 returning notes';
  const all = await Promise.allSettled([
    client.query({ name: 's', text: set, values: ['one', id] }),
    client.query('select notes from customer where id = $1', [id]),
    client.query('insert into customer (display_name) values ($1)', [tag]),
    client.query({ name: 's', text: set, values: ['two', id] })]);
  assert.equal(all[1].value.rows[0].notes, 'one');
  assert.equal(all[2].reason.code, '23505');
  assert.equal(all[3].value.rows[0].notes, 'two');
  await client.end();
})().catch(error => { console.error(error); process.exit(1); });
"""


def test_jdbc_prepares_batches_and_rolls_back_as_it_does_by_itself(
    stack: Stack, tmp_path: Path
) -> None:
    """In each of its query modes: server-prepared with binary results, simple, with autosave."""
    java, jar = shutil.which("java"), Path("/usr/share/java/postgresql.jar")
    if java is None or not jar.exists():
        pytest.skip("java with pgjdbc is not there: it was NOT tried through the proxy")
    (tmp_path / "Jdbc.java").write_text(JDBC)
    parts = urlsplit(stack.url)
    url = f"jdbc:postgresql://{parts.hostname}:{parts.port}{parts.path}"
    done = subprocess.run(
        [
            *(java, "-XX:TieredStopAtLevel=1", "-cp", str(jar), "Jdbc.java", url),
            *(parts.username or "", unquote(parts.password or "")),
        ],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["done"] * 3


JDBC = """
import java.sql.*;
import java.util.*;

public class Jdbc {
  static Connection c;
  static void is(Object found, Object wanted) {
    if (!wanted.equals(found)) throw new IllegalStateException(found + " is not " + wanted);
  }
  static PreparedStatement with(String sql, String... values) throws SQLException {
    PreparedStatement s = c.prepareStatement(sql);
    for (int i = 0; i < values.length; i++) s.setString(i + 1, values[i]);
    return s;
  }
  static String notes(String id) throws SQLException {
    ResultSet r = with("select notes from customer where id = ?", id).executeQuery();
    r.next();
    return r.getString(1);
  }
  public static void main(String[] a) throws Exception {
    String[] modes = {"prepareThreshold=2&binaryTransfer=true", "preferQueryMode=simple",
        "reWriteBatchedInserts=true&autosave=always&prepareThreshold=-1"};
    for (String mode : modes) {
      c = DriverManager.getConnection(a[0] + "?" + mode, a[1], a[2]);
      String tag = "jdbc " + UUID.randomUUID(), id;
      PreparedStatement insert = c.prepareStatement(
          "insert into customer (display_name) values (?)", new String[] {"id", "balance"});
      insert.setString(1, tag);
      insert.executeUpdate();
      ResultSet keys = insert.getGeneratedKeys();
      keys.next();
      id = keys.getString(1);
      is(keys.getBigDecimal(2).signum(), 0);
      PreparedStatement set = c.prepareStatement("update customer set notes = ? where id = ?");
      for (int i = 0; i < 4; i++) {
        set.setString(1, "n" + i);
        set.setString(2, id);
        is(set.executeUpdate(), 1);
        is(notes(id), "n" + i);
      }
      for (int i = 0; i < 3; i++) {
        insert.setString(1, tag + " batch " + i);
        insert.addBatch();
      }
      insert.executeBatch();
      Set<String> made = new HashSet<>();
      for (keys = insert.getGeneratedKeys(); keys.next();) made.add(keys.getString("id"));
      is(made.size(), 3);
      is(made.stream().anyMatch(k -> k.startsWith("new:")), false);
      c.setAutoCommit(false);
      set.setString(1, "kept");
      is(set.executeUpdate(), 1);
      Savepoint before = c.setSavepoint("s");
      is(with("update customer set notes = 'undone' where id = ?", id).executeUpdate(), 1);
      c.rollback(before);
      before = c.setSavepoint("d");
      try {
        with("insert into customer (display_name) values (?)", tag).executeUpdate();
        throw new IllegalStateException("a duplicate was taken");
      } catch (SQLException e) {
        is(e.getSQLState(), "23505");
      }
      c.rollback(before);
      PreparedStatement all = c.prepareStatement("select id from customer");
      all.setFetchSize(4);
      int count = 0;
      for (ResultSet r = all.executeQuery(); r.next(); count++) {}
      is(count > 4, true);
      c.commit();
      is(notes(id), "kept");
      c.rollback();
      c.setAutoCommit(true);
      is(with("delete from customer where display_name like ?", tag + "%").executeUpdate(), 4);
      c.close();
      System.out.println("done");
    }
  }
}
"""


# -- tables that are not mirrored, in the same database ----------------------------------------


@pytest.fixture
def proxied(stack: Stack) -> Iterator[str]:
    """The superuser's URL through the proxy, with a schema of the test's own."""
    with psycopg.connect(stack.direct, autocommit=True) as admin:
        admin.execute("create schema clients")
        admin.execute("create table clients.invoice (n int primary key, words text)")
        host = urlsplit(stack.url).netloc.rpartition("@")[2]
        yield re.sub(r"@[^/]*", f"@{host}", stack.direct)
        admin.execute("drop schema clients cascade")


def test_psycopg_on_other_tables_is_as_without_the_proxy(stack: Stack, proxied: str) -> None:
    assert on_other_tables(proxied) == on_other_tables(stack.direct)


def on_other_tables(url: str) -> list[object]:
    found: list[object] = []

    def noted(action: Callable[[], Any]) -> None:
        try:
            found.append(action())
        except psycopg.Error as error:
            found.append((error.sqlstate, error.diag.message_primary))

    with psycopg.connect(url, autocommit=True, options="-c search_path=clients") as connection:
        run = connection.execute
        connection.add_notice_handler(lambda notice: found.append(notice.message_primary))
        run("truncate invoice")
        with connection.cursor().copy("copy invoice from stdin") as copy:
            for n in range(5000):
                copy.write_row((n, "it's the end of the item, begin"))
        with connection.cursor().copy("copy invoice to stdout") as copy:
            found.append(len(b"".join(bytes(part) for part in copy)))
        noted(lambda: run("insert into invoice values (1, 'x')"))
        noted(lambda: run("update invoice set words = %s where n < 9", ["y" * 1_000_000]).rowcount)
        long = ",".join(f"({n}, 'the end of the customer')" for n in range(5000, 25000))
        noted(lambda: run(f"insert into invoice values {long}").rowcount)
        noted(lambda: run("do $$ begin raise notice 'from a block'; end $$").statusmessage)
        run(
            "create or replace procedure step() language plpgsql as $$ begin"
            " update invoice set words = 'p' where n = 1; commit; perform 1 / 0; end $$"
        )
        noted(lambda: run("call step()"))
        noted(lambda: run("select words from invoice where n = 1").fetchone())
        run("set statement_timeout = 50")
        noted(lambda: run("select pg_sleep(9)"))
        noted(lambda: run("discard all").statusmessage)
        run("set search_path to clients")
        run("prepare again as select 1")
        run("deallocate again")
        run("prepare again as delete from invoice where n = $1")
        noted(lambda: run("execute again (3)").statusmessage)
        with connection.transaction(), connection.cursor("named") as cursor:
            cursor.execute("select n from invoice order by n")
            found.append(cursor.fetchmany(3))
        with connection.pipeline():
            ahead = [run("select %s::int", [n]) for n in range(500)]
        found.append([cursor.fetchone() for cursor in ahead[-2:]])
        run("listen news")
        run("notify news, 'here'")
        found.append([n.payload for n in connection.notifies(timeout=5, stop_after=1)])
        noted(lambda: run("begin; update invoice set n = -1 where n = 1; rollback").statusmessage)
        noted(lambda: run("select count(*), sum(n) from invoice").fetchone())
    return found


def test_many_clients_at_once_and_none_is_left_behind(stack: Stack, proxied: str) -> None:
    asyncpg = importlib.import_module("asyncpg")

    async def client(n: int) -> int:
        connection = await asyncpg.connect(
            proxied, timeout=30, server_settings={"application_name": "crowd"}
        )
        try:
            return int(await connection.fetchval("select $1::int", n))
        finally:
            await connection.close()

    async def crowd() -> list[int]:
        return await asyncio.gather(*(client(n) for n in range(60)))

    assert asyncio.run(crowd()) == list(range(60))
    with psycopg.connect(stack.direct, autocommit=True) as admin:
        left = "select count(*) from pg_stat_activity where application_name = 'crowd'"
        for _ in range(200):
            if admin.execute(left).fetchone() == (0,):
                return
            admin.execute("select pg_sleep(0.02)")
        pytest.fail("backends of closed clients are still there")


def test_psql_backslash_commands_and_pg_dump_are_as_without_the_proxy(
    stack: Stack, proxied: str
) -> None:
    binaries = find_binaries()
    script = (
        "\\d customer\n\\dt clients.*\nselect 1 as a \\gdesc\n"
        "copy clients.invoice from stdin;\n1\tx\n\\.\n"
        "select 1 \\; select 2/0 \\; select 3;\nbegin; select 1/0; select 2; rollback;\n"
        "select n from clients.invoice \\gset\n\\echo :n\ndelete from clients.invoice;\n"
    )

    def printed(url: str) -> list[str]:
        parts = urlsplit(url)
        env = {**os.environ, "PGPASSWORD": unquote(parts.password or "")}
        found = []
        for command in (["psql", "-X", url], ["pg_dump", "-d", url, "-n", "clients"]):
            program = str(binaries.directory / command[0])
            done = subprocess.run(
                [program, *command[1:]],
                input=script, env=env, text=True, capture_output=True, timeout=60, check=False,
            )  # fmt: skip
            found.append(re.sub(r"(?m)^\\(un)?restrict .*$", "", done.stdout + done.stderr))
        return found

    through, without = printed(proxied), printed(stack.direct)
    assert through == without
    assert "CREATE TABLE clients.invoice" in through[1]
    assert json.dumps(through).count("division by zero") == 2
