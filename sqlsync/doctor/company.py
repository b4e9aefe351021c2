"""The doctor's call at a provider: does the grant work, whose clock is wrong, which settings of
the company change what writes do?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlsync.database import errors
from sqlsync.doctor.findings import Finding, note, ok, problem
from sqlsync.doctor.standing import Standing
from sqlsync.errors import ConfigError, NeedsReauth, NotPermitted, SqlsyncError
from sqlsync.providers.base import Provider

MOST_SKEW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Called:
    """What a call brought. settings: the record that holds the company's settings."""

    their_clock: datetime
    our_clock: datetime
    settings: Mapping[str, Any]


async def call(provider: Provider, kind: str) -> Called:
    """Asks for the time and the settings. kind: quickbooks | xero. Raises ProviderError."""
    before = datetime.now(UTC)
    theirs = await provider.now()
    after = datetime.now(UTC)
    spec = provider.catalog.by_table["preferences" if kind == "quickbooks" else "organisation"]
    page = await provider.fetch_page(spec, None)
    records = [json.loads(item) for item in page.items]
    return Called(theirs, before + (after - before) / 2, records[0] if records else {})


def judge_call(standing: Standing, called: Called) -> Iterator[Finding]:
    """What the answers mean. Pure."""
    yield ok(standing.area, "the provider answers, the token is good")
    skew = (called.our_clock - called.their_clock).total_seconds()
    if abs(skew) > MOST_SKEW_SECONDS:
        yield problem(
            standing.area,
            f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'}"
            " the provider's.",
            "Let it follow a time server (NTP).",
        )
    judge = _SETTINGS[standing.provider]
    for text in judge(called.settings):
        yield note(standing.area, text)


def judge_failure(standing: Standing, error: Exception) -> Finding:
    """What it means that the call failed. Pure."""
    if isinstance(error, NeedsReauth):
        return problem(standing.area, error.message, standing.again)
    if isinstance(error, NotPermitted):
        return note(standing.area, f"the settings cannot be read: {error.message}", error.hint)
    if isinstance(error, ConfigError):
        return problem(standing.area, error.message, error.hint)
    if isinstance(error, SqlsyncError):
        advice = error.hint or "Check the network, and the provider's own status page."
        return problem(standing.area, f"the provider does not answer as it should: {error}", advice)
    if isinstance(error, errors.Error):
        return problem(standing.area, f"Postgres failed under it: {str(error).splitlines()[0]}")
    return problem(standing.area, f"the provider's answer makes no sense: {error!r}")


def _quickbooks(preferences: Mapping[str, Any]) -> Iterator[str]:
    sales = preferences.get("SalesFormsPrefs") or {}
    if sales.get("CustomTxnNumbers"):
        yield (
            "custom transaction numbers are on: QuickBooks numbers nothing by itself, give"
            " doc_number with each insert."
        )
    currency = preferences.get("CurrencyPrefs") or {}
    if currency.get("MultiCurrencyEnabled"):
        home = (currency.get("HomeCurrency") or {}).get("value", "the home currency")
        yield f"several currencies are on, home is {home}: amounts are in currency_id."
    closed = (preferences.get("AccountingInfoPrefs") or {}).get("BookCloseDate")
    if closed:
        yield f"the books are closed until {closed}: writes dated before that are refused."


def _xero(organisation: Mapping[str, Any]) -> Iterator[str]:
    if organisation.get("IsDemoCompany"):
        yield "it is a demo company: Xero resets it after 28 days."
    for member in ("PeriodLockDate", "EndOfYearLockDate"):
        if organisation.get(member):
            yield f"{member} is set: writes dated before it are refused."
    status = organisation.get("OrganisationStatus")
    if status and status != "ACTIVE":
        yield f"its status at Xero is {status}."


_SETTINGS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "quickbooks": _quickbooks,
    "xero": _xero,
}
