"""Where providers are, by environment and settings."""

from __future__ import annotations

import base64

import pytest

from sqlsync.errors import ConfigError
from sqlsync.providers.directory import App
from sqlsync.providers.endpoints import quickbooks_endpoints, xero_endpoints
from sqlsync.providers.limits import QUICKBOOKS_BUDGET, SIMULATOR_BUDGET, XERO_BUDGET, Rate
from sqlsync.providers.oauth import claims_of
from sqlsync.settings import QuickBooksSettings, XeroSettings


def test_production_is_intuit() -> None:
    found = quickbooks_endpoints("production")
    assert found.api_url == "https://quickbooks.api.intuit.com"
    assert found.token_url == "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"


def test_a_simulator_serves_everything_at_one_address() -> None:
    found = quickbooks_endpoints("simulator", api_url="http://127.0.0.1:8090/")
    assert found.api_url == "http://127.0.0.1:8090"
    assert found.authorize_url == "http://127.0.0.1:8090/connect/oauth2"
    assert found.revoke_url == "http://127.0.0.1:8090/v2/oauth2/tokens/revoke"


def test_single_addresses_override() -> None:
    found = quickbooks_endpoints("sandbox", token_url="https://tokens.example/t")
    assert found.token_url == "https://tokens.example/t"
    assert found.api_url == "https://sandbox-quickbooks.api.intuit.com"


@pytest.mark.parametrize(
    ("environment", "overrides"),
    [
        ("simulator", {}),
        ("staging", {}),
        ("production", {"api_url": "http://quickbooks.example"}),
        ("production", {"token_url": "quickbooks.example"}),
        ("simulator", {"api_url": "ftp://x"}),
    ],
)
def test_addresses_that_cannot_be_are_config_errors(
    environment: str, overrides: dict[str, str]
) -> None:
    with pytest.raises(ConfigError):
        quickbooks_endpoints(environment, **overrides)


def test_the_real_service_needs_our_id_and_secret() -> None:
    with pytest.raises(ConfigError, match="client_id"):
        App.from_settings(QuickBooksSettings(environment="production"))
    simulated = App.from_settings(
        QuickBooksSettings(environment="simulator", api_url="http://127.0.0.1:1")
    )
    assert simulated.budget is SIMULATOR_BUDGET


def most_in(rate: Rate, seconds: float) -> float:
    """The most calls that can go out in any span of that length."""
    return rate.burst + seconds / rate.interval_seconds


def test_the_budget_stays_inside_every_published_limit() -> None:
    assert most_in(QUICKBOOKS_BUDGET.calls, 60) <= 500
    assert most_in(QUICKBOOKS_BUDGET.calls, 1) <= 10
    assert most_in(QUICKBOOKS_BUDGET.batches, 60) <= 40
    assert QUICKBOOKS_BUDGET.concurrency <= 10


# -- Xero ----------------------------------------------------------------------------------------


def test_xeros_services_are_on_three_hosts() -> None:
    found = xero_endpoints("production")
    assert found.api_url == "https://api.xero.com"
    assert found.authorize_url == "https://login.xero.com/identity/connect/authorize"
    assert found.token_url == "https://identity.xero.com/connect/token"
    assert found.revoke_url == "https://identity.xero.com/connect/revocation"


def test_a_simulated_xero_serves_the_real_paths_at_one_address() -> None:
    found = xero_endpoints("simulator", api_url="http://127.0.0.1:8091/")
    assert found.authorize_url == "http://127.0.0.1:8091/identity/connect/authorize"
    assert found.token_url == "http://127.0.0.1:8091/connect/token"
    assert found.revoke_url == "http://127.0.0.1:8091/connect/revocation"


def test_xero_has_no_sandbox_and_says_what_to_use() -> None:
    with pytest.raises(ConfigError, match="Xero has none") as caught:
        xero_endpoints("sandbox")
    assert caught.value.hint is not None and "Demo Company" in caught.value.hint
    with pytest.raises(ConfigError, match=r"providers\.xero\.environment 'staging'"):
        xero_endpoints("staging")


def test_a_xero_app_needs_an_id_and_may_have_no_secret() -> None:
    with pytest.raises(ConfigError, match=r"providers\.xero\.client_id is not set"):
        App.from_settings(XeroSettings(environment="production"))
    public = App.from_settings(XeroSettings(environment="production", client_id="id"))
    assert public.client_secret is None and public.budget is XERO_BUDGET
    simulated = App.from_settings(
        XeroSettings(environment="simulator", api_url="http://127.0.0.1:1")
    )
    assert (simulated.client_id, simulated.client_secret) == ("simulator", "simulator")


def test_xeros_budget_stays_inside_every_published_limit() -> None:
    assert most_in(XERO_BUDGET.calls, 60) <= 60
    assert XERO_BUDGET.seats is not None and XERO_BUDGET.seats <= 5
    assert 0 < XERO_BUDGET.day_reserve < 1000


def test_what_a_token_says_of_itself_is_read_and_nonsense_is_nothing() -> None:
    said = base64.urlsafe_b64encode(b'{"authentication_event_id":"e"}').decode().rstrip("=")
    assert claims_of(f"a.{said}.c") == {"authentication_event_id": "e"}
    for token in ("", "a.b", "a.!.c", "a.e30", "eyJh.demo.access", "a.W10.c"):
        assert claims_of(token) == {}
