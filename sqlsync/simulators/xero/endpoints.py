"""Every collection of the Accounting API and what it supports. Data.

Source: the official data file 16.1.0 and the reference's table of endpoints.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

PAGE_SIZE, PAGE_MAX = 100, 1000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One collection. verbs: on the collection, and on one record below it."""

    name: str  # path segment and table: "Invoices"
    type: str  # "Invoice"
    id_field: str  # "InvoiceID"
    scope: str  # granular: "accounting.invoices"
    verbs: frozenset[str] = frozenset()
    record_verbs: frozenset[str] = frozenset()
    more_scopes: tuple[str, ...] = ()  # that also open it
    broad: str = "accounting.transactions"
    paging: str = "none"  # none | page | always | fixed | offset
    since: bool = False  # If-Modified-Since
    where: bool = True
    order: bool = True
    lines: str = ""  # left out of unpaged lists
    search: tuple[str, ...] = ()  # searchTerm looks at these
    filters: tuple[str, ...] = ()  # other parameters
    one_element: bool = False
    unit_places: bool = False  # unitdp
    history: bool = False
    attachments: bool = False
    pdf: bool = False
    number_index: str = ""  # single GET also by this index
    optimised: frozenset[str] = field(default_factory=frozenset)  # for high volumes
    wrapper: str = ""  # collection key where it is not the name

    @property
    def key(self) -> str:
        return self.wrapper or self.name


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_INVOICES, _SETTINGS = "accounting.invoices", "accounting.settings"
_PAYMENTS, _CONTACTS = "accounting.payments", "accounting.contacts"
_BANK = "accounting.banktransactions"
_OLD = "accounting.transactions"

