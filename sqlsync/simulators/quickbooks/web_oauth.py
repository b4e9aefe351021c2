"""Consent page, token, revocation, user and discovery addresses over HTTP."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from sqlsync.simulators.quickbooks.oauth import SCOPES, OAuthError, Tokens
from sqlsync.simulators.quickbooks.openid import user_info
from sqlsync.simulators.quickbooks.service import Service
from sqlsync.simulators.quickbooks.values import DECODER
from sqlsync.simulators.quickbooks.web_data import spoiled
from sqlsync.simulators.trouble import Seen

CODE = "authorization_code"
Endpoint = Callable[[Request], Awaitable[Response]]

_PAGE = """<!doctype html><title>Connect</title>
<h1>Simulated QuickBooks</h1>
<p>The app <b>{client}</b> asks for: {scope}.</p>
<form method="post"><p><label>Company <select name="realm">{companies}</select></label></p>
{hidden}
<button name="answer" value="approve">Connect</button>
<button name="answer" value="deny">No thanks</button></form>"""


def authorize_endpoint(service: Service) -> Endpoint:
    """GET shows who asks for what; POST (or `auto_approve`) sends the browser back."""

    async def endpoint(request: Request) -> Response:
        params = dict(request.query_params)
        if request.method == "POST":
            params |= dict(parse_qsl((await request.body()).decode()))
        seen = Seen(request.method, request.url.path, "", "authorize")
        return await spoiled(service, request, seen, lambda: _authorize(service, request, params))

    return endpoint


def _authorize(service: Service, request: Request, params: dict[str, str]) -> Response:
    redirect_uri, state = params.get("redirect_uri", ""), params.get("state", "")
    client_id = params.get("client_id", "")
    if not urlsplit(redirect_uri).scheme or not client_id:
        return HTMLResponse("<h1>invalid_request</h1>", 400)
    if service.options.client_id not in (None, client_id):
        return HTMLResponse("<h1>invalid_client</h1>", 400)
    if params.get("response_type") != "code":
        return _back(redirect_uri, {"error": "unsupported_response_type", "state": state})
    scopes = params.get("scope", "").split()
    if not scopes or not SCOPES.issuperset(scopes):
        return _back(redirect_uri, {"error": "invalid_scope", "state": state})
    answer = params.get("answer")
    if request.method == "GET" and not service.options.auto_approve:
        return _page(service, params)
    if answer == "deny":
        return _back(redirect_uri, {"error": "access_denied", "state": state})
    realm = params.get("realm") or next(iter(service.companies))
    if realm not in service.companies:
        return HTMLResponse("<h1>No such company</h1>", 400)
    code = service.authority.approve(realm, client_id, redirect_uri, " ".join(scopes))
    return _back(redirect_uri, {"code": code, "state": state, "realmId": realm})


def _page(service: Service, params: dict[str, str]) -> Response:
    companies = "".join(f"<option>{escape(realm)}</option>" for realm in service.companies)
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in params.items()
    )
    page = _PAGE.format(
        client=escape(params["client_id"]),
        scope=escape(params.get("scope", "")),
        companies=companies,
        hidden=hidden,
    )
    return HTMLResponse(page)


def _back(redirect_uri: str, params: dict[str, str]) -> Response:
    joint = "&" if urlsplit(redirect_uri).query else "?"
    return RedirectResponse(f"{redirect_uri}{joint}{urlencode(params)}", 302)


def token_endpoint(service: Service) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        grant_type = form.get("grant_type", "")
        seen = Seen(request.method, request.url.path, "token", grant_type or "unknown")

        def work() -> Response:
            try:
                client = service.authority.check_client(*_client(request, form))
                tokens = _tokens(service, client, grant_type, form)
                return _issued(service, request, tokens, is_first=grant_type == CODE)
            except OAuthError as error:
                return _error(error)

        return await spoiled(service, request, seen, work)

    return endpoint


def _tokens(service: Service, client: str, grant_type: str, form: dict[str, str]) -> Tokens:
    if grant_type == CODE and form.get("code"):
        return service.authority.exchange(client, form["code"], form.get("redirect_uri", ""))
    if grant_type == "refresh_token" and form.get("refresh_token"):
        return service.authority.renew(client, form["refresh_token"])
    raise OAuthError(400, "invalid_request")


def _issued(service: Service, request: Request, tokens: Tokens, *, is_first: bool) -> Response:
    answer: dict[str, object] = {
        "token_type": "bearer",
        "expires_in": tokens.expires_in,
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "x_refresh_token_expires_in": tokens.refresh_expires_in,
    }
    if request.headers.get("x-include-refresh-token-hard-expires-in", "").lower() == "true":
        answer["x_refresh_token_hard_expires_in"] = tokens.hard_expires_in
    grant = tokens.grant
    if is_first and "openid" in grant.scope.split():
        answer["id_token"] = service.signer.id_token(
            _issuer(service, request), str(grant.client_id), grant.realm_id, service.clock.epoch()
        )
    return JSONResponse(answer, headers={"Cache-Control": "no-cache, no-store"})


def _client(request: Request, form: dict[str, str]) -> tuple[str | None, str | None]:
    """Client id and secret, from Basic or from the form."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(value).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None, None
        return name, secret
    return form.get("client_id"), form.get("client_secret")


