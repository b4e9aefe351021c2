"""What the simulator knows of each entity: its paths, its properties, its rules of form.

Lengths, enumerations, references and filterable fields come from the shared catalog; the names
a body may hold from `known_properties.toml`. What may be done with an entity and what it requires
is written down here once more, so that one mistake is not made twice.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from schema.loader import load_catalog
from schema.model import FieldSpec, ObjectSpec, Writable

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity of the service."""

    name: str  # "BillPayment": wrapper key and query name
    resource: str  # "billpayment"
    table: str  # "bill_payment": what references call it
    kind: str  # transaction | name_list | singleton | other
    operations: frozenset[str]
    fields: Mapping[Path, FieldSpec]
    rows: Mapping[Path, Mapping[Path, FieldSpec]]  # list -> fields of its elements
    required: tuple[str, ...]  # top members, on create and full update
    wrapper: str  # key of a record in answers and batches: mostly the name

    def can(self, operation: str) -> bool:
        return operation in self.operations


# Top members that a create and a full update must have.
REQUIRED: dict[str, tuple[str, ...]] = {
    "Account": ("Name",),
    "Bill": ("VendorRef", "Line"),
    "BillPayment": ("VendorRef", "PayType", "TotalAmt", "Line"),
    "Budget": ("Name", "StartDate", "EndDate"),
    "Class": ("Name",),
    "CompanyCurrency": ("Code",),
    "CompanyInfo": ("CompanyName", "CompanyAddr"),
    "CreditCardPayment": ("CreditCardAccountRef", "BankAccountRef", "Amount"),
    "CreditMemo": ("CustomerRef", "Line"),
    "Department": ("Name",),
    "Deposit": ("DepositToAccountRef", "Line"),
    "Estimate": ("CustomerRef", "Line"),
    "ExchangeRate": ("SourceCurrencyCode", "AsOfDate", "Rate"),
    "Invoice": ("CustomerRef", "Line"),
    "Item": ("Name",),
    "JournalCode": ("Name",),
    "JournalEntry": ("Line",),
    "Payment": ("CustomerRef", "TotalAmt"),
    "PaymentMethod": ("Name",),
    "Purchase": ("AccountRef", "PaymentType", "Line"),
    "PurchaseOrder": ("VendorRef", "APAccountRef", "Line"),
    "RefundReceipt": ("DepositToAccountRef", "Line"),
    "SalesReceipt": ("CustomerRef", "Line"),
    "TaxAgency": ("DisplayName",),
    "Term": ("Name",),
    "TimeActivity": ("NameOf",),
    "Transfer": ("FromAccountRef", "ToAccountRef", "Amount"),
    "VendorCredit": ("VendorRef", "Line"),
}

