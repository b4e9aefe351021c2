"""Bank transactions with their over- and prepayments, and bank transfers.

Amounts are tax inclusive unless told otherwise. Only SPEND and RECEIVE can be changed or
deleted. An overpayment has one line on the receivable (payable) account and no tax.
Source: reference, "Bank transactions, transfers, manual journals".
"""

from __future__ import annotations

from decimal import Decimal

from sqlsync.simulators.xero.contacts import nested_contact
from sqlsync.simulators.xero.desk import Desk
from sqlsync.simulators.xero.fields import check
from sqlsync.simulators.xero.invoicing import settle
from sqlsync.simulators.xero.lines import LineKind, build_lines, retaxed, totals_of
from sqlsync.simulators.xero.problems import Invalid
from sqlsync.simulators.xero.store import Key, Row, Standing
from sqlsync.simulators.xero.values import ONE, ZERO, Doc, number, read_date, rounded

PLAIN = ("SPEND", "RECEIVE")
OVER = ("SPEND-OVERPAYMENT", "RECEIVE-OVERPAYMENT")
PRE = ("SPEND-PREPAYMENT", "RECEIVE-PREPAYMENT")


def bank_keys(doc: Doc) -> list[Key]:
    keys: list[Key] = [("account", doc["BankAccountID"])]
    if doc.get("ContactID"):
        keys.append(("contact", doc["ContactID"]))
    return keys


def credit_standing(doc: Doc) -> Standing | None:
    """Over- and prepayments make a contact a customer or supplier."""
    if doc["Status"] not in ("AUTHORISED", "PAID"):
        return None
    return Standing(doc["ContactID"], doc["Type"].startswith("RECEIVE"))


def credit_keys(doc: Doc) -> list[Key]:
    return [("contact", doc["ContactID"])]


def match_transaction(desk: Desk, body: Doc) -> Row | None:
    if body.get("BankTransactionID"):
        return desk.need("BankTransactions", body["BankTransactionID"])
    return None


def save_transaction(desk: Desk, body: Doc, row: Row | None) -> Row:
    old = desk.doc("BankTransactions", row) if row else None
    if row is None or old is None:
        return _create(desk, body)
    if old["Type"] not in PLAIN or old["Status"] != "AUTHORISED":
        raise Invalid(
            "This Bank Transaction cannot be edited as it is not of a valid type or status."
        )
    if body.get("Type") not in (None, old["Type"]):
        raise Invalid("The type of a bank transaction cannot be changed.")
    status = body.get("Status") or "AUTHORISED"
    if status == "DELETED":
        if old["IsReconciled"]:
            raise Invalid("This Bank Transaction cannot be deleted as it is reconciled.")
        desk.check_period(old["Date"])
        desk.unit.replace("BankTransactions", row, {**old, "Status": "DELETED"})
        desk.unit.note(row.id, "Deleted", "Bank transaction deleted.")
        return row
    if status != "AUTHORISED":
        raise Invalid("The status of a bank transaction can only be changed to DELETED.")
    check("BankTransaction", body)
    doc = _filled(desk, body, old)
    desk.unit.replace(
        "BankTransactions", row, doc, moves=doc != old or desk.options.unchanged_update_moves
    )
    desk.unit.note(row.id, "Edited", "Changed through the Xero API.")
    return row


def _create(desk: Desk, body: Doc) -> Row:
    kind = body.get("Type")
    if kind not in (*PLAIN, *OVER, *PRE):
        raise Invalid("The Bank Transaction is not of a valid type for creation.")
    check("BankTransaction", body)
    if body.get("Status") not in (None, "AUTHORISED"):
        raise Invalid("The Bank Transaction is not of a valid status for creation.")
    doc = _filled(desk, body, None)
    row = desk.unit.add("BankTransactions", doc)
    desk.unit.note(row.id, "Created", f"Received through the Xero API from {desk.app}")
    if kind in PLAIN:
        return row
    table, name = (
        ("Overpayments", "OverpaymentID")
        if kind in OVER
        else (
            "Prepayments",
            "PrepaymentID",
        )
    )
    credit = {
        key: doc[key]
        for key in (
            "Type",
            "ContactID",
            "Date",
            "Status",
            "LineAmountTypes",
            "LineItems",
            "SubTotal",
            "TotalTax",
            "Total",
            "CurrencyCode",
            "CurrencyRate",
            "Reference",
        )
    }
    credit["BankTransactionID"] = row.id
    credit["BankAccountID"] = doc["BankAccountID"]
    made = desk.unit.add(table, settle(desk, table, None, credit))
    desk.unit.note(made.id, "Created", f"Received through the Xero API from {desk.app}")
    desk.unit.replace("BankTransactions", row, {**doc, name: made.id})
    return row


