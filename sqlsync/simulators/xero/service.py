"""The whole simulated service: tenants, tokens, limits, scripted trouble, webhooks.

One object with one owner, the server's event loop. The web modules turn requests into calls of
it; tests reach it through `/_control`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

from sqlsync.errors import ConfigError
from sqlsync.simulators.clock import SimulatedClock
from sqlsync.simulators.traffic import Traffic
from sqlsync.simulators.trouble import Troubles
from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.generate import generate
from sqlsync.simulators.xero.idempotency import KeptAnswers
from sqlsync.simulators.xero.limits import AppWindow, TenantLimits
from sqlsync.simulators.xero.oauth import Access, Authority
from sqlsync.simulators.xero.options import Options
from sqlsync.simulators.xero.organisation import Organisation
from sqlsync.simulators.xero.unit import Change
from sqlsync.simulators.xero.values import uuid_of
from sqlsync.simulators.xero.webhooks import Sender

FIRST_TENANTS = (
    ("8f2b6c1e-3d47-4a5e-9b0c-51a7d2e64f90", "Kestrel Coffee Roasters Ltd"),
    ("c4d5e6f7-0819-4a2b-b3c4-d5e6f7081920", "Demo Company (NZ)"),
)


@dataclass(frozen=True, slots=True)
class OrganisationSpec:
    """An organisation to generate. None lets the service make the value up."""

    customers: int = 100
    invoices: int = 1000
    seed: int = 1
    tenant_id: str | None = None
    refresh_token: str | None = None
    name: str | None = None


class Service:
    """Xero, small."""

    def __init__(self, options: Options | None = None, clock: SimulatedClock | None = None) -> None:
        self.options = options or Options()
        self.clock = clock or SimulatedClock(skew_seconds=self.options.clock_skew_seconds)
        self.authority = Authority(self.options, self.clock)
        self.organisations: dict[str, Organisation] = {}
        self.refresh_tokens: dict[str, str] = {}  # the first of each tenant
        self.troubles = Troubles()
        self.traffic = Traffic()
        self.sender = Sender(self.options)
        self.answers = KeptAnswers(self.options)
        self.app_window = AppWindow(self.options)
        self._limits: dict[str, TenantLimits] = {}

    def add_organisation(self, spec: OrganisationSpec) -> Organisation:
        """Generates an organisation and connects it once, for scripts."""
        number = len(self.organisations)
        tenant_id, name = _known(number, spec.seed)
        tenant_id, name = (spec.tenant_id or tenant_id).lower(), spec.name or name
        if tenant_id in self.organisations:
            raise ConfigError(f"There are two organisations with the tenant id {tenant_id}.")
        made = generate(spec.customers, spec.invoices, spec.seed, tenant_id, name, self.clock.now())
        found = Organisation(tenant_id, name, made.books, made.ledger, self.options, self.clock)
        found.on_change = self._changed
        self.organisations[tenant_id] = found
        self.refresh_tokens[tenant_id] = self.authority.grant(tenant_id, spec.refresh_token)
        return found

    def _changed(self, tenant_id: str, changes: Iterable[Change]) -> None:
        if self.authority.has_listeners(tenant_id):
            books = self.organisations[tenant_id].books
            self.sender.announce(tenant_id, books, changes)

    # -- letting in -----------------------------------------------------------------------------

    def holder(self, token: str | None) -> Access:
        """Who holds an access token. Raises Refused (401)."""
        held = self.authority.access.get(token or "")
        if held is None:
            raise problems.bad_token()
        if held.ends <= self.clock.epoch():
            at = self.clock.now()
            raise problems.token_expired(f"{at:%m/%d/%Y %H:%M:%S}")
        return held

    def tenant(self, access: Access, tenant_id: str | None) -> Organisation:
        """The organisation a token may use. Raises Refused (403)."""
        if tenant_id is None and access.grant.is_custom:
            tenant_id = access.grant.tenants[0]
        found = self.organisations.get((tenant_id or "").lower())
        if found is None:
            raise problems.tenant_not_connected()
        if not self.authority.is_connected(access.grant.client_id, found.tenant_id):
            raise problems.tenant_not_connected()
        return found

    def limits(self, tenant_id: str) -> TenantLimits:
        held = self._limits.get(tenant_id)
        if held is None:
            held = self._limits[tenant_id] = TenantLimits(tenant_id, self.options)
        return held

    # -- while running --------------------------------------------------------------------------

    def set_options(self, given: dict[str, Any]) -> None:
        """Changes options while running. Raises ValueError for an unknown name."""
        known = {field.name for field in fields(Options)}
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"unknown option: {name}")
            if name.endswith("_date") and isinstance(value, str):
                value = date.fromisoformat(value)
            if isinstance(getattr(self.options, name), tuple):
                value = tuple(float(v) if isinstance(v, Decimal) else v for v in value)
            if isinstance(value, Decimal):
                value = float(value)
            setattr(self.options, name, value)


def _known(number: int, seed: int) -> tuple[str, str]:
    if number < len(FIRST_TENANTS):
        return FIRST_TENANTS[number]
    random = Random(seed * 1000 + number)  # noqa: S311 (ids of invented tenants)
    return uuid_of(random.getrandbits(128)), f"Demo Company {number + 1} (NZ)"
