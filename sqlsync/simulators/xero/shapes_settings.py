"""Settings as answers show them: accounts, items, tax rates, users and the like."""

from __future__ import annotations

from collections.abc import Callable

from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.values import Doc, ms_date, ms_instant


def _some(doc: Doc, *names: str) -> Doc:
    return {name: doc[name] for name in names if doc.get(name) is not None}


def account(books: Books, row: Row, doc: Doc) -> Doc:
    found: Doc = {"AccountID": row.id, **_some(doc, "Code", "Name", "Status", "Type", "TaxType")}
    found["Class"] = doc["Class"]
    found["EnablePaymentsToAccount"] = doc["EnablePaymentsToAccount"]
    found["ShowInExpenseClaims"] = doc["ShowInExpenseClaims"]
    found |= _some(doc, "Description", "BankAccountNumber", "BankAccountType", "CurrencyCode")
    found |= _some(doc, "SystemAccount", "ReportingCode", "ReportingCodeName")
    found["HasAttachments"] = bool(books.files.get(row.id))
    found["UpdatedDateUTC"] = ms_instant(row.updated)
    found["AddToWatchlist"] = False
    return found


def item(books: Books, row: Row, doc: Doc) -> Doc:
    found: Doc = {"ItemID": row.id, **_some(doc, "Code", "Description", "PurchaseDescription")}
    found["UpdatedDateUTC"] = ms_instant(row.updated)
    found["PurchaseDetails"] = dict(doc["PurchaseDetails"])
    found["SalesDetails"] = dict(doc["SalesDetails"])
    found["Name"] = doc["Name"]
    found["IsTrackedAsInventory"] = doc["IsTrackedAsInventory"]
    if doc["IsTrackedAsInventory"]:
        found |= _some(doc, "InventoryAssetAccountCode", "TotalCostPool", "QuantityOnHand")
    found |= _some(doc, "IsSold", "IsPurchased")
    return found


def tax_rate(books: Books, row: Row, doc: Doc) -> Doc:
    return {
        name: doc[name]
        for name in (
            "Name",
            "TaxType",
            "ReportTaxType",
            "CanApplyToAssets",
            "CanApplyToEquity",
            "CanApplyToExpenses",
            "CanApplyToLiabilities",
            "CanApplyToRevenue",
            "DisplayTaxRate",
            "EffectiveRate",
            "Status",
            "TaxComponents",
        )
    }


def tracking_option(doc: Doc) -> Doc:
    return {
        "TrackingOptionID": doc["TrackingOptionID"],
        "Name": doc["Name"],
        "Status": doc["Status"],
        "HasValidationErrors": False,
        "IsDeleted": doc["Status"] == "DELETED",
        "IsArchived": doc["Status"] == "ARCHIVED",
        "IsActive": doc["Status"] == "ACTIVE",
    }


def tracking_category(books: Books, row: Row, doc: Doc) -> Doc:
    return {
        "Name": doc["Name"],
        "Status": doc["Status"],
        "TrackingCategoryID": row.id,
        "Options": [tracking_option(option) for option in doc["Options"]],
    }


def user(books: Books, row: Row, doc: Doc) -> Doc:
    found: Doc = {"UserID": row.id, **_some(doc, "EmailAddress", "FirstName", "LastName")}
    found["UpdatedDateUTC"] = ms_instant(row.updated)
    return found | _some(doc, "IsSubscriber", "OrganisationRole")


def currency(books: Books, row: Row, doc: Doc) -> Doc:
    return _some(doc, "Code", "Description")


def branding_theme(books: Books, row: Row, doc: Doc) -> Doc:
    return {
        "BrandingThemeID": row.id,
        **_some(doc, "Name", "LogoUrl", "Type", "SortOrder"),
        "CreatedDateUTC": ms_instant(row.created),
    }


def payment_service(books: Books, row: Row, doc: Doc) -> Doc:
    return {"PaymentServiceID": row.id, **doc}


def employee(books: Books, row: Row, doc: Doc) -> Doc:
    found: Doc = {"EmployeeID": row.id}
    found |= _some(doc, "Status", "FirstName", "LastName", "ExternalLink")
    return found | {"UpdatedDateUTC": ms_instant(row.updated)}


def budget(books: Books, row: Row, doc: Doc) -> Doc:
    found: Doc = {"BudgetID": row.id, "Type": doc["Type"], "Description": doc["Description"]}
    found["UpdatedDateUTC"] = ms_instant(row.updated)
    return found | {"Tracking": list(doc["Tracking"])}


def organisation(books: Books, row: Row, doc: Doc) -> Doc:
    found: Doc = {}
    for name, value in doc.items():
        if name in ("PeriodLockDate", "EndOfYearLockDate"):
            if value is not None:
                found[name] = ms_date(value)
        else:
            found[name] = value
        if name == "PeriodLockDate":
            found["CreatedDateUTC"] = ms_instant(row.created)
    return found


SETTINGS_SHAPES: dict[str, Callable[[Books, Row, Doc], Doc]] = {
    "Accounts": account,
    "Items": item,
    "TaxRates": tax_rate,
    "TrackingCategories": tracking_category,
    "Users": user,
    "Currencies": currency,
    "BrandingThemes": branding_theme,
    "PaymentServices": payment_service,
    "Employees": employee,
    "Budgets": budget,
    "Organisation": organisation,
}