def _error(error: OAuthError) -> Response:
    body = {"error": error.error}
    if error.description is not None:
        body["error_description"] = error.description
    return JSONResponse(body, error.status)


def revoke_endpoint(service: Service) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        seen = Seen(request.method, request.url.path, "token", "revoke")

        def work() -> Response:
            try:
                form = dict(parse_qsl(raw.decode("utf-8", "replace")))
                service.authority.check_client(*_client(request, form))
                service.authority.revoke(form.get("token") or _json_token(raw))
            except OAuthError as error:
                return _error(error)
            return Response(b"", 200)

        return await spoiled(service, request, seen, work)

    return endpoint


def _json_token(raw: bytes) -> str:
    try:
        body = DECODER.decode(raw)
    except ValueError:
        raise OAuthError(400, "invalid_request") from None
    token = body.get("token") if isinstance(body, dict) else None
    if not isinstance(token, str):
        raise OAuthError(400, "invalid_request")
    return token


def userinfo_endpoint(service: Service) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        seen = Seen(request.method, request.url.path, "", "userinfo")

        def work() -> Response:
            grant = service.authority.holder(token) if kind.lower() == "bearer" else None
            if grant is None:
                return JSONResponse({"error": "invalid_token"}, 401)
            about = user_info(grant.scope)
            if about is None:
                return JSONResponse({"error": "insufficient_scope"}, 403)
            return JSONResponse(about)

        return await spoiled(service, request, seen, work)

    return endpoint


def jwks_endpoint(service: Service) -> Endpoint:
    """The key that id_tokens are signed with."""

    async def endpoint(request: Request) -> Response:
        seen = Seen(request.method, request.url.path, "", "jwks")
        return await spoiled(service, request, seen, lambda: JSONResponse(service.signer.key_set()))

    return endpoint


def _issuer(service: Service, request: Request) -> str:
    return service.options.issuer or f"{str(request.base_url).rstrip('/')}/op/v1"


def discovery_endpoint(service: Service) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        base = str(request.base_url).rstrip("/")
        return JSONResponse(
            {
                "issuer": _issuer(service, request),
                "authorization_endpoint": f"{base}/connect/oauth2",
                "token_endpoint": f"{base}/oauth2/v1/tokens/bearer",
                "userinfo_endpoint": f"{base}/v1/openid_connect/userinfo",
                "revocation_endpoint": f"{base}/v2/oauth2/tokens/revoke",
                "jwks_uri": f"{base}/op/v1/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "email", "profile", "address", "phone"],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_post",
                    "client_secret_basic",
                ],
                "claims_supported": ["aud", "exp", "iat", "iss", "realmid", "sub"],
            }
        )

    return endpoint
