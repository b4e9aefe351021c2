"""Reports as users have them: through the proxy, by themselves and when asked for."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest
from acceptance.product import Stack
from psycopg import errors


def until(connection: psycopg.Connection[Any], query: str, *values: object) -> None:
    deadline = time.monotonic() + 60
    while not connection.execute(query.encode(), values or None).fetchone()[0]:  # type: ignore[index]
        assert time.monotonic() < deadline, f"never true: {query}"
        time.sleep(0.1)


def test_a_report_is_asked_for_read_and_not_written_through_the_proxy(stack: Stack) -> None:
    with psycopg.connect(stack.url, autocommit=True) as writer:
        asked = writer.execute(
            "select sqlsync.refresh_report('books', 'ProfitAndLoss', %s)",
            ['{"start_date": "2020-01-01", "end_date": "2027-12-31"}'],
        ).fetchone()
        assert asked is not None
        until(writer, "select state = 'ready' from _sync_report where id = %s", asked[0])
        found = writer.execute(
            "select row_type, row_group, sum(total) from profit_and_loss("
            "start_date => '2020-01-01', end_date => '2027-12-31') where section[1] = 'Income'"
            " group by 1, 2"
        ).fetchall()
        sums = {kind: total for kind, _, total in found}
        assert sums["data"] == sums["summary"] > 0
        for statement in (
            "insert into profit_and_loss (run_id, row_number) values (1, 1)",
            "update profit_and_loss set total = 0 where label = 'x'",
            "delete from quickbooks.profit_and_loss",
        ):
            with pytest.raises(errors.ObjectNotInPrerequisiteState, match="can be read only"):
                writer.execute(statement.encode())
        assert writer.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    with psycopg.connect(stack.reader, autocommit=True) as reader:
        with pytest.raises(errors.InsufficientPrivilege):
            reader.execute("select sqlsync.refresh_report('books', 'ProfitAndLoss')")
        until(reader, "select count(*) = 27 from _sync_report where is_default and state = 'ready'")
        row = reader.execute("select count(*) > 0 from ar_aging_summary()").fetchone()
        assert row == (True,)
