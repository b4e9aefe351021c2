"""The simulated QuickBooks Online as one ASGI application, at the service's own paths."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Route

from sqlsync.simulators.clock import SimulatedClock
from sqlsync.simulators.quickbooks.control import control_routes
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.service import CompanySpec, Service
from sqlsync.simulators.quickbooks.web_data import (
    data_endpoint,
    entitlements_endpoint,
    file_endpoint,
)
from sqlsync.simulators.quickbooks.web_oauth import (
    authorize_endpoint,
    discovery_endpoint,
    jwks_endpoint,
    revoke_endpoint,
    token_endpoint,
    userinfo_endpoint,
)

DEFAULT = (CompanySpec(),)


def create_service(
    companies: Iterable[CompanySpec] = DEFAULT,
    options: Options | None = None,
    clock: SimulatedClock | None = None,
) -> Service:
    """The service with its companies generated."""
    service = Service(options, clock)
    for company in companies:
        service.add_company(company)
    return service


def create_app(
    company: Service | CompanySpec | Iterable[CompanySpec] = DEFAULT,
    options: Options | None = None,
) -> Starlette:
    """An application around a service, or around companies to be generated."""
    if isinstance(company, Service):
        service = company
    else:
        specs = (company,) if isinstance(company, CompanySpec) else company
        service = create_service(specs, options)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        service.sender.start()
        yield
        await service.sender.stop()

    discovery = discovery_endpoint(service)
    well_known = "/.well-known/openid_"
    app = Starlette(
        routes=[
            Route(
                "/v3/company/{realm}/{path:path}", data_endpoint(service), methods=["GET", "POST"]
            ),
            Route(
                "/manage/entitlements/v3/{realm}", entitlements_endpoint(service), methods=["GET"]
            ),
            Route("/files/{realm}/{token}", file_endpoint(service), methods=["GET"]),
            Route("/oauth2/v1/tokens/bearer", token_endpoint(service), methods=["POST"]),
            Route("/connect/oauth2", authorize_endpoint(service), methods=["GET", "POST"]),
            Route("/v2/oauth2/tokens/revoke", revoke_endpoint(service), methods=["POST"]),
            Route("/v1/openid_connect/userinfo", userinfo_endpoint(service), methods=["GET"]),
            Route("/op/v1/jwks", jwks_endpoint(service), methods=["GET"]),
            Route(f"{well_known}configuration", discovery, methods=["GET"]),
            Route(f"{well_known}sandbox_configuration", discovery, methods=["GET"]),
            Route("/.well-known/openid_configuration/", discovery, methods=["GET"]),
            *control_routes(service),
        ],
        lifespan=lifespan,
    )
    app.state.service = service
    return app