_ALL = (
    Endpoint(
        "Accounts",
        "Account",
        "AccountID",
        _SETTINGS,
        _set("GET PUT"),
        _set("GET POST DELETE"),
        broad=_SETTINGS,
        since=True,
        one_element=True,
        attachments=True,
    ),
    Endpoint(
        "BankTransactions",
        "BankTransaction",
        "BankTransactionID",
        _BANK,
        _set("GET PUT POST"),
        _set("GET POST"),
        paging="page",
        since=True,
        lines="LineItems",
        unit_places=True,
        history=True,
        attachments=True,
    ),
    Endpoint(
        "BankTransfers",
        "BankTransfer",
        "BankTransferID",
        _BANK,
        _set("GET PUT POST"),
        _set("GET POST"),
        since=True,
        history=True,
        attachments=True,
    ),
    Endpoint(
        "BatchPayments",
        "BatchPayment",
        "BatchPaymentID",
        _PAYMENTS,
        _set("GET PUT POST"),
        _set("GET POST"),
        since=True,
        history=True,
    ),
    Endpoint(
        "BrandingThemes",
        "BrandingTheme",
        "BrandingThemeID",
        _SETTINGS,
        _set("GET"),
        _set("GET"),
        broad=_SETTINGS,
        where=False,
        order=False,
    ),
    Endpoint(
        "Budgets",
        "Budget",
        "BudgetID",
        "accounting.budgets.read",
        _set("GET"),
        _set("GET"),
        broad="accounting.budgets.read",
        where=False,
        order=False,
        filters=("IDs",),
    ),
    Endpoint(
        "Contacts",
        "Contact",
        "ContactID",
        _CONTACTS,
        _set("GET PUT POST"),
        _set("GET POST"),
        broad=_CONTACTS,
        paging="page",
        since=True,
        search=(
            "Name",
            "FirstName",
            "LastName",
            "ContactNumber",
            "CompanyNumber",
            "EmailAddress",
        ),
        filters=("IDs",),
        history=True,
        attachments=True,
        number_index="number",
        optimised=_set("name emailaddress accountnumber contactid updateddateutc"),
    ),
    Endpoint(
        "ContactGroups",
        "ContactGroup",
        "ContactGroupID",
        _CONTACTS,
        _set("GET PUT"),
        _set("GET POST"),
        broad=_CONTACTS,
        one_element=True,
    ),
    Endpoint(
        "CreditNotes",
        "CreditNote",
        "CreditNoteID",
        _INVOICES,
        _set("GET PUT POST"),
        _set("GET POST"),
        paging="page",
        since=True,
        lines="LineItems",
        unit_places=True,
        history=True,
        attachments=True,
        pdf=True,
        number_index="number",
    ),
    Endpoint(
        "Currencies",
        "Currency",
        "Code",
        _SETTINGS,
        _set("GET PUT"),
        broad=_SETTINGS,
        one_element=True,
    ),
    Endpoint(
        "Employees",
        "Employee",
        "EmployeeID",
        _SETTINGS,
        _set("GET PUT POST"),
        _set("GET POST"),
        broad=_SETTINGS,
        since=True,
    ),
    Endpoint(
        "ExpenseClaims",
        "ExpenseClaim",
        "ExpenseClaimID",
        _OLD,
        _set("GET PUT"),
        _set("GET POST"),
        since=True,
        history=True,
    ),
    Endpoint(
        "Invoices",
        "Invoice",
        "InvoiceID",
        _INVOICES,
        _set("GET PUT POST"),
        _set("GET POST"),
        paging="page",
        since=True,
        lines="LineItems",
        search=("InvoiceNumber", "Reference"),
        filters=("IDs", "InvoiceNumbers", "ContactIDs", "Statuses", "createdByMyApp"),
        unit_places=True,
        history=True,
        attachments=True,
        pdf=True,
        number_index="number",
        optimised=_set(
            "status contact.contactid contact.name contact.contactnumber reference invoicenumber "
            "invoiceid type amountpaid date duedate amountdue updateddateutc"
        ),
    ),
    Endpoint(
        "Items",
        "Item",
        "ItemID",
        _SETTINGS,
        _set("GET PUT POST"),
        _set("GET POST DELETE"),
        more_scopes=(_INVOICES,),
        broad=_SETTINGS,
        since=True,
        unit_places=True,
        history=True,
        number_index="code",
    ),
    Endpoint(
        "Journals",
        "Journal",
        "JournalID",
        "accounting.journals.read",
        _set("GET"),
        _set("GET"),
        broad="accounting.journals.read",
        paging="offset",
        since=True,
        where=False,
        order=False,
    ),
    Endpoint(
        "LinkedTransactions",
        "LinkedTransaction",
        "LinkedTransactionID",
        _INVOICES,
        _set("GET PUT"),
        _set("GET POST DELETE"),
        paging="fixed",
        where=False,
        order=False,
        one_element=True,
        filters=(
            "LinkedTransactionID",
            "SourceTransactionID",
            "ContactID",
            "Status",
            "TargetTransactionID",
        ),
    ),
    Endpoint(
        "ManualJournals",
        "ManualJournal",
        "ManualJournalID",
        "accounting.manualjournals",
        _set("GET PUT POST"),
        _set("GET POST"),
        paging="page",
        since=True,
        lines="JournalLines",
        history=True,
        attachments=True,
    ),
    Endpoint(
        "Organisation",
        "Organisation",
        "OrganisationID",
        _SETTINGS,
        _set("GET"),
        broad=_SETTINGS,
        where=False,
        order=False,
        wrapper="Organisations",
    ),
    Endpoint(
        "Overpayments",
        "Overpayment",
        "OverpaymentID",
        _PAYMENTS,
        _set("GET"),
        _set("GET"),
        paging="page",
        since=True,
        lines="LineItems",
        filters=("References",),
        unit_places=True,
        history=True,
    ),
    Endpoint(
        "Payments",
        "Payment",
        "PaymentID",
        _PAYMENTS,
        _set("GET PUT POST"),
        _set("GET POST"),
        paging="page",
        since=True,
        history=True,
        optimised=_set(
            "paymenttype status date invoice.invoiceid reference updateddateutc paymentid"
        ),
    ),
    Endpoint(
        "PaymentServices",
        "PaymentService",
        "PaymentServiceID",
        "paymentservices",
        _set("GET PUT"),
        broad="paymentservices",
        where=False,
        order=False,
        one_element=True,
    ),
    Endpoint(
        "Prepayments",
        "Prepayment",
        "PrepaymentID",
        _PAYMENTS,
        _set("GET"),
        _set("GET"),
        paging="page",
        since=True,
        lines="LineItems",
        filters=("InvoiceNumbers",),
        unit_places=True,
        history=True,
    ),
    Endpoint(
        "PurchaseOrders",
        "PurchaseOrder",
        "PurchaseOrderID",
        _INVOICES,
        _set("GET PUT POST"),
        _set("GET POST"),
        paging="always",
        since=True,
        where=False,
        filters=("Status", "DateFrom", "DateTo"),
        history=True,
        attachments=True,
        pdf=True,
        number_index="number",
    ),
    Endpoint(
        "Quotes",
        "Quote",
        "QuoteID",
        _INVOICES,
        _set("GET PUT POST"),
        _set("GET POST"),
        paging="fixed",
        since=True,
        where=False,
        filters=(
            "DateFrom",
            "DateTo",
            "ExpiryDateFrom",
            "ExpiryDateTo",
            "ContactID",
            "Status",
            "QuoteNumber",
        ),
        history=True,
        attachments=True,
        pdf=True,
    ),
    Endpoint(
        "Receipts",
        "Receipt",
        "ReceiptID",
        _OLD,
        _set("GET PUT"),
        _set("GET POST"),
        since=True,
        unit_places=True,
        history=True,
        attachments=True,
    ),
    Endpoint(
        "RepeatingInvoices",
        "RepeatingInvoice",
        "RepeatingInvoiceID",
        _INVOICES,
        _set("GET PUT POST"),
        _set("GET POST"),
        history=True,
        attachments=True,
    ),
    Endpoint(
        "TaxRates",
        "TaxRate",
        "TaxType",
        _SETTINGS,
        _set("GET PUT POST"),
        _set("GET"),
        broad=_SETTINGS,
        one_element=True,
    ),
    Endpoint(
        "TrackingCategories",
        "TrackingCategory",
        "TrackingCategoryID",
        _SETTINGS,
        _set("GET PUT"),
        _set("GET POST DELETE"),
        broad=_SETTINGS,
        one_element=True,
    ),
    Endpoint(
        "Users",
        "User",
        "UserID",
        _SETTINGS,
        _set("GET"),
        _set("GET"),
        broad=_SETTINGS,
        since=True,
    ),
)


