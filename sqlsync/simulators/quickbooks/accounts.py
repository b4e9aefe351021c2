"""Account types: their classification and sub-types. Data and look-ups, pure."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

_CLASSES = {
    "Asset": (
        "Bank",
        "Accounts Receivable",
        "Other Current Asset",
        "Fixed Asset",
        "Other Asset",
    ),
    "Liability": (
        "Accounts Payable",
        "Credit Card",
        "Other Current Liability",
        "Long Term Liability",
    ),
    "Equity": ("Equity",),
    "Revenue": ("Income", "Other Income"),
    "Expense": ("Cost of Goods Sold", "Expense", "Other Expense"),
}
_CLASS_OF = {type: name for name, types in _CLASSES.items() for type in types}


def classification(account_type: str) -> str:
    return _CLASS_OF.get(account_type, "Expense")


@cache
def _subtypes() -> dict[str, list[str]]:
    return tomllib.loads(files(__package__).joinpath("account_types.toml").read_text())


def default_subtype(account_type: str) -> str | None:
    found = _subtypes().get(account_type)
    return found[0] if found else None


def type_of_subtype(subtype: str) -> str | None:
    """The type it belongs to; `*` where that depends on the country, None: there is no such."""
    return next((type for type, subs in _subtypes().items() if subtype in subs), None)
