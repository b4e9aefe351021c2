"""Tokens, limits and scripted trouble, without HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sqlsync.clock import FrozenClock
from sqlsync.simulators.clock import SimulatedClock
from sqlsync.simulators.quickbooks.limits import Limiter
from sqlsync.simulators.quickbooks.oauth import Authority, OAuthError
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.trouble import Seen, Trouble, Troubles

FROZEN = datetime(2026, 3, 2, tzinfo=UTC)
UPDATE = Seen("POST", "/customer", "customer", "update")


def authority(**options: int | str) -> tuple[Authority, FrozenClock]:
    clock = FrozenClock(FROZEN)
    return Authority(Options(**options), SimulatedClock(clock)), clock  # type: ignore[arg-type]


def test_refreshing_rotates_and_the_old_token_stops_working() -> None:
    issuer, _ = authority()
    first = issuer.grant("1")
    tokens = issuer.renew("app", first)
    assert tokens.refresh_token != first
    with pytest.raises(OAuthError) as caught:
        issuer.renew("app", first)
    assert (caught.value.status, caught.value.error) == (400, "invalid_grant")
    assert issuer.renew("app", tokens.refresh_token).expires_in == 3600


def test_overlap_keeps_the_old_token_for_a_while() -> None:
    issuer, clock = authority(rotation_overlap_seconds=60)
    first = issuer.grant("1")
    issuer.renew("app", first)
    issuer.renew("app", first)
    clock.advance(timedelta(seconds=61))
    with pytest.raises(OAuthError):
        issuer.renew("app", first)


def test_young_refresh_token_may_be_kept() -> None:
    issuer, clock = authority(rotate_after_seconds=86_400)
    first = issuer.grant("1")
    assert issuer.renew("app", first).refresh_token == first
    clock.advance(timedelta(days=1))
    assert issuer.renew("app", first).refresh_token != first


def test_access_tokens_end_by_time_by_order_and_by_revocation() -> None:
    issuer, clock = authority()
    tokens = issuer.renew("app", issuer.grant("1"))
    assert issuer.holder(tokens.access_token) is not None
    clock.advance(timedelta(seconds=3600))
    assert issuer.holder(tokens.access_token) is None
    tokens = issuer.renew("app", tokens.refresh_token)
    issuer.expire_access()
    assert issuer.holder(tokens.access_token) is None
    tokens = issuer.renew("app", tokens.refresh_token)
    issuer.revoke(tokens.access_token)
    assert issuer.holder(tokens.access_token) is None
    with pytest.raises(OAuthError):
        issuer.renew("app", tokens.refresh_token)


def test_code_is_redeemed_once_by_its_app_at_its_address() -> None:
    issuer, _ = authority()
    for client, address in (("other", "http://a/"), ("app", "http://b/")):
        code = issuer.approve("1", "app", "http://a/", "com.intuit.quickbooks.accounting")
        with pytest.raises(OAuthError):
            issuer.exchange(client, code, address)
    code = issuer.approve("1", "app", "http://a/", "com.intuit.quickbooks.accounting")
    issuer.exchange("app", code, "http://a/")
    with pytest.raises(OAuthError):
        issuer.exchange("app", code, "http://a/")


def test_second_consent_ends_the_first_connection_of_the_app() -> None:
    issuer, _ = authority()
    tokens = [
        issuer.exchange("app", issuer.approve("1", "app", "http://a/", "openid"), "http://a/")
        for _ in range(2)
    ]
    assert issuer.holder(tokens[0].access_token) is None
    assert issuer.holder(tokens[1].access_token) is not None


def test_only_the_configured_client_is_known() -> None:
    issuer, _ = authority(client_id="app", client_secret="s")
    assert issuer.check_client("app", "s") == "app"
    for pair in (("app", "t"), ("other", "s"), (None, None)):
        with pytest.raises(OAuthError) as caught:
            issuer.check_client(*pair)
        assert (caught.value.status, caught.value.error) == (401, "invalid_client")


def test_limits_slide() -> None:
    limiter = Limiter(Options(requests_per_minute=3, requests_per_second=2))
    admitted = [limiter.admit(at, is_batch=False) for at in (0.0, 0.1, 0.2, 1.2, 1.3, 60.5)]
    assert admitted == [True, True, False, True, False, True]


def test_trouble_acts_as_often_as_told_on_what_it_matches() -> None:
    troubles = Troubles()
    rule = {"kind": "drop", "times": 2, "skip": 1, "match": {"entity": "Customer"}}
    troubles.add(Trouble.from_json(rule))
    other = Seen("GET", "/invoice/1", "invoice", "read")
    assert troubles.take("after", other) == []
    acted = [len(troubles.take("after", UPDATE)) for _ in range(4)]
    assert acted == [0, 1, 1, 0]
    assert troubles.take("before", UPDATE) == []


@pytest.mark.parametrize(
    "rule", [{"kind": "flood"}, {"kind": "drop", "when": "never"}, {"kind": "drop", "mtach": {}}]
)
def test_bad_trouble_is_named(rule: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Trouble.from_json(rule)
