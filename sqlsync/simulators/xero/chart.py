"""Accounts, tax rates, currencies, tracking: the settings that documents are coded with.

Source: reference, "Accounts, tax rates, items, tracking" and "Deletions and how to see them".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.desk import CLASS_FLAG, Desk
from sqlsync.simulators.xero.fields import check, members_of
from sqlsync.simulators.xero.problems import Invalid
from sqlsync.simulators.xero.store import Key, Row
from sqlsync.simulators.xero.values import Doc, fold, number, rounded

CLASS_OF = {
    "BANK": "ASSET",
    "CURRENT": "ASSET",
    "FIXED": "ASSET",
    "INVENTORY": "ASSET",
    "NONCURRENT": "ASSET",
    "PREPAYMENT": "ASSET",
    "CURRLIAB": "LIABILITY",
    "LIABILITY": "LIABILITY",
    "TERMLIAB": "LIABILITY",
    "PAYG": "LIABILITY",
    "EQUITY": "EQUITY",
    "DEPRECIATN": "EXPENSE",
    "DIRECTCOSTS": "EXPENSE",
    "EXPENSE": "EXPENSE",
    "OVERHEADS": "EXPENSE",
    "OTHERINCOME": "REVENUE",
    "REVENUE": "REVENUE",
    "SALES": "REVENUE",
}
_DEFAULT_TAX = {"EXPENSE": "INPUT2", "REVENUE": "OUTPUT2"}


def account_keys(doc: Doc) -> list[Key]:
    if doc["Status"] == "DELETED":
        return []
    keys: list[Key] = [("name", fold(doc["Name"]))]
    if doc.get("Code"):
        keys.append(("code", doc["Code"]))
    if doc.get("SystemAccount"):
        keys.append(("system", doc["SystemAccount"]))
    return keys


def save_account(desk: Desk, body: Doc, row: Row | None) -> Row:
    old = desk.doc("Accounts", row) if row else None
    if row is not None and old is not None:
        if old["Status"] == "DELETED":
            raise problems.not_found()
        if body.get("Status") in ("ARCHIVED", "ACTIVE") and body["Status"] != old["Status"]:
            return _archive(desk, body, row, old)
        if old.get("SystemAccount"):
            raise Invalid("System accounts cannot be updated.")
        if old["Status"] == "ARCHIVED":
            raise Invalid("Archived accounts cannot be updated.")
        if body.get("Type") not in (None, old["Type"]) and "BANK" in (body["Type"], old["Type"]):
            raise Invalid("The type of a bank account cannot be changed.")
        if body.get("BankAccountType") not in (None, old.get("BankAccountType")):
            raise Invalid("BankAccountType cannot be updated.")
    check("Account", body)
    doc: Doc = dict(old) if old else {"Status": "ACTIVE", "EnablePaymentsToAccount": False}
    for name, member in members_of("Account").items():
        if (
            not member.is_read_only
            and member.name in body
            and name not in ("status", "addtowatchlist")
        ):
            doc[member.name] = body[member.name]
    _check_account(desk, doc, row)
    doc["Class"] = CLASS_OF[doc["Type"]]
    is_bank = doc["Type"] == "BANK"
    if is_bank:
        doc.setdefault("BankAccountType", "BANK")
        doc.setdefault("CurrencyCode", desk.organisation["BaseCurrency"])
        if doc["CurrencyCode"] not in desk.books.table("Currencies").rows:
            raise problems.no_currency(doc["CurrencyCode"])
        if doc.pop("Description", None):
            raise Invalid("Description is not valid for bank accounts.")
    doc.setdefault("TaxType", "NONE" if is_bank else _DEFAULT_TAX.get(doc["Class"], "NONE"))
    desk.tax_rate(doc["TaxType"], doc)
    doc.setdefault("ShowInExpenseClaims", False)
    if row is None:
        return desk.unit.add("Accounts", doc)
    desk.unit.replace("Accounts", row, doc, moves=doc != old or desk.options.unchanged_update_moves)
    return row


def _check_account(desk: Desk, doc: Doc, row: Row | None) -> None:
    table = desk.books.table("Accounts")
    if not doc.get("Name"):
        raise Invalid("Account Name must be specified.")
    if not doc.get("Type"):
        raise Invalid("Account Type must be specified.")
    if doc["Type"] == "BANK":
        if not doc.get("BankAccountNumber"):
            raise Invalid("Bank Account Number must be specified.")
    elif not doc.get("Code"):
        raise Invalid("Account Code must be specified.")
    if any(other is not row for other in table.rows_of("name", fold(doc["Name"]))):
        raise Invalid(problems.UNIQUE_NAME)
    if doc.get("Code") and any(other is not row for other in table.rows_of("code", doc["Code"])):
        raise Invalid(problems.UNIQUE_CODE)


def _archive(desk: Desk, body: Doc, row: Row, old: Doc) -> Row:
    if set(body) - {"Status", "AccountID"}:
        raise Invalid("Status cannot be updated together with other fields.")
    if old.get("SystemAccount"):
        raise Invalid("System accounts cannot be archived.")
    desk.unit.replace("Accounts", row, {**old, "Status": body["Status"]})
    return row


def delete_account(desk: Desk, row: Row) -> Row:
    doc = desk.doc("Accounts", row)
    if doc["Status"] == "DELETED":
        raise problems.not_found()
    if doc.get("SystemAccount"):
        raise Invalid("You may not delete a system account.")
    if is_used(desk, "AccountID", row.id):
        raise Invalid("This account has been used on transactions and cannot be deleted.")
    desk.unit.replace("Accounts", row, {**doc, "Status": "DELETED"})
    return row


_WITH_LINES = (
    "Invoices",
    "CreditNotes",
    "BankTransactions",
    "ManualJournals",
    "PurchaseOrders",
    "Quotes",
    "RepeatingInvoices",
    "Receipts",
)
_HEAD_FIELDS = ("AccountID", "BankAccountID", "FromBankAccountID", "ToBankAccountID")


def is_used(desk: Desk, member: str, record_id: str) -> bool:
    """Whether a line of any document, or its head, names the record."""
    for name in _WITH_LINES:
        for _, doc in desk.books.table(name).docs():
            lines = doc.get("LineItems") or doc.get("JournalLines") or []
            if any(line.get(member) == record_id for line in lines):
                return True
    if member != "AccountID":
        return False
    heads = ("Payments", "BankTransactions", "BankTransfers", "BatchPayments")
    return any(
        doc.get(field) == record_id
        for name in heads
        for _, doc in desk.books.table(name).docs()
        for field in _HEAD_FIELDS
    )


# -- tax rates ---


def tax_keys(doc: Doc) -> list[Key]:
    return [("name", fold(doc["Name"]))] if doc["Status"] != "DELETED" else []


def match_tax_rate(desk: Desk, body: Doc) -> Row | None:
    found = desk.books.table("TaxRates").rows_of("name", fold(str(body.get("Name", ""))))
    if found:
        return found[0]
    return desk.books.table("TaxRates").rows.get(str(body.get("TaxType", "")))


def save_tax_rate(desk: Desk, body: Doc, row: Row | None) -> Row:
    check("TaxRate", body)
    if not body.get("Name"):
        raise Invalid("Name must be specified.")
    old = desk.doc("TaxRates", row) if row else None
    taken = desk.books.table("TaxRates").rows_of("name", fold(body["Name"]))
    if any(other is not row for other in taken):
        raise Invalid(problems.UNIQUE_NAME)
    if row is not None and old is not None:
        if not row.id.startswith("TAX"):
            raise Invalid("System tax rates cannot be updated.")
        if body.get("Status") in ("DELETED", "ARCHIVED"):
            if is_used(desk, "TaxType", row.id):
                raise Invalid("The tax rate is in use and cannot be deleted.")
            desk.unit.replace("TaxRates", row, {**old, "Status": body["Status"]})
            return row
    doc = _rate(desk, body, old)
    if row is not None:
        desk.unit.replace("TaxRates", row, {**doc, "TaxType": row.id})
        return row
    tax_type = f"TAX{int(desk.unit.next_number('TAX').removeprefix('TAX')):03d}"
    return desk.unit.add("TaxRates", {**doc, "TaxType": tax_type}, tax_type)


def _rate(desk: Desk, body: Doc, old: Doc | None) -> Doc:
    parts = body.get("TaxComponents") or (old or {}).get("TaxComponents") or []
    if not parts:
        raise Invalid("At least one tax component must be specified.")
    kind = body.get("ReportTaxType") or (old or {}).get("ReportTaxType")
    if not kind and desk.organisation["CountryCode"] in ("AU", "NZ", "GB"):
        raise Invalid("ReportTaxType must be specified.")
    components = []
    flat = compound = Decimal(0)
    for part in parts:
        percent = number(part.get("Rate"))
        if not part.get("Name") or percent is None or not 0 <= percent <= 100:
            raise Invalid("A tax component needs a Name and a Rate between 0 and 100.")
        is_compound = bool(part.get("IsCompound"))
        flat, compound = (flat, compound + percent) if is_compound else (flat + percent, compound)
        components.append(
            {
                "Name": part["Name"],
                "Rate": rounded(percent, 4),
                "IsCompound": is_compound,
                "IsNonRecoverable": bool(part.get("IsNonRecoverable")),
            }
        )
    is_purchase = "INPUT" in str(kind)
    flags = dict.fromkeys(CLASS_FLAG.values(), True)
    flags["CanApplyToRevenue"] = not is_purchase
    flags["CanApplyToExpenses"] = is_purchase or kind in (None, "NONE")
    effective = flat + compound * (100 + flat) / 100
    return {
        "Name": body["Name"],
        "ReportTaxType": kind or "NONE",
        **flags,
        "DisplayTaxRate": rounded(flat + compound, 4),
        "EffectiveRate": rounded(effective, 4),
        "Status": body.get("Status") or "ACTIVE",
        "TaxComponents": components,
    }


# -- currencies ---


def save_currency(desk: Desk, body: Doc, row: Row | None) -> Row:
    check("Currency", body)
    code = body.get("Code")
    if not code:
        raise Invalid("Code must be specified.")
    if code in desk.books.table("Currencies").rows:
        raise Invalid(f"The currency {code} is already enabled for this organisation.")
    doc = {"Code": code, "Description": body.get("Description") or code}
    return desk.unit.add("Currencies", doc, code)


# -- tracking ---


def tracking_keys(doc: Doc) -> list[Key]:
    return [("name", fold(doc["Name"]))] if doc["Status"] != "DELETED" else []


def save_category(desk: Desk, body: Doc, row: Row | None) -> Row:
    check("TrackingCategory", {k: v for k, v in body.items() if k != "Options"})
    table = desk.books.table("TrackingCategories")
    old = table.doc(row) if row else None
    name = body.get("Name") or (old or {}).get("Name")
    if not name:
        raise Invalid("Name must be specified.")
    if any(other is not row for other in table.rows_of("name", fold(name))):
        raise Invalid(problems.UNIQUE_NAME)
    status = body.get("Status") or (old or {}).get("Status") or "ACTIVE"
    if status == "DELETED":
        raise Invalid("A tracking category is deleted by DELETE.")
    live = [doc["Status"] for other, doc in table.docs() if other is not row]
    if status == "ACTIVE" and live.count("ACTIVE") >= 2:
        raise Invalid("You can have at most 2 active tracking categories.")
    if row is None and len(live) >= 4:
        raise Invalid("You can have at most 4 tracking categories.")
    doc = {"Name": name, "Status": status, "Options": old["Options"] if old else ()}
    if row is not None:
        desk.unit.replace("TrackingCategories", row, doc)
        return row
    made = desk.unit.add("TrackingCategories", doc)
    for option in body.get("Options") or []:
        save_option(desk, made, option, None)
    return made


def delete_category(desk: Desk, row: Row) -> Doc:
    """Takes a category away; in use it must be archived."""
    doc = desk.doc("TrackingCategories", row)
    if _tracked(desk, "TrackingCategoryID", row.id):
        raise Invalid("The tracking category is in use and cannot be deleted. Archive it instead.")
    desk.unit.remove("TrackingCategories", row)
    return {**doc, "Status": "DELETED"}


def save_option(desk: Desk, row: Row, body: Any, option_id: str | None) -> Doc:
    """Adds or changes an option of a category; returns it."""
    body = body if isinstance(body, dict) else {}
    check("TrackingOption", body)
    category = desk.doc("TrackingCategories", row)
    options = {option["TrackingOptionID"]: option for option in category["Options"]}
    old = option_of(desk, row, option_id) if option_id else {}
    name = body.get("Name") or old.get("Name")
    if not name:
        raise Invalid("Name must be specified.")
    for other in options.values():
        if fold(other["Name"]) == fold(name) and other["TrackingOptionID"] != option_id:
            raise Invalid(problems.UNIQUE_NAME)
    made = {
        "TrackingOptionID": old.get("TrackingOptionID") or desk.books.new_id(),
        "Name": name,
        "Status": body.get("Status") or old.get("Status") or "ACTIVE",
    }
    options[made["TrackingOptionID"]] = made
    changed = {**category, "Options": tuple(options.values())}
    desk.unit.replace("TrackingCategories", row, changed)
    return made


def option_of(desk: Desk, row: Row, option_id: str) -> Doc:
    """An option by id, or 404."""
    for option in desk.doc("TrackingCategories", row)["Options"]:
        if option["TrackingOptionID"] == option_id.lower():
            return dict(option)
    raise problems.not_found()


def delete_option(desk: Desk, row: Row, option_id: str) -> Doc:
    gone = option_of(desk, row, option_id)
    if _tracked(desk, "TrackingOptionID", gone["TrackingOptionID"]):
        raise Invalid("The tracking option is in use and cannot be deleted. Archive it instead.")
    doc = desk.doc("TrackingCategories", row)
    left = tuple(o for o in doc["Options"] if o["TrackingOptionID"] != gone["TrackingOptionID"])
    desk.unit.replace("TrackingCategories", row, {**doc, "Options": left})
    return {**gone, "Status": "DELETED"}


def _tracked(desk: Desk, member: str, record_id: str) -> bool:
    for name in _WITH_LINES:
        for _, doc in desk.books.table(name).docs():
            for line in doc.get("LineItems") or doc.get("JournalLines") or []:
                if any(entry.get(member) == record_id for entry in line.get("Tracking", ())):
                    return True
    return False


# -- payment services ---


def save_payment_service(desk: Desk, body: Doc, row: Row | None) -> Row:
    check("PaymentService", body)
    for name in ("PaymentServiceName", "PaymentServiceUrl"):
        if not body.get(name):
            raise Invalid(f"{name} must be specified.")
    doc = {
        "PaymentServiceName": body["PaymentServiceName"],
        "PaymentServiceUrl": body["PaymentServiceUrl"],
        "PayNowText": body.get("PayNowText") or "Pay now",
        "PaymentServiceType": "Custom",
    }
    return desk.unit.add("PaymentServices", doc)
