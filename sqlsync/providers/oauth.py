"""OAuth 2.0 as Intuit speaks it: the consent's address, code for tokens, refresh, revoke.

The forms and addresses are Authlib's; the calls go through our own HTTP door, so that their
failures are sorted like all others. Intuit offers no PKCE; `state` guards the callback.
Source: Intuit, "Set up OAuth 2.0", "Authorization FAQ".
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request

from sqlsync.errors import NeedsReauth, ProviderFault, ProviderUnavailable, Unreachable
from sqlsync.providers.endpoints import Endpoints
from sqlsync.providers.http import HttpClient
from sqlsync.providers.messages import HttpRequest, HttpResponse

QUICKBOOKS_SCOPES = ("com.intuit.quickbooks.accounting",)
TOKEN_SECONDS = 30.0  # a row lock is held meanwhile


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
    scope: str | None = None


class _ErrorAnswer(msgspec.Struct):
    error: str
    error_description: str | None = None


_tokens = msgspec.json.Decoder(_TokenAnswer)
_error = msgspec.json.Decoder(_ErrorAnswer)


class OAuthClient:
    """One app at one provider. Knows its id and secret, keeps no tokens."""

    def __init__(
        self,
        http: HttpClient,
        endpoints: Endpoints,
        client_id: str,
        client_secret: str,
        *,
        title: str = "QuickBooks",
        scopes: Sequence[str] = QUICKBOOKS_SCOPES,
    ) -> None:
        self._http = http
        self._endpoints = endpoints
        self._client_id = client_id
        self._client_secret = client_secret
        self._title = title
        self._scopes = tuple(scopes)

    def authorize_url(self, *, state: str, redirect_uri: str) -> str:
        """Where a person goes to consent. `redirect_uri` exactly as registered with the app."""
        return str(
            prepare_grant_uri(
                self._endpoints.authorize_url,
                client_id=self._client_id,
                response_type="code",
                redirect_uri=redirect_uri,
                scope=" ".join(self._scopes),
                state=state,
            )
        )

    async def exchange(self, *, code: str, redirect_uri: str) -> Tokens:
        """The first tokens, for the code of a callback. Single use, a few minutes old at most.

        Raises NeedsReauth (the code is spent, expired or another app's), Unreachable, or
        ProviderFault (the app's id or secret are wrong, or the answer is nonsense).
        """
        form = prepare_token_request("authorization_code", redirect_uri=redirect_uri, code=code)
        return self._read(await self._post(form), refresh_token=None)

    async def refresh(self, refresh_token: str) -> Tokens:
        """New tokens. The refresh token in the answer replaces the old one. Raises as `exchange`;
        NeedsReauth: the refresh token is expired, rotated away or revoked."""
        form = prepare_token_request("refresh_token", refresh_token=refresh_token)
        return self._read(await self._post(form), refresh_token=refresh_token)

    async def revoke(self, token: str) -> None:
        """Ends the grant at the provider; either of its tokens will do. Raises as `exchange`."""
        response = await self._http.send(
            HttpRequest(
                "POST",
                self._endpoints.revoke_url,
                headers={**self._headers(), "content-type": "application/json"},
                body=msgspec.json.encode({"token": token}),
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
                    "content-type": "application/x-www-form-urlencoded",
                },
                body=form.encode("ascii"),
                timeout_seconds=TOKEN_SECONDS,
            )
        )

    def _headers(self) -> dict[str, str]:
        pair = f"{self._client_id}:{self._client_secret}".encode()
        return {
            "accept": "application/json",
            "authorization": f"Basic {base64.b64encode(pair).decode('ascii')}",
        }

    def _read(self, response: HttpResponse, *, refresh_token: str | None) -> Tokens:
        if response.status != 200:
            raise self._refusal(response)
        try:
            answer = _tokens.decode(response.body)
        except msgspec.DecodeError as error:
            raise ProviderFault(
                f"[{self._title}] The answer of the token service cannot be read.",
                trace_id=response.trace_id,
            ) from error
        new_refresh_token = answer.refresh_token or refresh_token
        if new_refresh_token is None:
            raise ProviderFault(f"[{self._title}] The token service gave no refresh token.")
        return Tokens(
            answer.access_token,
            new_refresh_token,
            answer.expires_in,
            answer.x_refresh_token_expires_in,
            answer.scope or " ".join(self._scopes),
        )

    def _refusal(self, response: HttpResponse) -> ProviderUnavailable:
        """Our error for a refused token call. Answers never repeat the tokens sent.

        Never a ProviderRefusal: a refusal is QuickBooks' answer to a write, and this is not.
        """
        try:
            answer = _error.decode(response.body)
        except msgspec.DecodeError:
            answer = _ErrorAnswer("")
        reason = answer.error_description or answer.error or f"status {response.status}"
        trace_id = response.trace_id
        if answer.error == "invalid_grant":
            return NeedsReauth(
                f"[{self._title}] The grant is gone: {reason}",
                code=answer.error,
                trace_id=trace_id,
            )
        if answer.error in ("invalid_client", "unauthorized_client") or response.status == 401:
            return ProviderFault(
                f"[{self._title}] The app's client_id and client_secret are not accepted.",
                code=answer.error or None,
                trace_id=trace_id,
                hint="Check providers.quickbooks.client_id and client_secret.",
            )
        if response.status >= 500 or response.status == 429:
            return Unreachable(
                f"[{self._title}] The token service is not available: {reason}",
                trace_id=trace_id,
            )
        return ProviderFault(
            f"[{self._title}] The token service refused: {reason}",
            code=answer.error or str(response.status),
            trace_id=trace_id,
        )
