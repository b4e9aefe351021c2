"""Where the services listen, also where they chose the port themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

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
