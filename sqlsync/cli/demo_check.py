"""The whole session of the product, run through a real client: `sqlsync demo --check`.

Each check prints one line; the first that does not hold ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlsync.cli.check_quickbooks import QuickBooksChecks
from sqlsync.cli.check_xero import XeroChecks
from sqlsync.cli.checking import Psql, wait_for
from sqlsync.cli.simulated import SimulatedCompany, SimulatedOrganisation

WEBHOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class DemoAddresses:
    """Where the demo's parts are."""

    url: str  # of the demo's user, through the proxy
    quickbooks: str  # http://HOST:PORT of the simulated service
    realm: str
    xero: str
    tenant: str
    web: str  # HOST:PORT
    secret: str = field(repr=False)  # that webhooks of both are signed with
    poll_seconds: float  # between polls of an active company


def run_checks(addresses: DemoAddresses, say: Callable[[str], None] = print) -> None:
    """All of them, in order. Raises CheckFailed at the first that does not hold."""
    psql = Psql(addresses.url)
    company = SimulatedCompany(addresses.quickbooks, addresses.realm)
    organisation = SimulatedOrganisation(addresses.xero, addresses.tenant)
    quickbooks, xero = QuickBooksChecks(psql, company), XeroChecks(psql, organisation)
    changes = _Changes(addresses, psql, company, organisation, (quickbooks, xero))
    checks: Sequence[tuple[str, Callable[[], str]]] = (
        ("\\dt lists _sync_cdc and the tables", quickbooks.tables),
        ("customers are found by company name", quickbooks.customer_query),
        ("an update is at the provider and in the table at once", quickbooks.update),
        ("an update of a customer that is not there is an error", quickbooks.missing),
        ("a duplicate display name is 23505 and changes neither side", quickbooks.duplicate),
        ("an invoice comes back with the provider's totals", quickbooks.invoice),
        ("BEGIN, two writes, ROLLBACK leaves the provider as it was", quickbooks.rollback),
        ("an update of a Xero contact is on both sides at once", xero.update),
        ("what Xero refuses is an error and changes neither side", xero.refusals),
        ("a Xero invoice comes back with Xero's totals, and is voided", xero.invoice),
        ("BEGIN, two writes, ROLLBACK leaves Xero as it was", xero.rollback),
        ("changes at the providers arrive by webhook", changes.by_webhook),
        ("… and by polling when webhooks are off", changes.by_polling),
    )
    for title, check in checks:
        say(f"ok  {title}: {check()}")
    say(f"all {len(checks)} checks passed")


@dataclass(frozen=True, slots=True)
class _Changes:
    """Changes that somebody makes at the providers."""

    addresses: DemoAddresses
    psql: Psql
    company: SimulatedCompany
    organisation: SimulatedOrganisation
    sides: tuple[QuickBooksChecks, XeroChecks]

    def by_webhook(self) -> str:
        where = self.addresses
        for provider, company in (("quickbooks", self.company), ("xero", self.organisation)):
            company.send_webhooks_to(f"http://{where.web}/webhooks/{provider}", where.secret)
        took = []
        for side in self.sides:
            took.append(wait_for(self.psql, [side.change_elsewhere()], WEBHOOK_SECONDS))
        return " and ".join(f"after {seconds:.2f} s" for seconds in took)

    def by_polling(self) -> str:
        for company in (self.company, self.organisation):
            company.send_webhooks_to(None, self.addresses.secret)
        made = [side.change_elsewhere() for side in self.sides]
        every = self.addresses.poll_seconds
        # Three polls, and room for a busy machine: how long it took is told.
        seconds = wait_for(self.psql, made, 3 * every + 15)
        return f"after {seconds:.2f} s, polled every {every:g} s"
