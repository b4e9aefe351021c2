"""Named ranges of dates, and the periods that columns stand for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

ALL = ("1900-01-01", "2099-12-31")
_UNITS = ("week", "month", "fiscal quarter", "fiscal year", "calendar quarter", "calendar year")
MACROS = (
    *("all", "today", "yesterday", "next 4 weeks"),
    *(f"{when} {unit}" for when in ("this", "last", "next") for unit in _UNITS),
    *(f"{when} {unit}-to-date" for when in ("this", "last") for unit in _UNITS),
)
BY_PERIOD = ("days", "week", "month", "quarter", "year", "fiscalquarter", "fiscalyear")


class Period(NamedTuple):
    """One column of time. start, end: included, ISO."""

    start: str
    end: str
    title: str


def resolve(macro: str, today: date, fiscal_month: int) -> tuple[str, str]:
    """First and last day of a named range. macro: of MACROS; fiscal_month: 1 to 12.

    Weeks begin on Sunday, as the service's do in the United States.
    """
    if macro == "all":
        return ALL
    if macro in ("today", "yesterday"):
        day = today - timedelta(days=macro == "yesterday")
        return day.isoformat(), day.isoformat()
    if macro == "next 4 weeks":
        return resolve("next week", today, fiscal_month)[0], _day(_week(today, 4)[1])
    when, _, rest = macro.partition(" ")
    unit = rest.removesuffix("-to-date")
    step = {"this": 0, "last": -1, "next": 1}[when]
    start, end = _span(unit, today, step, fiscal_month)
    if rest.endswith("-to-date"):
        begun = today - _span(unit, today, 0, fiscal_month)[0]
        end = min(start + begun, end)
    return _day(start), _day(end)


def _span(unit: str, today: date, step: int, fiscal_month: int) -> tuple[date, date]:
    if unit == "week":
        return _week(today, step)
    months = {"month": 1, "quarter": 3, "year": 12}[unit.rpartition(" ")[2]]
    first = fiscal_month if unit.startswith("fiscal") else 1
    gone = (today.month - first) % months if months > 1 else 0
    start = _month(today, step * months - gone)
    return start, _month(start, months) - timedelta(days=1)


def _week(today: date, step: int) -> tuple[date, date]:
    sunday = today - timedelta(days=(today.weekday() + 1) % 7) + timedelta(weeks=step)
    return sunday, sunday + timedelta(days=6)


def _month(day: date, step: int) -> date:
    """The first of the month that many months away."""
    months = day.year * 12 + day.month - 1 + step
    return date(months // 12, months % 12 + 1, 1)


def _day(day: date) -> str:
    return day.isoformat()


def year_start(day: str, fiscal_month: int) -> str:
    """The first day of the fiscal year that a day is in."""
    found = date.fromisoformat(day)
    return _span("fiscal year", found, 0, fiscal_month)[0].isoformat()


def divide(start: str, end: str, by: str, fiscal_month: int) -> list[Period]:
    """A range cut into days, weeks, months, quarters or years; the ends may be parts of one."""
    return list(_divide(date.fromisoformat(start), date.fromisoformat(end), by, fiscal_month))


def _divide(start: date, end: date, by: str, fiscal_month: int) -> Iterator[Period]:
    unit = {
        "week": "week",
        "month": "month",
        "quarter": "calendar quarter",
        "year": "calendar year",
        "fiscalquarter": "fiscal quarter",
        "fiscalyear": "fiscal year",
    }.get(by)
    while start <= end:
        first, last = (start, start) if unit is None else _span(unit, start, 0, fiscal_month)
        stop = min(last, end)
        whole = (start, stop) == (first, last)
        yield Period(start.isoformat(), stop.isoformat(), _title(by, start, stop, whole=whole))
        start = stop + timedelta(days=1)


def _title(by: str, start: date, end: date, *, whole: bool) -> str:
    if by == "days":
        return f"{start:%b} {start.day}, {start.year}"
    if whole and by == "month":
        return f"{start:%b %Y}"
    if whole and by in ("quarter", "fiscalquarter"):
        return f"{start:%b} - {end:%b}, {end.year}"
    if whole and by in ("year", "fiscalyear"):
        return f"{start:%b} - {end:%b}, {end.year}" if by == "fiscalyear" else str(end.year)
    if (start.year, start.month) == (end.year, end.month):
        days = str(start.day) if start == end else f"{start.day} - {end.day}"
        return f"{start:%b} {days}, {end.year}"
    return f"{start:%b} {start.day} - {end:%b} {end.day}, {end.year}"
