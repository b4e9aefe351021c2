"""A form as a PDF of one page. Pure."""

from __future__ import annotations

from sqlsync.simulators.pdf import one_page
from sqlsync.simulators.quickbooks.store import Row


def form_pdf(entity: str, row: Row) -> bytes:
    amount = f"{row.total // 100}.{row.total % 100:02d}"
    return one_page(f"{entity} {row.number or row.id}   {row.date}   Total {amount}")
