"""Consent page, token, revocation, connections and discovery addresses over HTTP."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from html import escape
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sqlsync.simulators.spoiling import spoil
from sqlsync.simulators.trouble import Seen, Trouble
from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.oauth import Connection, OAuthError
from sqlsync.simulators.xero.problems import Refused
from sqlsync.simulators.xero.service import Service
from sqlsync.simulators.xero.values import Doc, encode, moment
from sqlsync.simulators.xero.web_data import bearer

Endpoint = Callable[[Request], Awaitable[Response]]
Work = Callable[[], Response]

_PAGE = """<!doctype html><title>Connect</title>
<h1>Simulated Xero</h1>
<p>The app <b>{client}</b> asks for: {scope}.</p>
<form method="post">{tenants}
{hidden}
<button name="answer" value="approve">Allow access</button>
<button name="answer" value="deny">Cancel</button></form>"""
_TENANT = '<p><label><input type="checkbox" name="tenant" value="{id}"{on}> {name}</label></p>'


def _json(body: object, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(encode(body), status, headers, media_type="application/json")


async def _spoiled(service: Service, seen: Seen, work: Work) -> Response:
    response, _ = await spoil(service.troubles, seen, work, _act)
    service.traffic.note(seen, response.status_code, None)
    return response


def _act(rule: Trouble) -> Response:
    if rule.kind == "malformed":
        return Response(b'{"access_token":"eyJhb', 200, media_type="application/json")
    if rule.kind == "throttle":
        return Response(b"", 429, {"Retry-After": str(int(rule.seconds) or 60)})
    media = "application/json" if (rule.body or "").startswith("{") else "text/plain"
    return Response((rule.body or "").encode(), rule.status, media_type=media)


# -- consent ------------------------------------------------------------------------------------


def authorize_endpoint(service: Service) -> Endpoint:
    """GET shows who asks for what; POST (or `auto_approve`) sends the browser back."""

    async def endpoint(request: Request) -> Response:
        pairs = [*request.query_params.multi_items()]
        if request.method == "POST":
            pairs += parse_qsl((await request.body()).decode())
        chosen = tuple(value.lower() for name, value in pairs if name == "tenant")
        seen = Seen(request.method, request.url.path, "", "authorize")
        return await _spoiled(
            service, seen, lambda: _authorize(service, request, dict(pairs), chosen)
        )

    return endpoint


def redirect_fault(service: Service, address: str) -> bool:
    """Whether an address may not be redirected to: https, or http on localhost by name."""
    parts = urlsplit(address)
    if parts.scheme == "https" and parts.hostname:
        return False
    if parts.scheme != "http" or not parts.hostname:
        return True
    if parts.hostname == "localhost":
        return False
    is_loopback = parts.hostname in ("127.0.0.1", "::1")
    return not (is_loopback and not service.options.refuse_loopback_redirects)


def _authorize(
    service: Service, request: Request, params: dict[str, str], chosen: tuple[str, ...]
) -> Response:
    redirect_uri, state = params.get("redirect_uri", ""), params.get("state", "")
    client_id = params.get("client_id", "")
    if not client_id or service.options.client_id not in (None, client_id):
        return _problem("unauthorized_client", "Unknown client or client not enabled")
    if redirect_fault(service, redirect_uri):
        return _problem("unauthorized_client", "Invalid redirect_uri")
    if params.get("response_type") != "code":
        return _back(redirect_uri, {"error": "unsupported_response_type", "state": state})
    method = params.get("code_challenge_method", "")
    if params.get("code_challenge") and method != "S256":
        return _back(redirect_uri, {"error": "invalid_request", "state": state})
    fault = service.authority.scope_fault(params.get("scope", ""))
    if fault:
        return _back(redirect_uri, {"error": fault, "state": state})
    answer = params.get("answer")
    if request.method == "GET" and not service.options.auto_approve:
        return _page(service, params)
    if answer == "deny":
        return _back(redirect_uri, {"error": "access_denied", "state": state})
    tenants = chosen or tuple(service.organisations)
    if any(tenant not in service.organisations for tenant in tenants):
        return _problem("invalid_request", "No such organisation")
    code = service.authority.approve(
        client_id,
        redirect_uri,
        params.get("scope", ""),
        tenants,
        params.get("code_challenge") or None,
        params.get("nonce"),
    )
    scope = {"scope": params.get("scope", "")}
    return _back(redirect_uri, {"code": code, **scope, "state": state})


def _problem(error: str, text: str) -> Response:
    return HTMLResponse(f"<h1>Error: {escape(error)}</h1><p>{escape(text)}</p>", 400)


def _page(service: Service, params: dict[str, str]) -> Response:
    tenants = "".join(
        _TENANT.format(id=tenant_id, on=" checked" if number == 0 else "", name=escape(one.name))
        for number, (tenant_id, one) in enumerate(service.organisations.items())
    )
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in params.items()
    )
    page = _PAGE.format(
        client=escape(params["client_id"]),
        scope=escape(params.get("scope", "")),
        tenants=tenants,
        hidden=hidden,
    )
    return HTMLResponse(page)


def _back(redirect_uri: str, params: dict[str, str]) -> Response:
    joint = "&" if urlsplit(redirect_uri).query else "?"
    given = {name: value for name, value in params.items() if value}
    return RedirectResponse(f"{redirect_uri}{joint}{urlencode(given)}", 302)


# -- tokens -------------------------------------------------------------------------------------


def token_endpoint(service: Service) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        grant_type = form.get("grant_type", "")
        seen = Seen(request.method, request.url.path, "token", grant_type or "unknown")

        def work() -> Response:
            try:
                return _json(_tokens(service, request, grant_type, form))
            except OAuthError as error:
                return _json({"error": error.error}, error.status)

        return await _spoiled(service, seen, work)

    return endpoint


def _tokens(service: Service, request: Request, grant_type: str, form: dict[str, str]) -> Doc:
    authority, issuer = service.authority, str(request.base_url).rstrip("/")
    name, secret = _client(request, form)
    public = grant_type == "refresh_token" or bool(form.get("code_verifier"))
    client = authority.check_client(name, secret, public=public)
    if grant_type == "authorization_code" and form.get("code"):
        address = form.get("redirect_uri", "")
        return authority.exchange(client, form["code"], address, form.get("code_verifier"), issuer)
    if grant_type == "refresh_token" and form.get("refresh_token"):
        return authority.renew(client, form["refresh_token"], issuer, has_secret=bool(secret))
    if grant_type == "client_credentials":
        tenant = next(iter(service.organisations))
        return authority.custom(client, form.get("scope", ""), tenant, issuer)
    if grant_type in ("authorization_code", "refresh_token"):
        raise OAuthError("invalid_request")
    raise OAuthError("unsupported_grant_type")


def _client(request: Request, form: dict[str, str]) -> tuple[str | None, str | None]:
    """Client id and secret, from Basic or from the form."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(value).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None, None
        return unquote_plus(name), unquote_plus(secret)
    return form.get("client_id"), form.get("client_secret")


