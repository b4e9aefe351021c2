"""`/api.xro/2.0/…` over HTTP: let in, spoil as scripted, answer.

JSON for who accepts it, else XML; the limits' headers on every answer of a tenant; answers kept
under an Idempotency-Key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from sqlsync.simulators.spoiling import spoil
from sqlsync.simulators.trouble import Trouble
from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.calls import Answer, Call
from sqlsync.simulators.xero.idempotency import Kept
from sqlsync.simulators.xero.organisation import Organisation
from sqlsync.simulators.xero.problems import Refused
from sqlsync.simulators.xero.requests import classify, is_allowed
from sqlsync.simulators.xero.service import Service
from sqlsync.simulators.xero.values import encode, millis
from sqlsync.simulators.xero.xml import to_xml

PREFIX = "/api.xro/2.0"
METHODS = ["GET", "PUT", "POST", "DELETE", "PATCH"]
BROKEN = b'{"Id":"0c9d8e7f-0001-4a3b-9c2d-1e0f5a6b7c8d","Status":"OK","Invoices":[{"InvoiceID":"'
_KEYED = ("PUT", "POST", "PATCH")


def bearer(request: Request) -> str | None:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def data_endpoint(service: Service) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of the whole Accounting API."""

    async def endpoint(request: Request) -> Response:
        exchange = _Exchange(service, request, await request.body())
        return await exchange.run()

    return endpoint


