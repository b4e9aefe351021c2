"""Consent, tokens, rotation and revocation, as state without HTTP.

A grant joins one company to one app. Access tokens live an hour; each refresh gives a new
refresh token and ends the old one (after `rotation_overlap_seconds`).
Source: Intuit, "Set up OAuth 2.0", "Refresh token policy", November 2025.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from sqlsync.simulators.clock import SimulatedClock
from sqlsync.simulators.quickbooks.options import Options

ACCOUNTING = "com.intuit.quickbooks.accounting"
SCOPES = frozenset(
    (
        ACCOUNTING,
        "com.intuit.quickbooks.payment",
        "openid",
        "profile",
        "email",
        "phone",
        "address",
    )
)
CODE_SECONDS = 300


class OAuthError(Exception):
    """The body of a refusal at the token or revocation address."""

    def __init__(self, status: int, error: str, description: str | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.description = description


def invalid_grant() -> OAuthError:
    return OAuthError(400, "invalid_grant", "Incorrect or invalid refresh token")


@dataclass(eq=False, slots=True)
class Grant:
    realm_id: str
    client_id: str | None  # None: whoever uses it first
    scope: str
    since: int
    revoked: bool = False


@dataclass(slots=True)
class _Refresh:
    grant: Grant
    issued: int
    ends: int


@dataclass(frozen=True, slots=True)
class _Code:
    realm_id: str
    client_id: str
    redirect_uri: str
    scope: str
    ends: int


@dataclass(slots=True)
class Tokens:
    """What the token address answers."""

    access_token: str
    refresh_token: str
    expires_in: int
    refresh_expires_in: int
    hard_expires_in: int
    grant: Grant


@dataclass(slots=True)
class Authority:
    """Everything issued by the simulated service."""

    options: Options
    clock: SimulatedClock
    codes: dict[str, _Code] = field(default_factory=dict)
    access: dict[str, tuple[Grant, int]] = field(default_factory=dict)  # token -> grant, end
    refresh: dict[str, _Refresh] = field(default_factory=dict)

    def check_client(self, client_id: str | None, secret: str | None) -> str:
        """The client, or OAuthError 401."""
        wanted, wanted_secret = self.options.client_id, self.options.client_secret
        if not client_id or not secret:
            raise OAuthError(401, "invalid_client")
        if wanted is not None and client_id != wanted:
            raise OAuthError(401, "invalid_client")
        if wanted_secret is not None and secret != wanted_secret:
            raise OAuthError(401, "invalid_client")
        return client_id

    def grant(self, realm_id: str, client_id: str | None = None, token: str | None = None) -> str:
        """A connection made without the consent page; returns its refresh token."""
        made = Grant(realm_id, client_id, ACCOUNTING, self.clock.epoch())
        return self._new_refresh(made, token)

    def approve(self, realm_id: str, client_id: str, redirect_uri: str, scope: str) -> str:
        """A code for the callback."""
        code = "XAB" + secrets.token_urlsafe(32)
        ends = self.clock.epoch() + CODE_SECONDS
        self.codes[code] = _Code(realm_id, client_id, redirect_uri, scope, ends)
        return code

    def exchange(self, client_id: str, code: str, redirect_uri: str) -> Tokens:
        """Redeems a code, once."""
        found = self.codes.pop(code, None)
        if (
            found is None
            or found.client_id != client_id
            or found.redirect_uri != redirect_uri
            or found.ends < self.clock.epoch()
        ):
            raise OAuthError(400, "invalid_grant", "Invalid authorization code")
        made = Grant(found.realm_id, client_id, found.scope, self.clock.epoch())
        for held in self.refresh.values():  # one connection per app and company
            if held.grant.realm_id == made.realm_id and held.grant.client_id == client_id:
                held.grant.revoked = True
        return self._issue(made, self._new_refresh(made))

    def renew(self, client_id: str, token: str) -> Tokens:
        """A new access token, and the refresh token to use from now on."""
        held = self.refresh.get(token)
        now = self.clock.epoch()
        if held is None or held.grant.revoked or held.ends <= now:
            raise invalid_grant()
        if held.grant.client_id is None:
            held.grant.client_id = client_id
        if held.grant.client_id != client_id:
            raise invalid_grant()
        if held.grant.since + self.options.refresh_hard_seconds <= now:
            raise invalid_grant()
        if now - held.issued >= self.options.rotate_after_seconds:
            held.ends = min(held.ends, now + self.options.rotation_overlap_seconds)
            token = self._new_refresh(held.grant)
        return self._issue(held.grant, token)

    def revoke(self, token: str) -> None:
        """Ends the whole connection behind an access or refresh token."""
        if token in self.refresh:
            self.refresh[token].grant.revoked = True
        elif token in self.access:
            self.access[token][0].revoked = True
        else:
            raise OAuthError(400, "invalid_request")

    def revoke_company(self, realm_id: str) -> None:
        for held in self.refresh.values():
            if held.grant.realm_id == realm_id:
                held.grant.revoked = True

    def expire_access(self) -> int:
        """Ends all access tokens now; returns how many there were."""
        count = len(self.access)
        self.access = {token: (grant, 0) for token, (grant, _) in self.access.items()}
        return count

    def holder(self, token: str) -> Grant | None:
        """The grant of a live access token."""
        found = self.access.get(token)
        if found is None or found[0].revoked or found[1] <= self.clock.epoch():
            return None
        return found[0]

    def _new_refresh(self, grant: Grant, token: str | None = None) -> str:
        now = self.clock.epoch()
        token = token or f"AB11{now}{secrets.token_urlsafe(24)}"
        self.refresh[token] = _Refresh(grant, now, now + self.options.refresh_token_seconds)
        return token

    def _issue(self, grant: Grant, refresh_token: str) -> Tokens:
        now = self.clock.epoch()
        token = "eyJhbGciOi." + secrets.token_urlsafe(96)
        self.access[token] = (grant, now + self.options.access_token_seconds)
        return Tokens(
            token,
            refresh_token,
            self.options.access_token_seconds,
            max(0, self.refresh[refresh_token].ends - now),
            max(0, grant.since + self.options.refresh_hard_seconds - now),
            grant,
        )
