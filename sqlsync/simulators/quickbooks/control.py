"""`/_control`: what tests and demos do to the simulated service. JSON in, JSON out.

GET  /_control                      realms, first refresh tokens, waiting webhooks
GET  /_control/books[/{entity}[/{id}]]   counts · all records · one record (`?realm=`)
GET  /_control/requests             {"counts": {kind: n}, "log": […]}; kinds are like
                                    `create.customer`, `query.invoice`, `cdc`, `batch`,
                                    `token.refresh_token`
GET  /_control/applied              writes that were carried out, in order
POST /_control/reset                forgets requests, applied writes and scripted trouble
POST /_control/trouble              one rule or a list of them (see simulators.trouble)
POST /_control/tokens               {"expire": true} access tokens end now ·
                                    {"revoke": true} the connection is gone (`realm`)
POST /_control/clock                {"advance_seconds": n}
POST /_control/options              {option: value, …} (see quickbooks.options)
POST /_control/webhooks             {"url", "verifier_token", "drop", "duplicate",
                                    "wrong_signature", "reverse", "foreign", "delay_seconds"}
POST /_control/books                a person's change: {"entity", "operation", "body", "realm"};
                                    operation create, update, delete, void, deactivate,
                                    reactivate or merge (body: Id, into); a missing
                                    SyncToken is filled in, updates are sparse unless the
                                    body says otherwise
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sqlsync.simulators.courier import Mischief
from sqlsync.simulators.quickbooks import documents
from sqlsync.simulators.quickbooks.company import Company
from sqlsync.simulators.quickbooks.entities import entity_by_word
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.service import Service
from sqlsync.simulators.quickbooks.values import Doc, decode, encode, join_json
from sqlsync.simulators.trouble import Trouble

Endpoint = Callable[[Request], Awaitable[Response]]


def control_routes(service: Service) -> list[Route]:
    control = _Control(service)
    gets: dict[str, Callable[[Request], bytes]] = {
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


def _getter(work: Callable[[Request], bytes]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            return Response(work(request), media_type="application/json")
        except (Fault, ValueError, KeyError) as error:
            return _refusal(error)

    return endpoint


def _poster(work: Callable[[Any], Any]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        try:
            result = work(decode(raw) if raw.strip() else {})
        except (Fault, ValueError, TypeError, KeyError) as error:
            return _refusal(error)
        body = result if isinstance(result, bytes) else encode(result if result else {"ok": True})
        return Response(body, media_type="application/json")

    return endpoint


def _refusal(error: Exception) -> Response:
    body: Doc = {"error": str(error)}
    if isinstance(error, Fault):
        body["Fault"] = error.body()
    return Response(encode(body), 400, media_type="application/json")


class _Control:
    def __init__(self, service: Service) -> None:
        self.service = service

    def _company(self, realm: str | None) -> Company:
        companies = self.service.companies
        return companies[realm] if realm else next(iter(companies.values()))

    # -- looking ----------------------------------------------------------------------------

    def status(self, request: Request) -> bytes:
        service = self.service
        return encode(
            {
                "companies": [
                    {"realm_id": realm, "refresh_token": service.refresh_tokens[realm]}
                    for realm in service.companies
                ],
                "now": service.clock.now().isoformat(),
                "webhooks": {
                    "url": service.sender.url,
                    "waiting": service.sender.waiting,
                    "delivered": service.sender.delivered,
                    "failed": service.sender.failed,
                },
                "trouble": [asdict(rule) for rule in service.troubles.rules],
            }
        )

    def counts(self, request: Request) -> bytes:
        books = self._company(request.query_params.get("realm")).books
        return encode({name: len(table.ids) for name, table in books.tables.items()})

    def records(self, request: Request) -> bytes:
        company, name = self._named(request)
        table = company.books.table(name)
        return join_json(
            documents.render(company.books, name, table.rows[number]) for number in table.ids
        )

    def record(self, request: Request) -> bytes:
        company, name = self._named(request)
        entity = entity_by_word()[name.lower()]
        row = company.find(entity, request.path_params["id"])
        return documents.render(company.books, name, row)

    def _named(self, request: Request) -> tuple[Company, str]:
        word = request.path_params["entity"].lower().replace("_", "")
        entity = entity_by_word().get(word)
        if entity is None:
            raise ValueError(f"unknown entity: {word}")
        return self._company(request.query_params.get("realm")), entity.name

    def requests(self, request: Request) -> bytes:
        traffic = self.service.traffic
        return encode(
            {"counts": dict(traffic.counts), "log": [asdict(logged) for logged in traffic.log]}
        )

    def applied(self, request: Request) -> bytes:
        company = self._company(request.query_params.get("realm"))
        return encode([asdict(write) for write in company.applied])

    # -- doing --------------------------------------------------------------------------------

    def reset(self, given: Doc) -> None:
        self.service.traffic.reset()
        self.service.troubles.clear()
        for company in self.service.companies.values():
            company.applied.clear()

    def trouble(self, given: Any) -> None:
        for rule in given if isinstance(given, list) else [given]:
            self.service.troubles.add(Trouble.from_json(rule))

    def tokens(self, given: Doc) -> Doc:
        authority = self.service.authority
        answer: Doc = {}
        if given.get("expire"):
            answer["expired"] = authority.expire_access()
        if given.get("revoke"):
            authority.revoke_company(self._company(given.get("realm")).realm_id)
            answer["revoked"] = True
        if given.get("grant"):
            answer["refresh_token"] = authority.grant(self._company(given.get("realm")).realm_id)
        return answer

    def clock(self, given: Doc) -> Doc:
        return {"now": self.service.clock.advance(float(given["advance_seconds"])).isoformat()}

    def options(self, given: Doc) -> Doc:
        self.service.set_options(given)
        return asdict(self.service.options)

    def webhooks(self, given: Doc) -> None:
        sender = self.service.sender
        if "url" in given or "verifier_token" in given:
            sender.configure(given.get("url", sender.url), given.get("verifier_token"))
        known = {field.name for field in fields(Mischief)}
        for name in set(given) - {"url", "verifier_token"}:
            if name not in known:
                raise ValueError(f"unknown: {name}")
            setattr(sender.mischief, name, float(given[name]) if "seconds" in name else given[name])

    def change(self, given: Doc) -> bytes:
        company = self._company(given.get("realm"))
        word = str(given["entity"]).lower().replace("_", "")
        entity = entity_by_word().get(word)
        if entity is None:
            raise ValueError(f"unknown entity: {word}")
        operation = str(given.get("operation", "update"))
        body: Doc = dict(given.get("body") or {})
        if operation == "merge":
            company.merge(entity, str(body["Id"]), str(body["into"]))
            return company.read(entity, str(body["into"]))
        if operation in ("deactivate", "reactivate"):
            body["Active"] = operation == "reactivate"
            operation = "update"
        if operation == "create":
            body.pop("Id", None)
        else:
            row = company.find(entity, str(body.get("Id")))
            body.setdefault("SyncToken", str(row.token))
            if operation == "update":
                body.setdefault("sparse", True)
        return company.write(entity, body, operation, by="person")
