"""Whether a record at Xero shows what a write wanted. No I/O.

Xero knows an idempotency key for six minutes only. A write that may have been carried out
before that is looked for: a record that shows all its members is the one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlsync.providers.xero.calls import SLOTS
from sqlsync.providers.xero.values import CENTS, FOUR_DECIMALS, as_sent

_FINE = frozenset({"UnitAmount", "UnitPrice", "Quantity", "CurrencyRate"})
_SAME_NUMBER_AS_TEXT = re.compile(r"-?\d+\.\d+")


def shows(record: Any, wanted: Any, member: str = "", *, fine: Decimal = CENTS) -> bool:
    """Whether `record` has every member of `wanted`, nested ones too, with the same value.

    Dates in either form, numbers to half a cent, texts without outer spaces; empty and absent
    are the same. Lists: row for row in any order and no more of them; those with fixed places
    (addresses, phones) may have more. fine: how far prices and quantities may be apart, by what
    Xero rounds those of the object to.
    """
    if isinstance(wanted, Mapping):
        if not isinstance(record, Mapping):
            return all(_is_empty(value) for value in wanted.values())
        return all(
            shows(record.get(name), value, name, fine=fine) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        rows = record if isinstance(record, list) else []
        if member not in SLOTS and len(rows) != len(wanted):
            return False
        return _rows_show(rows, wanted, fine)
    return same(record, wanted, rounding=fine if member in _FINE else CENTS)


def same(one: Any, other: Any, *, rounding: Decimal = CENTS) -> bool:
    """Whether two values of a member say the same. rounding: how far numbers may be apart.

    Two texts are the same number only where both have decimals: `007` is not `7`.
    """
    one, other = as_sent(one), as_sent(other)
    if _is_empty(one) or _is_empty(other):
        return _is_empty(one) and _is_empty(other)
    if isinstance(one, bool) or isinstance(other, bool):
        return str(one).lower() == str(other).lower()
    texts = [value for value in (one, other) if isinstance(value, str)]
    if len(texts) == 2 and not all(map(_SAME_NUMBER_AS_TEXT.fullmatch, texts)):
        return _text(one) == _text(other)
    numbers = number_of(one), number_of(other)
    if numbers[0] is not None and numbers[1] is not None:
        return abs(numbers[0] - numbers[1]) <= rounding
    if isinstance(one, dict | list) or isinstance(other, dict | list):
        return bool(one == other)
    return _text(one) == _text(other)


def differs(base: Any, current: Any, fields: Any, *, lists: bool) -> bool:
    """Whether the members that `fields` names are not what they were in `base`.

    lists: compare lists too; where a record has a time of change they are told by it.
    """
    if isinstance(fields, Mapping):
        one = base if isinstance(base, Mapping) else {}
        two = current if isinstance(current, Mapping) else {}
        return any(
            differs(one.get(name), two.get(name), value, lists=lists)
            for name, value in fields.items()
        )
    if isinstance(base, list) or isinstance(current, list):
        if not lists:
            return False
        before, after = base or [], current or []
        return len(before) != len(after) or not _rows_show(after, before, FOUR_DECIMALS)
    return not same(base, current, rounding=FOUR_DECIMALS)


def _rows_show(rows: list[Any], wanted: list[Any], fine: Decimal) -> bool:
    left = list(rows)
    for row in wanted:
        found = next((i for i, other in enumerate(left) if shows(other, row, fine=fine)), None)
        if found is None:
            return False
        del left[found]
    return True


def _is_empty(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_empty(member) for member in value.values())
    return value is None or value == "" or value == []


def number_of(value: Any) -> Decimal | None:
    """The number that a member says, as a number or as a text; None where it says none."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _text(value: Any) -> str:
    text = str(value).strip()
    return text.removesuffix("T00:00:00")
