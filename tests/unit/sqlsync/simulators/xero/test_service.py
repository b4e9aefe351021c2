"""Tokens, limits, kept answers and webhooks of the simulated service, without HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sqlsync.clock import FrozenClock
from sqlsync.errors import ConfigError
from sqlsync.simulators.clock import SimulatedClock
from sqlsync.simulators.xero.idempotency import KeptAnswers
from sqlsync.simulators.xero.limits import TenantLimits
from sqlsync.simulators.xero.oauth import OAuthError
from sqlsync.simulators.xero.options import Options
from sqlsync.simulators.xero.problems import Refused
from sqlsync.simulators.xero.service import OrganisationSpec, Service

ISSUER = "http://localhost:1"
BACK = "http://localhost/cb"


class Grants:
    """A service with two organisations and a frozen clock."""

    def __init__(self, **options: Any) -> None:
        self.frozen = FrozenClock(datetime(2026, 11, 2, tzinfo=UTC))
        self.service = Service(Options(**options), SimulatedClock(self.frozen))
        for seed in (1, 2):
            self.service.add_organisation(OrganisationSpec(1, 0, seed))
        self.authority = self.service.authority
        self.first, self.second = self.service.organisations

    def later(self, seconds: float) -> None:
        self.frozen.advance(timedelta(seconds=seconds))

    def renew(self, token: str, client: str = "app") -> dict[str, Any]:
        return self.authority.renew(client, token, ISSUER, has_secret=True)

    def consent(self, scope: str, *tenants: str, **more: Any) -> dict[str, Any]:
        code = self.authority.approve("app", BACK, scope, tenants or (self.first,), **more)
        return self.authority.exchange("app", code, BACK, None, ISSUER)

    def status(self, token: str, tenant: str | None) -> int:
        try:
            self.service.tenant(self.service.holder(token), tenant)
        except Refused as refused:
            return refused.status
        return 200


@pytest.fixture
def grants() -> Grants:
    return Grants()


def test_a_used_refresh_token_may_be_retried_for_half_an_hour(grants: Grants) -> None:
    token = grants.service.refresh_tokens[grants.first]
    new = grants.renew(token)["refresh_token"]
    assert new != token
    grants.later(1799)
    assert grants.renew(token)["refresh_token"] not in (token, new)
    grants.later(2)
    with pytest.raises(OAuthError, match="invalid_grant"):
        grants.renew(token)
    assert grants.renew(new)
    grants.later(60 * 86_400 + 1)
    with pytest.raises(OAuthError, match="invalid_grant"):
        grants.renew(new)


def test_a_refresh_token_belongs_to_the_client_that_used_it_first(grants: Grants) -> None:
    new = grants.renew(grants.service.refresh_tokens[grants.first], "one")["refresh_token"]
    with pytest.raises(OAuthError, match="invalid_grant"):
        grants.renew(new, "two")


def test_an_access_token_lives_half_an_hour_and_serves_connected_tenants(grants: Grants) -> None:
    token = grants.renew(grants.service.refresh_tokens[grants.first])["access_token"]
    assert grants.status(token, grants.first) == 200
    assert grants.status(token, grants.first.upper()) == 200
    assert grants.status(token, grants.second) == 403
    assert grants.status(token, None) == 403
    assert grants.status("nonsense", grants.first) == 401
    grants.renew(grants.service.refresh_tokens[grants.second])
    assert grants.status(token, grants.second) == 200
    grants.later(1800)
    with pytest.raises(Refused) as caught:
        grants.service.holder(token)
    assert caught.value.body["Detail"] == "TokenExpired: token expired at 11/02/2026 00:30:00"


def test_scopes_add_up_over_consents_and_only_granular_ones_are_given(grants: Grants) -> None:
    assert "refresh_token" not in grants.consent("accounting.contacts")
    both = grants.consent("accounting.invoices offline_access")
    assert both["scope"] == "accounting.contacts accounting.invoices offline_access"
    assert grants.renew(both["refresh_token"])["scope"] == both["scope"]
    assert grants.authority.scope_fault("accounting.transactions") == "invalid_scope"
    assert grants.authority.scope_fault("") == "invalid_scope"
    assert Grants(broad_scopes=True).authority.scope_fault("accounting.transactions") is None


def test_a_code_works_once_for_five_minutes_at_its_own_address(grants: Grants) -> None:
    authority = grants.authority
    scope, tenants = "accounting.contacts", (grants.first,)
    code = authority.approve("app", BACK, scope, tenants)
    for client, address in (("other", BACK), ("app", "http://localhost/x")):
        code = authority.approve("app", BACK, scope, tenants)
        with pytest.raises(OAuthError, match="invalid_grant"):
            authority.exchange(client, code, address, None, ISSUER)
    code = authority.approve("app", BACK, scope, tenants)
    assert authority.exchange("app", code, BACK, None, ISSUER)
    with pytest.raises(OAuthError, match="invalid_grant"):
        authority.exchange("app", code, BACK, None, ISSUER)
    code = authority.approve("app", BACK, scope, tenants)
    grants.later(301)
    with pytest.raises(OAuthError, match="invalid_grant"):
        authority.exchange("app", code, BACK, None, ISSUER)


def test_pkce_needs_the_verifier_and_no_secret(grants: Grants) -> None:
    verifier = "v" * 43
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    authority = grants.authority
    scope = "accounting.contacts offline_access"
    for wrong in (None, "w" * 43, "v" * 42):
        code = authority.approve("app", BACK, scope, (grants.first,), challenge)
        with pytest.raises(OAuthError, match="invalid_grant"):
            authority.exchange("app", code, BACK, wrong, ISSUER)
    code = authority.approve("app", BACK, scope, (grants.first,), challenge)
    tokens = authority.exchange("app", code, BACK, verifier, ISSUER)
    assert authority.renew("app", tokens["refresh_token"], ISSUER, has_secret=False)


def test_the_access_token_names_the_consent_and_the_scopes(grants: Grants) -> None:
    tokens = grants.consent("openid email accounting.contacts offline_access", nonce="n1")
    head, claims, signature = tokens["access_token"].split(".")
    found = json.loads(base64.urlsafe_b64decode(claims + "=="))
    [connection] = grants.authority.connections_of("app", None)
    assert found["authentication_event_id"] == connection.event
    assert found["scope"] == sorted(["openid", "email", "accounting.contacts", "offline_access"])
    assert found["exp"] - found["nbf"] == 1800
    assert head
    assert signature
    identity = json.loads(base64.urlsafe_b64decode(tokens["id_token"].split(".")[1] + "=="))
    assert (identity["nonce"], identity["aud"]) == ("n1", "app")


def test_revoking_drops_every_connection_of_the_app(grants: Grants) -> None:
    tokens = grants.consent("accounting.contacts offline_access", grants.first, grants.second)
    grants.authority.revoke("app", tokens["refresh_token"])
    assert grants.authority.connections_of("app", None) == []
    assert grants.status(tokens["access_token"], grants.first) == 403
    with pytest.raises(OAuthError, match="invalid_grant"):
        grants.renew(tokens["refresh_token"])


def test_one_tenants_end_leaves_the_others_live(grants: Grants) -> None:
    one = grants.renew(grants.service.refresh_tokens[grants.first])
    two = grants.renew(grants.service.refresh_tokens[grants.second])
    grants.authority.revoke_tenant(grants.first)
    assert grants.status(two["access_token"], grants.first) == 403
    assert grants.status(two["access_token"], grants.second) == 200
    with pytest.raises(OAuthError):
        grants.renew(one["refresh_token"])
    assert grants.renew(two["refresh_token"])


def test_a_custom_connection_needs_no_tenant_header(grants: Grants) -> None:
    tokens = grants.authority.custom("app", "accounting.contacts", grants.first, ISSUER)
    assert "refresh_token" not in tokens
    assert grants.status(tokens["access_token"], None) == 200


def test_tenant_ids_are_apart_and_clashes_are_refused() -> None:
    service = Service()
    for seed in (1, 2, 3):
        service.add_organisation(OrganisationSpec(1, 0, seed))
    assert len(service.organisations) == 3
    taken = next(iter(service.organisations))
    with pytest.raises(ConfigError):
        service.add_organisation(OrganisationSpec(1, 0, 1, tenant_id=taken))
    with pytest.raises(ConfigError):
        service.add_organisation(OrganisationSpec(0, 5))


# -- limits and keys ------------------------------------------------------------------------------


def test_a_window_is_fixed_and_counts_refused_calls_too() -> None:
    limits = TenantLimits("t", Options(requests_per_minute=3, requests_per_day=6))
    start = 1_000_000_000
    waits = [limits.admit(start) for _ in range(4)]
    assert waits[:3] == [None, None, None]
    problem, wait = waits[3] or ("", 0)
    assert problem == "minute"
    assert wait is not None
    assert limits.minute_left == 0
    assert limits.admit(start + wait) is None
    assert limits.admit(start + wait) is None
    problem, wait = limits.admit(start + wait) or ("", None)
    assert problem == "day"
    assert wait is not None
    assert wait > 60


def test_windows_of_two_tenants_begin_at_different_moments() -> None:
    options = Options(requests_per_minute=0)
    waits = {TenantLimits(name, options).admit(1_000_000_000) for name in "abcdef"}
    assert len(waits) > 3


def test_a_key_is_kept_for_six_minutes_and_for_one_request() -> None:
    kept = KeptAnswers(Options())
    request = ("PUT", "t", "/Invoices", b"{}")
    kept.keep("app", "k", request, 0, (200, b"x", "application/json", {}))
    found = kept.find("app", "k", request, 359_999)
    assert found is not None
    assert found.body == b"x"
    assert kept.find("app", "k", request, 360_000) is None
    assert kept.find("other", "k", request, 0) is None
    with pytest.raises(Refused, match="is used with a different request"):
        kept.find("app", "k", ("PUT", "t", "/Invoices", b"{ }"), 1)
    with pytest.raises(Refused):
        kept.find("app", "k" * 129, request, 1)
