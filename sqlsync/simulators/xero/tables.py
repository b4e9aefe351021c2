"""The tables of an organisation's books, with their indexes."""

from __future__ import annotations

from sqlsync.simulators.xero.banking import bank_keys, credit_keys, credit_standing
from sqlsync.simulators.xero.chart import account_keys, tax_keys, tracking_keys
from sqlsync.simulators.xero.contacts import contact_keys, group_keys
from sqlsync.simulators.xero.expenses import linked_keys
from sqlsync.simulators.xero.invoicing import invoice_keys, invoice_standing
from sqlsync.simulators.xero.items import item_keys
from sqlsync.simulators.xero.orders import number_keys
from sqlsync.simulators.xero.payments import allocation_keys, payment_keys
from sqlsync.simulators.xero.store import Books, Table

_PLAIN = (
    "BankTransfers",
    "BatchPayments",
    "BrandingThemes",
    "Budgets",
    "Currencies",
    "Employees",
    "ExpenseClaims",
    "ManualJournals",
    "Organisation",
    "PaymentServices",
    "Receipts",
    "RepeatingInvoices",
    "Users",
)


def empty_books(seed: int = 1) -> Books:
    return Books(
        (
            Table("Accounts", account_keys),
            Table("TaxRates", tax_keys),
            Table("TrackingCategories", tracking_keys),
            Table("Items", item_keys),
            Table("Contacts", contact_keys),
            Table("ContactGroups", group_keys),
            Table("Invoices", invoice_keys, invoice_standing),
            Table("CreditNotes", invoice_keys, invoice_standing),
            Table("Overpayments", credit_keys, credit_standing),
            Table("Prepayments", credit_keys, credit_standing),
            Table("Payments", payment_keys),
            Table("Allocations", allocation_keys),
            Table("BankTransactions", bank_keys),
            Table("PurchaseOrders", number_keys),
            Table("Quotes", number_keys),
            Table("LinkedTransactions", linked_keys),
            *(Table(name) for name in _PLAIN),
        ),
        seed,
    )
