"""`/Journals`: at most 100, with numbers above `offset`, or one by id or number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.calls import Call
from sqlsync.simulators.xero.ledger import Journal, journal_id
from sqlsync.simulators.xero.lists import is_true, read_since
from sqlsync.simulators.xero.values import Doc, ms_date, ms_instant

if TYPE_CHECKING:
    from sqlsync.simulators.xero.organisation import Organisation

PAGE = 100
_CASH = frozenset(
    ("CASHREC", "CASHPAID", "ACCRECPAYMENT", "ACCPAYPAYMENT", "ARCREDITPAYMENT", "APCREDITPAYMENT")
)


def journals(organisation: Organisation, call: Call) -> Doc:
    if call.method != "GET" or len(call.parts) > 2:
        raise problems.method_not_allowed()
    held = organisation.ledger.journals
    if len(call.parts) == 2:
        return {"Journals": [_rendered(organisation, _one(held, call.parts[1]))]}
    text = call.params.get("offset", "0")
    if not text.isdigit():
        raise problems.bad_query(f"'{text}' is not a valid number")
    found = held[int(text) :]
    if call.since:
        edge = read_since(call.since, organisation.options)
        found = [journal for journal in found if journal.created >= edge]
    if is_true(call.params, "paymentsOnly"):
        found = [journal for journal in found if journal.kind in _CASH]
    return {"Journals": [_rendered(organisation, journal) for journal in found[:PAGE]]}


def _one(held: list[Journal], word: str) -> Journal:
    if word.isdigit() and 1 <= int(word) <= len(held):
        return held[int(word) - 1]
    found = next((journal for journal in held if journal_id(journal) == word.lower()), None)
    if found is None:
        raise problems.not_found()
    return found


def _rendered(organisation: Organisation, journal: Journal) -> Doc:
    body = organisation.ledger.render(journal)
    return {
        "JournalID": body["JournalID"],
        "JournalDate": ms_date(journal.day),
        "JournalNumber": body["JournalNumber"],
        "CreatedDateUTC": ms_instant(journal.created),
        **{name: body[name] for name in ("Reference", "SourceID", "SourceType", "JournalLines")},
    }
