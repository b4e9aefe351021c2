"""Files of Xero's records, each below its record's own address.

A file is known by its name there: one of the same name would be overwritten, so that is refused
before anything is sent. Source: xero_accounting.yaml, "…/Attachments/{FileName}".
"""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from schema.model import ObjectSpec
from sqlsync.errors import DuplicateValue, OutcomeUnknown, ProviderFault, Unsupported
from sqlsync.providers.base import File, Record
from sqlsync.providers.messages import HttpRequest
from sqlsync.providers.xero import requests, responses
from sqlsync.providers.xero.calls import CallSpec, calls_of
from sqlsync.providers.xero.exchange import Exchange
from sqlsync.providers.xero.faults import TITLE, About
from sqlsync.providers.xero.values import decode_record

LARGEST_FILE = 128 * 1024 * 1024  # bytes we take; Xero's own limit is lower
_UPLOAD_SECONDS = 600.0
_ONLINE = frozenset({"Invoices", "CreditNotes"})  # whose customers see files, if they may
_ANY_KIND = "application/octet-stream"


class XeroFiles:
    """Implements `sqlsync.providers.base.Files`."""

    def __init__(self, spec: ObjectSpec, tenant: requests.Tenant, exchange: Exchange) -> None:
        self.spec = spec
        self._calls = calls_of(spec)
        self._tenant = tenant
        self._exchange = exchange

    async def of(self, spec: ObjectSpec, record_id: str, name: str | None = None) -> list[Record]:
        values = self._place(spec, record_id)
        request = requests.whole(self._tenant, self._calls, values)
        envelope = await self._exchange.read(request, About(spec, record_id))
        found = responses.records_in(envelope, self._calls, _known(spec, record_id))
        return [r for r in found if name is None or decode_record(r.raw).get("FileName") == name]

    async def upload(
        self,
        spec: ObjectSpec,
        record_id: str,
        file: File,
        *,
        key: str,
        note: str | None = None,
        public: bool = False,
    ) -> Record:
        if note is not None:
            raise Unsupported(f"[{TITLE}] Files have no notes")
        if public and spec.resource not in _ONLINE:
            raise Unsupported(f"[{TITLE}] {spec.title}: its files are never shown to customers")
        about = About(spec, record_id, changes=True)
        if await self.of(spec, record_id, file.name):
            raise DuplicateValue(
                f"{about.subject}: it has a file named {file.name!r} already",
                hint="Xero would overwrite it; give the new one another name.",
            )
        request = self._upload_request(spec, record_id, file, key, public=public)
        try:
            response = await self._exchange.send(request, about, writes=True)
            envelope = responses.read_answer(response, about)
            found = responses.records_in(envelope, self._calls, _known(spec, record_id))
        except OutcomeUnknown:
            # The name is ours alone, so what has it now is what was sent.
            found = await self.of(spec, record_id, file.name)
            if not found:
                raise
        if not found:
            raise OutcomeUnknown(f"{about.subject}: the answer to an upload holds no file.")
        return found[0]

    async def download(self, record: Record) -> File:
        told = decode_record(record.raw)
        kind = str(told.get("MimeType") or _ANY_KIND)
        about = About(self.spec, record.id)
        path = f"{told['ParentEndpoint']}/{told['ParentID']}/Attachments/{record.id}"
        request = self._tenant.request(
            CallSpec("GET", path), headers={"accept": kind, "contentType": kind}
        )
        response = await self._exchange.send(
            HttpRequest(
                request.method,
                request.url,
                request.params,
                request.headers,
                largest_answer=LARGEST_FILE,
            ),
            about,
            writes=False,
        )
        if response.status != 200:
            responses.read_answer(response, about)
            raise ProviderFault(f"{about.subject}: its bytes cannot be had.")
        return File(str(told.get("FileName") or record.id), kind, response.body)

    def _upload_request(
        self, spec: ObjectSpec, record_id: str, file: File, key: str, *, public: bool
    ) -> HttpRequest:
        path = f"{spec.resource}/{record_id}/Attachments/{quote(file.name, safe='')}"
        request = self._tenant.request(
            CallSpec("PUT", path), params=(("IncludeOnline", "true"),) if public else ()
        )
        headers = {
            **request.headers,
            "content-type": file.content_type or _ANY_KIND,
            "idempotency-key": f"{key}-{hashlib.sha256(file.data).hexdigest()[:32]}",
        }
        return HttpRequest(
            request.method,
            request.url,
            request.params,
            headers,
            file.data,
            changes=True,
            timeout_seconds=_UPLOAD_SECONDS,
        )

    def _place(self, spec: ObjectSpec, record_id: str) -> dict[str, str]:
        if spec.resource not in self._calls.parents:
            raise Unsupported(
                f"[{TITLE}] {spec.title}: it takes no files",
                hint=f"Files hang on {', '.join(self._calls.parents)}.",
            )
        return {"parent_endpoint": spec.resource, "parent_id": record_id}


def _known(spec: ObjectSpec, record_id: str) -> dict[str, str]:
    return {"ParentEndpoint": spec.resource, "ParentID": record_id}
