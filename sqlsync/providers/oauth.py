"""OAuth 2.0 as the providers speak it: the consent's address, code for tokens, refresh, revoke.

The forms and addresses are Authlib's; the calls go through our own HTTP door, so that their
failures are sorted like all others. Where providers differ, an OAuthStyle says how. Intuit
offers no PKCE; `state` guards the callback. At Xero an app without a secret is of a type of its
own, which must use PKCE; an app with one proves itself by the secret.
Source: Intuit, "Set up OAuth 2.0", "Authorization FAQ"; Xero, "The standard authorization code
flow", "The PKCE flow", "OAuth 2.0 FAQ".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from sqlsync.errors import (
    ConsentRefused,
    NeedsReauth,
    ProviderFault,
    ProviderUnavailable,
    Unreachable,
)
from sqlsync.providers.endpoints import Endpoints
from sqlsync.providers.http import HttpClient
from sqlsync.providers.messages import HttpRequest, HttpResponse

TOKEN_SECONDS = 30.0  # a row lock is held meanwhile


@dataclass(frozen=True, slots=True)
class OAuthStyle:
    """What is particular to one provider.

    required: scopes without which a connection is of no use; where others lack, the tables that
    need them say so. refresh_seconds: the life of a refresh token, where the answer does not say
    it. token_headers: sent with token calls. broad: older scopes that hold others, by how those
    begin.
    """

    provider: str  # "xero": as settings name it
    title: str
    scopes: tuple[str, ...]
    required: tuple[str, ...] = ()
    revoke_as_form: bool = True  # RFC 7009; Intuit takes JSON
    refresh_seconds: float | None = None
    token_headers: Mapping[str, str] = field(default_factory=dict)
    broad: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def is_covered(self, scope: str, granted: Collection[str]) -> bool:
        """Whether the scope is granted, by itself or by one that holds it."""
        return (
            scope in granted
            or scope.removesuffix(".read") in granted
            or any(
                wide in granted and scope.startswith(narrow) for wide, narrow in self.broad.items()
            )
        )


# 100 days from each answer, which says so itself, and at most five years in all, which it says
# when asked.
# Source: Intuit, "Important changes to refresh token policy", 12 November 2025.
QUICKBOOKS_OAUTH = OAuthStyle(
    "quickbooks",
    "QuickBooks",
    ("com.intuit.quickbooks.accounting",),
    required=("com.intuit.quickbooks.accounting",),
    revoke_as_form=False,
    refresh_seconds=100 * 86400.0,
    token_headers={"x-include-refresh-token-hard-expires-in": "true"},
)
# All that our tables need. Left out, since asking for a scope that the app may not have refuses
# the whole consent: accounting.journals.read (Advanced tier) and paymentservices (on request).
# Granular scopes: apps made since 2 March 2026 have no others.
# Source: Xero, "Granular scopes FAQ"; reference/xero/README.md section 2.
XERO_OAUTH = OAuthStyle(
    "xero",
    "Xero",
    (
        "offline_access",  # without it there is no refresh token
        "accounting.invoices",
        "accounting.payments",
        "accounting.banktransactions",
        "accounting.manualjournals",
        "accounting.contacts",
        "accounting.settings",
        "accounting.attachments",
        "accounting.budgets.read",
        *(
            f"accounting.reports.{report}.read"
            for report in (
                "aged",
                "balancesheet",
                "banksummary",
                "budgetsummary",
                "executivesummary",
                "profitandloss",
                "trialbalance",
                "taxreports",
            )
        ),
    ),
    required=("offline_access",),
    broad={
        "accounting.transactions": (
            "accounting.invoices",
            "accounting.payments",
            "accounting.banktransactions",
            "accounting.manualjournals",
        ),
        "accounting.reports.read": ("accounting.reports.",),
    },
    refresh_seconds=60 * 86400.0,  # if unused; each refresh brings a new one
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a token call gives. Lifetimes in seconds from now; None: not said."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: float
    refresh_expires_in: float | None = None
    scopes: str | None = None


class _TokenAnswer(msgspec.Struct):
    access_token: str
    expires_in: float
    refresh_token: str | None = None
    x_refresh_token_expires_in: float | None = None
    x_refresh_token_hard_expires_in: float | None = None
    scope: str | None = None


class _ErrorAnswer(msgspec.Struct):
    error: str
    error_description: str | None = None


_tokens = msgspec.json.Decoder(_TokenAnswer)
_error = msgspec.json.Decoder(_ErrorAnswer)
_claims = msgspec.json.Decoder(dict[str, Any])


def claims_of(access_token: str) -> Mapping[str, Any]:
    """What a token that is a JWT says about itself; nothing where it is none.

    Its signature is not checked: it came from the token service itself, and nothing but a
    choice among companies the provider lists anyway depends on it.
    """
    parts = access_token.split(".")
    if len(parts) != 3:
        return {}
    try:
        return _claims.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (msgspec.DecodeError, binascii.Error, ValueError):
        return {}


class OAuthClient:
    """One app at one provider. Knows its id and secret, keeps no tokens."""

    def __init__(
        self,
        http: HttpClient,
        endpoints: Endpoints,
        client_id: str,
        client_secret: str | None,
        *,
        style: OAuthStyle = QUICKBOOKS_OAUTH,
    ) -> None:
        """client_secret: None for an app that has none and uses PKCE."""
        self._http = http
        self._endpoints = endpoints
        self._client_id = client_id
        self._client_secret = client_secret
        self.style = style

    @property
    def uses_pkce(self) -> bool:
        """Whether a consent needs a code verifier of its own."""
        return self._client_secret is None

    def authorize_url(
        self, *, state: str, redirect_uri: str, code_verifier: str | None = None
    ) -> str:
        """Where a person goes to consent. `redirect_uri` exactly as registered with the app.

        code_verifier: 43 to 128 characters; `exchange` must get the same.
        """
        challenge: dict[str, str] = {}
        if code_verifier is not None:
            challenge = {
                "code_challenge": create_s256_code_challenge(code_verifier),
                "code_challenge_method": "S256",
            }
        return str(
            prepare_grant_uri(
                self._endpoints.authorize_url,
                client_id=self._client_id,
                response_type="code",
                redirect_uri=redirect_uri,
                scope=" ".join(self.style.scopes),
                state=state,
                **challenge,
            )
        )

    async def exchange(
        self, *, code: str, redirect_uri: str, code_verifier: str | None = None
    ) -> Tokens:
        """The first tokens, for the code of a callback. Single use, a few minutes old at most.

        Raises NeedsReauth (the code is spent, expired or another app's), Unreachable, or
        ProviderFault (the app's id or secret are wrong, or the answer is nonsense).
        """
        verifier = {} if code_verifier is None else {"code_verifier": code_verifier}
        form = prepare_token_request(
            "authorization_code", redirect_uri=redirect_uri, code=code, **verifier, **self._public()
        )
        return self._read(await self._post(form), refresh_token=None)

    async def refresh(self, refresh_token: str) -> Tokens:
        """New tokens. The refresh token in the answer replaces the old one. Raises as `exchange`;
        NeedsReauth: the refresh token is expired, rotated away or revoked."""
        form = prepare_token_request("refresh_token", refresh_token=refresh_token, **self._public())
        return self._read(await self._post(form), refresh_token=refresh_token)

    async def revoke(self, token: str) -> None:
        """Ends the grant at the provider. Raises as `exchange`.

        token: the refresh token. At Xero this drops every organisation of that person.
        """
        if self.style.revoke_as_form:
            content_type = "application/x-www-form-urlencoded"
            body = urlencode({"token": token, **self._public()}).encode("ascii")
        else:
            content_type, body = "application/json", msgspec.json.encode({"token": token})
        response = await self._http.send(
            HttpRequest(
                "POST",
                self._endpoints.revoke_url,
                headers={**self._headers(), "content-type": content_type},
                body=body,
                timeout_seconds=TOKEN_SECONDS,
            )
        )
        if response.status >= 400:
            raise self._refusal(response)

    async def _post(self, form: str) -> HttpResponse:
        return await self._http.send(
            HttpRequest(
                "POST",
                self._endpoints.token_url,
                headers={
                    **self._headers(),
                    **self.style.token_headers,
                    "content-type": "application/x-www-form-urlencoded",
                },
                body=form.encode("ascii"),
                timeout_seconds=TOKEN_SECONDS,
            )
        )

    def _public(self) -> dict[str, str]:
        """An app without a secret names itself in the form."""
        return {"client_id": self._client_id} if self._client_secret is None else {}

    def _headers(self) -> dict[str, str]:
        headers = {"accept": "application/json"}
        if self._client_secret is not None:
            pair = f"{self._client_id}:{self._client_secret}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
        return headers

    def _read(self, response: HttpResponse, *, refresh_token: str | None) -> Tokens:
        title = self.style.title
        if response.status != 200:
            raise self._refusal(response)
        try:
            answer = _tokens.decode(response.body)
        except msgspec.DecodeError as error:
            raise ProviderFault(
                f"[{title}] The answer of the token service cannot be read.",
                trace_id=response.trace_id,
            ) from error
        new_refresh_token = answer.refresh_token or refresh_token
        if new_refresh_token is None:
            raise ProviderFault(f"[{title}] The token service gave no refresh token.")
        lives = answer.x_refresh_token_expires_in or self.style.refresh_seconds
        hard = answer.x_refresh_token_hard_expires_in
        return Tokens(
            answer.access_token,
            new_refresh_token,
            answer.expires_in,
            min((s for s in (lives, hard) if s is not None), default=None),
            answer.scope or " ".join(self.style.scopes),
        )

    def missing_scopes(self, tokens: Tokens) -> tuple[str, ...]:
        """Asked for and not granted."""
        granted = set((tokens.scopes or "").split())
        return tuple(s for s in self.style.scopes if not self.style.is_covered(s, granted))

    def require_scopes(self, tokens: Tokens) -> None:
        """Raises ConsentRefused where a scope is missing that must not lack."""
        needed = [s for s in self.missing_scopes(tokens) if s in self.style.required]
        if needed:
            raise ConsentRefused(
                f"[{self.style.title}] The consent lacks {', '.join(needed)},"
                " without which nothing can be read.",
                hint="Consent again, and check that the app has that scope.",
            )

    def _refusal(self, response: HttpResponse) -> ProviderUnavailable:
        """Our error for a refused token call. Answers never repeat the tokens sent.

        Never a ProviderRefusal: a refusal is the provider's answer to a write, and this is not.
        """
        try:
            answer = _error.decode(response.body)
        except msgspec.DecodeError:
            answer = _ErrorAnswer("")
        reason = answer.error_description or answer.error or f"status {response.status}"
        trace_id = response.trace_id
        title, settings = self.style.title, f"providers.{self.style.provider}"
        if answer.error == "invalid_grant":
            return NeedsReauth(
                f"[{title}] The grant is gone: {reason}",
                code=answer.error,
                trace_id=trace_id,
            )
        if answer.error in ("invalid_client", "unauthorized_client") or response.status == 401:
            return ProviderFault(
                f"[{title}] The app's client_id and client_secret are not accepted.",
                code=answer.error or None,
                trace_id=trace_id,
                hint=f"Check {settings}.client_id and client_secret.",
            )
        if response.status >= 500 or response.status == 429:
            return Unreachable(
                f"[{title}] The token service is not available: {reason}",
                trace_id=trace_id,
            )
        return ProviderFault(
            f"[{title}] The token service refused: {reason}",
            code=answer.error or str(response.status),
            trace_id=trace_id,
        )