@cache
def endpoints() -> dict[str, Endpoint]:
    """By name."""
    return {endpoint.name: endpoint for endpoint in _ALL}


@cache
def endpoint_by_word() -> dict[str, Endpoint]:
    """By the lower-case name of collection or record: `invoices`, `invoice`, `bank_transaction`."""
    found = {endpoint.name.lower(): endpoint for endpoint in _ALL}
    for endpoint in _ALL:
        found.setdefault(endpoint.type.lower(), endpoint)
        found.setdefault(endpoint.key.lower(), endpoint)
    return found


REPORT_SCOPES = {
    "AgedPayablesByContact": "aged",
    "AgedReceivablesByContact": "aged",
    "BalanceSheet": "balancesheet",
    "BankSummary": "banksummary",
    "BudgetSummary": "budgetsummary",
    "ExecutiveSummary": "executivesummary",
    "ProfitAndLoss": "profitandloss",
    "TrialBalance": "trialbalance",
    "TenNinetyNine": "tenninetynine",
}


def report_scope(report: str) -> str:
    return f"accounting.reports.{REPORT_SCOPES.get(report, 'taxreports')}.read"


WRITING = (
    _INVOICES,
    _PAYMENTS,
    _BANK,
    "accounting.manualjournals",
    _CONTACTS,
    _SETTINGS,
    "accounting.attachments",
)
GRANULAR_SCOPES = frozenset(
    (
        *WRITING,
        *(f"{scope}.read" for scope in WRITING),
        "accounting.budgets.read",
        "accounting.journals.read",
        *(f"accounting.reports.{name}.read" for name in REPORT_SCOPES.values()),
        "accounting.reports.taxreports.read",
        "paymentservices",
        "offline_access",
        "openid",
        "profile",
        "email",
    )
)
BROAD_SCOPES = frozenset((_OLD, f"{_OLD}.read", "accounting.reports.read"))
