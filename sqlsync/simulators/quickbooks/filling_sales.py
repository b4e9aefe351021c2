"""Sales forms and received payments, completed: defaults from the customer, prices, tax."""

from __future__ import annotations

from typing import Any

from sqlsync.simulators.quickbooks import documents, faults, lines
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.filling import UNDEPOSITED, Filling, number_of
from sqlsync.simulators.quickbooks.values import Doc

CUSTOM_FIELD_MAX = 31
_SWITCHES = (
    "AllowIPNPayment",
    "AllowOnlinePayment",
    "AllowOnlineCreditCardPayment",
    "AllowOnlineACHPayment",
    "FreeFormAddress",
)


def invoice(filling: Filling) -> None:
    doc = filling.doc
    _from_customer(filling, term=True)
    filling.default(**dict.fromkeys(_SWITCHES, False))
    filling.default(LinkedTxn=[])
    doc["LinkedTxn"] = [link for link in doc["LinkedTxn"] if link.get("TxnType") != "Payment"]
    filling.default(DueDate=filling.due())
    if doc.get("Deposit") and not filling.settings.allow_deposit:
        raise faults.business("Deposits on invoices are switched off for this company.")
    _priced(filling)
    if len(doc["Line"]) - 1 > lines.TAXED_LINES_MAX and any(map(lines.is_taxed, doc["Line"])):
        raise faults.business(f"A taxable invoice can have at most {lines.TAXED_LINES_MAX} lines.")


def estimate(filling: Filling) -> None:
    _from_customer(filling, term=True)
    filling.default(TxnStatus="Pending")
    _priced(filling)


def credit_memo(filling: Filling) -> None:
    _from_customer(filling)
    _priced(filling)


def sales_receipt(filling: Filling) -> None:
    _from_customer(filling)
    filling.default(DepositToAccountRef=dict(UNDEPOSITED))
    _priced(filling)


def refund_receipt(filling: Filling) -> None:
    filling.account("DepositToAccountRef", "Bank", "Other Current Asset")
    _from_customer(filling)
    _priced(filling)


def payment(filling: Filling) -> None:
    filling.default(DepositToAccountRef=dict(UNDEPOSITED))
    filling.doc["ProcessPayment"] = False
    filling.doc.pop("LinkedTxn", None)  # an echo of the deposit it is on


def _from_customer(filling: Filling, *, term: bool = False) -> None:
    """Addresses, e-mail and term of a new form, where it says none itself."""
    doc, books = filling.doc, filling.books
    customer = books.table("Customer").get(number_of(doc.get("CustomerRef")))
    if filling.is_new and customer is not None:
        facts = documents.assemble(books, "Customer", customer)
        for name in ("BillAddr", "ShipAddr"):
            if name not in doc and name in facts:
                doc[name] = facts[name]
        if "BillEmail" not in doc and facts.get("PrimaryEmailAddr"):
            doc["BillEmail"] = {"Address": facts["PrimaryEmailAddr"]["Address"]}
        if term and "SalesTermRef" not in doc and facts.get("SalesTermRef"):
            doc["SalesTermRef"] = dict(facts["SalesTermRef"])
    filling.default(ApplyTaxAfterDiscount=False, PrintStatus="NeedToPrint")
    if filling.entity.name != "RefundReceipt":
        filling.default(EmailStatus="NotSet")
    doc["CustomField"] = custom_fields(doc.get("CustomField"))
    if doc.get("EmailStatus") == "NeedToSend" and not (doc.get("BillEmail") or {}).get("Address"):
        raise Fault("6420", "Email address is required", "BillEmail")


def _priced(filling: Filling) -> None:
    doc = filling.doc
    priced = lines.price_sales(doc, filling.known, filling.pricing(), tax_sent=filling.tax_was_sent)
    doc["Line"], doc["TxnTaxDetail"] = priced.rows, priced.tax
    doc["TotalAmt"] = priced.total
    for row in doc["Line"]:  # the income account behind each row's item
        detail = row.get("SalesItemLineDetail")
        item = filling.books.table("Item").get(number_of((detail or {}).get("ItemRef")))
        begun = str(((item.doc or {}) if item else {}).get("InvStartDate") or "")
        if begun > doc["TxnDate"]:
            raise Fault(
                "6270",
                "Transaction date is prior to start date for inventory item : "
                f"{doc['TxnDate']} is before {begun}.",
                "TxnDate",
            )
        income = (item.doc or {}).get("IncomeAccountRef") if item else None
        if detail is not None and income:
            detail["ItemAccountRef"] = dict(income)


def custom_fields(given: Any) -> list[Doc]:
    """The company's one legacy custom field, with the value that was sent."""
    values = {field.get("DefinitionId"): field.get("StringValue") for field in given or ()}
    for number, value in values.items():
        if str(number) not in ("1", "2", "3"):
            raise Fault("3000", f"Invalid Custom Field : DefinitionId {number}", "CustomField")
        if len(str(value or "")) > CUSTOM_FIELD_MAX:
            raise faults.too_long("StringValue", CUSTOM_FIELD_MAX, len(str(value)))
    fields: list[Doc] = []
    for number, label in (("1", "Crew #"),):
        field: Doc = {"DefinitionId": number, "Name": label, "Type": "StringType"}
        if values.get(number):
            field["StringValue"] = str(values[number])
        fields.append(field)
    return fields
