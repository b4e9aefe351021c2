"""`/v3/company/{realm}/…` over HTTP: parse, admit, spoil as scripted, answer.

JSON for who accepts it, else XML; `intuit_tid` on every answer; faults with their status.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote, unquote
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.company import Company, parse_body
from sqlsync.simulators.quickbooks.entities import Entity, entity_by_word
from sqlsync.simulators.quickbooks.entitlements import to_xml as to_plan_xml
from sqlsync.simulators.quickbooks.faults import Fault, GatewayFault
from sqlsync.simulators.quickbooks.pdf import form_pdf
from sqlsync.simulators.quickbooks.service import Service
from sqlsync.simulators.quickbooks.traffic import classify
from sqlsync.simulators.quickbooks.values import decode, encode
from sqlsync.simulators.quickbooks.xml import to_xml
from sqlsync.simulators.quickbooks.xml_reading import read_xml
from sqlsync.simulators.spoiling import spoil
from sqlsync.simulators.trouble import Seen, Trouble

_READS = frozenset({"read", "query", "cdc", "pdf", "download"})
Work = Callable[[], Response]
BROKEN = b'{"QueryResponse":{"Customer":[{"Id":"1","SyncTo'


def data_endpoint(service: Service) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of everything below a company."""

    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        path = "/" + request.path_params["path"]
        params = dict(request.query_params)
        body, broken = _parsed(request, path, raw)
        seen = classify(request.method, path, params, body)
        limiter = service.limiter(request.path_params["realm"])
        call = _Call(
            service, request, seen, path, params, raw if path == "/upload" else body, broken
        )
        limiter.running += 1
        try:
            if service.options.latency_seconds:
                await asyncio.sleep(service.options.latency_seconds)
            return await spoiled(service, request, seen, call.answer, params.get("requestid"))
        finally:
            limiter.running -= 1

    return endpoint


def entitlements_endpoint(service: Service) -> Callable[[Request], Awaitable[Response]]:
    """What the plan allows: the same token, another address, and XML whatever was asked for."""

    async def endpoint(request: Request) -> Response:
        seen = Seen("GET", request.url.path, "entitlements", "read")

        def answer() -> Response:
            realm = request.path_params["realm"]
            try:
                company = service.enter(realm, _bearer(request), is_batch=False)
            except GatewayFault as fault:
                return refused(service, request, fault)
            record = company.books.row("Entitlements", 1).doc or {}
            return Response(to_plan_xml(record), media_type="application/xml;charset=UTF-8")

        return await spoiled(service, request, seen, answer)

    return endpoint


def file_endpoint(service: Service) -> Callable[[Request], Awaitable[Response]]:
    """The bytes behind a short-lived link, for whoever has it: it asks for no token."""

    async def endpoint(request: Request) -> Response:
        seen = Seen("GET", request.url.path, "file", "read")

        def answer() -> Response:
            company = service.companies.get(request.path_params["realm"])
            held = company.files.fetch(request.path_params["token"]) if company else None
            if held is None:
                return PlainTextResponse("Access Denied: the link has expired", 403)
            name = quote(held.name)
            headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
            return Response(held.data, media_type=held.content_type, headers=headers)

        return await spoiled(service, request, seen, answer)

    return endpoint


def _parsed(request: Request, path: str, raw: bytes) -> tuple[Any, Fault | None]:
    """The body as JSON (or text, for a query), or the Fault to answer later."""
    if request.method != "POST":
        return None, None
    if path.startswith("/query"):
        return raw.decode("utf-8", "replace"), None
    if path.endswith("/send") or path == "/upload":
        return None, None
    content_type = request.headers.get("content-type", "application/json")
    is_xml = "xml" in content_type
    if not is_xml and "json" not in content_type and not raw.lstrip().startswith((b"{", b"[")):
        detail = "Invalid content type. Only application/json and application/xml are served here."
        return None, Fault("1050", detail)
    try:
        return (read_xml(raw) if is_xml else parse_body(raw)), None
    except Fault as fault:
        return None, fault


async def spoiled(
    service: Service, request: Request, seen: Seen, work: Work, requestid: str | None = None
) -> Response:
    """Carries out `work` with the trouble that is scripted for it, and counts the request."""
    response, was_done = await spoil(
        service.troubles, seen, work, lambda rule: _act(service, request, rule)
    )
    service.traffic.note(seen, response.status_code, requestid)
    if was_done:
        response.headers["intuit_tid"] = f"1-{uuid4().hex[:24]}"
    return response


_KNOWN_STATUS: dict[int, Callable[[], Fault | GatewayFault]] = {
    401: faults.token_expired,
    403: faults.wrong_company,
    429: faults.throttled,
    500: faults.system_failure,
}


