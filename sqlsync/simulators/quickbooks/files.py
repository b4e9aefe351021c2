"""The files of attachables: uploaded with their description, downloaded by short-lived links.

`Attachments` belongs to one company. A file's link lives a while after its record, or the link
itself, was asked for. Files of a request succeed and fail each by itself.
Source: Intuit, "Attachable", upload and download; what the page leaves open is in `options`.
"""

from __future__ import annotations

import mimetypes
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlsync.simulators.clock import SimulatedClock
from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.multipart import Part
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.values import Doc, decode

_NUMBERED = re.compile(r"file_(metadata|content)_(\d+)")


@dataclass(slots=True)
class Held:
    """A file. content_type: as it is given back."""

    name: str
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Sent:
    """One file of an upload and what was said of it (None: nothing)."""

    metadata: Doc | None
    part: Part


@dataclass(slots=True)
class _Link:
    record_id: int
    ends: int


class Attachments:
    """The files of one company by attachable, and the links that lead to them."""

    def __init__(self, realm_id: str, options: Options, clock: SimulatedClock) -> None:
        self.realm_id = realm_id
        self.options = options
        self.clock = clock
        self.origin = ""  # http://HOST:PORT, said by the web side
        self.files: dict[int, Held] = {}
        self._links: dict[str, _Link] = {}
        self._shown: dict[int, str] = {}  # attachable -> the token in its TempDownloadUri

    # -- uploading -----------------------------------------------------------------------------

    def check(self, sent: Sent) -> tuple[Doc, Held]:
        """The record and the file an upload makes. Raises Fault for a file that is not taken."""
        part, options = sent.part, self.options
        body: Doc = dict(sent.metadata or {})
        name = str(body.get("FileName") or part.file_name)
        if not name:
            raise faults.missing("FileName")
        guessed, _ = mimetypes.guess_type(name)
        kind = str(body.get("ContentType") or part.content_type or guessed or "")
        if not part.data:
            raise faults.business(f"The file {name} is empty.")
        if len(part.data) > options.file_bytes_max:
            raise faults.business(
                f"The file {name} is larger than the limit of {options.file_bytes_max} bytes."
            )
        ending = (name.rpartition(".")[2] if "." in name else _ending_of(kind)).lower()
        if ending not in options.file_endings:
            raise Fault("1050", f"Invalid content type. Files like {name} are not supported.")
        body |= {"FileName": name, "ContentType": kind or "application/octet-stream"}
        return body, Held(name, str(body["ContentType"]), part.data)

    def keep(self, record_id: int, held: Held) -> Doc:
        """Stores the file. Returns what its record says of it."""
        self.files[record_id] = held
        token = secrets.token_urlsafe(24)
        self._shown[record_id] = token
        self._links[token] = _Link(record_id, 0)
        self.shown(record_id)
        return {
            "FileAccessUri": f"/v3/company/{self.realm_id}/download/{record_id}",
            "TempDownloadUri": self._address(token),
            "Size": len(held.data),
        }

    # -- downloading -----------------------------------------------------------------------------

    def link(self, record_id: int) -> str:
        """A new address of the file. Raises Fault where the attachable has no file."""
        if record_id not in self.files:
            raise faults.not_found()
        token = secrets.token_urlsafe(24)
        self._links[token] = _Link(record_id, self._ends())
        return self._address(token)

    def shown(self, record_id: int) -> None:
        """The record was given out: the link it shows lives on from now."""
        token = self._shown.get(record_id)
        if token is not None:
            self._links[token].ends = self._ends()

    def fetch(self, token: str) -> Held | None:
        """The file behind a link; None where the link has ended or the file is gone."""
        link = self._links.get(token)
        if link is None or link.ends <= self.clock.epoch():
            return None
        return self.files.get(link.record_id)

    def remove(self, record_id: int) -> None:
        self.files.pop(record_id, None)
        self._shown.pop(record_id, None)

    def _ends(self) -> int:
        return self.clock.epoch() + self.options.file_link_seconds

    def _address(self, token: str) -> str:
        return f"{self.origin}/files/{self.realm_id}/{token}"


def pair(parts: Iterable[Part]) -> list[Sent]:
    """Files with what was said of them: `file_content_01` with `file_metadata_01`.

    Raises Fault for parts of other names, for words about no file, and for words that are no JSON.
    """
    said: dict[str, Doc] = {}
    files: dict[str, Part] = {}
    for part in parts:
        found = _NUMBERED.fullmatch(part.name)
        if found is None:
            raise faults.unknown_property(part.name, part.name, "Attachable")
        if found[1] == "content":
            files[found[2]] = part
            continue
        try:
            metadata = decode(part.data)
        except ValueError:
            raise faults.not_json() from None
        if not isinstance(metadata, dict):
            raise faults.not_json()
        said[found[2]] = metadata
    if not files or set(said) - set(files):
        raise faults.missing("file_content")
    return [Sent(said.get(number), files[number]) for number in sorted(files)]


def answer_each(files: Iterable[Sent], upload: Callable[[Sent], bytes], refuse: Refuse) -> bytes:
    """`{"AttachableResponse":[…]}` without its closing brace, one element a file."""
    parts: list[bytes] = []
    for sent in files:
        try:
            parts.append(b"{%b}" % upload(sent))
        except Fault as fault:
            parts.append(b"{%b}" % refuse(fault))
    return b'"AttachableResponse":[%b]' % b",".join(parts)


def _ending_of(content_type: str) -> str:
    """`pdf` of application/pdf, for a name that ends in nothing."""
    return (mimetypes.guess_extension(content_type) or "").removeprefix(".")


Refuse = Callable[[Fault], bytes]
