"""Migrations: once, in order, by one process at a time, and never rewritten."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest

from sqlsync.database import connect, errors, make_conninfo, query_value, sql
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.errors import ConfigError
from sqlsync.migrations import Migration, load_migrations, migrate, pending

EXTRA = Migration(len(load_migrations()) + 1, "9999_extra", b"create table sqlsync.extra (x int)")


def test_a_fresh_database_gets_all_of_them_and_the_second_run_nothing(database_url: str) -> None:
    names = [migration.name for migration in load_migrations()]
    assert pending(database_url) == names
    assert migrate(database_url) == names
    assert migrate(database_url) == []
    assert pending(database_url) == []


def test_numbers_have_no_gaps() -> None:
    numbers = [migration.number for migration in load_migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_new_file_is_applied_alone(migrated_url: str) -> None:
    assert migrate(migrated_url, [*load_migrations(), EXTRA]) == ["9999_extra"]
    assert query_value(migrated_url, "select count(*) from sqlsync.extra") == 0


def test_a_failing_migration_leaves_nothing_behind(migrated_url: str) -> None:
    broken = replace(EXTRA, text=b"create table sqlsync.half (x int); select 1/0")
    with pytest.raises(errors.DivisionByZero):
        migrate(migrated_url, [*load_migrations(), broken])
    assert query_value(migrated_url, "select to_regclass('sqlsync.half')") is None
    assert migrate(migrated_url, [*load_migrations(), EXTRA]) == ["9999_extra"]


def test_a_file_that_was_changed_afterwards_is_refused(migrated_url: str) -> None:
    first, *rest = load_migrations()
    changed = replace(first, text=first.text + b"\n-- harmless?")
    with pytest.raises(ConfigError, match=r"0001_control\.sql is not the file"):
        migrate(migrated_url, [changed, *rest])


def test_a_database_newer_than_the_code_is_left_alone(migrated_url: str) -> None:
    migrate(migrated_url, [*load_migrations(), EXTRA])
    with pytest.raises(ConfigError, match="newer than this sqlsync"):
        migrate(migrated_url)


def test_two_processes_at_once_do_the_work_once(database_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(migrate, [database_url] * 4))
    names = [migration.name for migration in load_migrations()]
    assert sorted(results) == [[], [], [], names]


def test_databases_of_one_cluster_may_make_the_roles_at_the_same_moment() -> None:
    with EmbeddedPostgres.temporary() as server:  # a cluster that does not have them yet
        databases = [f"db{number}" for number in range(4)]
        with connect(server.url()) as connection:
            for name in databases:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(migrate, [server.url(name) for name in databases]))
    assert all(len(result) == len(load_migrations()) for result in results)


def test_an_owner_who_may_make_roles_needs_no_superuser() -> None:
    with EmbeddedPostgres.temporary() as server:
        with connect(server.url()) as admin:
            admin.execute("create role owner login createrole password 'x'")
            admin.execute("create database books owner owner")
        url = make_conninfo(server.url("books"), user="owner", password="x")
        assert len(migrate(url)) == len(load_migrations())


def test_a_user_without_the_rights_is_told_which(
    database_url: str, postgres_server: EmbeddedPostgres
) -> None:
    name = f"weak_{uuid4().hex[:8]}"
    with connect(database_url) as admin:
        admin.execute(sql.SQL("create role {} login password 'x'").format(sql.Identifier(name)))
    with pytest.raises(ConfigError, match="may not set up sqlsync") as caught:
        migrate(make_conninfo(database_url, user=name, password="x"))
    assert "createrole" in (caught.value.hint or "")
