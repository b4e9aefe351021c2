"""Lists: which records a GET of a collection shows, in which order, on which page.

Pages are plain offsets over the order, so a record edited during a pass moves to the end and
pushes another off its page, exactly as the service does.
Source: reference, "What lists return", "Changes since", "Filters".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from sqlsync.simulators.xero.endpoints import PAGE_MAX, PAGE_SIZE, Endpoint
from sqlsync.simulators.xero.options import Options
from sqlsync.simulators.xero.problems import bad_query, high_volume, precondition
from sqlsync.simulators.xero.reading import Reader
from sqlsync.simulators.xero.store import Books, Row
from sqlsync.simulators.xero.values import fold, is_uuid, millis, read_date
from sqlsync.simulators.xero.where import Filter, Order, parse_order, parse_where, sort_key

HIGH_VOLUME = frozenset(
    ("Invoices", "Contacts", "CreditNotes", "ManualJournals", "PurchaseOrders", "Payments")
)


@dataclass(frozen=True, slots=True)
class Found:
    """The records to show. page: None where the answer has no `pagination`."""

    rows: list[Row]
    view: str  # page | bare
    is_summary: bool = False
    page: int | None = None
    page_size: int = PAGE_SIZE
    total: int = 0


Params = Mapping[str, str]  # names in lower case


def find(
    books: Books,
    endpoint: Endpoint,
    params: Params,
    since: str | None,
    options: Options,
    client_id: str = "",
) -> Found:
    """The answer to a list request of an app. Raises Refused."""
    rows, is_sorted = _candidates(books, endpoint, params, since, options)
    where = None
    if endpoint.where and params.get("where", "").strip():
        where = parse_where(
            endpoint.type,
            params["where"],
            guid_needs_function=options.where_guid_needs_function,
        )
    orders = _orders(endpoint, params)
    _check_volume(books, endpoint, where, orders, options)
    rows = _narrowed(books, endpoint, params, rows)
    if "createdByMyApp" in endpoint.filters and is_true(params, "createdByMyApp"):
        table = books.table(endpoint.name)
        rows = [row for row in rows if client_id and table.doc(row)["_client"] == client_id]
    if where is not None:
        rows = [row for row in rows if where.test(Reader(books, endpoint.name, row))]
    rows = _in_order(books, endpoint, rows, orders, is_sorted=is_sorted)
    return _paged(endpoint, params, rows, options)


# -- which ---


def _candidates(
    books: Books, endpoint: Endpoint, params: Params, since: str | None, options: Options
) -> tuple[list[Row], bool]:
    """Rows before any filter, and whether they are in the default order."""
    table = books.table(endpoint.name)
    ids = _listed(params, "ids") if "IDs" in endpoint.filters else []
    if ids:
        if any(not is_uuid(text) for text in ids):
            raise bad_query("IDs must be a comma-separated list of ids")
        chosen = [table.rows[i.lower()] for i in dict.fromkeys(ids) if i.lower() in table.rows]
        if since:
            edge = read_since(since, options)
            chosen = [row for row in chosen if _moved(endpoint, row) >= edge]
        return chosen, False
    if endpoint.since and since:
        edge = read_since(since, options)
        if endpoint.name == "BankTransfers":
            return [row for row in table.by_updated() if row.created >= edge], False
        return table.updated_since(edge), True
    return table.by_updated(), True


def _moved(endpoint: Endpoint, row: Row) -> int:
    return row.created if endpoint.name == "BankTransfers" else row.updated


def read_since(text: str, options: Options) -> int:
    """If-Modified-Since as the first millisecond that belongs to the answer. Raises 412."""
    try:
        found = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        try:
            found = parsedate_to_datetime(text)
        except (ValueError, TypeError):
            raise precondition() from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    found = found.replace(microsecond=0)
    if not options.modified_since_inclusive:
        found += timedelta(seconds=1)
    return millis(found)


def _listed(params: Params, name: str) -> list[str]:
    return [part.strip() for part in params.get(name, "").split(",") if part.strip()]


def is_true(params: Params, name: str) -> bool:
    return params.get(name.lower(), "").lower() == "true"


def _narrowed(books: Books, endpoint: Endpoint, params: Params, rows: list[Row]) -> list[Row]:
    """The filters that are parameters of their own, and what lists never show."""
    name, table = endpoint.name, books.table(endpoint.name)
    if name == "Contacts" and not is_true(params, "includeArchived") and not params.get("ids"):
        rows = [row for row in rows if table.doc(row)["ContactStatus"] != "ARCHIVED"]
    if name == "TrackingCategories" and not is_true(params, "includeArchived"):
        rows = [row for row in rows if table.doc(row)["Status"] == "ACTIVE"]
    if name == "BankTransfers" and not is_true(params, "includeDeleted"):
        rows = [row for row in rows if table.doc(row)["Status"] != "DELETED"]
    if name == "ContactGroups":
        rows = [row for row in rows if table.doc(row)["Status"] == "ACTIVE"]
    if params.get("searchterm") and endpoint.search:
        rows = _searched(books, endpoint, params["searchterm"], rows)
    for parameter, member in _MEMBERS.items():
        if parameter in endpoint.filters and params.get(parameter.lower()):
            wanted = {fold(text) for text in _listed(params, parameter.lower())}
            rows = [row for row in rows if _text(books, name, row, member) in wanted]
    for parameter, (bounded, is_low) in _BOUNDS.items():
        if parameter in endpoint.filters and params.get(parameter.lower()):
            rows = _bounded(books, name, rows, bounded, params[parameter.lower()], is_low=is_low)
    return rows


_MEMBERS = {  # parameter -> path
    "InvoiceNumbers": ("InvoiceNumber",),
    "ContactIDs": ("Contact",),
    "Statuses": ("Status",),
    "References": ("Reference",),
    "Status": ("Status",),
    "ContactID": ("Contact",),
    "QuoteNumber": ("QuoteNumber",),
    "LinkedTransactionID": ("LinkedTransactionID",),
    "SourceTransactionID": ("SourceTransactionID",),
    "TargetTransactionID": ("TargetTransactionID",),
}
_BOUNDS = {
    "DateFrom": ("Date", True),
    "DateTo": ("Date", False),
    "ExpiryDateFrom": ("ExpiryDate", True),
    "ExpiryDateTo": ("ExpiryDate", False),
}


def _text(books: Books, table: str, row: Row, path: tuple[str, ...]) -> str:
    if table == "LinkedTransactions" and path == ("Contact",):
        path = ("ContactID",)
    return fold(str(Reader(books, table, row)(path) or ""))


def _bounded(
    books: Books, table: str, rows: list[Row], member: str, text: str, *, is_low: bool
) -> list[Row]:
    edge = read_date(text)
    if edge is None:
        raise bad_query(f"'{text}' is not a valid date")
    kept: list[Row] = []
    for row in rows:
        day: date | None = books.table(table).doc(row).get(member)
        if day is not None and (day >= edge if is_low else day <= edge):
            kept.append(row)
    return kept


def _searched(books: Books, endpoint: Endpoint, term: str, rows: list[Row]) -> list[Row]:
    wanted, table = fold(term), books.table(endpoint.name)
    return [
        row
        for row in rows
        if any(wanted in fold(str(table.doc(row).get(name, ""))) for name in endpoint.search)
    ]


# -- in which order, on which page ---


def _orders(endpoint: Endpoint, params: Params) -> list[Order]:
    text = params.get("order", "").strip()
    return parse_order(endpoint.type, text) if text and endpoint.order else []


def _in_order(
    books: Books, endpoint: Endpoint, rows: list[Row], orders: list[Order], *, is_sorted: bool
) -> list[Row]:
    if not orders:
        return rows if is_sorted else sorted(rows, key=lambda row: (row.updated, row.id))
    if orders[0].path == (endpoint.id_field,) and len(orders) == 1:
        table = books.table(endpoint.name)
        whole = len(rows) == len(table.rows)
        by_id = table.by_id() if whole else sorted(rows, key=lambda row: row.id)
        return by_id[::-1] if orders[0].is_descending else by_id
    found = sorted(rows, key=lambda row: row.id)
    for order in reversed(orders):
        found.sort(
            key=lambda row: sort_key(Reader(books, endpoint.name, row)(order.path)),
            reverse=order.is_descending,
        )
    return found


def _check_volume(
    books: Books,
    endpoint: Endpoint,
    where: Filter | None,
    orders: list[Order],
    options: Options,
) -> None:
    many = len(books.table(endpoint.name)) > options.high_volume_rows
    if not many or endpoint.name not in HIGH_VOLUME or not endpoint.optimised:
        return
    named = [".".join(path) for path in (where.names if where else ())]
    named += [".".join(order.path).lower() for order in orders]
    if any(name not in endpoint.optimised for name in named):
        raise high_volume(endpoint.name)


def _paged(endpoint: Endpoint, params: Params, rows: list[Row], options: Options) -> Found:
    summary = is_true(params, "summaryOnly") and bool(endpoint.search)
    wants_page = bool(params.get("page")) or summary
    if endpoint.paging == "fixed":
        page = _whole(params.get("page"), 1)
        first = (page - 1) * PAGE_SIZE
        return Found(rows[first : first + PAGE_SIZE], "page")
    is_paged = endpoint.paging == "always" or (endpoint.paging == "page" and wants_page)
    if params.get("order") and endpoint.name in options.order_ignores_paging_for:
        is_paged = False
    if not is_paged:
        if len(rows) > options.high_volume_rows and endpoint.name in HIGH_VOLUME:
            raise high_volume(endpoint.name)
        return Found(rows, "bare" if endpoint.paging == "page" else "page")
    size = min(_whole(params.get("pagesize"), PAGE_SIZE), PAGE_MAX)
    page = _whole(params.get("page"), 1)
    first = (page - 1) * size
    return Found(rows[first : first + size], "page", summary, page, size, len(rows))


def _whole(text: str | None, default: int) -> int:
    """A whole number from 1; what is less becomes 1. Raises Refused for other text."""
    if not text:
        return default
    if not text.strip().lstrip("-").isdigit():
        raise bad_query(f"'{text}' is not a valid number")
    return max(1, int(text))


def pagination(found: Found) -> dict[str, Any] | None:
    """The member of the envelope, where there is one."""
    if found.page is None:
        return None
    pages = -(-found.total // found.page_size)
    return {
        "page": found.page,
        "pageSize": found.page_size,
        "pageCount": pages,
        "itemCount": found.total,
    }
