"""`/_control`: what tests and demos do to the simulated service. JSON in, JSON out.

GET  /_control                      tenants, first refresh tokens, waiting webhooks
GET  /_control/books[/{entity}[/{id}]]   counts · all records · one record (`?tenant=`)
GET  /_control/requests             {"counts": {kind: n}, "log": […]}; kinds are like
                                    `create.invoice` (PUT), `write.invoice` (POST to the
                                    collection), `update.invoice`, `query.contact`,
                                    `token.refresh_token`
GET  /_control/applied              records changed, in order
POST /_control/reset                forgets requests, applied writes, kept answers and trouble
POST /_control/trouble              one rule or a list of them (see simulators.trouble); for
                                    throttle, `body` names the limit: minute, day, concurrent
POST /_control/tokens               {"expire": true} access tokens end now ·
                                    {"revoke": true} the connection is gone (`tenant`) ·
                                    {"disconnect": true} the tenant alone is ·
                                    {"grant": true} one more refresh token
POST /_control/clock                {"advance_seconds": n}
POST /_control/options              {option: value, …} (see xero.options)
POST /_control/webhooks             {"url", "signing_key", "drop", "duplicate",
                                    "wrong_signature", "reverse", "foreign", "delay_seconds"}
POST /_control/books                a person's change: {"entity", "operation", "body", "tenant"};
                                    operation create, update, delete, void or archive; the id in
                                    the body names the record
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sqlsync.simulators.courier import Mischief
from sqlsync.simulators.trouble import Trouble
from sqlsync.simulators.xero.calls import Call
from sqlsync.simulators.xero.endpoints import Endpoint, endpoint_by_word
from sqlsync.simulators.xero.organisation import Organisation
from sqlsync.simulators.xero.problems import Refused
from sqlsync.simulators.xero.service import Service
from sqlsync.simulators.xero.shapes import render
from sqlsync.simulators.xero.shapes_parts import View
from sqlsync.simulators.xero.store import Row
from sqlsync.simulators.xero.values import Doc, decode, encode

Answering = Callable[[Request], Awaitable[Response]]


def control_routes(service: Service) -> list[Route]:
    control = _Control(service)
    gets: dict[str, Callable[[Request], Any]] = {
        "": control.status,
        "/books": control.counts,
        "/books/{entity}": control.records,
        "/books/{entity}/{id}": control.record,
        "/requests": control.requests,
        "/applied": control.applied,
    }
    posts: dict[str, Callable[[Any], Any]] = {
        "/reset": control.reset,
        "/trouble": control.trouble,
        "/tokens": control.tokens,
        "/clock": control.clock,
        "/options": control.options,
        "/webhooks": control.webhooks,
        "/books": control.change,
    }
    routes = [
        Route(f"/_control{path}", _getter(work), methods=["GET"]) for path, work in gets.items()
    ]
    routes += [
        Route(f"/_control{path}", _poster(work), methods=["POST"]) for path, work in posts.items()
    ]
    return routes


def _getter(work: Callable[[Request], Any]) -> Answering:
    async def endpoint(request: Request) -> Response:
        try:
            return Response(encode(work(request)), media_type="application/json")
        except (Refused, ValueError, KeyError) as error:
            return _refusal(error)

    return endpoint


def _poster(work: Callable[[Any], Any]) -> Answering:
    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        try:
            result = work(decode(raw) if raw.strip() else {})
        except (Refused, ValueError, TypeError, KeyError) as error:
            return _refusal(error)
        return Response(encode(result if result else {"ok": True}), media_type="application/json")

    return endpoint


def _refusal(error: Exception) -> Response:
    body: Doc = {"error": str(error)}
    if isinstance(error, Refused):
        body["status"], body["refusal"] = error.status, error.body
    return Response(encode(body), 400, media_type="application/json")


class _Control:
    def __init__(self, service: Service) -> None:
        self.service = service

    def _organisation(self, tenant: str | None) -> Organisation:
        held = self.service.organisations
        return held[tenant.lower()] if tenant else next(iter(held.values()))

    # -- looking ----------------------------------------------------------------------------

    def status(self, request: Request) -> Doc:
        service = self.service
        sender = service.sender
        return {
            "organisations": [
                {
                    "tenant_id": tenant_id,
                    "name": one.name,
                    "refresh_token": service.refresh_tokens[tenant_id],
                }
                for tenant_id, one in service.organisations.items()
            ],
            "now": service.clock.now().isoformat(),
            "webhooks": {
                "url": sender.url,
                "intent": sender.intent,
                "waiting": sender.waiting,
                "delivered": sender.delivered,
                "failed": sender.failed,
            },
            "trouble": [asdict(rule) for rule in service.troubles.rules],
        }

    def counts(self, request: Request) -> Doc:
        books = self._organisation(request.query_params.get("tenant")).books
        return {name: len(table) for name, table in books.tables.items()}

    def records(self, request: Request) -> list[Doc]:
        organisation, endpoint = self._named(request)
        rows = organisation.books.table(endpoint.name).by_id()
        return [_rendered(organisation, endpoint, row) for row in rows]

    def record(self, request: Request) -> Doc:
        organisation, endpoint = self._named(request)
        row = organisation.find_row(endpoint, request.path_params["id"])
        return _rendered(organisation, endpoint, row)

    def _named(self, request: Request) -> tuple[Organisation, Endpoint]:
        organisation = self._organisation(request.query_params.get("tenant"))
        return organisation, _endpoint(request.path_params["entity"])

    def requests(self, request: Request) -> Doc:
        traffic = self.service.traffic
        return {"counts": dict(traffic.counts), "log": [asdict(logged) for logged in traffic.log]}

    def applied(self, request: Request) -> list[Doc]:
        organisation = self._organisation(request.query_params.get("tenant"))
        return [asdict(write) for write in organisation.applied]

    # -- doing --------------------------------------------------------------------------------

    def reset(self, given: Doc) -> None:
        self.service.traffic.reset()
        self.service.troubles.clear()
        self.service.answers.clear()
        for organisation in self.service.organisations.values():
            organisation.applied.clear()

    def trouble(self, given: Any) -> None:
        for rule in given if isinstance(given, list) else [given]:
            self.service.troubles.add(Trouble.from_json(rule))

    def tokens(self, given: Doc) -> Doc:
        authority = self.service.authority
        tenant_id = self._organisation(given.get("tenant")).tenant_id
        answer: Doc = {}
        if given.get("expire"):
            answer["expired"] = authority.expire_access()
        if given.get("revoke"):
            authority.revoke_tenant(tenant_id)
            answer["revoked"] = True
        if given.get("disconnect"):
            authority.disconnect(tenant_id)
            answer["disconnected"] = True
        if given.get("grant"):
            answer["refresh_token"] = authority.grant(tenant_id)
        return answer

    def clock(self, given: Doc) -> Doc:
        return {"now": self.service.clock.advance(float(given["advance_seconds"])).isoformat()}

    def options(self, given: Doc) -> Doc:
        self.service.set_options(given)
        return asdict(self.service.options)

    def webhooks(self, given: Doc) -> None:
        sender = self.service.sender
        if "url" in given or "signing_key" in given:
            sender.configure(given.get("url", sender.url), given.get("signing_key"))
        known = {field.name for field in fields(Mischief)}
        for name in set(given) - {"url", "signing_key"}:
            if name not in known:
                raise ValueError(f"unknown: {name}")
            setattr(sender.mischief, name, float(given[name]) if "seconds" in name else given[name])

    def change(self, given: Doc) -> Doc:
        organisation = self._organisation(given.get("tenant"))
        endpoint = _endpoint(str(given["entity"]))
        operation = str(given.get("operation", "update"))
        if operation not in ("create", "update", "delete", "void", "archive"):
            raise ValueError(f"unknown operation: {operation}")
        body: Doc = dict(given.get("body") or {})
        call = Call("POST", (endpoint.name,), {"unitdp": "4"}, is_person=True)
        row = organisation.person(endpoint, operation, body, call)
        if row.id not in organisation.books.table(endpoint.name).rows:
            return {endpoint.type: {endpoint.id_field: row.id, "Status": "DELETED"}}
        return {endpoint.type: _rendered(organisation, endpoint, row)}


def _endpoint(word: str) -> Endpoint:
    found = endpoint_by_word().get(word.lower().replace("_", ""))
    if found is None:
        raise ValueError(f"unknown entity: {word}")
    return found


def _rendered(organisation: Organisation, endpoint: Endpoint, row: Row) -> Doc:
    view = View("single", 4, organisation.today().date())
    return render(organisation.books, endpoint.name, row, view)
