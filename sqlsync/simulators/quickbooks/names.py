"""Invented people, firms, streets and towns for generated companies. Data only.

All places use `.example` addresses and 555 numbers, so nothing here can reach anybody.
"""

from __future__ import annotations

from sqlsync.simulators.words import FAMILY as FAMILY
from sqlsync.simulators.words import GIVEN as GIVEN
from sqlsync.simulators.words import PLACE as PLACE
from sqlsync.simulators.words import STREET as STREET
from sqlsync.simulators.words import TRADE as TRADE

FORM = ("", " LLC", " Inc", " & Co", " Group", " Collective", " Works", " House")

CITY = (  # city, state, postal code, area code
    ("Oakvale", "CA", "94901", "415"),
    ("Millport", "OR", "97201", "503"),
    ("Brightwater", "WA", "98101", "206"),
    ("Cedar Falls", "CO", "80202", "303"),
    ("Harborview", "MA", "02110", "617"),
    ("Redstone", "AZ", "85004", "602"),
    ("Lakeside", "MN", "55401", "612"),
    ("Juniper Bay", "NC", "28202", "704"),
    ("Granite City", "UT", "84101", "801"),
    ("Summerfield", "TX", "78701", "512"),
    ("Elmhurst", "IL", "60126", "630"),
    ("Riverton", "NY", "12207", "518"),
)

TERMS = (  # id, name, days
    (1, "Due on receipt", 0),
    (2, "Net 15", 15),
    (3, "Net 30", 30),
    (4, "Net 60", 60),
)
TERM_NAMES = {number: name for number, name, _ in TERMS}
TERM_DAYS = {number: days for number, _, days in TERMS}

ACCOUNTS = (  # id, name, type, sub-type
    (1, "Services", "Income", "ServiceFeeIncome"),
    (4, "Undeposited Funds", "Other Current Asset", "UndepositedFunds"),
    (33, "Accounts Payable (A/P)", "Accounts Payable", "AccountsPayable"),
    (34, "Retained Earnings", "Equity", "RetainedEarnings"),
    (35, "Checking", "Bank", "Checking"),
    (36, "Savings", "Bank", "Savings"),
    (41, "Mastercard", "Credit Card", "CreditCard"),
    (42, "Visa", "Credit Card", "CreditCard"),
    (60, "Shipping", "Expense", "ShippingFreightDelivery"),
    (61, "Rent", "Expense", "RentOrLeaseOfBuildings"),
    (62, "Utilities", "Expense", "Utilities"),
    (63, "Office Supplies", "Expense", "OfficeGeneralAdministrativeExpenses"),
    (64, "Advertising", "Expense", "AdvertisingPromotional"),
    (65, "Insurance", "Expense", "Insurance"),
    (66, "Travel", "Expense", "Travel"),
    (67, "Repairs and Maintenance", "Expense", "RepairMaintenance"),
    (79, "Sales of Product Income", "Income", "SalesOfProductIncome"),
    (80, "Cost of Goods Sold", "Cost of Goods Sold", "SuppliesMaterialsCogs"),
    (81, "Inventory Asset", "Other Current Asset", "Inventory"),
    (84, "Accounts Receivable (A/R)", "Accounts Receivable", "AccountsReceivable"),
    (86, "Discounts given", "Income", "DiscountsRefundsGiven"),
    (88, "Truck", "Fixed Asset", "Vehicles"),
    (89, "Notes Payable", "Long Term Liability", "NotesPayable"),
    (90, "Sales Tax Payable", "Other Current Liability", "SalesTaxPayable"),
    (91, "Opening Balance Equity", "Equity", "OpeningBalanceEquity"),
    (92, "Interest Earned", "Other Income", "InterestEarned"),
    (93, "Unapplied Cash Payment Income", "Income", "UnappliedCashPaymentIncome"),
    (94, "Unapplied Cash Bill Payment Expense", "Expense", "UnappliedCashBillPaymentExpense"),
    (95, "Exchange Gain or Loss", "Other Expense", "ExchangeGainOrLoss"),
)

ITEMS = (  # name, description, type, price and cost in cents
    ("Services", "General services", "Service", 9500, 0),
    ("Hours", "Workshop hour", "Service", 7200, 0),
    ("Wheel service", "Wheel truing", "Service", 4500, 0),
    ("Tune-up", "Full bicycle tune-up", "Service", 8900, 0),
    ("Suspension service", "Fork and shock service", "Service", 13500, 0),
    ("Bike fitting", "Fitting session", "Service", 15000, 0),
    ("Delivery", "Delivery within the city", "Service", 1850, 0),
    ("Fleet maintenance", "Monthly fleet maintenance", "Service", 49900, 0),
    ("Training", "Repair class, per person", "Service", 6500, 0),
    ("Rental day", "City bike, one day", "Service", 3500, 0),
    ("Brake set", "Front and rear brake set", "Inventory", 6000, 3200),
    ("Steel frame", "Steel touring frame", "Inventory", 42000, 20000),
    ("Chain", "11-speed chain", "Inventory", 3450, 1610),
    ("Cassette", "11-34 cassette", "Inventory", 7995, 4120),
    ("Saddle", "Leather saddle", "Inventory", 11000, 5900),
    ("Pedals", "Platform pedals, pair", "Inventory", 4825, 2075),
    ("Handlebar", "Alloy handlebar", "Inventory", 5675, 2640),
    ("Tyre", "Puncture-proof tyre", "Inventory", 3899, 1725),
    ("Inner tube", "Inner tube", "Inventory", 799, 210),
    ("Wheel set", "Handbuilt wheel set", "Inventory", 38900, 21400),
    ("Dynamo light", "Front light with hub dynamo", "Inventory", 14950, 7730),
    ("Rear rack", "Steel rear rack", "Inventory", 6480, 2990),
    ("Pannier bag", "Waterproof pannier, each", "Inventory", 8275, 3915),
    ("Helmet", "Commuter helmet", "Inventory", 7450, 3380),
    ("Lock", "Folding lock", "Inventory", 9225, 4460),
    ("City bike", "City bike, eight gears", "Inventory", 89900, 52300),
    ("Cargo bike", "Cargo bike with box", "Inventory", 329900, 214000),
    ("E-bike battery", "Battery 500 Wh", "Inventory", 54900, 34100),
    ("Gift card", "Gift card", "NonInventory", 5000, 0),
    ("Shop towel", "Workshop consumables", "NonInventory", 425, 180),
    ("Lubricant", "Chain lubricant", "NonInventory", 1295, 540),
    ("Cleaning kit", "Cleaning kit", "NonInventory", 2450, 1125),
)
