"""The simulated Xero as one ASGI application: identity, connections and the Accounting API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from sqlsync.simulators.clock import SimulatedClock
from sqlsync.simulators.server import AsgiApp, Scope
from sqlsync.simulators.xero.control import control_routes
from sqlsync.simulators.xero.options import Options
from sqlsync.simulators.xero.service import OrganisationSpec, Service
from sqlsync.simulators.xero.web_data import METHODS, PREFIX, data_endpoint
from sqlsync.simulators.xero.web_oauth import (
    authorize_endpoint,
    connections_endpoint,
    discovery_endpoint,
    jwks_endpoint,
    revoke_endpoint,
    token_endpoint,
)

DEFAULT = (OrganisationSpec(),)
_STARTS = (PREFIX, "/identity/connect/authorize", "/connections", "/connect/")


def create_service(
    organisations: Iterable[OrganisationSpec] = DEFAULT,
    options: Options | None = None,
    clock: SimulatedClock | None = None,
) -> Service:
    """The service with its organisations generated."""
    service = Service(options, clock)
    for organisation in organisations:
        service.add_organisation(organisation)
    return service


def create_app(
    organisation: Service | OrganisationSpec | Iterable[OrganisationSpec] = DEFAULT,
    options: Options | None = None,
) -> Starlette:
    """An application around a service, or around organisations to be generated."""
    if isinstance(organisation, Service):
        service = organisation
    else:
        specs = (organisation,) if isinstance(organisation, OrganisationSpec) else organisation
        service = create_service(specs, options)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        service.sender.start()
        yield
        await service.sender.stop()

    connections = connections_endpoint(service)
    well_known = "/.well-known/openid-configuration"
    app = Starlette(
        routes=[
            Route(f"{PREFIX}/{{path:path}}", data_endpoint(service), methods=METHODS),
            Route(
                "/identity/connect/authorize", authorize_endpoint(service), methods=["GET", "POST"]
            ),
            Route("/connect/token", token_endpoint(service), methods=["POST"]),
            Route("/connect/revocation", revoke_endpoint(service), methods=["POST"]),
            Route("/connections", connections, methods=["GET"]),
            Route("/connections/{id}", connections, methods=["DELETE"]),
            Route(well_known, discovery_endpoint(service), methods=["GET"]),
            Route(f"{well_known}/jwks", jwks_endpoint(service), methods=["GET"]),
            *control_routes(service),
        ],
        middleware=[Middleware(_AnyCase)],
        lifespan=lifespan,
    )
    app.state.service = service
    return app


class _AnyCase:
    """Addresses are the same in any case: SDKs ask for `/Connections` as well."""

    def __init__(self, app: AsgiApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        for start in _STARTS:
            if path.lower().startswith(start) and not path.startswith(start):
                scope = {**scope, "path": start + path[len(start) :]}
        await self.app(scope, receive, send)
