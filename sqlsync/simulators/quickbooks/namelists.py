"""Rules of the name lists: names that must be unique, display names made, deactivation.

Each function takes the merged document of a record and returns it completed; the Row's own
members (name, parent, active) are set from it by the writer.
"""

from __future__ import annotations

import re

from sqlsync.simulators.quickbooks import accounts, faults
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.lines import plain
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.settings import settings_of
from sqlsync.simulators.quickbooks.store import PARTIES, Books, Row
from sqlsync.simulators.quickbooks.values import CURRENCY_NAMES, Doc

_SUFFIX = re.compile(r" \(deleted(?: \d+)?\)$", re.IGNORECASE)
LEVELS = 5
ADDRESS_MAX = 2000  # characters in all lines together
_KIND = {
    "Item": "product or service",
    "Account": "account",
    "Class": "class",
    "Department": "location",
    "PaymentMethod": "payment method",
    "Term": "term",
    "TaxAgency": "tax agency",
    "JournalCode": "journal code",
    "CompanyCurrency": "currency",
}
_STOCK_ACCOUNTS = (
    ("AssetAccountRef", "Other Current Asset", "Inventory"),
    ("ExpenseAccountRef", "Cost of Goods Sold", None),
    ("IncomeAccountRef", "Income", "SalesOfProductIncome"),
)
_NOT_OF_CATEGORIES = (
    *("IncomeAccountRef", "ExpenseAccountRef", "AssetAccountRef", "UnitPrice", "PurchaseCost"),
    *("QtyOnHand", "ItemGroupDetail", "InvStartDate"),
)
_NOT_MARKED = frozenset({"Term", "CompanyCurrency", "JournalCode", "TaxAgency"})  # when inactive
_WITHOUT_ACTIVE = frozenset({"JournalCode", "TaxAgency"})


_MARKS_CHILDREN = {"Item": "SubItem", "Class": "SubClass"}  # Customer: see _party


def name_member(entity: str) -> str:
    """The member that names a record, and must be its own."""
    if entity == "CompanyCurrency":
        return "Code"
    return "DisplayName" if entity in PARTIES or entity == "TaxAgency" else "Name"


def complete(books: Books, entity: str, doc: Doc, row: Row, options: Options) -> Doc:
    """The document with everything the service fills in. `row.doc` None: it is new."""
    is_new = row.doc is None and row.seed is None
    if entity not in _WITHOUT_ACTIVE:
        doc.setdefault("Active", True)
    if entity in PARTIES:
        _party(entity, doc, row, options)
        if entity == "Customer":
            _customer(books, doc, is_new=is_new)
    elif entity == "Item":
        _item(books, doc, row)
    elif entity == "Account":
        _account(doc, is_new=is_new)
        longest = 20 if books.country in ("AU", "CA") else 7
        if len(doc.get("AcctNum", "")) > longest:
            raise faults.too_long("AcctNum", longest, len(doc["AcctNum"]))
    elif entity == "Term":
        _term(doc)
    elif entity == "PaymentMethod":
        doc.setdefault("Type", "NON_CREDIT_CARD")
    elif entity == "TaxAgency":
        doc |= {"TaxTrackedOnSales": True, "TaxTrackedOnPurchases": False}
        doc.setdefault("TaxAgencyConfig", "USER_DEFINED")
    elif entity == "CompanyCurrency":
        _currency(doc)
    elif entity == "JournalCode":
        doc.setdefault("Type", "Others")
    marked = _MARKS_CHILDREN.get(entity)
    if marked is not None and doc.get(marked) and not (doc.get("ParentRef") or {}).get("value"):
        raise faults.parent_required(marked)
    doc.pop("SubClass", None)  # follows from the parent
    parent = _parent(books, entity, doc, row)
    _name(books, entity, doc, row, parent, options)
    return doc


def _parent(books: Books, entity: str, doc: Doc, row: Row) -> int:
    """The parent's id, or 0. At most five levels, and nobody is its own ancestor."""
    value = str((doc.get("ParentRef") or {}).get("value") or "")
    if not value:
        return 0
    above = books.table(entity).get(int(value)) if value.isdigit() else None
    if above is None or not above.active:
        raise faults.bad_reference("ParentRef", "parent", value)
    parent, depth = above.id, 1
    while True:
        if above.id == row.id:
            raise faults.business("A name cannot be its own parent.")
        if not above.parent:
            break
        above = books.row(entity, above.parent)
        depth += 1
    if depth >= LEVELS:
        raise Fault("6180", f"Sub Level Limit : at most {LEVELS} levels are supported", "ParentRef")
    return parent


