"""What is neither a name nor a transaction, completed: attachments, budgets, rates, settings."""

from __future__ import annotations

from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.faults import Fault
from sqlsync.simulators.quickbooks.filling import Filling
from sqlsync.simulators.quickbooks.lines import plain

_COUNTRIES = {  # how the company's own addresses say where they are
    "australia": "AUS",
    "canada": "CAN",
    "france": "FRA",
    "germany": "DEU",
    "united kingdom": "GBR",
    "united states": "USA",
    "united states of america": "USA",
    "us": "USA",
}


def company_info(filling: Filling) -> None:
    """Countries of the company's addresses read back as codes of three letters."""
    for member, address in filling.doc.items():
        if member.endswith("Addr") and isinstance(address, dict) and address.get("Country"):
            said = str(address["Country"])
            address["Country"] = _COUNTRIES.get(said.lower(), said)


def attachable(filling: Filling) -> None:
    """A note, or a file's description. The file itself comes by /upload."""
    doc = filling.doc
    if not doc.get("Note") and not doc.get("FileName"):
        raise faults.missing("Note")


def budget(filling: Filling) -> None:
    doc = filling.doc
    if doc["EndDate"] < doc["StartDate"]:
        raise Fault("2190", "EndDate lies before StartDate", "EndDate")
    filling.default(
        BudgetType="ProfitAndLoss", BudgetEntryType="Monthly", Active=True, BudgetDetail=[]
    )


def exchange_rate(filling: Filling) -> None:
    doc = filling.doc
    source = doc["SourceCurrencyCode"]
    home = filling.settings.home
    known = [
        (row.doc or {}).get("Code") for row in filling.books.table("CompanyCurrency").rows.values()
    ]
    if source not in known:
        raise Fault("2220", f"Invalid Currency Type. Supplied value:{source}", "SourceCurrencyCode")
    if doc["Rate"] <= 0:
        raise Fault("2090", f"Invalid Number. Supplied value:{doc['Rate']}", "Rate")
    if doc.get("TargetCurrencyCode", home) != home:
        detail = f"Invalid Currency Type. Supplied value:{doc['TargetCurrencyCode']}"
        raise Fault("2220", detail, "TargetCurrencyCode")
    doc["Rate"] = plain(doc["Rate"])
    doc["TargetCurrencyCode"] = home
    filling.row.number = rate_key(source, doc["AsOfDate"])


def rate_key(source: str, day: str) -> str:
    """What a rate, which has no Id, is known by."""
    return f"{source}:{day}"
