"""From captured changes to steps: what is sent, and what is refused before any call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.loader import load_catalog
from schema.rows import child_rows, record_row
from sqlsync.errors import SqlsyncError
from sqlsync.providers.base import Step, StepKind
from sqlsync.writes.endings import inverse_of
from sqlsync.writes.model import Change, WriteRequest
from sqlsync.writes.plan import WritePlan, make_plan
from sqlsync.writes.values import decode, encode

CATALOG = load_catalog("quickbooks")
CUSTOMER = CATALOG.by_table["customer"]
INVOICE = CATALOG.by_table["invoice"]
PAYMENT = CATALOG.by_table["payment"]
TRANSACTION = UUID(int=1)

ACME: dict[str, Any] = {
    "Id": "12",
    "SyncToken": "3",
    "DisplayName": "Acme",
    "Active": True,
    "Balance": Decimal("10.50"),
    "PrimaryEmailAddr": {"Address": "a@acme.example"},
    "Notes": "old",
}
BILLED: dict[str, Any] = {
    "Id": "145",
    "SyncToken": "1",
    "CustomerRef": {"value": "12", "name": "Acme"},
    "CustomField": [
        {"DefinitionId": "1", "Name": "Crew #", "Type": "StringType", "StringValue": "7"},
    ],
    "Line": [
        {
            "Id": "1",
            "LineNum": 1,
            "Amount": Decimal("225.00"),
            "DetailType": "SalesItemLineDetail",
            "SalesItemLineDetail": {"ItemRef": {"value": "5", "name": "Wheel"}, "Qty": 5},
        },
        {"Id": "2", "LineNum": 2, "Amount": Decimal("120.00"), "DetailType": "DescriptionOnly"},
        {
            "Amount": Decimal("345.00"),
            "DetailType": "SubTotalLineDetail",
            "SubTotalLineDetail": {},
        },
        {
            "Amount": Decimal("34.50"),
            "DetailType": "DiscountLineDetail",
            "DiscountLineDetail": {"PercentBased": True},
        },
    ],
    "TotalAmt": Decimal("310.50"),
    "Balance": Decimal("310.50"),
}


def row(spec: Any, record: Mapping[str, Any]) -> dict[str, Any]:
    found = record_row(spec, encode(record))
    del found["raw"]
    return found


def lines(record: Mapping[str, Any] = BILLED) -> list[dict[str, Any]]:
    return child_rows(INVOICE, INVOICE.child_by_table["invoice_line"], encode(record))


def insert(table: str, **columns: Any) -> Change:
    spec, child = CATALOG.by_any_table[table]
    names = [f.column for f in (child.fields if child else spec.fields)]
    if child is not None:
        names += [child.parent_column, "position"]
    empty: dict[str, Any] = dict.fromkeys(names)
    key = {"id": "new:1"} if child is None or child.key else {}
    return Change(table, "insert", None, {**empty, **key, **columns})


def update(table: str, old: Mapping[str, Any], **columns: Any) -> Change:
    return Change(table, "update", old, {**old, **columns})


def delete(table: str, old: Mapping[str, Any]) -> Change:
    return Change(table, "delete", old, None)


def request(*changes: Change, block: bool = False) -> WriteRequest:
    parents = {("customer", "12"): encode(ACME), ("invoice", "145"): encode(BILLED)}
    return WriteRequest("quickbooks", changes, parents, "joe", TRANSACTION, "7", block)


def plan(*changes: Change, block: bool = False, row_limit: int = 1000) -> WritePlan:
    return make_plan(CATALOG, request(*changes, block=block), row_limit=row_limit)


def only_step(*changes: Change) -> Step:
    (planned,) = plan(*changes).steps
    return planned.step


def refused(*changes: Change, **options: Any) -> SqlsyncError:
    with pytest.raises(SqlsyncError) as caught:
        plan(*changes, **options)
    return caught.value


# -- create ------------------------------------------------------------------------------------


def test_an_insert_sends_what_was_given_and_nothing_else() -> None:
    step = only_step(insert("customer", display_name="Dell", email="d@dell.example"))
    assert step.kind is StepKind.CREATE
    assert step.fields == {
        "DisplayName": "Dell",
        "PrimaryEmailAddr": {"Address": "d@dell.example"},
    }
    assert step.id is None
    assert step.base is None


def test_an_inserted_customer_would_be_undone_by_making_it_inactive() -> None:
    (planned,) = plan(insert("customer", display_name="Dell")).steps
    assert planned.inverse is StepKind.DEACTIVATE
    assert planned.provisional_id == "new:1"


def test_an_inserted_invoice_carries_its_line_array() -> None:
    given_lines = [{"Amount": Decimal("12.30"), "DetailType": "SalesItemLineDetail"}]
    step = only_step(insert("invoice", customer_id="12", line=given_lines))
    assert step.fields == {"CustomerRef": {"value": "12"}, "Line": given_lines}
    assert inverse_of(step.kind, INVOICE) is StepKind.DELETE


def test_parent_and_its_own_lines_in_one_statement_are_one_create() -> None:
    (planned,) = plan(
        insert("invoice", customer_id="12"),
        insert(
            "invoice_line",
            id="new:b",
            invoice_id="new:1",
            position=2,
            amount=Decimal("2.00"),
            detail_type="DescriptionOnly",
        ),
        insert(
            "invoice_line",
            id="new:a",
            invoice_id="new:1",
            position=1,
            amount=Decimal("1.00"),
            detail_type="DescriptionOnly",
        ),
    ).steps
    assert [line["Amount"] for line in planned.step.fields["Line"]] == [1, 2]
    assert planned.rows == (0, 1, 2)
    assert planned.new_children[0].provisional_ids == ("new:a", "new:b")


def test_inserted_rows_become_steps_in_their_order() -> None:
    steps = plan(
        insert("customer", id="new:1", display_name="One"),
        insert("customer", id="new:2", display_name="Two"),
    ).steps
    assert [s.step.fields["DisplayName"] for s in steps] == ["One", "Two"]
    assert steps[1].label == "row 2 of 2 (display_name = Two)"


def test_an_explicit_id_on_insert_is_refused() -> None:
    error = refused(insert("customer", id="77", display_name="Dell"))
    assert (error.sqlstate, error.table, error.column) == ("428C9", "customer", "id")


def test_a_read_only_column_given_on_insert_is_refused() -> None:
    error = refused(insert("invoice", customer_id="12", line=[{}], balance=Decimal(1)))
    assert (error.sqlstate, error.column) == ("428C9", "balance")
    assert error.message == '[QuickBooks] Invoice: column "balance" is read-only'
    assert error.hint


def test_the_name_of_a_reference_is_read_only() -> None:
    error = refused(insert("invoice", customer_id="12", customer_name="Acme", line=[{}]))
    assert (error.sqlstate, error.column) == ("428C9", "customer_name")


def test_a_create_only_column_may_be_given_on_insert() -> None:
    step = only_step(insert("customer", display_name="Dell", balance=Decimal("5.00")))
    assert step.fields["Balance"] == Decimal("5.00")


@pytest.mark.parametrize("line", [None, []])
def test_a_missing_required_column_is_refused(line: object) -> None:
    error = refused(insert("invoice", customer_id="12", line=line or None))
    assert (error.sqlstate, error.table, error.column) == ("23502", "invoice", "line")


def test_a_required_column_of_a_new_line_is_refused_too() -> None:
    error = refused(
        insert("invoice", customer_id="12"),
        insert("invoice_line", invoice_id="new:1", amount=Decimal(1)),
    )
    assert (error.sqlstate, error.table, error.column) == (
        "23502",
        "invoice_line",
        "detail_type",
    )


def test_a_reference_to_a_row_of_the_same_statement_is_refused() -> None:
    error = refused(
        insert("customer", id="new:1", display_name="One"),
        insert("customer", id="new:2", display_name="Two", parent_id="new:1"),
    )
    assert (error.sqlstate, error.column) == ("0A000", "parent_id")


# -- update ------------------------------------------------------------------------------------


def test_an_update_sends_the_changed_member_alone() -> None:
    step = only_step(update("customer", row(CUSTOMER, ACME), display_name="Acme Corporation"))
    assert step.kind is StepKind.UPDATE
    assert step.fields == {"DisplayName": "Acme Corporation"}
    assert step.id == "12"
    assert step.base == encode(ACME)


def test_null_clears() -> None:
    step = only_step(update("customer", row(CUSTOMER, ACME), email=None))
    assert step.fields == {"PrimaryEmailAddr": {"Address": None}}


def test_an_update_that_changes_nothing_makes_no_step() -> None:
    assert plan(update("customer", row(CUSTOMER, ACME), notes="old")).steps == ()


def test_numbers_that_are_equal_are_no_change() -> None:
    assert plan(update("invoice", row(INVOICE, BILLED), total_amt=Decimal("310.5"))).steps == ()


def test_a_read_only_column_set_to_its_present_value_is_let_through() -> None:
    old = row(CUSTOMER, ACME)
    step = only_step(update("customer", old, notes="new", sync_token=old["sync_token"]))
    assert step.fields == {"Notes": "new"}


@pytest.mark.parametrize(
    ("table", "spec", "record", "column", "value"),
    [
        ("customer", CUSTOMER, ACME, "sync_token", "9"),
        ("customer", CUSTOMER, ACME, "balance", Decimal(0)),  # on create only
        ("customer", CUSTOMER, ACME, "id", "13"),
        ("customer", CUSTOMER, ACME, "raw", {}),
        ("invoice", INVOICE, BILLED, "customer_name", "Other"),
        ("invoice", INVOICE, BILLED, "total_amt", Decimal(1)),
    ],
)
def test_what_may_not_change_is_refused(
    table: str, spec: Any, record: dict[str, Any], column: str, value: Any
) -> None:
    error = refused(update(table, row(spec, record), **{column: value}))
    assert (error.sqlstate, error.table, error.column) == ("428C9", table, column)
    assert error.hint


def test_a_text_too_long_is_refused() -> None:
    error = refused(update("customer", row(CUSTOMER, ACME), title="x" * 17))
    assert (error.sqlstate, error.column) == ("22001", "title")
    assert "17 characters, QuickBooks takes 16" in error.message


def test_a_value_outside_an_enum_is_refused_with_the_values() -> None:
    error = refused(update("customer", row(CUSTOMER, ACME), preferred_delivery_method="Pigeon"))
    assert (error.sqlstate, error.column) == ("22023", "preferred_delivery_method")
    assert error.hint == "Use one of: Print, Email, None"


@pytest.mark.parametrize("value", ["NaN", "Infinity", Decimal("NaN")])
def test_a_number_that_is_none_is_refused(value: Any) -> None:
    error = refused(insert("customer", display_name="Dell", balance=value))
    assert (error.sqlstate, error.column) == ("22023", "balance")


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("time_activity", "start_time", "infinity"),
        ("time_activity", "start_time", "0044-03-15T12:00:00+00:00 BC"),
        ("time_activity", "start_time", "10000-01-01T00:00:00+00:00"),
        ("time_activity", "txn_date", "10000-01-01"),
        ("time_activity", "hours", Decimal("1e100")),
    ],
)
def test_what_the_mirror_could_not_show_again_is_refused(
    table: str, column: str, value: Any
) -> None:
    error = refused(insert(table, name_of="Employee", employee_id="1", **{column: value}))
    assert (error.sqlstate, error.column) == ("22023", column)


def test_a_time_is_sent_as_it_is_unless_its_offset_has_seconds() -> None:
    for written, sent in (
        ("2026-03-02T09:15:40.123456+05:45", "2026-03-02T09:15:40.123456+05:45"),
        ("1850-01-01T17:53:28+05:53:28", "1850-01-01T12:00:00+00:00"),
    ):
        step = only_step(
            insert("time_activity", name_of="Employee", employee_id="1", start_time=written)
        )
        assert step.fields["StartTime"] == sent


def test_making_a_record_inactive_is_a_step_of_its_own() -> None:
    step = only_step(update("customer", row(CUSTOMER, ACME), active=False))
    assert step.kind is StepKind.DEACTIVATE
    inactive = {**ACME, "Active": False}
    back = only_step(update("customer", row(CUSTOMER, inactive), active=True))
    assert back.kind is StepKind.REACTIVATE


def test_active_with_something_else_is_one_update() -> None:
    step = only_step(update("customer", row(CUSTOMER, ACME), active=False, notes="bye"))
    assert step.kind is StepKind.UPDATE
    assert step.fields == {"Active": False, "Notes": "bye"}


def test_a_custom_field_goes_with_the_whole_list() -> None:
    step = only_step(
        update("invoice", row(INVOICE, BILLED), custom_field_1="8", custom_field_2="x")
    )
    assert step.fields == {
        "CustomField": [
            {"DefinitionId": "1", "Name": "Crew #", "Type": "StringType", "StringValue": "8"},
            {"DefinitionId": "2", "StringValue": "x"},
        ]
    }


def test_a_whole_line_array_is_sent_without_the_row_the_provider_makes() -> None:
    given_lines = [*BILLED["Line"][:1], BILLED["Line"][2]]
    step = only_step(update("invoice", row(INVOICE, BILLED), line=given_lines))
    assert step.fields == {"Line": BILLED["Line"][:1]}


# -- child tables ------------------------------------------------------------------------------


def test_a_changed_line_rebuilds_the_whole_list() -> None:
    old = lines()[0]
    step = only_step(update("invoice_line", old, description="Wheels"))
    assert step.kind is StepKind.UPDATE
    assert step.id == "145"
    assert step.fields["Line"] == [
        {**BILLED["Line"][0], "Description": "Wheels"},
        BILLED["Line"][1],
        BILLED["Line"][3],
    ]


def test_a_deleted_line_is_left_out() -> None:
    step = only_step(delete("invoice_line", lines()[1]))
    assert step.fields["Line"] == [BILLED["Line"][0], BILLED["Line"][3]]


def test_a_new_line_has_no_id_and_stands_last() -> None:
    change = insert(
        "invoice_line",
        id="new:x",
        invoice_id="145",
        amount=Decimal("9.99"),
        detail_type="SalesItemLineDetail",
        sales_item_line_detail_item_id="5",
    )
    (planned,) = plan(change).steps
    assert planned.step.fields["Line"][-1] == {
        "Amount": Decimal("9.99"),
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {"ItemRef": {"value": "5"}},
    }
    assert planned.new_children[0].provisional_ids == ("new:x",)


def test_a_row_the_provider_gave_no_id_is_found_by_its_place() -> None:
    discount = lines()[3]
    assert discount["id"] == "pos:4"
    step = only_step(delete("invoice_line", discount))
    assert step.fields["Line"] == BILLED["Line"][:2]


def test_clearing_a_members_last_value_takes_its_object_along() -> None:
    old = lines()[0]
    step = only_step(
        update(
            "invoice_line",
            old,
            sales_item_line_detail_item_id=None,
            sales_item_line_detail_qty=None,
        )
    )
    # The label stays until the provider drops it: it is not ours to write.
    assert step.fields["Line"][0]["SalesItemLineDetail"] == {"ItemRef": {"name": "Wheel"}}


def test_a_line_set_to_what_it_was_makes_no_step() -> None:
    assert plan(update("invoice_line", lines()[0], amount=Decimal("225"))).steps == ()


def test_parent_and_line_changed_together_are_one_step() -> None:
    step = only_step(
        update("invoice", row(INVOICE, BILLED), private_note="x"),
        update("invoice_line", lines()[0], description="y"),
    )
    assert set(step.fields) == {"PrivateNote", "Line"}


@pytest.mark.parametrize(
    ("changes", "sqlstate", "column"),
    [
        ([update("invoice_line", lines()[0], id="9")], "428C9", "id"),
        ([update("invoice_line", lines()[0], invoice_id="146")], "428C9", "invoice_id"),
        (
            [update("invoice_line", lines()[0], sales_item_line_detail_item_name="x")],
            "428C9",
            "sales_item_line_detail_item_name",
        ),
        (
            [
                insert(
                    "invoice_line",
                    id="9",
                    invoice_id="145",
                    amount=Decimal(1),
                    detail_type="DescriptionOnly",
                )
            ],
            "428C9",
            "id",
        ),
        (
            [
                insert(
                    "invoice_line",
                    invoice_id="999",
                    amount=Decimal(1),
                    detail_type="DescriptionOnly",
                )
            ],
            "23503",
            "invoice_id",
        ),
        ([insert("payment_linked_txn", payment_id="1", position=1)], "55000", None),
    ],
)
def test_what_a_child_table_refuses(
    changes: list[Change], sqlstate: str, column: str | None
) -> None:
    error = refused(*changes)
    assert (error.sqlstate, error.column) == (sqlstate, column)
    assert error.table == changes[0].table


def test_the_list_column_and_its_table_together_are_refused() -> None:
    error = refused(
        update("invoice", row(INVOICE, BILLED), line=[]),
        update("invoice_line", lines()[0], description="y"),
    )
    assert error.sqlstate == "0A000"
    assert error.hint == "Write to invoice_line or to invoice.line."


# -- delete ------------------------------------------------------------------------------------


def test_delete_on_a_name_list_makes_it_inactive_and_says_so() -> None:
    found = plan(delete("customer", row(CUSTOMER, ACME)))
    assert found.steps[0].step.kind is StepKind.DEACTIVATE
    assert found.notices == (
        "Customer `12` was made inactive at QuickBooks; QuickBooks does not delete customers",
    )


def test_delete_of_an_inactive_customer_makes_no_step() -> None:
    found = plan(delete("customer", row(CUSTOMER, {**ACME, "Active": False})))
    assert found.steps == ()
    assert found.notices == ("Customer `12` is already inactive at QuickBooks",)


def test_delete_of_a_transaction_deletes_it() -> None:
    found = plan(delete("invoice", row(INVOICE, BILLED)))
    assert found.steps[0].step.kind is StepKind.DELETE
    assert found.steps[0].inverse is None
    assert not found.steps[0].deferred
    assert found.notices == ("Invoice `145` was deleted at QuickBooks",)


def test_delete_waits_for_commit_in_a_block() -> None:
    found = plan(delete("invoice", row(INVOICE, BILLED)), block=True)
    assert found.steps[0].deferred
    assert "when the transaction commits" in found.notices[0]


def test_what_has_an_inverse_does_not_wait() -> None:
    found = plan(delete("customer", row(CUSTOMER, ACME)), block=True)
    assert not found.steps[0].deferred


XERO = load_catalog("xero")


def xero_delete(table: str, record: Mapping[str, Any], *, block: bool = False) -> WritePlan:
    spec = XERO.by_table[table]
    found = row(spec, record)
    parents = {(table, found["id"]): encode(record)}
    change = delete(table, found)
    return make_plan(
        XERO, WriteRequest("xero", (change,), parents, "joe", TRANSACTION, None, block)
    )


def test_what_can_only_be_archived_is_archived_last_for_nothing_brings_it_back() -> None:
    found = xero_delete("contact", {"ContactID": "c", "ContactStatus": "ACTIVE"}, block=True)
    (planned,) = found.steps
    assert (planned.step.kind, planned.inverse) == (StepKind.DEACTIVATE, None)
    assert planned.deferred
    (notice,) = found.notices
    assert notice == (
        "Contact `c` will be archived, when the transaction commits, at Xero;"
        " Xero does not delete contacts"
    )
    contact = XERO.by_table["contact"]
    assert inverse_of(StepKind.CREATE, contact) is StepKind.DEACTIVATE


@pytest.mark.parametrize(
    ("table", "status", "becomes"),
    [
        ("invoice", "DRAFT", "DELETED"),
        ("invoice", "AUTHORISED", "VOIDED"),
        ("quote", "ACCEPTED", "DELETED"),
    ],
)
def test_delete_by_status_says_which_status(table: str, status: str, becomes: str) -> None:
    key = XERO.by_table[table].by_column["id"].api_path
    found = xero_delete(table, {key: "i", "Status": status})
    (planned,) = found.steps
    assert (planned.step.kind, planned.inverse) == (StepKind.VOID, None)
    title = table.capitalize()
    assert found.notices == (
        f"{title} `i` was given status {becomes} at Xero; Xero does not delete {table}s",
    )
    assert inverse_of(StepKind.CREATE, XERO.by_table[table]) is StepKind.VOID


def test_a_status_that_is_final_is_left_for_the_provider_to_refuse() -> None:
    found = xero_delete("invoice", {"InvoiceID": "i", "Status": "PAID"})
    assert found.steps[0].step.kind is StepKind.VOID
    assert XERO.by_table["invoice"].status_of_deleted("PAID") is None


def test_many_deletes_are_told_in_one_line() -> None:
    records = [{**ACME, "Id": str(number)} for number in range(100, 108)]
    parents = {("customer", r["Id"]): encode(r) for r in records}
    changes = tuple(delete("customer", row(CUSTOMER, r)) for r in records)
    found = make_plan(
        CATALOG, WriteRequest("quickbooks", changes, parents, "joe", TRANSACTION, None, False)
    )
    assert len(found.steps) == 8
    assert found.notices == (
        "8 customers were made inactive at QuickBooks; QuickBooks does not delete customers",
    )


# -- the statement as a whole ------------------------------------------------------------------


def test_more_rows_than_the_limit_are_refused_with_the_limit() -> None:
    changes = [insert("customer", id=f"new:{n}", display_name=f"C{n}") for n in range(4)]
    error = refused(*changes, row_limit=3)
    assert error.sqlstate == "0A000"
    assert error.hint is not None
    assert "3 rows" in error.hint


def test_one_row_written_twice_is_refused() -> None:
    old = row(CUSTOMER, ACME)
    error = refused(update("customer", old, notes="a"), update("customer", old, notes="b"))
    assert error.sqlstate == "0A000"
    assert "twice" in error.message


def test_two_objects_in_one_statement_are_refused() -> None:
    error = refused(
        update("customer", row(CUSTOMER, ACME), notes="a"),
        update("invoice", row(INVOICE, BILLED), private_note="b"),
    )
    assert error.sqlstate == "0A000"


def test_a_row_that_was_not_locked_is_refused() -> None:
    error = refused(update("customer", row(CUSTOMER, {**ACME, "Id": "13"}), notes="a"))
    assert error.sqlstate == "P0002"
    assert error.message == "[QuickBooks] Customer `13` not found"


def test_nothing_captured_is_nothing_to_do() -> None:
    assert plan() == WritePlan(())


# -- numbers -----------------------------------------------------------------------------------

MONEY = st.decimals(
    min_value=Decimal("-99999999999999.99999"),
    max_value=Decimal("99999999999999.99999"),
    places=5,
)


@given(MONEY)
def test_money_reaches_the_provider_with_its_own_digits(amount: Decimal) -> None:
    step = only_step(insert("customer", display_name="Dell", balance=amount))
    text = encode(step.fields).decode()
    assert f'"Balance":{amount}' in text
    assert decode(text)["Balance"] == amount


@given(MONEY)
def test_untouched_lines_keep_their_amounts_to_the_digit(amount: Decimal) -> None:
    record = {**BILLED, "Line": [{**BILLED["Line"][0], "Amount": amount}, BILLED["Line"][1]]}
    changes = (update("invoice_line", lines(record)[1], description="y"),)
    parents = {("invoice", "145"): encode(record)}
    found = make_plan(
        CATALOG, WriteRequest("quickbooks", changes, parents, "joe", TRANSACTION, None, False)
    )
    sent = encode(found.steps[0].step.fields).decode()
    assert f'"Amount":{amount}' in sent
    json.loads(sent)


@given(
    st.dictionaries(
        st.sampled_from(["notes", "title", "email", "phone"]),
        st.none()
        | st.text(
            alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]),
            min_size=1,
            max_size=16,
        ),
    )
)
def test_an_update_is_empty_exactly_where_nothing_differs(columns: dict[str, Any]) -> None:
    old = row(CUSTOMER, ACME)
    steps = plan(update("customer", old, **columns)).steps
    assert bool(steps) == any(old[column] != value for column, value in columns.items())
