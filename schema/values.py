"""A provider's JSON as values that Postgres can hold.

A mirror never refuses what the provider holds, so whatever stands in a record must come to
rest in a row. What Postgres itself cannot hold is changed here, and nowhere else:

- U+0000 and lone surrogates in text become U+FFFD;
- bytes that are not UTF-8 become U+FFFD;
- a number with an exponent of five digits or more, or a run of over 1,000 digits, which may
  be beyond `numeric`, becomes a JSON string in jsonb and NULL in a numeric column;
- a value of another kind than its column becomes NULL in the column (`raw` keeps it), save
  where the reading is plain: a number in a text column is its digits, "12.50" in a numeric
  column is the number, "true" in a boolean one is true;
- a date or time that does not exist becomes NULL; a time without an offset is read as UTC.

Xero writes dates and times as `/Date(1439434356790+0000)/`, milliseconds since 1970 in UTC;
they are read as ISO text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from schema.model import ColumnType
from sqlsync.errors import ProviderFault

# -- JSON text ----------------------------------------------------------------------------

_BLANKS = bytes.maketrans(b"\t\n\r", b"   ")
# Digits and signs to 0, E to e, blanks to a line break: then three searches find all that
# needs care. (A name like "site-1234" is found too, and left as it is by the closer look.)
_SHAPES = bytes.maketrans(b"0123456789+-E\t\r", b"000000000000e\n\n")
_LONG_RUN = b"0" * 64  # of digits; the closer look is for 1,000
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair: fine
    rb"|\\u0000|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\."
)
_STRING_OR_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*"|[-0-9][-+0-9.eE]*')
_WILD_NUMBER = re.compile(rb"[0-9]{1001}|[eE][-+]?[0-9]{5}")
_LONG_INTEGER = re.compile(rb"[0-9]{19}")


def holdable(raw: bytes) -> bytes:
    """`raw`, JSON text, without tabs or line breaks and as Postgres' jsonb can hold it.

    Slashes lose the backslash that some providers put before them, so that most records have
    none at all and go the faster way.
    """
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError:
            raw = raw.decode(errors="replace").encode()
    shapes = raw.translate(_SHAPES)
    if b"e00000" in shapes or _LONG_RUN in shapes:
        raw = _STRING_OR_NUMBER.sub(_tame_number, raw)
    if b"\n" in shapes:
        raw = raw.translate(_BLANKS)  # only between tokens: inside a string they are escaped
    if b"\\" in raw:
        if b"\\u" in raw:
            raw = _ESCAPE.sub(_tame_escape, raw)
        if b"\\\\" not in raw:  # else a backslash before the slash may be an escaped one
            raw = raw.replace(b"\\/", b"/")
    return raw


def _tame_number(match: re.Match[bytes]) -> bytes:
    token = match[0]
    wild = token[:1] != b'"' and _WILD_NUMBER.search(token)
    return b'"' + token + b'"' if wild else token


def _tame_escape(match: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if len(match[0]) == 6 else match[0]


_decoder = msgspec.json.Decoder(float_hook=Decimal)


def decode(raw: bytes) -> Any:
    """JSON text as Python values, numbers exact: int (of up to 18 digits) or Decimal.

    Raises ProviderFault where it is not JSON.
    """
    try:
        if _LONG_INTEGER.search(raw) is None:
            return _decoder.decode(raw)
        return json.loads(
            raw, parse_int=_integer, parse_float=Decimal, parse_constant=_not_a_number
        )
    except (ValueError, RecursionError) as error:  # msgspec's and json's errors are ValueErrors
        raise ProviderFault(f"the answer is not JSON that can be read: {error}") from error


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) < 19 else Decimal(text)


def _not_a_number(text: str) -> Any:
    raise ValueError(f"{text} is not a number")


# -- columns ------------------------------------------------------------------------------

DATE_PATTERN = (
    r"(?!0000)[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_TIME = r"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,12})?)?"
_OFFSET = r"(?:Z|[-+](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)"
TIMESTAMP_PATTERN = DATE_PATTERN + _TIME + _OFFSET
NUMBER_PATTERN = r"-?[0-9]{1,1000}(?:\.[0-9]{1,1000})?(?:[eE][-+]?[0-9]{1,4})?"

_date = re.compile(DATE_PATTERN)
_leap_day = re.compile(r"[0-9]{4}-02-29")
_time_and_offset = re.compile(f"({_TIME})({_OFFSET})?")
_number = re.compile(NUMBER_PATTERN)
_milliseconds = re.compile(r"/Date\((-?[0-9]{1,15})(?:([-+])([0-9]{2})([0-9]{2}))?\)/")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOOLEANS = {"true": True, "false": False}


def column_value(kind: ColumnType, value: Any) -> Any:
    """What a column of `kind` holds for a decoded JSON value; None is NULL.

    text, date and timestamptz: str; numeric: Decimal; boolean: bool; jsonb: the value.
    """
    if value is None or kind is ColumnType.JSONB:
        return value
    if kind is ColumnType.TEXT:
        return _text(value)
    if kind is ColumnType.BOOLEAN:
        return value if isinstance(value, bool) else _BOOLEANS.get(str(value))
    if kind is ColumnType.NUMERIC:
        return _numeric(value)
    if not isinstance(value, str):
        return None
    return _day(value) if kind is ColumnType.DATE else _moment(value)


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | Decimal) else None


def _numeric(value: Any) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return Decimal(value)
    return Decimal(value) if isinstance(value, str) and _number.fullmatch(value) else None


def _day(text: str) -> str | None:
    """A date; of a whole timestamp, its day as written."""
    if text.startswith("/"):
        return day_of_milliseconds(text)
    day, rest = text[:10], text[10:]
    if rest and not _time_and_offset.fullmatch(rest):
        return None
    if _date.fullmatch(day):
        return day
    if _leap_day.fullmatch(day):
        try:
            return date.fromisoformat(day).isoformat()
        except ValueError:
            return None
    return None


def _moment(text: str) -> str | None:
    if text.startswith("/"):
        return moment_of_milliseconds(text)
    time = _time_and_offset.fullmatch(text[10:])
    if time is None or _day(text[:10]) is None:
        return None
    return text if time[2] else f"{text}Z"


@lru_cache(maxsize=4096)  # documents share their days
def day_of_milliseconds(text: str) -> str | None:
    """`/Date(1439424000000+0000)/` -> `2015-08-13`; None where it is none of years 1 to 9999."""
    found = _instant(text)
    return None if found is None else found.date().isoformat()


def moment_of_milliseconds(text: str) -> str | None:
    """`/Date(1439434356790)/` -> `2015-08-13T02:52:36.790+00:00`; None as above."""
    found = _instant(text)
    return None if found is None else found.isoformat(timespec="milliseconds")


def _instant(text: str) -> datetime | None:
    match = _milliseconds.fullmatch(text)
    if match is None:
        return None
    milliseconds, sign, hours, minutes = match.groups()
    try:
        found = _EPOCH + timedelta(milliseconds=int(milliseconds))
        if sign is None or (hours == "00" and minutes == "00"):
            return found
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        return found.astimezone(timezone(offset if sign == "+" else -offset))
    except (OverflowError, ValueError):
        return None


def member(record: Any, path: tuple[str, ...]) -> Any:
    """The value at `path` of decoded JSON; None where there is none."""
    for name in path:
        if not isinstance(record, Mapping):
            return None
        record = record.get(name)
    return record