def _filled(desk: Desk, body: Doc, old: Doc | None) -> Doc:
    kind = body.get("Type") or (old or {})["Type"]
    doc: Doc = {"Type": kind, "Status": "AUTHORISED"}
    if body.get("BankAccount") or old is None:
        bank = desk.bank_account(body.get("BankAccount"))
        doc["BankAccountID"] = bank.id
    else:
        doc["BankAccountID"] = old["BankAccountID"]
    doc["ContactID"] = nested_contact(
        desk, body.get("Contact"), old["ContactID"] if old else None, must_be_active=old is None
    )
    doc["Date"] = read_date(body.get("Date")) or (old["Date"] if old else desk.today)
    desk.check_period(doc["Date"])
    if old is not None:
        desk.check_period(old["Date"])
    sent_currency = {} if kind not in OVER else body
    facts = desk.books.doc("Accounts", doc["BankAccountID"])
    own = facts.get("CurrencyCode") or desk.organisation["BaseCurrency"]
    currency = {"CurrencyCode": own, "CurrencyRate": body.get("CurrencyRate"), **sent_currency}
    doc["CurrencyCode"], doc["CurrencyRate"] = desk.currency(currency, old)
    desk.check_url(body)
    doc["Reference"] = body.get("Reference", (old or {}).get("Reference", "")) or ""
    if body.get("Url") or (old or {}).get("Url"):
        doc["Url"] = body.get("Url") or (old or {})["Url"]
    doc["IsReconciled"] = bool(body.get("IsReconciled", (old or {}).get("IsReconciled", False)))
    default = "NoTax" if kind in OVER else "Inclusive"
    amounts = body.get("LineAmountTypes") or (old or {}).get("LineAmountTypes") or default
    doc["LineAmountTypes"] = amounts
    _lines(desk, body, old, doc, kind)
    return doc


def _lines(desk: Desk, body: Doc, old: Doc | None, doc: Doc, kind: str) -> None:
    receives = kind.startswith("RECEIVE")
    rule = LineKind(
        receives,
        must_code=kind not in OVER,
        tax_must_match=True,
        unit_places=desk.unit_places,
    )
    amounts = doc["LineAmountTypes"]
    sent = body.get("LineItems")
    if sent is not None:
        if kind in OVER:
            sent = [{n: v for n, v in line.items() if n != "AccountCode"} for line in sent]
        lines = build_lines(desk, sent, old["LineItems"] if old else [], rule, amounts)
    elif old is None:
        lines = []
    elif old["LineAmountTypes"] != amounts:
        lines = retaxed(desk, old["LineItems"], rule, amounts)
    else:
        lines = old["LineItems"]
    if not lines:
        raise Invalid("One or more line items must be specified")
    if kind in OVER:
        if len(lines) != 1:
            raise Invalid("An overpayment must have exactly one line item.")
        account = desk.system_account("DEBTORS" if receives else "CREDITORS")
        lines = [{**lines[0], "AccountID": account.id, "TaxType": "NONE", "TaxAmount": ZERO}]
    sums = totals_of(lines, amounts)
    if sums.total <= 0:
        raise Invalid("The total of a bank transaction must be greater than zero.")
    doc["LineItems"] = lines
    doc["SubTotal"], doc["TotalTax"], doc["Total"] = sums.sub_total, sums.total_tax, sums.total


# -- transfers ---


def match_transfer(desk: Desk, body: Doc) -> Row | None:
    if body.get("BankTransferID"):
        return desk.need("BankTransfers", body["BankTransferID"])
    return None


def save_transfer(desk: Desk, body: Doc, row: Row | None) -> Row:
    if row is not None:
        return _end_transfer(desk, body, row)
    check("BankTransfer", body)
    source = desk.bank_account(body.get("FromBankAccount"), "FromBankAccount")
    target = desk.bank_account(body.get("ToBankAccount"), "ToBankAccount")
    if source is target:
        raise Invalid("A transfer needs two different bank accounts.")
    amount = number(body.get("Amount"))
    if amount is None or amount <= 0:
        raise Invalid("Amount must be greater than zero")
    day = read_date(body.get("Date")) or desk.today
    desk.check_period(day)
    doc: Doc = {
        "FromBankAccountID": source.id,
        "ToBankAccountID": target.id,
        "Amount": rounded(amount),
        "Date": day,
        "Status": "AUTHORISED",
        "CurrencyRate": ONE,
        "FromIsReconciled": False,
        "ToIsReconciled": False,
        "Reference": body.get("Reference") or "",
        "FromTracking": desk.tracking(body.get("FromTracking")),
        "ToTracking": desk.tracking(body.get("ToTracking")),
    }
    for side, bank, kind in (
        ("From", source.id, "SPEND-TRANSFER"),
        ("To", target.id, "RECEIVE-TRANSFER"),
    ):
        half = _half(doc, kind, bank, rounded(amount), desk.organisation["BaseCurrency"])
        doc[f"{side}BankTransactionID"] = desk.unit.add("BankTransactions", half).id
    made = desk.unit.add("BankTransfers", doc)
    desk.unit.note(made.id, "Created", f"Received through the Xero API from {desk.app}")
    return made


def _half(doc: Doc, kind: str, bank: str, amount: Decimal, currency: str) -> Doc:
    return {
        "Type": kind,
        "Status": "AUTHORISED",
        "BankAccountID": bank,
        "ContactID": "",
        "Date": doc["Date"],
        "CurrencyCode": currency,
        "CurrencyRate": ONE,
        "Reference": doc["Reference"],
        "IsReconciled": False,
        "LineAmountTypes": "NoTax",
        "LineItems": [],
        "SubTotal": amount,
        "TotalTax": ZERO,
        "Total": amount,
    }


def _end_transfer(desk: Desk, body: Doc, row: Row) -> Row:
    old = desk.doc("BankTransfers", row)
    if body.get("Status") != "DELETED" or old["Status"] == "DELETED":
        raise Invalid("Bank transfers cannot be modified, only created and deleted.")
    desk.check_period(old["Date"])
    for side in ("From", "To"):
        half = desk.books.table("BankTransactions").rows[old[f"{side}BankTransactionID"]]
        doc = desk.doc("BankTransactions", half)
        desk.unit.replace("BankTransactions", half, {**doc, "Status": "DELETED"})
    desk.unit.replace("BankTransfers", row, {**old, "Status": "DELETED"})
    desk.unit.note(row.id, "Deleted", "Bank transfer deleted.")
    return row
