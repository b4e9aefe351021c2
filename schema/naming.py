"""How a place in a provider's JSON gets its column name, and a list its table name.

One rule for all providers and all objects, so that a user who knows the API knows the
columns. The catalogs spell the names out; a test holds them to this rule.

    Id                        id                 PrimaryEmailAddr.Address    email
    MetaData.CreateTime       created_at         PrimaryPhone.FreeFormNumber phone
    MetaData.LastUpdatedTime  updated_at         BillAddr.City               bill_addr_city
    CustomerRef.value         customer_id        BillEmail.Address           bill_email_address
    CustomerRef.name          customer_name      Contact.ContactID           contact_id
    BankAccount.AccountID     bank_account_id    Invoice.InvoiceNumber       invoice_number

A member that begins with the name of the object it lies in does not say it twice. A list becomes
a table in the singular: the lines of `LineItems` are in `invoice_line_item`.

Postgres cuts names at 63 bytes; a longer one leaves out the members between the first and the
last: `AccountBasedExpenseLineDetail.MarkupInfo.MarkUpIncomeAccountRef.value` is
`account_based_expense_line_detail_mark_up_income_account_id`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

NAME_BYTES = 63  # Postgres: NAMEDATALEN - 1

# Whole paths with a name of their own.
_NAMED = {
    ("MetaData", "CreateTime"): "created_at",
    ("MetaData", "LastUpdatedTime"): "updated_at",
    ("CreatedDateUTC",): "created_at",
    ("UpdatedDateUTC",): "updated_at",
    ("User",): "user_name",  # `select user` is the role's name
    ("PrimaryEmailAddr", "Address"): "email",
    ("PrimaryPhone", "FreeFormNumber"): "phone",
}

# Objects whose own name would not do as a table's: `select * from user` is the role's name.
_TABLES = {"User": "organisation_user"}

# Members of a reference object, {"value": "58", "name": "…", "type": "…"}.
_REFERENCE_MEMBERS = {"value": "id", "name": "name", "type": "type"}

# Endings of lists' names and of one of them; the first that fits.
_PLURALS = {"ies": "y", "sses": "ss", "ss": "ss", "us": "us", "s": ""}

_ACRONYM_END = re.compile(r"([A-Z]+)([A-Z][a-z])")  # APAccount -> AP_Account
_WORD_END = re.compile(r"([a-z])([A-Z])")  # BillAddr -> Bill_Addr
_DIGIT_END = re.compile(r"([0-9])([A-Z][A-Za-z])")  # T5018Eligible -> T5018_Eligible


def snake_case(name: str) -> str:
    """`DisplayName` -> `display_name`, `POStatus` -> `po_status`, `GSTIN` -> `gstin`."""
    name = _ACRONYM_END.sub(r"\1_\2", name)
    name = _WORD_END.sub(r"\1_\2", name)
    return _DIGIT_END.sub(r"\1_\2", name).lower()


def table_name(api_name: str) -> str:
    """The table of an object: `BillPayment` -> `bill_payment`."""
    return _TABLES.get(api_name) or snake_case(api_name)


def column_name(path: Sequence[str], *, reference: bool = False, api_name: str = "") -> str:
    """The column for `path`, the members from the record (or the list element) to the value.

    reference: the last member belongs to a reference object: `ShipTo.value` is `ship_to_id`,
    while the plain text `CustomerMemo.value` is `customer_memo_value`. A member called
    `…Ref` is one without being told. api_name: the object, whose own `<Object>ID` is `id`.
    """
    named = _NAMED.get(tuple(path))
    if named is not None:
        return named
    *parents, last = path
    if not parents and api_name and last == f"{api_name}ID":
        return "id"
    if parents and (last.startswith(parents[-1]) or _names_by_id(parents[-1], last)):
        owner = parents.pop()
        last = last if last.startswith(owner) else f"{owner}ID"
    elif parents and last in _REFERENCE_MEMBERS and (reference or parents[-1].endswith("Ref")):
        last = f"{parents.pop().removesuffix('Ref')}_{_REFERENCE_MEMBERS[last]}"
    words = [snake_case(member) for member in (*parents, last)]
    name = "_".join(words)
    return name if len(name) <= NAME_BYTES else f"{words[0]}_{words[-1]}"


def _names_by_id(owner: str, last: str) -> bool:
    """Whether the last member is the id of what the object is: `AccountID` of `BankAccount`."""
    stem = last.removesuffix("ID")
    return bool(stem) and stem != last and owner.endswith(stem)


def singular(name: str) -> str:
    """`Addresses` -> `Address`, `TrackingCategories` -> `TrackingCategory`, `Phones` -> `Phone`."""
    for ending, one in _PLURALS.items():
        if name.endswith(ending):
            return name.removesuffix(ending) + one
    return name


def child_table_name(parent: str, path: Sequence[str]) -> str:
    """The table for the list at `path` of the object whose table is `parent`.

    `invoice` and `TxnTaxDetail.TaxLine` -> `invoice_txn_tax_detail_tax_line`; `contact` and
    `Addresses` -> `contact_address`.
    """
    words = [*(snake_case(member) for member in path[:-1]), snake_case(singular(path[-1]))]
    return "_".join((parent, *words))


def parent_column_name(parent: str, columns: Collection[str]) -> str:
    """The column of a child table that holds the parent's id.

    `invoice_id`; but `parent_item_id` where the rows themselves have an `item_id`, as the parts
    of a bundle do.
    """
    name = f"{parent}_id"
    return f"parent_{name}" if name in columns else name
