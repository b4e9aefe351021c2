"""What the engine promises a client, with a real journal and a real mirror."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from sqlsync.errors import (
    Cancelled,
    DuplicateValue,
    NotFound,
    OutcomeUnknown,
    ReadOnlyColumn,
    StaleVersion,
    Unreachable,
)
from sqlsync.writes.model import CancelToken
from sqlsync.writes.sending import Patience

ALONE = Patience(first_pause=0.02, transaction=0.5, recovery=60)  # no recovery comes to help
NAME = "select display_name from quickbooks.customer where id = %s"
NOTES = "select notes from quickbooks.customer where id = %s"


async def test_an_update_reaches_the_provider_then_the_mirror_then_is_closed(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    result = await client.execute(await client.update("customer", "12", display_name="Acme Corp"))
    assert world.books.records["customer", "12"]["DisplayName"] == "Acme Corp"
    assert len(result.entries) == 1
    assert await world.states() == ["acknowledged"]
    assert await client.commit() == []
    assert await world.states() == ["mirrored"]
    assert await world.value(NAME, "12") == "Acme Corp"
    assert await world.value("select count(*) from sqlsync.marker") == 0


async def test_a_create_gives_the_providers_key_for_the_provisional_one(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    change = client.insert("customer", display_name="Dell")
    result = await client.execute(change)
    assert result.keys == {("customer", change.new["id"]): "100"}
    await client.commit()
    assert await world.value(NAME, "100") == "Dell"


async def test_new_lines_get_their_ids(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    invoice = client.insert("invoice", customer_id="12")
    lines = [
        client.insert(
            "invoice_line", invoice_id=invoice.new["id"], amount=n, detail_type="DescriptionOnly"
        )
        for n in (1, 2)
    ]
    result = await client.execute(invoice, *lines)
    assert result.keys == {
        ("invoice", invoice.new["id"]): "100",
        ("invoice_line", lines[0].new["id"]): "1001",
        ("invoice_line", lines[1].new["id"]): "1002",
    }
    await client.commit()
    assert await world.value("select count(*) from quickbooks.invoice_line") == 2


async def test_nothing_to_change_is_no_call_and_no_journal_entry(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    result = await client.execute(await client.update("customer", "12", notes="old"))
    assert (result.entries, result.payload) == ((), b"")
    assert world.books.calls == []
    assert await world.states() == []


async def test_what_is_refused_locally_is_never_sent(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    with pytest.raises(ReadOnlyColumn):
        await client.execute(await client.update("customer", "12", sync_token="9"))
    assert world.books.calls == []
    assert await world.states() == []


async def test_a_refusal_is_raised_and_nothing_is_left_to_do(world: Any) -> None:
    await world.mirrored("customer", Id="13", DisplayName="Other", Active=True)
    client = await world.make_client()
    await client.begin()
    with pytest.raises(DuplicateValue) as caught:
        await client.execute(await client.update("customer", "12", display_name="Other"))
    assert caught.value.table == "customer"
    assert await world.states() == ["refused"]
    assert await client.rollback() == []
    assert world.books.effects == []


async def test_many_rows_travel_in_batches_with_keys_of_their_own(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    changes = [client.insert("customer", display_name=f"C{n}") for n in range(7)]
    result = await client.execute(*changes)
    assert [len(call.steps) for call in world.books.calls] == [3, 3, 1]
    assert len({call.key for call in world.books.calls}) == 3
    assert [result.keys["customer", c.new["id"]] for c in changes] == [
        str(number) for number in range(100, 107)
    ]
    await client.commit()
    assert await world.states() == ["mirrored"] * 7


async def test_a_refused_row_takes_the_whole_statement_back(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    names = ["C0", "C1", "C2", "C3", "Acme", "C5", "C6"]
    with pytest.raises(DuplicateValue) as caught:
        await client.execute(*(client.insert("customer", display_name=n) for n in names))
    assert caught.value.detail is not None
    assert "row 5 of 7 (display_name = Acme)" in caught.value.detail
    assert "5 rows of the statement had been written and were undone" in caught.value.detail
    living = [r for r in world.books.records.values() if r["Active"]]
    assert [r["DisplayName"] for r in living] == ["Acme"]
    await client.rollback()
    assert await world.states() == [
        "undone",
        "undone",
        "undone",
        "undone",
        "refused",
        "undone",
        "dropped",
    ]
    await world.until_value(5, "select count(*) from quickbooks.customer where not active")


async def test_rollback_takes_everything_back_newest_first(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    await client.execute(client.insert("customer", display_name="Dell"))
    await client.execute(await client.update("customer", "12", notes="new"))
    await client.execute(await client.update("customer", "12", notes="newer", title="Dr"))
    assert await client.rollback() == []
    acme = world.books.records["customer", "12"]
    assert (acme["Notes"], acme["Title"]) == ("old", "Mr")
    assert world.books.records["customer", "100"]["Active"] is False
    assert await world.states() == ["undone"] * 3
    assert [kind for kind, _, _ in world.books.effects[3:]] == ["update", "update", "deactivate"]
    await world.until_value(
        acme["SyncToken"], "select sync_token from quickbooks.customer where id = %s", "12"
    )


async def test_rollback_to_a_savepoint_takes_back_what_it_lost(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    await client.execute(await client.update("customer", "12", notes="kept"))
    await client.session.execute("savepoint s")
    await client.execute(await client.update("customer", "12", title="Dr"))
    await client.session.execute("rollback to s")
    live = await client.live()
    assert await client.engine.undo(set(client.entries) - set(live)) == []
    assert world.books.records["customer", "12"]["Title"] == "Mr"
    await client.commit()
    assert await world.states() == ["mirrored", "undone"]
    assert world.books.records["customer", "12"]["Notes"] == "kept"


async def test_what_somebody_changed_since_is_not_overwritten_but_parked(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    await client.execute(await client.update("customer", "12", notes="mine"))
    world.books.put("customer", Id="12", Notes="theirs")
    notices = await client.rollback()
    assert len(notices) == 1
    assert "somebody changed Notes since" in notices[0]
    assert world.books.records["customer", "12"]["Notes"] == "theirs"
    assert await world.states() == ["parked"]
    await world.until_value("theirs", NOTES, "12")


async def test_a_write_waits_until_an_earlier_one_of_the_record_is_taken_back(world: Any) -> None:
    """Else it would be built on what was never committed, and the undo would find it changed."""
    engine = await world.make_engine(ALONE)
    first, second = await world.make_client(engine), await world.make_client(engine)
    await first.begin()
    await first.execute(await first.update("customer", "12", notes="never committed"))
    await first.session.execute("rollback")  # frees the row before anything is undone
    await second.begin()
    change = await second.update("customer", "12", notes="committed")
    writing = asyncio.create_task(second.execute(change))
    done, _ = await asyncio.wait([writing], timeout=0.2)
    assert not done
    assert await first.rollback() == []
    await writing
    await second.commit()
    assert await world.states() == ["undone", "mirrored"]
    assert world.books.records["customer", "12"]["Notes"] == "committed"
    await world.until_value("committed", NOTES, "12")


async def test_a_write_whose_predecessor_stays_open_is_refused_and_may_be_repeated(
    world: Any,
) -> None:
    engine = await world.make_engine(replace(ALONE, settling=0.1))
    first, second = await world.make_client(engine), await world.make_client(engine)
    await first.begin()
    await first.execute(await first.update("customer", "12", notes="never committed"))
    await first.session.execute("rollback")
    await second.begin()
    with pytest.raises(StaleVersion, match="an earlier write of it is not settled"):
        await second.execute(await second.update("customer", "12", notes="committed"))
    await second.rollback()
    assert await world.states() == ["acknowledged", "dropped"]
    await first.rollback()
    assert world.books.records["customer", "12"]["Notes"] == "old"


async def test_a_change_elsewhere_in_the_record_does_not_stop_an_undo(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    await client.execute(await client.update("customer", "12", notes="mine"))
    world.books.put("customer", Id="12", Title="Prof")
    assert await client.rollback() == []
    acme = world.books.records["customer", "12"]
    assert (acme["Notes"], acme["Title"]) == ("old", "Prof")


async def test_delete_of_a_customer_is_undone_by_making_it_active(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    result = await client.execute(await client.delete("customer", "12"))
    assert result.notices[0].startswith("Customer `12` was made inactive")
    assert world.books.records["customer", "12"]["Active"] is False
    await client.rollback()
    assert world.books.records["customer", "12"]["Active"] is True
    await world.until_value(True, "select active from quickbooks.customer where id = '12'")


async def test_a_delete_waits_for_commit(world: Any) -> None:
    await world.mirrored("invoice", Id="7", CustomerRef={"value": "12"})
    client = await world.make_client()
    await client.begin()
    await client.execute(await client.delete("invoice", "7"))
    assert ("invoice", "7") in world.books.records
    cursor = await client.session.execute("select count(*) from quickbooks.invoice")
    assert await cursor.fetchone() == (0,)
    await client.commit()
    assert ("invoice", "7") not in world.books.records
    assert await world.states() == ["mirrored"]


async def test_a_delete_rolled_back_was_never_sent(world: Any) -> None:
    await world.mirrored("invoice", Id="7", CustomerRef={"value": "12"})
    client = await world.make_client()
    await client.begin()
    await client.execute(await client.delete("invoice", "7"))
    assert await client.rollback() == []
    assert world.books.calls == []
    assert await world.states() == ["dropped"]


async def test_a_delete_rolled_back_to_a_savepoint_is_not_sent_at_commit(world: Any) -> None:
    await world.mirrored("invoice", Id="7", CustomerRef={"value": "12"})
    client = await world.make_client()
    await client.begin()
    await client.session.execute("savepoint s")
    await client.execute(await client.delete("invoice", "7"))
    await client.session.execute("rollback to s")
    await client.commit()
    assert world.books.calls == []
    assert await world.states() == ["dropped"]


async def test_a_delete_refused_at_commit_takes_the_rest_back(world: Any) -> None:
    await world.mirrored("invoice", Id="7", CustomerRef={"value": "12"})
    client = await world.make_client()
    await client.begin()
    await client.execute(await client.update("customer", "12", notes="new"))
    await client.execute(await client.delete("invoice", "7"))
    del world.books.records["invoice", "7"]
    with pytest.raises(NotFound):
        await client.commit()
    await client.rollback()
    assert await world.states() == ["undone", "refused"]
    assert world.books.records["customer", "12"]["Notes"] == "old"
    await world.until_value(0, "select count(*) from quickbooks.invoice")


async def test_several_deletes_of_which_one_fails_are_reported_not_hidden(world: Any) -> None:
    for number in ("7", "8"):
        await world.mirrored("invoice", Id=number, CustomerRef={"value": "12"})
    client = await world.make_client()
    await client.begin()
    changes = [await client.delete("invoice", number) for number in ("7", "8")]
    del world.books.records["invoice", "8"]
    with pytest.raises(NotFound) as caught:
        await client.execute(*changes, block=False)
    assert "Invoice `7` was deleted, which cannot be undone" in str(caught.value.detail)
    await client.rollback()
    assert await world.states() == ["parked", "refused"]
    await world.until_value(0, "select count(*) from quickbooks.invoice")


# -- versions --------------------------------------------------------------------------------


async def test_a_stale_update_is_merged_where_its_columns_did_not_change(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    change = await client.update("customer", "12", notes="mine")
    world.books.put("customer", Id="12", Title="Prof")
    await client.execute(change)
    await client.commit()
    acme = world.books.records["customer", "12"]
    assert (acme["Notes"], acme["Title"]) == ("mine", "Prof")
    assert len({call.key for call in world.books.calls}) == 2
    assert await world.value("select title from quickbooks.customer") == "Prof"


async def test_a_merged_update_is_undone_to_what_it_was_merged_with(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    change = await client.update("customer", "12", notes="mine")
    world.books.put("customer", Id="12", Title="Prof")
    await client.execute(change)
    await client.rollback()
    acme = world.books.records["customer", "12"]
    assert (acme["Notes"], acme["Title"]) == ("old", "Prof")


async def test_a_stale_update_of_the_same_column_is_refused_and_the_mirror_follows(
    world: Any,
) -> None:
    client = await world.make_client()
    await client.begin()
    change = await client.update("customer", "12", notes="mine")
    world.books.put("customer", Id="12", Notes="theirs")
    with pytest.raises(StaleVersion):
        await client.execute(change)
    await client.rollback()
    assert await world.states() == ["refused"]
    await world.until_value("theirs", NOTES, "12")


async def test_one_stale_row_of_a_batch_is_sent_again_alone(world: Any) -> None:
    await world.mirrored("customer", Id="13", DisplayName="Other", Active=True)
    client = await world.make_client()
    await client.begin()
    changes = [await client.update("customer", n, notes="mine") for n in ("12", "13")]
    world.books.put("customer", Id="13", Title="Prof")
    await client.execute(*changes)
    await client.commit()
    assert [len(call.steps) for call in world.books.calls] == [2, 1]
    assert [kind for kind, _, _ in world.books.effects] == ["update", "update"]
    assert await world.states() == ["mirrored", "mirrored"]


async def test_an_update_of_a_record_that_is_gone_takes_its_row_out(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    change = await client.update("customer", "12", notes="mine")
    del world.books.records["customer", "12"]
    with pytest.raises(NotFound):
        await client.execute(change)
    await client.rollback()
    await world.until_value(0, "select count(*) from quickbooks.customer")


# -- answers that do not come ----------------------------------------------------------------


async def test_a_lost_reply_is_asked_for_again_and_is_one_effect(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    world.books.lose_answers = 2
    await client.execute(client.insert("customer", display_name="Dell"))
    await client.commit()
    assert world.books.effects == [("create", "customer", "100")]
    assert await world.states() == ["mirrored"]


async def test_a_lost_request_is_sent_again_and_is_one_effect(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    world.books.lose_requests = 1
    await client.execute(client.insert("customer", display_name="Dell"))
    await client.commit()
    assert world.books.effects == [("create", "customer", "100")]


async def test_an_outcome_that_stays_unknown_is_an_error_and_undone_later(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    world.books.lose_answers = 40
    with pytest.raises(OutcomeUnknown) as caught:
        await client.execute(client.insert("customer", display_name="Dell"))
    assert caught.value.sqlstate == "08007"
    assert await world.states() == ["in_doubt"]
    await client.rollback()
    world.books.lose_answers = 0
    await world.until_states("undone")
    assert [kind for kind, _, _ in world.books.effects] == ["create", "deactivate"]
    # What recovery sends again says how old it is: some providers forget keys in minutes.
    told = [c.first_sent_seconds_ago for c in world.books.calls if len(c.key) == 36]
    assert told[0] is None
    assert any(ago is not None and ago >= 0 for ago in told)


@pytest.mark.parametrize("to_savepoint", [False, True])
async def test_what_came_before_a_write_in_doubt_is_undone_after_it(
    world: Any, to_savepoint: bool
) -> None:
    client = await world.make_client()
    await client.begin()
    await client.session.execute("savepoint s")
    await client.execute(await client.update("customer", "12", notes="first"))
    world.books.lose_answers = 40
    with pytest.raises(OutcomeUnknown):
        await client.execute(await client.update("customer", "12", notes="second"))
    if to_savepoint:
        await client.session.execute("rollback to s")
        told = await client.engine.undo(client.entries)
        await client.session.execute("commit")
        await client.engine.settle(client.transaction, client.xid)
    else:
        told = await client.rollback()
    assert told == ["customer `12` was changed; it will be undone after a later write"]
    world.books.lose_answers = 0
    await world.until_states("undone", "undone")
    assert world.books.records["customer", "12"]["Notes"] == "old"
    await world.until_value("old", NOTES, "12")


async def test_a_provider_that_is_down_is_no_doubt(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    world.books.down = True
    with pytest.raises(Unreachable):
        await client.execute(await client.update("customer", "12", notes="new"))
    assert await world.states() == ["refused"]


async def test_an_undo_waits_for_a_provider_that_is_down(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    await client.execute(await client.update("customer", "12", notes="one"))
    await client.execute(client.insert("customer", display_name="Dell"))
    world.books.down = True
    notices = await client.rollback()
    assert len(notices) == 2
    assert "will be undone when the provider can be reached" in notices[0]
    assert await world.states() == ["undoing", "undoing"]
    world.books.down = False
    await world.until_states("undone", "undone")
    assert world.books.records["customer", "12"]["Notes"] == "old"


async def test_a_lost_reply_of_an_undo_is_one_effect(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    await client.execute(await client.update("customer", "12", notes="new"))
    world.books.lose_answers = 1
    await client.rollback()
    await world.until_states("undone")
    assert [kind for kind, _, _ in world.books.effects] == ["update", "update"]


# -- cancelling ------------------------------------------------------------------------------


async def test_a_write_cancelled_before_it_is_sent_is_not_sent(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    with pytest.raises(Cancelled):
        await client.execute(
            await client.update("customer", "12", notes="x"), cancel=CancelToken(cancelled=True)
        )
    assert world.books.calls == []


async def test_a_deadline_that_has_passed_is_a_cancel(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    with pytest.raises(Cancelled):
        await client.execute(await client.update("customer", "12", notes="x"), deadline=0.0)
    assert world.books.calls == []


async def test_a_caller_that_goes_away_leaves_nothing_behind(world: Any) -> None:
    client = await world.make_client()
    await client.begin()
    world.books.gate = asyncio.Event()
    cancel = CancelToken()
    task = asyncio.create_task(
        client.execute(client.insert("customer", display_name="Dell"), cancel=cancel)
    )

    async def sent() -> bool:
        return cancel.sent

    await world.until(sent)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await client.session.execute("rollback")
    world.books.gate.set()
    await world.until_states("undone")
    assert [kind for kind, _, _ in world.books.effects] == ["create", "deactivate"]


# -- missing rows ----------------------------------------------------------------------------


async def test_a_row_the_mirror_lacks_is_fetched(world: Any) -> None:
    world.books.put("customer", Id="42", DisplayName="Found")
    engine = await world.make_engine()
    payload = await engine.fetch_missing("quickbooks", "customer", "42")
    await world.query("select sqlsync.apply_rows(%s::jsonb)", payload.decode())
    assert await world.value(NAME, "42") == "Found"
    assert await engine.fetch_missing("quickbooks", "customer", "43") is None


async def test_the_worker_is_told_after_commit(world: Any) -> None:
    client = await world.make_client()
    listener = (await world.make_client(client.engine)).session
    await listener.execute("listen sqlsync_poll")
    await client.begin()
    await client.execute(await client.update("customer", "12", notes="x"))
    await client.commit()
    async for notification in listener.notifies(timeout=5, stop_after=1):
        assert notification.payload == str(await world.value("select id from sqlsync.connection"))
        return
    pytest.fail("nothing was told")