def revoke_endpoint(service: Service) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        seen = Seen(request.method, request.url.path, "token", "revoke")

        def work() -> Response:
            try:
                client = service.authority.check_client(*_client(request, form), public=True)
                if not form.get("token"):
                    raise OAuthError("invalid_request")
            except OAuthError as error:
                return _json({"error": error.error}, error.status)
            service.authority.revoke(client, form["token"])
            return Response(b"", 200)

        return await _spoiled(service, seen, work)

    return endpoint


# -- connections --------------------------------------------------------------------------------


def connections_endpoint(service: Service) -> Endpoint:
    """GET all (`?authEventId=`), DELETE one."""

    async def endpoint(request: Request) -> Response:
        operation = "delete" if request.method == "DELETE" else "query"
        seen = Seen(request.method, request.url.path, "connection", operation)
        return await _spoiled(service, seen, lambda: _connections(service, request))

    return endpoint


def _connections(service: Service, request: Request) -> Response:
    try:
        client = service.holder(bearer(request)).grant.client_id or ""
        event = request.query_params.get("authEventId")
        if request.method == "GET":
            found = service.authority.connections_of(client, event)
            return _json([_shown(service, one) for one in found])
        wanted = request.path_params.get("id", "").lower()
        for held in service.authority.connections_of(client, None):
            if held.id == wanted:
                del service.authority.connections[client, held.tenant_id]
                return Response(b"", 204)
        raise problems.not_found()
    except Refused as refusal:
        body = encode(refusal.body) if isinstance(refusal.body, dict) else refusal.body
        return Response(body, refusal.status, dict(refusal.headers), media_type=refusal.media)


def _shown(service: Service, held: Connection) -> Doc:
    return {
        "id": held.id,
        "authEventId": held.event,
        "tenantId": held.tenant_id,
        "tenantType": "ORGANISATION",
        "tenantName": service.organisations[held.tenant_id].name,
        "createdDateUtc": _precise(held.created),
        "updatedDateUtc": _precise(held.updated),
    }


def _precise(ms: int) -> str:
    """`2026-10-01T20:15:42.5165400`."""
    return f"{moment(ms):%Y-%m-%dT%H:%M:%S.%f}0"


# -- discovery ----------------------------------------------------------------------------------


def discovery_endpoint(service: Service) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        base = str(request.base_url).rstrip("/")
        well_known = f"{base}/.well-known/openid-configuration"
        return _json(
            {
                "issuer": base,
                "jwks_uri": f"{well_known}/jwks",
                "authorization_endpoint": f"{base}/identity/connect/authorize",
                "token_endpoint": f"{base}/connect/token",
                "userinfo_endpoint": f"{base}/connect/userinfo",
                "revocation_endpoint": f"{base}/connect/revocation",
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "grant_types_supported": [
                    "authorization_code",
                    "client_credentials",
                    "refresh_token",
                ],
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_basic",
                    "client_secret_post",
                ],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    return endpoint


def jwks_endpoint(service: Service) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return _json(service.authority.signer.jwks())

    return endpoint
