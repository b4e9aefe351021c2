"""A look into the simulated company by its own API, past sqlsync: what the provider holds.

A small client of its own, on purpose: what the adapter gets wrong, this must not.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from sqlsync.errors import ProviderError, Unreachable

TIMEOUT_SECONDS = 10


class SimulatedCompany:
    """One company of a simulated QuickBooks, as another app of the same company sees it."""

    def __init__(self, base: str, realm: str) -> None:
        """base: http://HOST:PORT of `sqlsync simulate`."""
        self._base = base
        self._realm = realm
        self._token: str | None = None

    def read(self, entity: str, record_id: str) -> dict[str, Any]:
        """The record as the provider holds it. Raises ProviderError where it holds none."""
        answer = self._api("GET", f"{entity.lower()}/{urllib.parse.quote(record_id, safe='')}")
        record: dict[str, Any] = answer[entity]
        return record

    def query(self, query: str) -> list[dict[str, Any]]:
        """The records a query of the provider's own language finds."""
        answer = self._api("GET", "query?" + urllib.parse.urlencode({"query": query}))
        for value in answer["QueryResponse"].values():
            if isinstance(value, list):
                return value
        return []

    def change(self, entity: str, record_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A change made at the provider, by somebody else. The record as it then is."""
        base = self.read(entity, record_id)
        body = {"Id": record_id, "SyncToken": base["SyncToken"], "sparse": True, **fields}
        changed: dict[str, Any] = self._api("POST", entity.lower(), body)[entity]
        return changed

    def send_webhooks_to(self, address: str | None, verifier: str) -> None:
        """Where the company's changes are announced; None: nowhere."""
        self._request(
            "POST",
            "/_control/webhooks",
            {} if address is None else {"url": address, "verifier_token": verifier},
        )

    def _api(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        if self._token is None:
            self._token = self._new_token()
        return self._request(
            method,
            f"/v3/company/{self._realm}/{path}",
            body,
            {"Authorization": f"Bearer {self._token}"},
        )

    def _new_token(self) -> str:
        """A grant of our own, so that the engine's rotating tokens are left alone."""
        grant = self._request("POST", "/_control/grants", {"realm_id": self._realm})
        form = urllib.parse.urlencode(
            {"grant_type": "refresh_token", "refresh_token": grant["refresh_token"]}
        )
        client = base64.b64encode(b"sqlsync-demo-check:secret").decode()
        answer = self._request(
            "POST",
            "/oauth2/v1/tokens/bearer",
            form.encode(),
            {
                "Authorization": f"Basic {client}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        return str(answer["access_token"])

    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - an http:// address of this machine
            self._base + path,
            data,
            {"Accept": "application/json", "Content-Type": "application/json", **(headers or {})},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                text = answer.read()
        except urllib.error.HTTPError as error:
            words = error.read().decode(errors="replace")[:500]
            raise ProviderError(
                f"The simulated company answered {error.code}: {words}", code=str(error.code)
            ) from None
        except OSError as error:
            raise Unreachable(f"The simulated company does not answer: {error}") from None
        return json.loads(text) if text.strip() else {}
