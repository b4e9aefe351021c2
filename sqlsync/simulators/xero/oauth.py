"""Consent, tokens, rotation, connections and revocation, as state without HTTP.

One user connects tenants to apps. A token serves every tenant connected for its app; scopes add
up over consents. A refresh gives a new refresh token; the old one may be retried for 30 minutes.
Source: reference, "OAuth 2.0".
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from uuid import uuid4

from sqlsync.simulators.clock import SimulatedClock
from sqlsync.simulators.xero.endpoints import BROAD_SCOPES, GRANULAR_SCOPES
from sqlsync.simulators.xero.options import Options
from sqlsync.simulators.xero.tokens import Signer
from sqlsync.simulators.xero.values import Doc, millis

CODE_SECONDS = 300
USER_ID = "c0ffee00-1a2b-4c3d-8e4f-5a6b7c8d9e0f"
SUBJECT = "0f2e6d8c4b0a4f1e9d7c5b3a1f0e2d4c"
_VERIFIER = re.compile(r"[A-Za-z0-9._~\-]{43,128}")
EVERYTHING = " ".join(sorted(GRANULAR_SCOPES))


class OAuthError(Exception):
    """The body of a refusal at the token or revocation address."""

    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.status = status


@dataclass(eq=False, slots=True)
class Grant:
    """What one consent gave. client_id None: whoever uses it first."""

    client_id: str | None
    scope: str
    event: str  # authentication_event_id
    since: int
    tenants: tuple[str, ...]  # that it was given for
    is_public: bool = False  # PKCE: no secret
    is_revoked: bool = False
    is_custom: bool = False  # client credentials: one tenant, no header


@dataclass(slots=True)
class _Refresh:
    grant: Grant
    ends: int
    is_used: bool = False


@dataclass(frozen=True, slots=True)
class _Code:
    grant: Grant
    redirect_uri: str
    challenge: str | None
    nonce: str | None
    ends: int


@dataclass(slots=True)
class Connection:
    """One tenant connected to one app."""

    id: str
    event: str
    tenant_id: str
    created: int  # milliseconds
    updated: int


@dataclass(frozen=True, slots=True)
class Access:
    """Who holds an access token, and until when (seconds)."""

    grant: Grant
    ends: int


@dataclass(slots=True)
class Authority:
    """Everything issued by the simulated service."""

    options: Options
    clock: SimulatedClock
    signer: Signer = field(default_factory=Signer)
    codes: dict[str, _Code] = field(default_factory=dict)
    access: dict[str, Access] = field(default_factory=dict)
    refresh: dict[str, _Refresh] = field(default_factory=dict)
    connections: dict[tuple[str, str], Connection] = field(default_factory=dict)
    _scopes: dict[str, set[str]] = field(default_factory=dict)  # by client, over all consents

    # -- clients --------------------------------------------------------------------------------

    def check_client(self, client_id: str | None, secret: str | None, *, public: bool) -> str:
        """The client, or OAuthError. public: a secret is not needed (PKCE)."""
        wanted, wanted_secret = self.options.client_id, self.options.client_secret
        if not client_id or (wanted is not None and client_id != wanted):
            raise OAuthError("invalid_client")
        if public and not secret:
            return client_id
        if not secret or (wanted_secret is not None and secret != wanted_secret):
            raise OAuthError("invalid_client")
        return client_id

    def scope_fault(self, scope: str) -> str | None:
        """The error a scope is refused with."""
        known = GRANULAR_SCOPES | (BROAD_SCOPES if self.options.broad_scopes else frozenset())
        asked = scope.split()
        return None if asked and known.issuperset(asked) else "invalid_scope"

    # -- granting -------------------------------------------------------------------------------

    def grant(self, tenant_id: str, token: str | None = None) -> str:
        """A consent to everything, without the page; returns its refresh token."""
        scope = EVERYTHING
        if self.options.broad_scopes:
            scope = f"{scope} {' '.join(sorted(BROAD_SCOPES))}"
        made = Grant(None, scope, str(uuid4()), self.clock.epoch(), (tenant_id,))
        return self._new_refresh(made, token)

    def approve(
        self,
        client_id: str,
        redirect_uri: str,
        scope: str,
        tenants: tuple[str, ...],
        challenge: str | None = None,
        nonce: str | None = None,
    ) -> str:
        """A code for the callback; the tenants are connected at once."""
        held = self._scopes.setdefault(client_id, set())
        held.update(scope.split())
        now = self.clock.epoch()
        whole = " ".join(sorted(held))
        public = challenge is not None
        made = Grant(client_id, whole, str(uuid4()), now, tenants, is_public=public)
        for tenant_id in tenants:
            self._connect(client_id, tenant_id, made.event)
        code = secrets.token_urlsafe(32)
        self.codes[code] = _Code(made, redirect_uri, challenge, nonce, now + CODE_SECONDS)
        return code

    def _connect(self, client_id: str, tenant_id: str, event: str) -> None:
        now = millis(self.clock.now())
        held = self.connections.get((client_id, tenant_id))
        if held is None:
            made = Connection(str(uuid4()), event, tenant_id, now, now)
            self.connections[client_id, tenant_id] = made
        else:
            held.event, held.updated = event, now

    # -- tokens ---------------------------------------------------------------------------------

    def exchange(
        self, client_id: str, code: str, redirect_uri: str, verifier: str | None, issuer: str
    ) -> Doc:
        """Redeems a code, once."""
        found = self.codes.pop(code, None)
        if (
            found is None
            or found.grant.client_id != client_id
            or found.redirect_uri != redirect_uri
            or found.ends < self.clock.epoch()
        ):
            raise OAuthError("invalid_grant")
        if found.challenge is not None and _challenge(verifier or "") != found.challenge:
            raise OAuthError("invalid_grant")
        keeps = "offline_access" in found.grant.scope.split()
        refresh = self._new_refresh(found.grant) if keeps else None
        return self._issue(found.grant, refresh, issuer, found.nonce)

    def renew(self, client_id: str, token: str, issuer: str, *, has_secret: bool) -> Doc:
        """A new access token, and the refresh token to use from now on."""
        held = self.refresh.get(token)
        now = self.clock.epoch()
        if held is None or held.grant.is_revoked or held.ends <= now:
            raise OAuthError("invalid_grant")
        grant = held.grant
        if grant.client_id is None:
            grant.client_id = client_id
            self._scopes.setdefault(client_id, set()).update(grant.scope.split())
            for tenant_id in grant.tenants:
                self._connect(client_id, tenant_id, grant.event)
        if grant.client_id != client_id:
            raise OAuthError("invalid_grant")
        if not has_secret and not grant.is_public:
            raise OAuthError("invalid_client")
        if not held.is_used:
            held.is_used = True
            held.ends = min(held.ends, now + self.options.rotation_grace_seconds)
        return self._issue(grant, self._new_refresh(grant), issuer, None)

    def custom(self, client_id: str, scope: str, tenant_id: str, issuer: str) -> Doc:
        """A custom connection: client credentials for one tenant, no refresh token."""
        fault = self.scope_fault(scope)
        if fault:
            raise OAuthError(fault)
        made = Grant(client_id, scope, str(uuid4()), self.clock.epoch(), (tenant_id,))
        made.is_custom = True
        self._connect(client_id, tenant_id, made.event)
        return self._issue(made, None, issuer, None)

    def _new_refresh(self, grant: Grant, token: str | None = None) -> str:
        token = token or secrets.token_hex(32)
        ends = self.clock.epoch() + self.options.refresh_token_seconds
        self.refresh[token] = _Refresh(grant, ends)
        return token

    def _issue(self, grant: Grant, refresh: str | None, issuer: str, nonce: str | None) -> Doc:
        now = self.clock.epoch()
        scopes = grant.scope.split()
        ends = now + self.options.access_token_seconds
        claims: Doc = {
            "nbf": now,
            "exp": ends,
            "iss": issuer,
            "aud": f"{issuer}/resources",
            "client_id": grant.client_id,
            "sub": SUBJECT,
            "auth_time": grant.since,
            "xero_userid": USER_ID,
            "global_session_id": SUBJECT[::-1],
            "jti": secrets.token_hex(16).upper(),
            "authentication_event_id": grant.event,
            "scope": scopes,
        }
        token = self.signer.sign(claims)
        self.access[token] = Access(grant, ends)
        answer: Doc = {}
        if "openid" in scopes and not grant.is_custom:
            answer["id_token"] = self._identity(grant, token, scopes, issuer, nonce, now)
        answer |= {
            "access_token": token,
            "expires_in": self.options.access_token_seconds,
            "token_type": "Bearer",
        }
        if refresh is not None:
            answer["refresh_token"] = refresh
        return {**answer, "scope": grant.scope}

    def _identity(
        self, grant: Grant, token: str, scopes: list[str], issuer: str, nonce: str | None, now: int
    ) -> str:
        half = hashlib.sha256(token.encode()).digest()[:16]
        claims: Doc = {
            "nbf": now,
            "exp": now + self.options.id_token_seconds,
            "iss": issuer,
            "aud": grant.client_id,
            "iat": now,
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
            "sub": SUBJECT,
            "auth_time": grant.since,
            "xero_userid": USER_ID,
            "global_session_id": SUBJECT[::-1],
        }
        if nonce:
            claims["nonce"] = nonce
        if "profile" in scopes:
            claims |= {"preferred_username": "jo@kestrel.example", "name": "Jo Baker"}
            claims |= {"given_name": "Jo", "family_name": "Baker"}
        if "email" in scopes:
            claims["email"] = "jo@kestrel.example"
        return self.signer.sign(claims)

    # -- ending ---------------------------------------------------------------------------------

    def revoke(self, client_id: str, token: str) -> None:
        """Ends every connection of the token's user with the app. Unknown tokens are ignored."""
        held = self.refresh.get(token)
        grant = held.grant if held else None
        if grant is None and token in self.access:
            grant = self.access[token].grant
        if grant is None or grant.client_id not in (None, client_id):
            return
        for other in [*self.refresh.values()]:
            if other.grant is grant or other.grant.client_id == client_id:
                other.grant.is_revoked = True
        for key in [key for key in self.connections if key[0] == client_id]:
            del self.connections[key]
        self._scopes.pop(client_id, None)

    def disconnect(self, tenant_id: str) -> None:
        """A person ends the tenant's connections with every app; tokens for others go on."""
        for key in [key for key in self.connections if key[1] == tenant_id]:
            del self.connections[key]

    def revoke_tenant(self, tenant_id: str) -> None:
        """As `disconnect`, and consents that were for this tenant alone end too."""
        for held in self.refresh.values():
            if held.grant.tenants == (tenant_id,):
                held.grant.is_revoked = True
        self.disconnect(tenant_id)

    def expire_access(self) -> int:
        """Ends all access tokens now; returns how many there were."""
        now = self.clock.epoch()
        self.access = {
            token: Access(held.grant, min(held.ends, now)) for token, held in self.access.items()
        }
        return len(self.access)

    # -- asking ---------------------------------------------------------------------------------

    def is_connected(self, client_id: str | None, tenant_id: str) -> bool:
        return (client_id or "", tenant_id) in self.connections

    def has_listeners(self, tenant_id: str) -> bool:
        """Whether any app would hear of the tenant's changes."""
        if any(tenant == tenant_id for _, tenant in self.connections):
            return True
        return any(
            held.grant.client_id is None
            and not held.grant.is_revoked
            and tenant_id in held.grant.tenants
            for held in self.refresh.values()
        )

    def connections_of(self, client_id: str, event: str | None) -> list[Connection]:
        return [
            held
            for (client, _), held in self.connections.items()
            if client == client_id and event in (None, held.event)
        ]


def _challenge(verifier: str) -> str | None:
    """S256 of a verifier of the right form."""
    if not _VERIFIER.fullmatch(verifier):
        return None
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