def _party(entity: str, doc: Doc, row: Row, options: Options) -> None:
    if not doc.get("DisplayName"):
        parts = ("Title", "GivenName", "MiddleName", "FamilyName", "Suffix")
        doc["DisplayName"] = " ".join(doc[part] for part in parts if doc.get(part))
    if not doc["DisplayName"] and options.company_name_is_enough:
        doc["DisplayName"] = doc.get("CompanyName", "")
    if not doc["DisplayName"]:
        raise Fault("6080", "At least one of the name elements is required.")
    if entity == "Employee" and not (doc.get("GivenName") or doc.get("FamilyName")):
        raise faults.missing("GivenName")
    if not doc.get("PrintOnCheckName"):
        doc["PrintOnCheckName"] = doc.get("CompanyName") or doc["DisplayName"]
    if entity == "Customer":
        doc.setdefault("Taxable", True)
        has_parent = bool((doc.get("ParentRef") or {}).get("value"))
        if doc.get("Job") and not has_parent:
            raise faults.parent_required("Job")
        doc["Job"] = has_parent
        doc.setdefault("BillWithParent", False)
        doc.setdefault("PreferredDeliveryMethod", "None")
        doc.setdefault("IsProject", False)
        doc.setdefault("ClientEntityId", "0")
        doc.setdefault("V4IDPseudonym", f"0021{row.id:012x}")
    elif entity == "Vendor":
        doc.setdefault("Vendor1099", False)
        doc.setdefault("V4IDPseudonym", f"0022{row.id:012x}")
    else:
        doc.setdefault("BillableTime", False)
    for label, name in enumerate(("BillAddr", "ShipAddr", "PrimaryAddr")):
        if isinstance(doc.get(name), dict):
            length = sum(len(str(doc[name].get(f"Line{line}") or "")) for line in range(1, 6))
            if length > ADDRESS_MAX:
                raise faults.too_long(name, ADDRESS_MAX, length)
            doc[name] = {"Id": str(1_000_000 + row.id * 4 + label), **doc[name]}


def _customer(books: Books, doc: Doc, *, is_new: bool) -> None:
    """What its opening balance and its exemption from tax need."""
    if is_new and doc.get("Balance") and not doc.get("OpenBalanceDate"):
        raise faults.opening_without_date("OpenBalanceDate")
    reason = doc.get("TaxExemptionReasonId")
    if reason is not None and not (str(reason).isdigit() and 1 <= int(reason) <= 15):
        raise Fault("2090", f"Invalid Number. Supplied value:{reason}", "TaxExemptionReasonId")
    if doc["Taxable"] is False and reason is None and settings_of(books).automated_sales_tax:
        raise faults.missing("TaxExemptionReasonId")


def _item(books: Books, doc: Doc, row: Row) -> None:
    kind = doc.setdefault("Type", "Service")
    if (row.doc or {}).get("Type") == "Inventory" and kind != "Inventory":
        raise faults.business("An inventory item cannot become an item of another type.")
    stocked = kind == "Inventory"
    if stocked:
        needed = ("IncomeAccountRef", "ExpenseAccountRef", "AssetAccountRef", "InvStartDate")
        for name in (*needed, "QtyOnHand"):
            if doc.get(name) is None:
                raise faults.missing(name)
        if not doc.get("TrackQtyOnHand"):
            raise faults.missing("TrackQtyOnHand")
        for name, *wanted in _STOCK_ACCOUNTS:
            _check_account(books, doc, name, *wanted)
    elif kind in ("Service", "NonInventory") and not (
        doc.get("IncomeAccountRef") or doc.get("ExpenseAccountRef")
    ):
        raise faults.missing("IncomeAccountRef")
    if kind == "Category":
        for name in _NOT_OF_CATEGORIES:
            if doc.get(name):
                raise faults.business(f"A category has a name and a parent, and no {name}.")
    doc.setdefault("Taxable", False)
    doc["TrackQtyOnHand"] = stocked
    for name in ("UnitPrice", "PurchaseCost", "QtyOnHand"):
        if name in doc:
            doc[name] = plain(doc[name])
    if kind in ("Service", "NonInventory", "Inventory"):
        doc.setdefault("UnitPrice", 0)
        doc.setdefault("PurchaseCost", 0)


