"""What the simulator knows of each entity: its paths, its properties, its rules of form.

Lengths, enumerations, references and filterable fields come from the shared catalog; the names
a body may hold from `known_properties.toml`; a few entities the product does not mirror (bills,
terms, tax codes) are described here, thinly.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from schema.loader import load_catalog
from schema.model import ColumnType, FieldSpec, ObjectSpec, Writable

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity of the service."""

    name: str  # "BillPayment": wrapper key and query name
    resource: str  # "billpayment"
    table: str  # "bill_payment": what references call it
    kind: str  # transaction | name_list | other
    operations: frozenset[str]
    fields: Mapping[Path, FieldSpec]
    rows: Mapping[Path, Mapping[Path, FieldSpec]]  # list -> fields of its elements
    required: tuple[str, ...]  # top members, on create and full update

    def can(self, operation: str) -> bool:
        return operation in self.operations


# Entities of the service of which these books hold none: questions answer empty.
EMPTY = {
    name.lower(): name
    for name in (
        "Attachable",
        "Budget",
        "Class",
        "CompanyCurrency",
        "CreditCardPayment",
        "CreditMemo",
        "CustomerType",
        "Department",
        "Deposit",
        "Estimate",
        "ExchangeRate",
        "JournalCode",
        "JournalEntry",
        "Purchase",
        "RecurringTransaction",
        "RefundReceipt",
        "ReimburseCharge",
        "SalesReceipt",
        "TaxAgency",
        "TaxPayment",
        "TaxRate",
        "TimeActivity",
        "Transfer",
        "VendorCredit",
    )
}

REQUIRED: dict[str, tuple[str, ...]] = {
    "Account": ("Name",),
    "Item": ("Name",),
    "Invoice": ("CustomerRef", "Line"),
    "Payment": ("CustomerRef", "TotalAmt"),
    "PurchaseOrder": ("VendorRef", "APAccountRef", "Line"),
    "Bill": ("VendorRef", "Line"),
    "BillPayment": ("VendorRef", "PayType", "TotalAmt", "Line"),
}

# Everything a client may do with an entity besides reading and asking.
OPERATIONS: dict[str, str] = {
    "Account": "create update deactivate",
    "Customer": "create update deactivate",
    "Vendor": "create update deactivate",
    "Employee": "create update deactivate",
    "Item": "create update deactivate",
    "Invoice": "create update delete void send pdf",
    "Payment": "create update delete void send pdf",
    "Bill": "create update delete",
    "BillPayment": "create update delete void",
    "PurchaseOrder": "create update delete send pdf",
    "Term": "",
    "TaxCode": "",
    "PaymentMethod": "",
    "CompanyInfo": "",
    "Preferences": "",
}


def _text(path: str, **more: object) -> FieldSpec:
    return _spec(path, ColumnType.TEXT, **more)


def _spec(path: str, type: ColumnType, **more: object) -> FieldSpec:
    return FieldSpec(column=path, path=tuple(path.split(".")), type=type, **more)  # type: ignore[arg-type]


