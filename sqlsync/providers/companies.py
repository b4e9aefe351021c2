"""The companies a consent covers, where the provider's callback does not name one.

Intuit's callback says which company was chosen. Xero's does not: one grant may cover several
organisations, and a list says which.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlsync.errors import CompanyChoice, ConfigError


@dataclass(frozen=True, slots=True)
class Company:
    """One company of a grant. link: what the provider calls our access to it."""

    id: str
    name: str
    link: str


class Companies(Protocol):
    """What can be asked and done about the companies of a grant."""

    async def granted(self, access_token: str, *, of_this_consent: bool = False) -> list[Company]:
        """The companies the token may be used for; only those its own consent added.

        Raises NeedsReauth (the token is not accepted), Unreachable, RateLimited, ProviderFault.
        """
        ...

    async def disconnect(self, access_token: str, company: Company) -> None:
        """Ends our access to one company and leaves the others. Raises as `granted`."""
        ...


class CompanyNames(Protocol):
    """Looks into a company by a fresh token, where the callback named it."""

    async def name_of(self, access_token: str, company_id: str) -> str | None:
        """What the company is called.

        Raises ConsentRefused (the token does not open its books), Unreachable, RateLimited,
        ProviderFault.
        """
        ...


def choose(
    title: str,
    granted: Sequence[Company],
    *,
    wanted: str | None,
    wanted_name: str | None = None,
    taken: Collection[str],
) -> Company:
    """The company that a consent is for. Pure.

    wanted: the one it must be, because the user or the connection says so. taken: those that
    other connections have. Raises ConfigError (not granted, none left), CompanyChoice
    (several).
    """
    if wanted is not None:
        found = next((c for c in granted if c.id.lower() == wanted.lower()), None)
        if found is None:
            names = ", ".join(c.name for c in granted) or "none"
            meant = f"{wanted_name} ({wanted})" if wanted_name else wanted
            raise ConfigError(
                f"[{title}] The consent does not cover {meant}. It covers: {names}.",
                hint="Choose that organisation when you consent.",
            )
        return found
    free = [company for company in granted if company.id not in taken]
    if len(free) == 1:
        return free[0]
    if not free:
        raise ConfigError(
            f"[{title}] The consent covers no organisation that is not connected already."
            if granted
            else f"[{title}] The consent covers no organisation.",
            hint="Choose one when you consent.",
        )
    listed = "; ".join(f"{company.name} ({company.id})" for company in free)
    raise CompanyChoice(
        f"[{title}] The consent covers several organisations: {listed}.",
        hint="Choose on the page that shows, or say which one: sqlsync connect … --company ID",
        companies=tuple((company.id, company.name) for company in free),
    )