def _check_account(books: Books, doc: Doc, member: str, kind: str, subtype: str | None) -> None:
    """Raises 6430 where the account is not of the type that goods need there."""
    row = books.table("Account").get(int(doc[member]["value"]))
    found = (row.doc or {}) if row is not None else {}
    if found.get("AccountType") != kind or subtype not in (None, found.get("AccountSubType")):
        detail = f"Invalid account type: {found.get('AccountType')}. It must be {subtype or kind}."
        raise Fault("6430", detail, member)


def _term(doc: Doc) -> None:
    """Days after the form's date, or a day of the month."""
    kind = doc.get("Type") or ("DATE_DRIVEN" if doc.get("DayOfMonthDue") else "STANDARD")
    doc["Type"] = kind
    if kind == "STANDARD":
        if doc.get("DueDays") is None:
            raise faults.missing("DueDays")
        doc.setdefault("DiscountDays", 0)
        return
    day = doc.get("DayOfMonthDue")
    if day is None:
        raise faults.missing("DayOfMonthDue")
    if not 1 <= day <= 31:
        raise Fault("2090", f"Invalid Number. Supplied value:{day}", "DayOfMonthDue")
    for name in ("DueNextMonthDays", "DiscountDayOfMonth", "DiscountPercent"):
        doc.setdefault(name, 0)


def _currency(doc: Doc) -> None:
    code = str(doc["Code"])
    if code not in CURRENCY_NAMES:
        raise Fault("2220", f"Invalid Currency Type. Supplied value:{code}", "Code")
    doc["Name"] = CURRENCY_NAMES[code]


def _account(doc: Doc, *, is_new: bool) -> None:
    kind, subtype = doc.get("AccountType"), doc.get("AccountSubType")
    if not kind and not subtype:
        raise Fault("6010", "AccountType or AccountSubType must be given")
    if subtype:
        belongs = accounts.type_of_subtype(subtype)
        if belongs is None or (belongs == "*" and not kind):
            raise Fault("2170", f"Invalid Enumeration : {subtype}", "AccountSubType")
        kind = kind or belongs
        if belongs not in ("*", kind):
            raise faults.business(f"{subtype} is no detail type of {kind} accounts.")
    if doc.get("OpeningBalance") and not doc.get("OpeningBalanceDate"):
        raise faults.opening_without_date("OpeningBalanceDate")
    doc["AccountType"] = kind
    if not subtype:
        doc["AccountSubType"] = accounts.default_subtype(str(kind)) or ""
    doc["Classification"] = accounts.classification(str(kind))
    doc["SubAccount"] = bool((doc.get("ParentRef") or {}).get("value"))
    doc.setdefault("CurrentBalance", 0)
    doc.setdefault("CurrentBalanceWithSubAccounts", 0)


def _name(books: Books, entity: str, doc: Doc, row: Row, parent: int, options: Options) -> None:
    """Checks the name, and adds or strips what marks a record made inactive."""
    member = name_member(entity)
    name = doc[member].strip()
    was_new = not row.name
    active = doc.get("Active", True)
    if entity in _NOT_MARKED:
        pass
    elif active is False and (row.active or was_new):
        _refuse_open_balance(entity, row, options)
        base = name
        name = f"{base}{options.deleted_suffix}"
        count = 2
        while _taken(books, entity, row, parent, name):
            name = f"{base} (deleted {count})"
            count += 1
    elif active is True and not was_new and not row.active:
        name = _SUFFIX.sub("", name)
    if any(sign in name for sign in ":\t\n"):
        raise Fault("2040", f"Element contains invalid characters. Supplied value:{name}", member)
    if entity == "Account" and '"' in name:
        raise Fault("2040", f"Element contains invalid characters. Supplied value:{name}", member)
    if _taken(books, entity, row, parent, name):
        raise faults.duplicate_name(_KIND.get(entity, "customer, vendor or employee"))
    doc[member] = name


def _taken(books: Books, entity: str, row: Row, parent: int, name: str) -> bool:
    holder = books.holder_of(entity, parent, name)
    return holder is not None and holder != (entity, row.id)


def _refuse_open_balance(entity: str, row: Row, options: Options) -> None:
    if entity in ("Customer", "Vendor") and row.open and not options.allow_inactive_with_balance:
        raise faults.has_balance(entity.lower())
