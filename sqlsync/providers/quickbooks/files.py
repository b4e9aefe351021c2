"""Files of QuickBooks' records: Attachable tells of them, /upload and /download have the bytes.

Source: reference of Attachable; "upload" in the table of calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlsplit

from schema.model import ObjectSpec
from sqlsync.errors import (
    NotFound,
    OutcomeUnknown,
    ProviderError,
    ProviderFault,
    Unsupported,
)
from sqlsync.providers.base import File, Record
from sqlsync.providers.http import HttpClient
from sqlsync.providers.messages import HttpRequest, HttpResponse
from sqlsync.providers.quickbooks import responses
from sqlsync.providers.quickbooks.bodies import Json, decode_json, encode_json
from sqlsync.providers.quickbooks.faults import TITLE, About
from sqlsync.providers.quickbooks.requests import MINOR_VERSION, Company, literal, query

LARGEST_FILE = 128 * 1024 * 1024  # bytes we take; Intuit documents no limit of its own
_UPLOAD_SECONDS = 600.0


class QuickBooksFiles:
    """Implements `sqlsync.providers.base.Files`."""

    def __init__(
        self,
        spec: ObjectSpec,
        company: Company,
        exchange: Callable[[HttpRequest], Awaitable[HttpResponse]],
        http: HttpClient,
    ) -> None:
        """exchange: a call with token and limits. http: for addresses that need no token."""
        self.spec = spec
        self._company = company
        self._exchange = exchange
        self._http = http

    async def of(self, spec: ObjectSpec, record_id: str, name: str | None = None) -> list[Record]:
        if name is None:
            raise Unsupported(
                f"[{TITLE}] Files are found by their name, and none was given",
                hint=f"Name the file, or look in the table {self.spec.table}.",
            )
        about = About(self.spec)
        statement = f"select * from {self.spec.api_name} where FileName = {literal(name)}"
        response = await self._exchange(query(self._company, statement))
        rows = responses.query_rows(responses.read_answer(response, about), self.spec)
        found = (responses.record_from(self.spec, row) for row in rows)
        return [r for r in found if isinstance(r, Record) and hangs_on(r, spec, record_id)]

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
        before = {record.id for record in await self.of(spec, record_id, file.name)}
        told = metadata(spec, record_id, file, note=note, public=public)
        about = About(self.spec, creates=True, changes=True)
        try:
            response = await self._exchange(upload_request(self._company, told, file, key))
            return uploaded(responses.read_answer(response, about), about)
        except OutcomeUnknown:
            # It is not documented that an upload is known again by its key, so we look.
            for record in await self.of(spec, record_id, file.name):
                if record.id not in before:
                    return record
            raise

    async def download(self, record: Record) -> File:
        about = About(self.spec, record.id)
        response = await self._exchange(download_request(self._company, record.id))
        if response.status != 200 or not _is_address(response.body):
            responses.read_answer(response, about)
            raise ProviderFault(f"{about.subject}: the answer is not the address of its bytes.")
        address = response.body.decode("ascii").strip()
        got = await self._http.send(HttpRequest("GET", address, largest_answer=LARGEST_FILE))
        if got.status == 404:
            raise NotFound(f"{about.subject}: its bytes are not there", table=self.spec.table)
        if got.status != 200:
            raise ProviderFault(f"{about.subject}: its bytes cannot be had (HTTP {got.status}).")
        told = decode_json(record.raw)
        kind = told.get("ContentType") or got.headers.get("content-type", "")
        return File(str(told.get("FileName") or record.id), kind, got.body)


def hangs_on(record: Record, spec: ObjectSpec, record_id: str) -> bool:
    """Whether one of the file's references is that record. Names vary in letter case."""
    for reference in decode_json(record.raw).get("AttachableRef") or ():
        entity = reference.get("EntityRef") or {}
        kind = str(entity.get("type", "")).lower()
        if entity.get("value") == record_id and kind == spec.api_name.lower():
            return True
    return False


def metadata(
    spec: ObjectSpec, record_id: str, file: File, *, note: str | None, public: bool
) -> Json:
    """What is told of a file: an Attachable."""
    entity = {"type": spec.api_name, "value": record_id}
    told: Json = {
        "AttachableRef": [{"EntityRef": entity, "IncludeOnSend": public}],
        "FileName": file.name,
        "ContentType": file.content_type,
    }
    return told if note is None else {**told, "Note": note}


def upload_request(company: Company, told: Json, file: File, key: str) -> HttpRequest:
    """One file with what is told of it, as multipart/form-data (RFC 7578)."""
    boundary = "sqlsync-" + hashlib.sha256(key.encode() + file.data).hexdigest()[:40]
    body = b"".join(
        (
            _part(boundary, "file_metadata_01", "metadata.json", "application/json"),
            encode_json(told),
            b"\r\n",
            _part(boundary, "file_content_01", file.name, file.content_type),
            file.data,
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )
    return HttpRequest(
        "POST",
        company.url("upload"),
        (("requestid", key), ("minorversion", MINOR_VERSION)),
        {
            "accept": "application/json",
            "content-type": f"multipart/form-data; boundary={boundary}",
        },
        body,
        changes=True,
        timeout_seconds=_UPLOAD_SECONDS,
    )


def uploaded(envelope: responses.Envelope, about: About) -> Record:
    """The Attachable that an upload made. Raises what it was refused with, OutcomeUnknown."""
    try:
        outcome = responses.upload_answer(envelope, about)
    except ProviderFault as error:
        raise OutcomeUnknown(str(error)) from error
    if isinstance(outcome, ProviderError):
        raise outcome
    if not isinstance(outcome, Record):
        raise OutcomeUnknown(f"{about.subject}: the file that was uploaded is gone.")
    return outcome


def download_request(company: Company, file_id: str) -> HttpRequest:
    """Its answer is an address, as text, good for a short while."""
    return HttpRequest(
        "GET",
        company.url(f"download/{quote(file_id, safe='')}"),
        (("minorversion", MINOR_VERSION),),
        {"accept": "text/plain, application/json"},
    )


def _part(boundary: str, name: str, file_name: str, content_type: str) -> bytes:
    safe = file_name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{safe}"\r\n'
        f"Content-Type: {content_type}\r\n\r\n"
    ).encode()


def _is_address(body: bytes) -> bool:
    """Of the world outside only what is encrypted is an address of bytes."""
    try:
        place = urlsplit(body.decode("ascii").strip())
    except ValueError:
        return False
    here = place.hostname in ("127.0.0.1", "localhost", "::1")
    return place.scheme == "https" or (place.scheme == "http" and here)