def _act(service: Service, request: Request, rule: Trouble) -> Response:
    if rule.kind == "malformed":
        body = rule.body.encode() if rule.body is not None else BROKEN
        return Response(body, 200, media_type="application/json")
    if rule.kind == "throttle":
        return refused(service, request, faults.throttled(service.options.throttle_status))
    if rule.body is not None:
        return Response(rule.body.encode(), rule.status, media_type="application/json")
    known = _KNOWN_STATUS.get(rule.status)
    if known is not None:
        return refused(service, request, known())
    return Response(b"Service Unavailable", rule.status, media_type="text/plain")


def refused(service: Service, request: Request, fault: Fault | GatewayFault) -> Response:
    now = service.clock.now()
    headers: dict[str, str] = {}
    if fault.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="Intuit", error="invalid_token"'
    if fault.status == 429 and service.options.retry_after_header:
        headers["Retry-After"] = "60"
    return _answer(service, request, encode(fault.envelope(now)), fault.status, headers)


def _answer(
    service: Service,
    request: Request,
    body: bytes,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    accept = request.headers.get("accept", "")
    if "json" in accept or not service.options.json_needs_accept:
        media = "application/json;charset=UTF-8"
        response = Response(body, status, headers, media_type=media)
    else:
        xml = to_xml(decode(body))
        response = Response(xml, status, headers, media_type="application/xml;charset=UTF-8")
    response.headers["QBO-Version"] = "1975.155"
    return response


class _Call:
    """One request to the data service."""

    def __init__(
        self,
        service: Service,
        request: Request,
        seen: Seen,
        path: str,
        params: dict[str, str],
        body: Any,
        broken: Fault | None,
    ) -> None:
        self.service = service
        self.request = request
        self.seen = seen
        self.parts = [unquote(part) for part in path.strip("/").split("/")]
        self.params = params
        self.body = body
        self.broken = broken

    def answer(self) -> Response:
        service, request = self.service, self.request
        realm = request.path_params["realm"]
        try:
            company = service.enter(
                realm,
                _bearer(request),
                is_batch=self.seen.operation == "batch",
                is_read=self.seen.operation in _READS,
            )
            if self.broken is not None:
                raise self.broken
            result = self._run(company)
        except (Fault, GatewayFault) as fault:
            return refused(service, request, fault)
        if result is None:
            return Response("Not Found", 404, media_type="text/plain")
        if isinstance(result, Response):
            return result
        return _answer(service, request, result)

    def _run(self, company: Company) -> bytes | Response | None:
        first, operation = self.parts[0], self.seen.operation
        if operation == "query":
            is_post = self.request.method == "POST"
            return company.query(self.body if is_post else self.params.get("query", ""))
        if operation == "cdc":
            return company.cdc(self.params.get("entities", ""), self.params.get("changedSince", ""))
        if operation == "batch":
            return company.batch(self.body, self.params.get("requestid"))
        company.files.origin = str(self.request.base_url).rstrip("/")
        if operation == "upload":
            kind = self.request.headers.get("content-type", "")
            return company.upload(kind, self.body, self.params.get("requestid"))
        if operation == "download":
            return PlainTextResponse(company.download(self.parts[-1]))
        if self.parts == ["taxservice", "taxcode"] and self.request.method == "POST":
            return company.tax_service(self.body, self.params.get("requestid"))
        if first == "reports" and self.request.method == "GET" and len(self.parts) == 2:
            return company.report(self.parts[1], self.params)
        entity = entity_by_word().get(first)
        if entity is None or len(self.parts) > 3:
            return None
        if self.request.method == "GET":
            return self._get(company, entity)
        if operation == "send":
            if len(self.parts) != 3:
                return None
            return company.send(
                entity, self.parts[1], self.params.get("sendTo"), self.params.get("requestid")
            )
        if len(self.parts) != 1:
            return None
        asked = self.params.get("operation", "").lower()
        if asked not in ("", "create", "update", "delete", "void"):
            raise faults.unsupported(asked)
        return company.write(
            entity,
            self.body,
            asked,
            include=self.params.get("include", ""),
            requestid=self.params.get("requestid"),
        )

    def _get(self, company: Company, entity: Entity) -> bytes | Response | None:
        if entity.name == "Entitlements":
            return None
        if entity.name == "TaxClassification":
            return company.classifications(self.parts[1:], self.params.get("level"))
        if entity.name == "ExchangeRate" and len(self.parts) == 1:
            params = {name.lower(): value for name, value in self.params.items()}
            return company.rate(params.get("sourcecurrencycode", ""), params.get("asofdate", ""))
        if len(self.parts) == 3:
            if self.parts[2] != "pdf" or not entity.can("pdf"):
                return None
            row = company.find(entity, self.parts[1])
            return Response(form_pdf(entity.name, row), media_type="application/pdf")
        if len(self.parts) == 1:
            return company.read(entity, "1") if entity.name == "Preferences" else None
        return company.read(entity, self.parts[1], self.params.get("include", ""))


def _bearer(request: Request) -> str | None:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None