class _Exchange:
    """One request to the data service and its answer."""

    def __init__(self, service: Service, request: Request, body: bytes) -> None:
        self.service = service
        self.request = request
        path = "/" + request.path_params["path"].strip("/")
        parts = tuple(unquote(part) for part in path.split("/") if part)
        if parts and parts[0] == "Organisations":  # as many clients call it; Xero takes both
            parts = ("Organisation", *parts[1:])
        params = {name.lower(): value for name, value in request.query_params.items()}
        headers = request.headers
        self.tenant_id = headers.get("xero-tenant-id")
        self.call = Call(
            request.method,
            parts or ("",),
            params,
            body,
            headers.get("if-modified-since"),
            headers.get("accept", ""),
            headers.get("content-type", ""),
            headers.get("idempotency-key") if request.method in _KEYED else None,
            base_url=str(request.base_url).rstrip("/"),
        )
        self.seen = classify(request.method, path, parts)
        self.organisation: Organisation | None = None
        self.app_left = service.options.app_requests_per_minute

    async def run(self) -> Response:
        service = self.service
        refusal = self._enter()
        limits = service.limits(self.organisation.tenant_id) if self.organisation else None
        if limits is not None:
            limits.running += 1
        try:
            if refusal is None and limits is not None:
                refusal = self._limited()
            if service.options.latency_seconds:
                await asyncio.sleep(service.options.latency_seconds)
            work = self._answer if refusal is None else lambda: self.refused(refusal)
            response, _ = await spoil(service.troubles, self.seen, work, self._act)
        finally:
            if limits is not None:
                limits.running -= 1
        service.traffic.note(self.seen, response.status_code, self.call.idempotency_key)
        response.headers["Xero-Correlation-Id"] = str(uuid4())
        if limits is not None:
            response.headers["X-AppMinLimit-Remaining"] = str(self.app_left)
            response.headers.setdefault("X-MinLimit-Remaining", str(limits.minute_left))
            response.headers.setdefault("X-DayLimit-Remaining", str(limits.day_left))
        return response

    # -- letting in -----------------------------------------------------------------------------

    def _enter(self) -> Refused | None:
        """Token, tenant, scope; the refusal where one of them does not fit."""
        service = self.service
        try:
            access = service.holder(bearer(self.request))
            grant = access.grant
            self.organisation = service.tenant(access, self.tenant_id)
            self.call = _of_client(self.call, grant.client_id or "")
            allowed = is_allowed(self.call, frozenset(grant.scope.split()))
            if service.options.check_scopes and not allowed:
                raise problems.scope_missing()
            if self.call.parts[0].lower() == "journals" and not service.options.premium_journals:
                raise problems.scope_missing()
        except Refused as refusal:
            return refusal
        return None

    def _limited(self) -> Refused | None:
        service = self.service
        assert self.organisation is not None
        now = service.clock.epoch()
        limits = service.limits(self.organisation.tenant_id)
        problem = limits.admit(now)
        self.app_left, app_wait = service.app_window.admit(now)
        if problem is not None:
            return problems.limited(*problem)
        return problems.limited("appminute", app_wait) if app_wait is not None else None

    # -- answering ------------------------------------------------------------------------------

    def _answer(self) -> Response:
        key = self.call.idempotency_key
        now = millis(self.service.clock.now())
        request = self._identity()
        try:
            if key:
                kept = self.service.answers.find(self.call.client_id, key, request, now)
                if kept is not None:
                    return _replayed(kept)
        except Refused as refusal:
            return self.refused(refusal)
        response = self._carried_out()
        if key:
            headers = {name: value for name, value in response.headers.items() if name == "allow"}
            answer = (
                response.status_code,
                bytes(response.body),
                response.media_type or "",
                headers,
            )
            self.service.answers.keep(self.call.client_id, key, request, now, answer)
        return response

    def _identity(self) -> tuple[str, str, str, bytes]:
        url = self.request.url
        tenant = self.organisation.tenant_id if self.organisation else ""
        return self.call.method, tenant, f"{url.path}?{url.query}", self.call.body

    def _carried_out(self) -> Response:
        assert self.organisation is not None
        call = self.call
        try:
            is_file = len(call.parts) > 2 and call.parts[2].lower() == "attachments"
            if call.method in _KEYED and call.body and not is_file:
                self._check_body()
            return self._shown(self.organisation.handle(call))
        except Refused as refusal:
            return self.refused(refusal)

    def _check_body(self) -> None:
        kind = self.call.content_type.lower()
        is_xml = self.call.body.lstrip().startswith(b"<")
        if kind and ("xml" if is_xml else "json") not in kind:
            raise problems.bad_post("Only application/json and application/xml are served here.")
        if len(self.call.body) > self.service.options.body_bytes_max:
            raise problems.bad_post("The request is too large.")

    def _shown(self, answer: Answer) -> Response:
        if isinstance(answer.body, bytes):
            media = answer.media if answer.body else None
            return Response(answer.body, answer.status, dict(answer.headers), media_type=media)
        return self._document(answer.body, answer.status, dict(answer.headers), answer.media)

    def _document(self, body: Any, status: int, headers: dict[str, str], media: str) -> Response:
        if "json" in self.call.accept or not self.service.options.json_needs_accept:
            return Response(encode(body), status, headers, media_type=media)
        return Response(to_xml(body), status, headers, media_type="text/xml; charset=utf-8")

    def refused(self, refusal: Refused) -> Response:
        if isinstance(refusal.body, dict):
            return self._document(refusal.body, refusal.status, refusal.headers, refusal.media)
        return Response(
            refusal.body, refusal.status, dict(refusal.headers), media_type=refusal.media
        )

    # -- trouble --------------------------------------------------------------------------------

    def _act(self, rule: Trouble) -> Response:
        if rule.kind == "malformed":
            body = rule.body.encode() if rule.body is not None else BROKEN
            return Response(body, 200, media_type="application/json; charset=utf-8")
        if rule.kind == "throttle":
            return self._throttled(rule)
        if rule.body is not None:
            media = "application/json" if rule.body.startswith(("{", "[")) else "text/plain"
            return Response(rule.body.encode(), rule.status, media_type=media)
        known = {
            401: problems.bad_token,
            403: problems.tenant_not_connected,
            404: problems.not_found,
        }.get(rule.status)
        if known is not None:
            return self.refused(known())
        if rule.status == 429:
            return self._throttled(rule)
        return self.refused(problems.offline(rule.status))

    def _throttled(self, rule: Trouble) -> Response:
        """429 of the kind named by `body`: minute (the default), day, concurrent, appminute."""
        kind = rule.body or "minute"
        wait = (
            None if kind == "concurrent" else int(rule.seconds) or (60 if kind != "day" else 3600)
        )
        response = self.refused(problems.limited(kind, wait))
        if kind in ("minute", "day"):
            name = "X-MinLimit-Remaining" if kind == "minute" else "X-DayLimit-Remaining"
            response.headers[name] = "0"
        return response


def _replayed(kept: Kept) -> Response:
    return Response(kept.body, kept.status, dict(kept.headers), media_type=kept.media or None)


def _of_client(call: Call, client_id: str) -> Call:
    return Call(
        call.method,
        call.parts,
        call.params,
        call.body,
        call.since,
        call.accept,
        call.content_type,
        call.idempotency_key,
        client_id,
        call.base_url,
    )