# Everything a client may do with an entity besides reading and asking; in brackets its kind.
# Source: Intuit, reference pages of each entity.
OPERATIONS: dict[str, str] = {
    "Account": "[name_list] create update deactivate",
    "Attachable": "[other] create update delete",
    "Bill": "[transaction] create update delete",
    "BillPayment": "[transaction] create update delete void",
    "Budget": "[other] create update delete",
    "Class": "[name_list] create update deactivate",
    "CompanyCurrency": "[name_list] create update deactivate",
    "CompanyInfo": "[singleton] update",
    "CreditCardPayment": "[transaction] create update delete",
    "CreditMemo": "[transaction] create update delete send pdf",
    "Customer": "[name_list] create update deactivate",
    "CustomerType": "[name_list]",
    "Department": "[name_list] create update deactivate",
    "Deposit": "[transaction] create update delete",
    "Employee": "[name_list] create update deactivate",
    "Entitlements": "[singleton]",  # at an address of its own, in XML
    "Estimate": "[transaction] create update delete send pdf",
    "ExchangeRate": "[other] create update",  # one that is not there yet is set in the same way
    "Invoice": "[transaction] create update delete void send pdf",
    "Item": "[name_list] create update deactivate",
    "JournalCode": "[name_list] create update",
    "JournalEntry": "[transaction] create update delete",
    "Payment": "[transaction] create update delete void send pdf",
    "PaymentMethod": "[name_list] create update deactivate",
    "Preferences": "[singleton] update",
    "Purchase": "[transaction] create update delete",
    "PurchaseOrder": "[transaction] create update delete send pdf",
    "RecurringTransaction": "[other] create delete",
    "RefundReceipt": "[transaction] create update delete send pdf",
    "ReimburseCharge": "[transaction]",
    "SalesReceipt": "[transaction] create update delete void send pdf",
    "TaxAgency": "[name_list] create",
    "TaxClassification": "[other]",
    "TaxCode": "[name_list]",
    "TaxPayment": "[transaction]",
    "TaxRate": "[name_list]",
    "Term": "[name_list] create update deactivate",
    "TimeActivity": "[transaction] create update delete",
    "Transfer": "[transaction] create update delete",
    "Vendor": "[name_list] create update deactivate",
    "VendorCredit": "[transaction] create update delete",
}
NOT_ASKED = frozenset({"Entitlements", "TaxClassification"})  # not in the query language
NOT_IN_CDC = frozenset(
    (
        *(
            "JournalCode",
            "TimeActivity",
            "TaxAgency",
            "TaxCode",
            "TaxRate",
        ),  # the reference says so
        *("Entitlements", "TaxClassification", "TaxPayment", "ReimburseCharge"),  # unverified
    )
)
# What is announced of an entity: Create, Update, Delete, Merge, Void, Emailed. Others are silent.
WEBHOOKS: dict[str, str] = {
    **dict.fromkeys(("Account", "Class", "Customer", "Employee", "Item", "Vendor"), "CUDM"),
    **dict.fromkeys(("Bill", "CompanyCurrency", "Deposit", "JournalEntry", "TimeActivity"), "CUD"),
    **dict.fromkeys(("BillPayment", "Purchase", "Transfer"), "CUDV"),
    **dict.fromkeys(("Budget", "JournalCode", "TaxAgency", "Term"), "CU"),
    **dict.fromkeys(("CreditMemo", "Invoice", "Payment", "RefundReceipt", "SalesReceipt"), "CUDVE"),
    **dict.fromkeys(("Department", "PaymentMethod"), "CUM"),
    **dict.fromkeys(("Estimate", "PurchaseOrder"), "CUDE"),
    "Preferences": "U",
    "VendorCredit": "CUD",
}
_WRAPPERS = {"CreditCardPayment": "CreditCardPaymentTxn"}


def _fields(name: str, spec: ObjectSpec) -> dict[Path, FieldSpec]:
    """Of a rate, which has no Id, the members of its key are the client's to say."""
    found = {f.path: f for f in spec.fields}
    if name == "ExchangeRate":
        del found["Id",]
        for key in ("SourceCurrencyCode", "AsOfDate"):
            found[key,] = replace(found[key,], writable=Writable.ALWAYS)
    return found


def _entity(name: str, spec: ObjectSpec) -> Entity:
    kind, *operations = OPERATIONS[name].split()
    asked = () if name in NOT_ASKED else ("query",)
    return Entity(
        name=name,
        resource=name.lower(),
        table=spec.table,
        kind=kind.strip("[]"),
        operations=frozenset((*operations, "read", *asked)),
        fields=_fields(name, spec),
        rows={child.path: {f.path: f for f in child.fields} for child in spec.children},
        required=REQUIRED.get(name, ()),
        wrapper=_WRAPPERS.get(name, name),
    )


@cache
def entities() -> dict[str, Entity]:
    """Every entity by name, in the order of the table above."""
    catalog = {spec.api_name: spec for spec in load_catalog("quickbooks").objects}
    return {name: _entity(name, catalog[name]) for name in OPERATIONS}


@cache
def entity_by_word() -> dict[str, Entity]:
    """By the lower-case name, which is both the path segment and the query name."""
    return {entity.resource: entity for entity in entities().values()}


@cache
def entity_of_table(table: str) -> Entity | None:
    """By what references call it."""
    return next((entity for entity in entities().values() if entity.table == table), None)


@cache
def entity_by_wrapper() -> dict[str, Entity]:
    """By the lower-case key of a record in a body; by the name too, where that is another."""
    return entity_by_word() | {e.wrapper.lower(): e for e in entities().values()}


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
