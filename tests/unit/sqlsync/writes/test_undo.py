"""How a write is taken back, decided without asking anybody."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.loader import load_catalog
from sqlsync.providers.base import Record, Step, StepKind
from sqlsync.writes.compensation import next_key
from sqlsync.writes.entry import Entry
from sqlsync.writes.transitions import State
from sqlsync.writes.undo import (
    Already,
    Cannot,
    Undo,
    decide_undo,
    undo_from_json,
    undo_to_json,
)
from sqlsync.writes.values import decode, encode

CATALOG = load_catalog("quickbooks")
BEFORE = {
    "Id": "12",
    "SyncToken": "3",
    "DisplayName": "Acme",
    "Active": True,
    "Notes": "old",
    "BillAddr": {"Id": "77", "City": "Oakvale"},
}


def entry(
    kind: StepKind, fields: dict[str, Any], before: Any, answer: Any, table: str = "customer"
) -> Entry:
    return Entry(
        UUID(int=5),
        1,
        State.UNDOING,
        UUID(int=1),
        "7",
        1,
        "joe",
        table,
        kind,
        "12",
        None,
        "key",
        0,
        False,
        encode(fields).decode(),
        encode(before).decode() if before is not None else None,
        encode(answer).decode() if answer is not None else None,
    )


def now(table: str, record: dict[str, Any]) -> Record:
    return Record(table, record["Id"], encode(record), record["SyncToken"])


def undone(kind: StepKind, fields: Any, before: Any, answer: Any, current: Any) -> Any:
    found = now("customer", current) if current is not None else None
    return decide_undo(CATALOG, entry(kind, fields, before, answer), found)


def test_an_update_is_set_back_to_what_it_was() -> None:
    answer = {**BEFORE, "SyncToken": "4", "Notes": "new"}
    decision = undone(StepKind.UPDATE, {"Notes": "new"}, BEFORE, answer, answer)
    assert isinstance(decision, Undo)
    assert decision.step.kind is StepKind.UPDATE
    assert decision.step.fields == {"Notes": "old"}
    assert decode(decision.step.base or b"")["SyncToken"] == "4"


def test_what_was_not_there_before_is_cleared_again() -> None:
    answer = {**BEFORE, "SyncToken": "4", "Title": "Dr"}
    decision = undone(StepKind.UPDATE, {"Title": "Dr"}, BEFORE, answer, answer)
    assert decision.step.fields == {"Title": None}


def test_what_the_provider_changed_along_with_it_is_set_back_too() -> None:
    answer = {**BEFORE, "SyncToken": "4", "Active": False, "DisplayName": "Acme (deleted)"}
    fields = {"Active": False, "Notes": "old"}
    decision = undone(StepKind.UPDATE, fields, BEFORE, answer, answer)
    assert decision.step.fields == {"DisplayName": "Acme", "Active": True, "Notes": "old"}


def test_a_member_inside_an_object_is_set_back_alone() -> None:
    answer = {**BEFORE, "SyncToken": "4", "BillAddr": {"Id": "77", "City": "Elm"}}
    decision = undone(StepKind.UPDATE, {"BillAddr": {"City": "Elm"}}, BEFORE, answer, answer)
    assert decision.step.fields == {"BillAddr": {"City": "Oakvale"}}


def test_a_change_of_somebody_else_in_the_same_member_stops_it() -> None:
    answer = {**BEFORE, "SyncToken": "4", "Notes": "new"}
    current = {**answer, "SyncToken": "5", "Notes": "theirs"}
    decision = undone(StepKind.UPDATE, {"Notes": "new"}, BEFORE, answer, current)
    assert decision == Cannot(
        "[QuickBooks] Customer `12` was changed, and cannot be set back:"
        " somebody changed Notes since"
    )


def test_a_change_of_somebody_else_elsewhere_does_not() -> None:
    answer = {**BEFORE, "SyncToken": "4", "Notes": "new"}
    current = {**answer, "SyncToken": "5", "Title": "Prof"}
    decision = undone(StepKind.UPDATE, {"Notes": "new"}, BEFORE, answer, current)
    assert decision.step.fields == {"Notes": "old"}
    assert decode(decision.step.base)["SyncToken"] == "5"


def test_a_created_customer_is_made_inactive() -> None:
    answer = {"Id": "12", "SyncToken": "0", "DisplayName": "Dell", "Active": True}
    decision = undone(StepKind.CREATE, {"DisplayName": "Dell"}, None, answer, answer)
    assert decision.step.kind is StepKind.DEACTIVATE


def test_what_is_gone_needs_no_undoing() -> None:
    answer = {**BEFORE, "Notes": "new"}
    assert isinstance(undone(StepKind.UPDATE, {"Notes": "new"}, BEFORE, answer, None), Already)


def test_a_deactivation_that_somebody_took_back_needs_no_undoing() -> None:
    answer = {**BEFORE, "SyncToken": "4", "Active": False}
    current = {**BEFORE, "SyncToken": "5"}
    assert isinstance(undone(StepKind.DEACTIVATE, {}, BEFORE, answer, current), Already)
    assert undone(StepKind.DEACTIVATE, {}, BEFORE, answer, answer).step.kind is StepKind.REACTIVATE


@pytest.mark.parametrize("kind", [StepKind.DELETE, StepKind.VOID])
def test_what_has_no_inverse_cannot_be_undone(kind: StepKind) -> None:
    decision = decide_undo(CATALOG, entry(kind, {}, BEFORE, None, "invoice"), None)
    assert isinstance(decision, Cannot)
    assert decision.reason.endswith("which cannot be undone")


def test_lines_that_are_gone_come_back_as_new_ones() -> None:
    rows = [{"Id": "1", "Amount": Decimal("1.00")}, {"Id": "2", "Amount": Decimal("2.00")}]
    total = {"Amount": Decimal("3.00"), "DetailType": "SubTotalLineDetail"}
    before = {"Id": "12", "SyncToken": "0", "Line": [*rows, total]}
    answer = {"Id": "12", "SyncToken": "1", "Line": [rows[0]]}
    decision = decide_undo(
        CATALOG,
        entry(StepKind.UPDATE, {"Line": [rows[0]]}, before, answer, "invoice"),
        now("invoice", answer),
    )
    assert isinstance(decision, Undo)
    assert decision.step.fields == {"Line": [rows[0], {"Amount": Decimal("2.00")}]}


def test_lines_that_only_got_other_ids_are_the_same_lines() -> None:
    answer = {"Id": "12", "SyncToken": "0", "Line": [{"Id": "1", "Amount": 1}]}
    current = {"Id": "12", "SyncToken": "2", "Line": [{"Id": "9", "Amount": 1}]}
    decision = decide_undo(
        CATALOG,
        entry(StepKind.CREATE, {"Line": [{"Amount": 1}]}, None, answer, "invoice"),
        now("invoice", current),
    )
    assert isinstance(decision, Undo)
    assert decision.step.kind is StepKind.DELETE


@given(
    st.dictionaries(
        st.sampled_from(["Notes", "Title", "Balance"]),
        st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=4),
    )
)
def test_a_compensation_is_kept_to_the_digit(fields: dict[str, Any]) -> None:
    spec = CATALOG.by_table["customer"]
    step = Step(StepKind.UPDATE, spec, fields, "12", encode(BEFORE))
    assert undo_from_json(spec, undo_to_json(step).decode()) == step


def test_keys_of_compensations_are_short_and_never_the_same() -> None:
    first = entry(StepKind.CREATE, {}, None, {})
    keys = [next_key(first)]
    for _ in range(12):
        later = Entry(*(getattr(first, name) for name in list(Entry.__slots__)[:17]), keys[-1])
        keys.append(next_key(later))
    assert len(set(keys)) == len(keys)
    assert max(map(len, keys)) <= 36


XERO = load_catalog("xero")
KEY = "c3a5f08d-1b96-47e2-8d40-5f6b92e7a3c1"


def xero(kind: StepKind, table: str, fields: Any, before: Any, answer: Any, current: Any) -> Any:
    made = entry(kind, fields, before, answer, table)
    return decide_undo(XERO, made, Record(table, KEY, encode(current), None))


def test_the_same_in_other_words_is_no_change_of_somebody_else() -> None:
    """Xero's answer to a write and its list need not be the same text."""
    line = {"Description": "x", "Quantity": Decimal("2.0"), "UnitAmount": 5, "ItemCode": ""}
    answer = {
        "InvoiceID": KEY,
        "Date": "/Date(1793577600000+0000)/",
        "CurrencyRate": Decimal("1.0"),
        "LineItems": [{**line, "LineItemID": "a", "Tracking": []}],
    }
    shown = {"LineItemID": "a", "Description": "x", "Quantity": "2.0000", "UnitAmount": "5.00"}
    current = {
        "InvoiceID": KEY,
        "Date": "/Date(1793577600000)/",
        "CurrencyRate": "1.0000000000",
        "LineItems": [{**shown, "FutureMember": 7}],
    }
    fields = {"Date": "2026-11-02", "CurrencyRate": 1, "LineItems": [line], "Reference": ""}
    decision = xero(StepKind.CREATE, "invoice", fields, None, answer, current)
    assert isinstance(decision, Undo) and decision.step.kind is not StepKind.UPDATE
    current["LineItems"] = [{**shown, "Quantity": "3.0000"}]
    decision = xero(StepKind.CREATE, "invoice", fields, None, answer, current)
    assert isinstance(decision, Cannot) and "LineItems" in decision.reason


def test_what_followed_an_allocation_goes_back_with_it() -> None:
    """A note that is used up is PAID, and nobody can set that status."""
    note = {"CreditNoteID": KEY, "Status": "AUTHORISED", "Reference": "", "Allocations": []}
    row = {"AllocationID": "b", "Amount": 5, "Invoice": {"InvoiceID": KEY}}
    answer = {"CreditNoteID": KEY, "Status": "PAID", "Allocations": [row]}
    fields = {"Allocations": [{"Amount": 5, "Invoice": {"InvoiceID": KEY}}]}
    decision = xero(StepKind.UPDATE, "credit_note", fields, note, answer, answer)
    assert isinstance(decision, Undo) and decision.step.fields == {"Allocations": []}
