"""Money between accounts, and time: deposits, transfers, journal entries, hours worked."""

from __future__ import annotations

from typing import Any

from sqlsync.simulators.quickbooks import faults, lines
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.filling import Filling, number_of
from sqlsync.simulators.quickbooks.linking import ON_DEPOSITS
from sqlsync.simulators.quickbooks.values import Doc, money, to_cents

_DEPOSITED = (
    *ON_DEPOSITS,
    *("RefundReceipt", "JournalEntry", "Transfer", "BillPayment"),
)
_NAMED_ON = {"Accounts Receivable": "Customer", "Accounts Payable": "Vendor"}


def deposit(filling: Filling) -> None:
    doc = filling.doc
    filling.account("DepositToAccountRef", "Bank", "Other Current Asset")
    rows = doc.get("Line") or []
    if not rows:
        raise faults.missing("Line")
    total = 0
    checked: list[Doc] = []
    for row in rows:
        linked = row.get("LinkedTxn") or []
        if linked:
            _deposited(filling, row, linked)
            row = {name: v for name, v in row.items() if name not in _OF_OWN_ROWS}
        else:
            if not row.get("DetailType"):
                raise faults.missing("DetailType")
            if not number_of((row.get("DepositLineDetail") or {}).get("AccountRef")):
                raise faults.missing("AccountRef")
            row = {**row, "DetailType": "DepositLineDetail"}
        if row.get("Amount") is None:
            raise faults.missing("Amount")
        total += to_cents(row["Amount"])
        checked.append({**row, "Amount": money(to_cents(row["Amount"]))})
    back = doc.get("CashBack") or {}
    if back and (back.get("Amount") is None or not number_of(back.get("AccountRef"))):
        raise faults.missing("CashBack")
    doc["Line"] = lines.number_rows(checked, filling.known)
    doc["TotalAmt"] = total - to_cents(back.get("Amount") or 0)


_OF_OWN_ROWS = ("DetailType", "DepositLineDetail")


def _deposited(filling: Filling, row: Doc, linked: list[Any]) -> None:
    """Raises 2020 without TxnLineId, 620 for what can't be deposited, 6000 for a part of it."""
    if len(linked) != 1:
        raise faults.cannot_be_linked()
    (link,) = linked
    kind, number = str(link.get("TxnType")), str(link.get("TxnId") or "")
    part = link.get("TxnLineId")
    if part in (None, ""):
        raise faults.missing("TxnLineId")
    if kind in ON_DEPOSITS and str(part) != "0":
        raise faults.cannot_be_linked()
    held = None
    if kind in _DEPOSITED and number.isdigit():
        held = filling.books.table(kind).get(int(number))
    if held is None or held.deposit not in (0, filling.row.id):
        raise faults.cannot_be_linked()
    if kind in ON_DEPOSITS and to_cents(row.get("Amount") or 0) != held.total:
        raise faults.business("The amount must be that of the transaction that is deposited.")


def transfer(filling: Filling) -> None:
    doc = filling.doc
    filling.positive("Amount")
    if number_of(doc["FromAccountRef"]) == number_of(doc["ToAccountRef"]):
        raise faults.business("You can't transfer from an account to itself.")


def journal_entry(filling: Filling) -> None:
    """At least two rows, debits equal to credits, names where the account needs one."""
    doc = filling.doc
    rows = doc.get("Line") or []
    posting = [row for row in rows if row.get("DetailType") == "JournalEntryLineDetail"]
    if len(posting) < 2:
        raise Fault("2250", "A journal entry needs at least two rows.", "Line")
    sums = {"Debit": 0, "Credit": 0}
    for row in posting:
        detail = row.get("JournalEntryLineDetail") or {}
        if row.get("Amount") is None:
            raise faults.missing("Amount")
        if detail.get("PostingType") not in sums:
            raise Fault("2260", "PostingType must be Debit or Credit.", "PostingType")
        if row["Amount"] < 0:
            raise Fault("2290", f"Negative Amount. Supplied value:{row['Amount']}", "Amount")
        if not number_of(detail.get("AccountRef")):
            raise faults.missing("AccountRef")
        _check_named(filling, detail)
        sums[detail["PostingType"]] += to_cents(row["Amount"])
        row["Amount"] = money(to_cents(row["Amount"]))
    if sums["Debit"] != sums["Credit"]:
        raise Fault("2300", "Amount on debits not equal to credits", "Line")
    numbered = lines.number_rows(rows, filling.known, first=0)
    doc["Line"] = [{name: v for name, v in r.items() if name != "LineNum"} for r in numbered]
    doc["TotalAmt"] = sums["Debit"]
    filling.default(Adjustment=False)


def _check_named(filling: Filling, detail: Doc) -> None:
    account = filling.books.table("Account").get(number_of(detail["AccountRef"]))
    wanted = _NAMED_ON.get(str((account.doc or {}).get("AccountType"))) if account else None
    named = detail.get("Entity") or {}
    if wanted is not None and (
        named.get("Type") != wanted or not number_of(named.get("EntityRef"))
    ):
        raise faults.business(f"A row on this account needs a {wanted.lower()} in its name field.")


def time_activity(filling: Filling) -> None:
    doc = filling.doc
    member = f"{doc['NameOf']}Ref"
    if not number_of(doc.get(member)):
        raise faults.missing(member)
    doc.pop("VendorRef" if member == "EmployeeRef" else "EmployeeRef", None)
    span = doc.get("StartTime") and doc.get("EndTime")
    if not span and doc.get("Hours") is None and doc.get("Minutes") is None:
        raise faults.missing("Hours")
    for name, most in (("Hours", 8784), ("Minutes", 59), ("BreakHours", 24), ("BreakMinutes", 59)):
        value = doc.get(name)
        if value is not None and not 0 <= value <= most:
            raise Fault("2090", f"Invalid Number. Supplied value:{value}", name)
    filling.default(BillableStatus="NotBillable", Taxable=False, HourlyRate=0)
    if doc["BillableStatus"] == "Billable" and not number_of(doc.get("CustomerRef")):
        raise Fault("6310", "Billable time needs a customer", "CustomerRef")
