"""Numbers, moments and ids as Xero writes them. Pure.

Money is Decimal with two places, quantities and unit prices with four, rates with ten; all are
written as JSON numbers with their places (`300.00`). Moments are whole milliseconds since 1970,
written `\\/Date(1518652800000+0000)\\/` with the slashes escaped, as the service does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import msgspec

Doc = dict[str, Any]

ZERO = Decimal("0.00")
ONE = Decimal("1.0000000000")
NO_ID = "00000000-0000-0000-0000-000000000000"
_PLACES = {scale: Decimal(1).scaleb(-scale) for scale in (0, 2, 4, 10)}
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.I)
_MS_DATE = re.compile(r"/Date\((-?\d+)([+-]\d{4})?\)/")


def encode(value: Any) -> bytes:
    """JSON as the service writes it, with the slashes of `/Date(…)/` escaped."""
    data: bytes = _ENCODER.encode(value)
    return data.replace(b'"/Date(', b'"\\/Date(').replace(b')/"', b')\\/"')


def decode(data: bytes) -> Any:
    """JSON with exact numbers. Raises msgspec.DecodeError (a ValueError)."""
    return _DECODER.decode(data)


def rounded(value: Decimal, scale: int = 2, *, even: bool = False) -> Decimal:
    """`value` with `scale` places; a half goes up (away from zero), or to the even neighbour."""
    return value.quantize(_PLACES[scale], ROUND_HALF_EVEN if even else ROUND_HALF_UP)


def number(value: Any) -> Decimal | None:
    """A number sent as JSON number or text; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        found = Decimal(value) if isinstance(value, int | str | Decimal) else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() else None


def total(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, ZERO)


# -- moments ---


def millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


@lru_cache(maxsize=65536)
def ms_date(day: date) -> str:
    """A calendar date as midnight: `/Date(1518652800000+0000)/`."""
    seconds = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    return f"/Date({seconds * 1000}+0000)/"


@lru_cache(maxsize=65536)
def day_text(day: date) -> str:
    """`2026-10-06T00:00:00`, the companion of a document date."""
    return f"{day.isoformat()}T00:00:00"


def ms_instant(ms: int) -> str:
    return f"/Date({ms}+0000)/"


def ms_now(ms: int) -> str:
    """As DateTimeUTC of the envelope: without an offset."""
    return f"/Date({ms})/"


def instant_text(ms: int, suffix: str = "Z") -> str:
    """`2026-10-20T03:14:07Z`, the companion of an instant."""
    return f"{moment(ms):%Y-%m-%dT%H:%M:%S}{suffix}"


def read_date(value: Any) -> date | None:
    """A date in any form a write may use; None where it is none."""
    if not isinstance(value, str):
        return None
    found = _MS_DATE.fullmatch(value.replace("\\/", "/"))
    if found:
        return datetime.fromtimestamp(int(found[1]) // 1000, UTC).date()
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00")).date()
    except ValueError:
        return None


# -- ids ---


def is_uuid(text: Any) -> bool:
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def uuid_of(bits: int) -> str:
    """A version 4 id from 128 bits of any source."""
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[bits & 3]}{text[17:20]}-{text[20:]}"


def fold(name: str) -> str:
    """A name as it is compared: without regard to case."""
    return name.casefold().strip()
