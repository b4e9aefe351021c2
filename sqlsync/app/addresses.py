"""Where the services listen, also where they chose the port themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from sqlsync.errors import ConfigError
from sqlsync.settings import Address, Settings


def _addresses_file(settings: Settings) -> Path:
    return settings.state_dir / "addresses.json"


def note_addresses(settings: Settings, addresses: Mapping[str, str]) -> None:
    """Tells other commands where `up` listens, for those ports that it chose itself."""
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o711)
    _addresses_file(settings).write_text(json.dumps(dict(addresses)))


def proxy_address(settings: Settings) -> Address:
    """Where clients find the proxy. Raises ConfigError where that is not known (port 0)."""
    return _known_address(settings, "proxy", settings.proxy.listen)


def web_address(settings: Settings) -> Address:
    """Where the web side listens. Raises ConfigError where that is not known (port 0)."""
    return _known_address(settings, "web", settings.web.listen)


def public_url(settings: Settings, web: Address | None = None) -> str:
    """The web side as browsers and providers reach it. web: where it listens, where known.

    On this machine by name: Xero takes `localhost` in a redirect address and not 127.0.0.1.
    Raises ConfigError as `web_address`.
    """
    if settings.web.public_url is not None:
        return settings.web.public_url
    address = web if web is not None else web_address(settings)
    if address.host.startswith("127."):
        address = Address(host="localhost", port=address.port)
    return f"http://{address}"


def is_local(url: str) -> bool:
    """Whether only this machine's own people can open it."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _known_address(settings: Settings, name: str, listen: Address) -> Address:
    if listen.port:
        return listen
    try:
        return Address.parse(json.loads(_addresses_file(settings).read_text())[name])
    except (OSError, ValueError, KeyError):
        raise ConfigError(
            f"{name}.listen has port 0 (any), and nothing runs that could tell which.",
            hint="Start it first: sqlsync up",
        ) from None
