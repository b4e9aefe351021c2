"""Numbers, times and answers as QuickBooks writes them. Pure.

Money is counted in whole cents inside the simulator and written as JSON numbers, exactly:
`225.0`, `26.57`, `0`. Times are whole seconds, shown with the Pacific offset.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

import msgspec

from sqlsync.simulators.clock import PACIFIC

Doc = dict[str, Any]

CURRENCY_NAMES = {
    "AUD": "Australian Dollar",
    "CAD": "Canadian Dollar",
    "CHF": "Swiss Franc",
    "EUR": "Euro",
    "GBP": "British Pound Sterling",
    "JPY": "Japanese Yen",
    "NZD": "New Zealand Dollar",
    "SEK": "Swedish Krona",
    "USD": "United States Dollar",
}

CENT = Decimal("0.01")
ENCODER = msgspec.json.Encoder(decimal_format="number")
DECODER = msgspec.json.Decoder(float_hook=Decimal)


def encode(value: Any) -> bytes:
    return ENCODER.encode(value)


def decode(data: bytes) -> Any:
    """JSON with exact numbers. Raises msgspec.DecodeError (a ValueError)."""
    return DECODER.decode(data)


def to_cents(amount: Any) -> int:
    """A money value, rounded half up to cents."""
    return int((Decimal(amount).quantize(CENT, ROUND_HALF_UP) * 100).to_integral_value())


def money(cents: int) -> Decimal | int:
    """Cents as the service writes them: 0, 225.0, 34.5, 26.57."""
    if not cents:
        return 0
    whole, rest = divmod(abs(cents), 100)
    text = f"{whole}.{rest // 10}" if rest % 10 == 0 else f"{whole}.{rest:02d}"
    return Decimal(text if cents > 0 else "-" + text)


def currency_ref(code: str) -> Doc:
    """A reference to a currency, as the service shows it."""
    return {"value": code, "name": CURRENCY_NAMES.get(code, code)}


def in_home(cents: int, rate: Any) -> int:
    """Cents of a form in home currency."""
    return int((Decimal(cents) * Decimal(rate)).quantize(Decimal(1), ROUND_HALF_UP))


def money_text(cents: int) -> str:
    """The same as JSON text, for templates."""
    return str(money(cents))


@lru_cache(maxsize=65536)
def timestamp(epoch: int) -> str:
    """`2026-03-02T09:15:40-08:00`."""
    return datetime.fromtimestamp(epoch, PACIFIC).isoformat()


def envelope_time(now: datetime) -> str:
    """`2026-03-02T09:15:42.117-08:00`."""
    return now.astimezone(PACIFIC).isoformat(timespec="milliseconds")


def zulu(epoch: int, digits: str = "000") -> str:
    """`2026-03-02T17:15:40.000Z`, as webhooks write it."""
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%dT%H:%M:%S}.{digits}Z"


def parse_moment(text: str) -> int | None:
    """An ISO moment (any offset, Z, or none: Pacific) or date as whole seconds; else None."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=PACIFIC)
    return int(moment.timestamp())


def is_date(text: str) -> bool:
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return len(text) == 10


def join_json(records: Iterable[bytes]) -> bytes:
    """Rendered records as one JSON array."""
    return b"[" + b",".join(records) + b"]"
