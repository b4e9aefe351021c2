"""The whole simulated service: companies, tokens, limits, scripted trouble, webhooks.

One object with one owner, the server's event loop. The web modules turn requests into calls of
it; tests reach it through `/_control`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any

from sqlsync.simulators.clock import SimulatedClock
from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.company import Company
from sqlsync.simulators.quickbooks.entities import entity_by_wrapper
from sqlsync.simulators.quickbooks.generate import generate
from sqlsync.simulators.quickbooks.limits import Limiter
from sqlsync.simulators.quickbooks.oauth import ACCOUNTING, Authority
from sqlsync.simulators.quickbooks.openid import Signer
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.settings import PREFERENCES
from sqlsync.simulators.quickbooks.unit import Change
from sqlsync.simulators.quickbooks.webhooks import Sender
from sqlsync.simulators.traffic import Traffic
from sqlsync.simulators.trouble import Seen, Troubles

FIRST_REALM = 9341450000000001


@dataclass(frozen=True, slots=True)
class CompanySpec:
    """A company to generate. refresh_token: None lets the service make one up."""

    customers: int = 100
    invoices: int = 1000
    seed: int = 1
    realm_id: str | None = None
    refresh_token: str | None = None
    country: str = "US"  # or GB, AU, CA: home currency and the way of tax follow
    multicurrency: bool = False


class Service:
    """QuickBooks Online, small."""

    def __init__(self, options: Options | None = None, clock: SimulatedClock | None = None) -> None:
        self.options = options or Options()
        self.clock = clock or SimulatedClock(skew_seconds=self.options.clock_skew_seconds)
        self.authority = Authority(self.options, self.clock)
        self.signer = Signer()
        self.companies: dict[str, Company] = {}
        self.refresh_tokens: dict[str, str] = {}  # the first of each company
        self.troubles = Troubles()
        self.traffic = Traffic()
        self.sender = Sender(self.options)
        self._limiters: dict[str, Limiter] = {}

    def add_company(self, spec: CompanySpec) -> Company:
        """Generates a company and connects it once, for scripts."""
        realm = spec.realm_id or str(FIRST_REALM + len(self.companies))
        books = generate(
            spec.customers,
            spec.invoices,
            spec.seed,
            self.clock.today(),
            self.clock.epoch(),
            country=spec.country,
            multicurrency=spec.multicurrency or self.options.multicurrency,
        )
        company = Company(realm, books, self.options, self.clock)
        company.on_change = self._changed
        company.spoil_item = self._spoil_item
        self.companies[realm] = company
        self.refresh_tokens[realm] = self.authority.grant(realm, token=spec.refresh_token)
        return company

    def _changed(self, realm: str, changes: Iterable[Change]) -> None:
        self.sender.announce(realm, changes)

    def limiter(self, realm: str) -> Limiter:
        return self._limiters.setdefault(realm, Limiter(self.options))

    def _spoil_item(self, item: dict[str, Any]) -> None:
        """Trouble that is scripted for `operation: "batch_item"`: throttled, or an error."""
        named = [name.lower() for name in item if name.lower() in entity_by_wrapper()]
        seen = Seen("POST", "/batch", named[0] if named else "", "batch_item")
        for rule in self.troubles.take("before", seen):
            if rule.kind == "throttle":
                raise faults.throttled_item()
            if rule.kind == "status":
                raise faults.system_failure()

    def enter(
        self, realm: str, token: str | None, *, is_batch: bool, is_read: bool = False
    ) -> Company:
        """The company a request may use, or GatewayFault 401, 403, 429."""
        if not token:
            raise faults.token_expired("Token is missing")
        grant = self.authority.holder(token)
        if grant is None:
            raise faults.token_expired()
        company = self.companies.get(realm)
        may = ACCOUNTING in grant.scope.split() and grant.realm_id == realm
        if company is None or not may:
            raise faults.wrong_company()
        month = f"{self.clock.today():%Y-%m}" if is_read else None
        now = self.clock.monotonic()
        if not self.limiter(realm).admit(now, is_batch=is_batch, reads_in=month):
            raise faults.throttled(self.options.throttle_status)
        return company

    def set_options(self, given: dict[str, Any]) -> None:
        """Changes options while running. Raises ValueError for an unknown name."""
        known = {field.name for field in fields(Options)}
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"unknown option: {name}")
            if name == "book_close_date" and isinstance(value, str):
                value = date.fromisoformat(value)
            if isinstance(getattr(self.options, name), tuple):
                value = tuple(float(v) if isinstance(v, Decimal) else v for v in value)
            if isinstance(value, Decimal):
                value = float(value)
            if name in PREFERENCES:
                for company in self.companies.values():
                    company.prefer(name, value)
            setattr(self.options, name, value)
