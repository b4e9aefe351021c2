"""Times, dates, ids and JSON as Xero writes them. No I/O.

An instant is `/Date(1792466047513+0000)/`: milliseconds since 1970, UTC; the offset may be
missing and never shifts the instant. A document's date is the same form at midnight and means a
calendar day. Companions (`DateString`) are ISO text without a zone, in UTC.
Source: Xero, "Requests and responses", "Dates"; reference/xero/README.md section 3.2.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from sqlsync.errors import ProviderFault

Json = dict[str, Any]

ZERO_ID = "00000000-0000-0000-0000-000000000000"

# How far a number may be from what was sent, by the decimals that Xero rounds it to.
CENTS = Decimal("0.005")
FOUR_DECIMALS = Decimal("0.00005")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS_DATE = re.compile(r"/Date\((-?\d+)([+-]\d{4})?\)/")
_FRACTION = re.compile(r"(\.\d{6})\d+")

# Members in one order, always: under an idempotency key the same request must be the same
# bytes, and a step that was stored as jsonb comes back in another order.
_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic")
_decoder = msgspec.json.Decoder(float_hook=Decimal)
_object_decoder = msgspec.json.Decoder(Json, float_hook=Decimal)


def encode_json(value: Any) -> bytes:
    """Exact numbers: a Decimal is written as the number it is."""
    return _encoder.encode(value)


def decode_any(raw: bytes | msgspec.Raw) -> Any:
    """Any JSON, numbers with a point as Decimal. Raises msgspec.DecodeError."""
    return _decoder.decode(raw)


def decode_record(raw: bytes) -> Json:
    """One record. Raises ProviderFault where it is not one JSON object."""
    try:
        return _object_decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise ProviderFault(f"[Xero] A record cannot be read: {error}") from error


def instant_of(value: Any) -> datetime | None:
    """The moment a member says, aware and in UTC; None where it says none."""
    if not isinstance(value, str):
        return None
    found = _MS_DATE.fullmatch(value)
    try:
        if found is not None:
            return _EPOCH + timedelta(milliseconds=int(found[1]))
        at = datetime.fromisoformat(_FRACTION.sub(r"\1", value))
    except (ValueError, OverflowError):
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def as_sent(value: Any) -> Any:
    """A value as a write sends it, all through.

    Xero's own form of a date becomes an ISO one; a number has no exponent.
    """
    if isinstance(value, dict):
        return {name: as_sent(member) for name, member in value.items()}
    if isinstance(value, list):
        return [as_sent(member) for member in value]
    if isinstance(value, Decimal) and value.is_finite():
        return Decimal(format(value, "f"))
    if isinstance(value, str) and value.startswith("/Date("):
        at = instant_of(value)
        if at is not None:
            midnight = at.hour == at.minute == at.second == at.microsecond == 0
            return at.strftime("%Y-%m-%d" if midnight else "%Y-%m-%dT%H:%M:%S")
    return value


def since_text(at: datetime) -> str:
    """A time as If-Modified-Since takes it: UTC, whole seconds, rounded down, no zone."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def floor_second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def is_uuid(text: str) -> bool:
    """Whether it can be the id of a record: a GUID, and not the one that means none.

    Others must never stand in an address: `/Contacts/CRM-1042` finds a contact by its number.
    """
    if len(text) != len(ZERO_ID) or text == ZERO_ID:
        return False
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
