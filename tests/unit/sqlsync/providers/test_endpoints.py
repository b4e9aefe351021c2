"""Where QuickBooks is, by environment and settings."""

from __future__ import annotations

import pytest

from sqlsync.errors import ConfigError
from sqlsync.providers.directory import App
from sqlsync.providers.endpoints import quickbooks_endpoints
from sqlsync.providers.limits import QUICKBOOKS_BUDGET, SIMULATOR_BUDGET, Rate
from sqlsync.settings import QuickBooksSettings


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
