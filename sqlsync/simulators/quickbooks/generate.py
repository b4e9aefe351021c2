"""A believable company of any size from a seed: the same arguments, the same books.

Lists first, then two years of invoices, payments, bills, bill payments and purchase orders.
Every balance follows from the documents, to the cent. A few records of every other entity.
"""

from __future__ import annotations

from datetime import date
from random import Random

from sqlsync.errors import ConfigError
from sqlsync.simulators.quickbooks.generate_business import Calendar, add_transactions
from sqlsync.simulators.quickbooks.generate_foreign import add_foreign_business
from sqlsync.simulators.quickbooks.generate_lists import (
    add_company,
    add_customers,
    add_employees,
    add_lists,
    add_vendors,
)
from sqlsync.simulators.quickbooks.generate_more import add_more_business, add_more_lists
from sqlsync.simulators.quickbooks.regions import region_of
from sqlsync.simulators.quickbooks.store import Books


def generate(
    customers: int,
    invoices: int,
    seed: int,
    today: date,
    now: int,
    *,
    country: str = "US",
    multicurrency: bool = False,
) -> Books:
    """A company with that many customers and invoices, as of `today` (epoch `now`).

    multicurrency: it also sells and buys in a foreign currency.
    """
    if min(customers, invoices) < 0:
        raise ConfigError("A company has no negative number of customers or invoices.")
    if customers < 1 and invoices:
        raise ConfigError("A company with invoices needs at least one customer.")
    random = Random(seed)  # noqa: S311 (invented data, no secret)
    books = Books(country, region_of(country).currency)
    calendar = Calendar.before(today)
    start = calendar.mornings[0] - 86400
    add_lists(books, start)
    add_more_lists(books, start)
    add_customers(books, random, customers, start)
    add_vendors(books, random, max(4, min(customers // 20, 2000)) if customers else 0, start)
    add_employees(books, random, max(3, min(customers // 40, 300)) if customers else 0, start)
    add_company(books, today, start)
    if invoices:
        add_transactions(books, random, invoices, calendar, now)
    add_more_business(books, today)
    if multicurrency:
        add_foreign_business(books, today)
    return books