_EVERY = (
    _text("Id", filterable=True, writable=Writable.NEVER),
    _text("SyncToken", writable=Writable.NEVER),
    _spec("MetaData.CreateTime", ColumnType.TIMESTAMPTZ, filterable=True, writable=Writable.NEVER),
    _spec(
        "MetaData.LastUpdatedTime",
        ColumnType.TIMESTAMPTZ,
        filterable=True,
        writable=Writable.NEVER,
    ),
)
_NAMED = (
    _text("Name", filterable=True),
    _spec("Active", ColumnType.BOOLEAN, filterable=True),
)
_FOREIGN: dict[str, tuple[FieldSpec, ...]] = {
    "Bill": (
        _text("VendorRef.value", references="vendor", filterable=True),
        _text("APAccountRef.value", references="account", filterable=True),
        _text("SalesTermRef.value", filterable=True),
        _text("DocNumber", max_length=21, filterable=True),
        _text("PrivateNote", max_length=4000),
        _spec("TxnDate", ColumnType.DATE, filterable=True),
        _spec("DueDate", ColumnType.DATE, filterable=True),
        _spec("TotalAmt", ColumnType.NUMERIC, filterable=True, writable=Writable.NEVER),
        _spec("Balance", ColumnType.NUMERIC, filterable=True, writable=Writable.NEVER),
        _spec("HomeBalance", ColumnType.NUMERIC, writable=Writable.NEVER),
        _spec("ExchangeRate", ColumnType.NUMERIC),
    ),
    "Term": _NAMED,
    "TaxCode": _NAMED,
    "PaymentMethod": _NAMED,
    "CompanyInfo": (_text("CompanyName", filterable=True),),
    "Preferences": (),
}
_BILL_ROWS: dict[Path, Mapping[Path, FieldSpec]] = {
    ("Line",): {
        field.path: field
        for field in (
            _text("DetailType"),
            _spec("Amount", ColumnType.NUMERIC),
            _spec("LinkedTxn", ColumnType.JSONB),
            _text("ItemBasedExpenseLineDetail.BillableStatus"),
            _text("AccountBasedExpenseLineDetail.BillableStatus"),
            _text("ItemBasedExpenseLineDetail.TaxCodeRef.value", references="tax_code"),
            _text("AccountBasedExpenseLineDetail.TaxCodeRef.value", references="tax_code"),
            _text("Description", max_length=4000),
            _text("ItemBasedExpenseLineDetail.ItemRef.value", references="item"),
            _spec("ItemBasedExpenseLineDetail.Qty", ColumnType.NUMERIC),
            _spec("ItemBasedExpenseLineDetail.UnitPrice", ColumnType.NUMERIC),
            _text("ItemBasedExpenseLineDetail.CustomerRef.value", references="customer"),
            _text("AccountBasedExpenseLineDetail.AccountRef.value", references="account"),
            _text("AccountBasedExpenseLineDetail.CustomerRef.value", references="customer"),
        )
    }
}


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(name))


def _entity(name: str, spec: ObjectSpec | None) -> Entity:
    declared = spec.fields if spec else _FOREIGN[name]
    rows: dict[Path, Mapping[Path, FieldSpec]] = dict(_BILL_ROWS) if name == "Bill" else {}
    for child in spec.children if spec else ():
        rows[child.path] = {field.path: field for field in child.fields}
    kind = "transaction" if "delete" in OPERATIONS[name] else "name_list"
    return Entity(
        name=name,
        resource=name.lower(),
        table=_snake(name),
        kind=kind if name not in ("CompanyInfo", "Preferences") else "other",
        operations=frozenset((*OPERATIONS[name].split(), "read", "query")),
        fields={field.path: field for field in (*_EVERY, *declared)},
        rows=rows,
        required=REQUIRED.get(name, ()),
    )


@cache
def entities() -> dict[str, Entity]:
    """Every entity by name, in the order of the table above."""
    catalog = {spec.api_name: spec for spec in load_catalog("quickbooks").objects}
    return {name: _entity(name, catalog.get(name)) for name in OPERATIONS}


@cache
def entity_by_word() -> dict[str, Entity]:
    """By the lower-case name, which is both the path segment and the query name."""
    return {entity.resource: entity for entity in entities().values()}


Known = Mapping[str, str]  # property -> type of its value, "" where it is a plain value

ANYWHERE = frozenset({"domain", "sparse", "status"})
OPAQUE = frozenset({"", "ReferenceType"})


@cache
def known_properties() -> dict[str, Known]:
    """Type name -> the properties the service knows."""
    text = files(__package__).joinpath("known_properties.toml").read_text()
    found: dict[str, Known] = {}
    for name, words in tomllib.loads(text).items():
        pairs = (word.partition(":") for word in words.split())
        found[name] = {member: type for member, _, type in pairs}
    return found
