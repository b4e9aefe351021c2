"""Where a provider's services are: from the environment's name and what settings override."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlsync.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Whole addresses, without a slash at the end."""

    api_url: str
    authorize_url: str
    token_url: str
    revoke_url: str


# Source: Intuit, "Set up OAuth 2.0" and "REST API features".
_INTUIT = {
    "authorize_url": "https://appcenter.intuit.com/connect/oauth2",
    "token_url": "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
    "revoke_url": "https://developer.api.intuit.com/v2/oauth2/tokens/revoke",
}
# Source: Xero, "The standard authorization code flow". api_url has no path: organisations are
# chosen at /connections, their books are under /api.xro/2.0.
_XERO = {
    "api_url": "https://api.xero.com",
    "authorize_url": "https://login.xero.com/identity/connect/authorize",
    "token_url": "https://identity.xero.com/connect/token",
    "revoke_url": "https://identity.xero.com/connect/revocation",
}
_PLACES: dict[str, dict[str, dict[str, str]]] = {
    "quickbooks": {
        "production": {"api_url": "https://quickbooks.api.intuit.com", **_INTUIT},
        "sandbox": {"api_url": "https://sandbox-quickbooks.api.intuit.com", **_INTUIT},
    },
    "xero": {"production": _XERO},
}
# A simulator serves everything at one address, under the real paths.
_SIMULATOR_PATHS = {
    "quickbooks": {
        "authorize_url": "/connect/oauth2",
        "token_url": "/oauth2/v1/tokens/bearer",
        "revoke_url": "/v2/oauth2/tokens/revoke",
    },
    "xero": {
        "authorize_url": "/identity/connect/authorize",
        "token_url": "/connect/token",
        "revoke_url": "/connect/revocation",
    },
}


def quickbooks_endpoints(environment: str, **overrides: str | None) -> Endpoints:
    """The addresses of QuickBooks; see `provider_endpoints`."""
    return provider_endpoints("quickbooks", environment, **overrides)


def xero_endpoints(environment: str, **overrides: str | None) -> Endpoints:
    """The addresses of Xero; see `provider_endpoints`."""
    return provider_endpoints("xero", environment, **overrides)


def provider_endpoints(
    provider: str,
    environment: str,
    *,
    api_url: str | None = None,
    authorize_url: str | None = None,
    token_url: str | None = None,
    revoke_url: str | None = None,
) -> Endpoints:
    """The addresses of an environment (production, sandbox, simulator) with overrides.

    Raises ConfigError: an unknown environment, one the provider does not have, a simulator
    without api_url, an address that is not one, or one that would carry tokens over plain HTTP
    to another machine.
    """
    where = f"providers.{provider}"
    places = _PLACES[provider]
    if environment == "simulator":
        if api_url is None:
            raise ConfigError(
                f"{where}.environment is simulator, and api_url is not set.",
                hint="Set api_url to the address that `sqlsync simulate` prints.",
            )
        base = api_url.rstrip("/")
        paths = _SIMULATOR_PATHS[provider]
        implied = {"api_url": base, **{k: base + path for k, path in paths.items()}}
    elif environment in places:
        implied = places[environment]
    elif provider == "xero" and environment == "sandbox":
        raise ConfigError(
            "providers.xero.environment is sandbox; Xero has none.",
            hint="Use production and connect Xero's Demo Company.",
        )
    else:
        known = ", ".join([*places, "simulator"])
        raise ConfigError(f"{where}.environment {environment!r} is not one of {known}.")
    given = {
        "api_url": api_url,
        "authorize_url": authorize_url,
        "token_url": token_url,
        "revoke_url": revoke_url,
    }
    real = environment != "simulator"
    return Endpoints(
        **{
            name: _checked(f"{where}.{name}", given[name] or implied[name], real=real)
            for name in given
        }
    )


def _checked(name: str, url: str, *, real: bool) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{name} {url!r} is not an address.")
    near = host in ("localhost", "::1") or host.startswith("127.")
    if parts.scheme == "http" and real and not near:
        raise ConfigError(
            f"{name} {url!r} would send tokens unencrypted.",
            hint="Use https://; plain http:// is for this machine alone.",
        )
    return url.rstrip("/")
