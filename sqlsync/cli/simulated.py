"""A look into simulated companies, past all of sqlsync: what the provider really holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from sqlsync.errors import ProviderError, Unreachable

TIMEOUT_SECONDS = 10


class SimulatedCompany:
    """One company of a simulated QuickBooks, seen and changed as its people do."""

    def __init__(self, base: str, realm: str) -> None:
        """base: http://HOST:PORT of `sqlsync simulate`."""
        self._base = base
        self._realm = realm

    def read(self, entity: str, record_id: str) -> dict[str, Any]:
        """The record as the provider holds it. Raises ProviderError where it holds none."""
        record: dict[str, Any] = self._books(f"/{entity.lower()}/{quote(record_id, '')}")
        return record

    def all(self, entity: str) -> list[dict[str, Any]]:
        """All records, inactive ones too."""
        records: list[dict[str, Any]] = self._books(f"/{entity.lower()}")
        return records

    def change(self, entity: str, record_id: str, fields: Mapping[str, Any]) -> None:
        """A change made at the provider, by somebody else."""
        body = {"Id": record_id, **fields}
        change = {"realm": self._realm, "entity": entity, "operation": "update", "body": body}
        _request("POST", f"{self._base}/_control/books", change)

    def send_webhooks_to(self, address: str | None, verifier: str) -> None:
        """Where changes are announced from now on; None: nowhere."""
        body = {"url": address, "verifier_token": verifier}
        _request("POST", f"{self._base}/_control/webhooks", body)

    def _books(self, path: str) -> Any:
        where = f"{self._base}/_control/books{path}?realm={quote(self._realm, '')}"
        return _request("GET", where)


class SimulatedOrganisation:
    """One organisation of a simulated Xero, seen and changed as its people do."""

    def __init__(self, base: str, tenant: str) -> None:
        """base: http://HOST:PORT of `sqlsync simulate`."""
        self._base = base
        self._tenant = tenant

    def read(self, entity: str, record_id: str) -> dict[str, Any]:
        """The record as the provider holds it. Raises ProviderError where it holds none."""
        record: dict[str, Any] = self._books(f"/{entity}/{quote(record_id, '')}")
        return record

    def all(self, entity: str) -> list[dict[str, Any]]:
        """All records, archived ones too."""
        records: list[dict[str, Any]] = self._books(f"/{entity}")
        return records

    def change(self, entity: str, fields: Mapping[str, Any]) -> None:
        """A change made at the provider, by somebody else. fields: the record's id too."""
        change = {"tenant": self._tenant, "entity": entity, "operation": "update", "body": fields}
        _request("POST", f"{self._base}/_control/books", change)

    def send_webhooks_to(self, address: str | None, key: str) -> None:
        """Where changes are announced from now on; None: nowhere."""
        _request("POST", f"{self._base}/_control/webhooks", {"url": address, "signing_key": key})

    def _books(self, path: str) -> Any:
        where = f"{self._base}/_control/books{path}?tenant={quote(self._tenant, '')}"
        return _request("GET", where)


def _request(method: str, address: str, body: Mapping[str, Any] | None = None) -> Any:
    request = Request(  # noqa: S310 - an http:// address of this machine
        address,
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    try:
        with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            return json.loads(answer.read())
    except HTTPError as error:
        words = error.read().decode(errors="replace")[:500]
        raise ProviderError(
            f"The simulated company answered {error.code}: {words}", code=str(error.code)
        ) from None
    except OSError as error:
        raise Unreachable(f"The simulated company does not answer: {error}") from None
