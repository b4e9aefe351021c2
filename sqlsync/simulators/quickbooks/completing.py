"""Server-made values of a record that is being written: defaults, totals, numbers.

`Completer.fill` takes the merged document and fills it in place; it may refuse, and books
nothing. What follows for other records is `booking`'s.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from sqlsync.simulators.quickbooks import documents, faults, lines, namelists
from sqlsync.simulators.quickbooks.checks import check_period, check_references
from sqlsync.simulators.quickbooks.entities import Entity
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.names import TERM_DAYS
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.values import Doc

USD: Doc = {"value": "USD", "name": "United States Dollar"}


class Completer:
    """Completes documents of one company. today: the Pacific date."""

    def __init__(self, books: Books, options: Options, today: date) -> None:
        self.books = books
        self.options = options
        self.today = today

    def fill(
        self,
        entity: Entity,
        row: Row,
        doc: Doc,
        *,
        sent: frozenset[str],
        duplicates: bool,
    ) -> None:
        """Server-made values that can be refused; may change `doc`, never the row's links."""
        if (doc.get("CurrencyRef") or USD).get("value") != "USD":
            raise faults.business("Multicurrency is not enabled for this company.")
        if entity.kind == "name_list":
            namelists.complete(self.books, entity.name, doc, row, self.options)
            return
        doc["CurrencyRef"] = USD
        doc.setdefault("TxnDate", row.date or self.today.isoformat())
        check_period(self.options, doc["TxnDate"])
        old = row.doc or (documents.stored(self.books, entity.name, row) if row.seed else {})
        known = old.get("Line", []) if isinstance(old, dict) else []
        strict = self.options.enforce_line_types
        if entity.name == "Invoice":
            self._fill_invoice(row, doc)
            # A stored tax stands until rows change; then the service works it out again.
            tax_stands = not sent & {"Line", "ApplyTaxAfterDiscount"}
            taxed = "TxnTaxDetail" in sent or tax_stands
            priced = lines.price_sales(doc, known, tax_sent=taxed, strict=strict)
            doc["Line"], doc["TxnTaxDetail"] = priced.rows, priced.tax
            doc["TotalAmt"] = priced.total
            self._name_accounts(doc)
        elif entity.name in ("Bill", "PurchaseOrder"):
            doc.setdefault("APAccountRef", {"value": "33", "name": "Accounts Payable (A/P)"})
            doc["Line"], doc["TotalAmt"] = lines.price_purchase(doc, known, strict=strict)
            if entity.name == "Bill":
                doc.setdefault("DueDate", self._due(doc))
            else:
                doc.setdefault("POStatus", "Open")
                doc.setdefault("EmailStatus", "NotSet")
                doc.setdefault("CustomField", [])
        elif entity.name == "BillPayment":
            self._fill_bill_payment(doc)
        else:
            doc.setdefault("DepositToAccountRef", {"value": "4"})
            doc["ProcessPayment"] = False
        check_references(self.books, self.options, entity, doc, doc)
        self._number(entity, row, doc, duplicates)

    def _fill_invoice(self, row: Row, doc: Doc) -> None:
        customer = self.books.row("Customer", int(doc["CustomerRef"]["value"]))
        if row.doc is None and row.seed is None:
            facts = documents.assemble(self.books, "Customer", customer)
            for name in ("BillAddr", "ShipAddr"):
                if name not in doc and name in facts:
                    doc[name] = facts[name]
            if "BillEmail" not in doc and facts.get("PrimaryEmailAddr"):
                doc["BillEmail"] = {"Address": facts["PrimaryEmailAddr"]["Address"]}
            if "SalesTermRef" not in doc and facts.get("SalesTermRef"):
                doc["SalesTermRef"] = dict(facts["SalesTermRef"])
        for name in (
            "AllowIPNPayment",
            "AllowOnlinePayment",
            "AllowOnlineCreditCardPayment",
            "AllowOnlineACHPayment",
            "FreeFormAddress",
            "ApplyTaxAfterDiscount",
        ):
            doc.setdefault(name, False)
        doc.setdefault("PrintStatus", "NeedToPrint")
        doc.setdefault("EmailStatus", "NotSet")
        doc.setdefault("LinkedTxn", [])
        doc["LinkedTxn"] = [x for x in doc["LinkedTxn"] if x.get("TxnType") != "Payment"]
        doc["CustomField"] = _custom_fields(doc.get("CustomField"))
        doc.setdefault("DueDate", self._due(doc))
        if doc["EmailStatus"] == "NeedToSend" and not (doc.get("BillEmail") or {}).get("Address"):
            raise Fault("6420", "Email address is required", "BillEmail")

    def _name_accounts(self, doc: Doc) -> None:
        """The income account behind each row's item."""
        for row in doc["Line"]:
            detail = row.get("SalesItemLineDetail")
            number = (detail or {}).get("ItemRef", {}).get("value", "")
            item = self.books.table("Item").get(int(number)) if number.isdigit() else None
            income = (item.doc or {}).get("IncomeAccountRef") if item else None
            if detail is not None and income:
                detail["ItemAccountRef"] = dict(income)

    def _fill_bill_payment(self, doc: Doc) -> None:
        kind = doc["PayType"]
        member, account = {
            "Check": ("CheckPayment", "BankAccountRef"),
            "CreditCard": ("CreditCardPayment", "CCAccountRef"),
        }[kind]
        if not ((doc.get(member) or {}).get(account) or {}).get("value"):
            raise faults.missing(f"{member}.{account}")
        if kind == "Check":
            doc[member] = {"PrintStatus": "NotSet", **doc[member]}

    def _due(self, doc: Doc) -> str:
        term = (doc.get("SalesTermRef") or {}).get("value")
        days = TERM_DAYS.get(int(term), 0) if term and str(term).isdigit() else 0
        return (date.fromisoformat(doc["TxnDate"]) + timedelta(days=days)).isoformat()

    def _number(self, entity: Entity, row: Row, doc: Doc, duplicates: bool) -> None:
        """Gives a DocNumber where the service does, and refuses one that is taken."""
        if entity.name == "Payment":
            return
        table = self.books.table(entity.name)
        number = doc.get("DocNumber")
        if number is None:
            gives = entity.name != "Bill" and not self.options.custom_transaction_numbers
            if gives and not row.number:
                doc["DocNumber"] = str(max(1000, table.last_number) + 1)
            return
        checked = self.options.warn_duplicate_numbers and not duplicates
        if not checked or entity.name == "BillPayment" or number == row.number:
            return
        for other in sorted(table.numbers.get(number, ())):
            same_party = entity.name != "Bill" or (
                str(table.rows[other].party) == doc["VendorRef"]["value"]
            )
            if table.rows[other] is not row and same_party:
                raise faults.duplicate_number(number, entity.name, other)


def _custom_fields(given: Any) -> list[Doc]:
    """The company's one legacy custom field, with the value that was sent."""
    values = {field.get("DefinitionId"): field.get("StringValue") for field in given or ()}
    fields: list[Doc] = []
    for number, label in (("1", "Crew #"),):
        field: Doc = {"DefinitionId": number, "Name": label, "Type": "StringType"}
        if values.get(number):
            field["StringValue"] = str(values[number])
        fields.append(field)
    return fields
