from __future__ import annotations

import logging

import pytest

from backfill.outage import AWAY, Outage
from sqlsync.database import errors
from sqlsync.errors import DatabaseUnavailable


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_outage_is_told_once_and_then_ever_more_rarely(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    outage = Outage(clock)
    with caplog.at_level(logging.INFO):
        for _ in range(6000):  # ten minutes of ten errors a second
            assert outage.met(errors.OperationalError("connection refused\nIs it running?"))
            clock.now += 0.1
    told = [record.message for record in caplog.records]
    assert told[:2] == [
        "Postgres is away for 0 s: connection refused",
        "Postgres is away for 5 s: connection refused",
    ]
    assert len(told) <= 9


def test_its_end_is_told_and_the_next_one_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    outage = Outage(clock)
    with caplog.at_level(logging.INFO):
        outage.over()
        outage.met(DatabaseUnavailable("gone"))
        clock.now = 42.0
        outage.over()
        outage.over()
        outage.met(DatabaseUnavailable("gone again"))
    assert [record.message for record in caplog.records] == [
        "Postgres is away for 0 s: gone",
        "Postgres is back after 42 s",
        "Postgres is away for 0 s: gone again",
    ]


def test_what_is_no_outage_is_left_to_others() -> None:
    assert not Outage().met(ValueError("a mistake of ours"))
    assert errors.UniqueViolation not in AWAY
    assert not Outage().met(errors.UniqueViolation("twice"))


def test_a_deadlock_is_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage()
    with caplog.at_level(logging.INFO):
        assert outage.met(errors.DeadlockDetected("deadlock detected"))
        outage.over()
    assert [record.message for record in caplog.records] == [
        "Postgres let another go first: deadlock detected"
    ]
