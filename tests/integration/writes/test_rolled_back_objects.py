"""Objects whose inserts are undone, or refused, in ways of their own; by the engine, over HTTP.

What each object takes otherwise is tried with psql: tests/acceptance/test_every_table_psql.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from schema.loader import load_catalog
from sqlsync.errors import ProviderRefusal
from sqlsync.providers.quickbooks.shapes import presented

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/company_world.py
from company_world import Company
from quickbooks_writes import WRITES

CATALOG = load_catalog("quickbooks")


async def test_a_rolled_back_insert_leaves_nothing(company: Company) -> None:
    client = company.client
    for table in ("journal_entry", "deposit", "transfer", "recurring_transaction"):
        before = await ids(company, table)
        await client.begin()
        await client.execute(client.insert(table, **WRITES[table][0]))
        assert await ids(company, table) > before
        assert await client.rollback() == []
        assert await ids(company, table) == before


async def test_a_template_without_a_type_is_refused_before_anything_is_sent(
    company: Company,
) -> None:
    given, _ = WRITES["recurring_transaction"]
    await company.client.begin()
    with pytest.raises(ProviderRefusal, match="which type of transaction it makes") as caught:
        columns = {name: value for name, value in given.items() if name != "type"}
        await company.client.execute(company.client.insert("recurring_transaction", **columns))
    assert caught.value.sqlstate == "23502"
    await company.client.rollback()


async def ids(company: Company, table: str) -> set[str]:
    """Of all that the company holds of an object."""
    spec = CATALOG.by_table[table]
    records = await company.get(f"books/{spec.resource}")
    return {json.loads(presented(spec, json.dumps(r).encode()))["Id"] for r in records}
