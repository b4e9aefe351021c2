"""Reports from the provider into their tables: on demand, by schedule, and when it goes wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import report_world
from integration.providers.conftest import Reply
from report_world import World, fault, quickbooks_report, working

from backfill.connections import find_connection
from backfill.report_schedule import ReportPace
from backfill.reports import forget_old_reports
from sqlsync.cli import run as run_command
from sqlsync.database import connect, errors, sql
from sqlsync.embedded import EmbeddedPostgres

SAMPLES = Path(__file__).parents[4] / "shared/reference"
JANUARY = {"start_date": "2026-01-01", "end_date": "2026-01-31"}
RENT, POWER = ("Rent", "61", "100.00"), ("Power", "62", "23.50")


@pytest.fixture(scope="module")
def reports_url(postgres_server: EmbeddedPostgres, migrated_template: str) -> str:
    """One database for these tests: both companies' schemas take seconds to make."""
    with connect(postgres_server.url()) as connection:
        connection.execute(
            sql.SQL("create database reports template {}").format(sql.Identifier(migrated_template))
        )
        for name in ("report_reader", "report_writer"):
            connection.execute(f"drop role if exists {name}".encode())
            connection.execute(f"create role {name} login".encode())
            group = name.replace("report", "sqlsync")
            connection.execute(f"grant {group} to {name}".encode())
    url = postgres_server.url("reports")
    report_world.set_up(url)
    return url


@pytest.fixture
async def world(reports_url: str) -> AsyncIterator[World]:
    async with report_world.world(reports_url) as found:
        yield found


async def test_a_report_asked_for_is_rows_and_its_function_finds_it(world: World) -> None:
    world.script.will("ProfitAndLoss", quickbooks_report(RENT, POWER))
    async with working(world):
        run = await world.computed(
            "quickbooks", "ProfitAndLoss", **JANUARY, accounting_method="accrual", customer="9, 3,9"
        )
    assert world.script.questions("ProfitAndLoss") == [
        {**JANUARY, "accounting_method": "Accrual", "customer": "3,9", "minorversion": "75"}
    ]
    found = await world.rows(
        "select label, account_id, total, row_type, cells, period_end, currency"
        " from quickbooks.profit_and_loss(start_date => '2026-01-01', end_date => '2026-01-31',"
        " customer => '9,3')"
    )
    assert [row[:4] for row in found] == [
        ("Rent", "61", Decimal("100.00"), "data"),
        ("Power", "62", Decimal("23.50"), "data"),
        ("TOTAL", None, Decimal("123.50"), "summary"),
    ]
    assert found[0][4] == {"Total": 100.0}
    assert (str(found[0][5]), found[0][6]) == ("2026-01-31", "USD")
    [facts] = await world.rows(
        "select state, row_count, accounting_method, as_of, scheduled, parameters, columns, header"
        f" from quickbooks._sync_report where id = {run}"
    )
    assert facts[:5] == (
        "ready",
        3,
        "Accrual",
        datetime(2026, 3, 2, 17, 15, 42, 117000, UTC),
        False,
    )
    assert facts[5]["customer"] == "3,9"
    assert [column["cell"] for column in facts[6]] == ["Account", "Total"]
    assert facts[7]["ReportName"] == "ProfitAndLoss"


async def test_a_run_is_found_by_its_period_and_not_by_how_it_was_asked_for(world: World) -> None:
    ytd = quickbooks_report(RENT, end="2026-03-02", time="2026-03-02T00:00:00Z")
    world.script.will("CashFlow", ytd, quickbooks_report(POWER, basis="Cash"))
    async with working(world):
        default = await world.computed(
            "quickbooks", "cash_flow", date_macro="this fiscal year-to-date"
        )
        await world.computed("quickbooks", "CashFlow", **JANUARY)
    one = "select run_id from quickbooks.cash_flow({}) limit 1"
    assert await world.value(one.format("")) == default  # the run that is refreshed by itself
    by_period = one.format("start_date => '2026-01-01', end_date => '2026-03-02'")
    assert await world.value(by_period) == default
    assert await world.value(one.format("end_date => '2026-01-31'")) != default
    [[labels]] = await world.rows(
        "select array_agg(distinct label) from quickbooks.cash_flow where row_type = 'data'"
    )
    assert labels == ["Power", "Rent"]  # the table holds all runs
    with pytest.raises(errors.NoDataFound) as missing:
        await world.rows(one.format("start_date => '2025-01-01', vendor => '7'"))
    diagnosis = missing.value.diag
    assert diagnosis.message_primary == (
        "CashFlow is not stored with vendor 7, start_date 2025-01-01"
    )
    assert "2026-01-01 to 2026-03-02 Accrual" in str(diagnosis.message_detail)
    assert "select sqlsync.refresh_report('quickbooks', 'CashFlow'" in str(diagnosis.message_hint)
    world.script.will("CashFlow", quickbooks_report(("Old", "1", "1.00"), start="2025-01-01"))
    async with working(world):
        await world.rows(str(diagnosis.message_hint).removeprefix("Ask for it: "))
        await world.until("select bool_and(state = 'ready') from quickbooks._sync_report"
                          " where report = 'CashFlow'")  # fmt: skip
    assert await world.value(one.format("start_date => '2025-01-01', vendor => '7'")) is not None


async def test_a_refresh_replaces_all_rows_at_once_and_a_failed_one_none(world: World) -> None:
    world.script.will("TrialBalance", quickbooks_report(RENT, POWER), quickbooks_report(RENT))
    rows = "select count(*), sum(total) from quickbooks.balance_sheet where run_id = %s"
    world.script.will(
        "BalanceSheet",
        quickbooks_report(RENT, POWER),
        quickbooks_report(RENT),
        fault("5020", "Permission Denied : no reports for you"),
    )
    async with working(world):
        run = await world.computed("quickbooks", "BalanceSheet", **JANUARY)
        assert await world.rows(rows, run) == [(3, Decimal("247.00"))]
        assert await world.computed("quickbooks", "BalanceSheet", **JANUARY) == run
        assert await world.rows(rows, run) == [(2, Decimal("200.00"))]
        assert await world.ask("quickbooks", "BalanceSheet", **JANUARY) == run
        state, error = await world.settled("quickbooks", run)
        assert state == "error" and "no reports for you" in str(error)
        # What others ask for goes on; what was refused is not asked again by itself.
        await world.computed("quickbooks", "TrialBalance", **JANUARY)
    assert await world.rows(rows, run) == [(2, Decimal("200.00"))]
    assert (
        await world.value(f"select next_run_at from quickbooks._sync_report where id = {run}")
        is None
    )
    assert len(world.script.questions("BalanceSheet")) == 3
    assert await world.value("select state from sqlsync.connection where id = 1") == "live"


async def test_what_is_not_here_says_why(world: World) -> None:
    ask = "select * from quickbooks.vendor_expenses()"
    with pytest.raises(errors.NoDataFound, match="asked for and is not here yet"):
        await world.rows(ask)
    async with working(world):
        run = await world.ask("quickbooks", "VendorExpenses", date_macro="This Fiscal Year-to-date")
        assert (await world.settled("quickbooks", run))[0] == "error"
    with pytest.raises(errors.NoDataFound, match=r"could not be computed: .*not in the company"):
        await world.rows(ask)
    with pytest.raises(errors.NoDataFound, match=r"^FECReport is not stored"):
        await world.rows("select * from quickbooks.fec_report()")


@pytest.mark.parametrize(
    ("report", "parameters", "message"),
    [
        ("ProfitAndLoss", {"colour": "red"}, 'ProfitAndLoss takes no parameter "colour"'),
        ("ProfitAndLoss", {"start_date": "31/01/2026"}, "takes a day such as 2026-01-31"),
        ("ProfitAndLoss", {"start_date": "2026-02-30"}, "takes a day such as"),
        ("ProfitAndLoss", {"start_date": ["2026-02-01"]}, "takes one value"),
        ("ProfitAndLoss", {"accounting_method": "hope"}, "takes one of Cash, Accrual"),
        ("ProfitAndLoss", {"qzurl": "perhaps"}, "takes true or false"),
        ("ProfitAndLoss", {"customer": "1;drop"}, "takes ids with commas"),
        ("APAgingDetail", {"num_periods": "0"}, "takes a whole number from 1"),
        ("ProfitAndLoss", {"date_macro": "Today", **JANUARY}, "exclude each other"),
        ("ProfitAndLoss", {"start_date": "2026-02-01", "end_date": "2026-01-01"}, "would begin"),
        ("TaxSummary", {}, "needs the parameter agency_id"),
        ("ProfitAndLoss", [1], "a JSON object"),
        ("Horoscope", {}, 'there is no report "Horoscope"'),
    ],
)
async def test_a_wrong_question_is_answered_at_once(
    world: World, report: str, parameters: object, message: str
) -> None:
    with pytest.raises(errors.Error) as refused:
        await world.rows(
            "select sqlsync.refresh_report('quickbooks', %s, %s)", report, json.dumps(parameters)
        )
    assert message in str(refused.value)
    assert refused.value.sqlstate in ("22023", "42704")
    assert world.script.asked == []


async def test_the_same_question_in_other_words_is_the_same_run(world: World) -> None:
    first = await world.ask(
        "xero", "profit_and_loss", fromDate="2026-01-01", standardLayout=True, periods="2"
    )
    again = await world.ask(
        "the xero",
        "ProfitAndLoss",
        from_date="2026-01-01",
        standard_layout="yes",
        periods=2,
        toDate="",
    )
    assert first == again
    stored = await world.value(f"select parameters from xero._sync_report where id = {first}")
    assert stored == {"from_date": "2026-01-01", "standard_layout": True, "periods": 2}


async def test_nobody_writes_into_a_report_and_readers_ask_for_none(world: World) -> None:
    world.script.will("ProfitAndLoss", quickbooks_report(RENT))
    async with working(world):
        run = await world.computed("quickbooks", "ProfitAndLoss", **JANUARY)
    url = world.url
    with connect(url) as writer:
        writer.execute("set session authorization report_writer")
        for statement in (
            "insert into quickbooks.profit_and_loss (run_id, row_number) values (1, 99)",
            "update quickbooks.profit_and_loss set total = 0",
            "delete from quickbooks.profit_and_loss",
            "copy quickbooks.profit_and_loss from stdin",
        ):
            with pytest.raises(errors.ObjectNotInPrerequisiteState) as refused:
                if statement.startswith("copy"):
                    with writer.cursor().copy(statement) as copy:
                        copy.write("")
                else:
                    writer.execute(statement.encode())
            diagnosis = refused.value.diag
            assert diagnosis.message_primary == (
                "[QuickBooks] ProfitAndLoss is a report: it can be read only"
            )
            assert "sqlsync.refresh_report('quickbooks', 'ProfitAndLoss')" in str(
                diagnosis.message_hint
            )
        with pytest.raises(errors.InsufficientPrivilege):
            writer.execute("update quickbooks._sync_report set state = 'ready'")
        asked = writer.execute("select sqlsync.refresh_report('quickbooks', 'CashFlow')").fetchone()
        assert asked is not None
        by = writer.execute(
            "select requested_by from quickbooks._sync_report where id = %s", asked
        ).fetchone()
        assert by == ("report_writer",)
    with connect(url) as reader:
        reader.execute("set session authorization report_reader")
        found = reader.execute(
            "select count(*) from quickbooks.profit_and_loss(start_date => '2026-01-01')"
        ).fetchone()
        assert found == (2,)
        with pytest.raises(errors.InsufficientPrivilege, match="refresh_report"):
            reader.execute("select sqlsync.refresh_report('quickbooks', 'CashFlow')")
    with connect(url) as superuser, pytest.raises(errors.ObjectNotInPrerequisiteState):
        superuser.execute("truncate quickbooks.profit_and_loss")
    assert (
        await world.value(f"select count(*) from quickbooks.profit_and_loss where run_id = {run}")
        == 2
    )


async def test_scheduled_reports_come_by_themselves_and_again_after_a_change(world: World) -> None:
    for spec in report_world.CATALOGS["quickbooks"].reports:
        if spec.name != "SalesByClassSummary":  # which the plan lacks
            world.script.will(spec.endpoint, quickbooks_report(RENT, name=spec.endpoint))
    await world.rows("update xero._sync_report set scheduled = false returning 1")
    pace = ReportPace(every=timedelta(days=1), after_change=timedelta(seconds=1))
    standing = (
        "select count(*) filter (where state = 'ready'), count(*) filter (where state = 'error')"
        " from quickbooks._sync_report where is_default"
    )
    async with working(world, reports=True, report_pace=pace):
        await world.until(
            "select bool_and(state in ('ready', 'error')) from quickbooks._sync_report"
        )
        assert await world.rows(standing) == [(26, 1)]
        asked = len(world.script.asked)
        assert asked == 27
        view = "select state, error from quickbooks._sync_object where name = %s"
        assert await world.rows(view, "TransactionList") == [("ready", None)]
        [(state, error)] = await world.rows(view, "SalesByClassSummary")
        assert state == "error" and "not in the company" in error
        assert await world.rows(view, "FECReport") == [(None, None)]
        await world.rows(
            "update quickbooks._sync_cdc set last_change_at = clock_timestamp()"
            " where object = 'invoice' returning 1"
        )
        await world.until(
            "select bool_and(fetched_at > c.last_change_at) from quickbooks._sync_report r,"
            " quickbooks._sync_cdc c where c.object = 'invoice' and r.state = 'ready'"
        )
    # What was refused waits for its day.
    assert len(world.script.questions("ClassSales")) == 1
    assert world.script.questions("ProfitAndLoss")[0] == {
        "date_macro": "This Fiscal Year-to-date", "minorversion": "75"
    }  # fmt: skip


async def test_a_limit_only_delays_a_report(world: World) -> None:
    throttled = Reply({"fault": {"error": [{"code": "3001"}]}}, 429, {"retry-after": "1"})
    world.script.will("CashFlow", throttled, quickbooks_report(RENT))
    async with working(world):
        run = await world.ask("quickbooks", "CashFlow", **JANUARY)
        ready = (
            "select state = 'ready' and error is null from quickbooks._sync_report where id = %s"
        )
        await world.until(ready, run)
    assert len(world.script.questions("CashFlow")) == 2


async def test_a_request_that_comes_while_it_is_computed_is_computed_again(world: World) -> None:
    world.script.will("CashFlow", quickbooks_report(RENT), quickbooks_report(POWER))
    world.script.held = asyncio.Event()
    async with working(world):
        run = await world.ask("quickbooks", "CashFlow", **JANUARY)
        await world.until(
            f"select state = 'refreshing' from quickbooks._sync_report where id = {run}"
        )
        async with asyncio.timeout(10):
            while not world.script.waiting:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert await world.ask("quickbooks", "CashFlow", **JANUARY) == run
        world.script.held.set()
        assert await world.settled("quickbooks", run) == ("ready", None)
    labels = f"select array_agg(label) from quickbooks.cash_flow where run_id = {run}"
    assert await world.value(labels) == ["Power", "TOTAL"]


async def test_xero_reports_come_with_their_accounts_and_a_missing_scope_stops_one(
    world: World,
) -> None:
    samples = SAMPLES / "xero/samples"
    if not samples.exists():
        pytest.skip(f"NOT CHECKED: the samples are not at {samples}")
    world.script.will(
        "xero:ProfitAndLoss", Reply((samples / "report_profit_and_loss.json").read_bytes())
    )
    refusal = json.loads((samples / "error_401_insufficient_scope.http.json").read_bytes())
    world.script.will(
        "xero:BankSummary", Reply(refusal["body"], refusal["status"], refusal["headers"])
    )
    contact = "9f0c5a1e-7b3d-4c2a-8e6f-1d2b3c4a5e6f"
    world.script.will(
        "xero:AgedReceivablesByContact",
        Reply((samples / "report_aged_receivables_by_contact.json").read_bytes()),
    )
    async with working(world):
        await world.computed("xero", "ProfitAndLoss")
        await world.computed("xero", "AgedReceivablesByContact", contactId=contact)
        run = await world.ask("xero", "BankSummary")
        state, error = await world.settled("xero", run)
        assert state == "error" and "does not cover" in str(error)
    assert ("xero:AgedReceivablesByContact", {"contactId": contact}) in world.script.asked
    income = (
        "select sum(amount) filter (where row_type = 'data'),"
        " sum(amount) filter (where row_type = 'summary')"
        " from xero.profit_and_loss(from_date => '2026-10-01') where section[1] = 'Income'"
    )
    assert await world.rows(income) == [(Decimal("678.00"), Decimal("678.00"))]
    due = "select sum(due) from xero.aged_receivables_by_contact(%s) where row_type = 'data'"
    assert await world.value(due, contact) == Decimal("479.70")
    assert (
        await world.value("select state from sqlsync.connection where provider = 'xero'") == "live"
    )


async def test_what_nobody_asks_for_any_more_is_forgotten_with_its_rows(world: World) -> None:
    world.script.will("CashFlow", quickbooks_report(RENT))
    async with working(world):
        old = await world.computed("quickbooks", "CashFlow", **JANUARY)
        young = await world.computed("quickbooks", "CashFlow", start_date="2026-02-01")
        kept = await world.computed("quickbooks", "CashFlow", start_date="2026-03-01")
    await world.rows(
        "update quickbooks._sync_report set requested_at = requested_at - interval '400 days',"
        f" scheduled = id = {kept} where id in ({old}, {kept}) returning 1"
    )
    connection = await find_connection(world.session, "the quickbooks")
    assert connection is not None
    assert await forget_old_reports(world.session, connection, timedelta(days=400)) == 1
    left = (
        "select array_agg(distinct run_id order by run_id) from quickbooks.cash_flow"
        " where run_id in (%s, %s, %s)"
    )
    assert await world.value(left, old, young, kept) == [young, kept]


async def test_a_report_can_be_kept_fresh_on_a_schedule_of_its_own(world: World) -> None:
    ask = "select sqlsync.refresh_report('quickbooks', 'CashFlow', %s, every => %s)"
    run = await world.value(ask, json.dumps(JANUARY), "2 hours")
    facts = f"select scheduled, refresh_every from quickbooks._sync_report where id = {run}"
    assert await world.rows(facts) == [(True, timedelta(hours=2))]
    assert await world.ask("quickbooks", "CashFlow", **JANUARY) == run
    assert await world.rows(facts) == [(True, timedelta(hours=2))]
    assert await world.value(ask, json.dumps(JANUARY), "0") == run
    assert await world.rows(facts) == [(False, None)]
    with pytest.raises(errors.InvalidParameterValue, match="every 5 minutes"):
        await world.rows(ask, json.dumps(JANUARY), "10 seconds")


async def test_a_report_that_is_switched_off_comes_only_when_asked_for(world: World) -> None:
    enabled = "select enabled from quickbooks._sync_object where name = %s"
    assert await world.value(enabled, "CashFlow") is True
    assert await world.value(enabled, "FECReport") is None
    switch = "select sqlsync.{}_object('the quickbooks', 'cash_flow')"
    await world.rows(switch.format("disable"))
    scheduled = "select scheduled from quickbooks._sync_report where report = 'CashFlow'"
    assert await world.value(scheduled) is False
    assert await world.value(enabled, "CashFlow") is False
    with connect(world.url) as person:
        person.execute("update quickbooks._sync_object set enabled = true where name = 'CashFlow'")
    assert await world.value(scheduled) is True
    with pytest.raises(errors.ObjectNotInPrerequisiteState, match="only when somebody asks"):
        await world.rows("select sqlsync.disable_object('the quickbooks', 'fec_report')")


async def test_the_reports_of_several_companies_are_one_view(world: World) -> None:
    world.script.will("CashFlow", quickbooks_report(RENT))
    async with working(world):
        run = await world.computed("quickbooks", "CashFlow", **JANUARY)
    await world.session.execute(
        "reset role; create schema everybody authorization sqlsync_engine;"
        " set role sqlsync_engine; select sqlsync.make_union('quickbooks', 'everybody')"
    )
    found = await world.rows(
        "select connection, label, total from everybody.all_cash_flow"
        f" where run_id = {run} and row_type = 'data'"
    )
    assert found == [("the quickbooks", "Rent", Decimal("100.00"))]
    await world.rows("select sqlsync.drop_union('quickbooks', 'everybody')")


async def test_the_command_has_a_report_computed_and_lists_what_is_stored(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    api_url = world.apps["quickbooks"].endpoints.api_url
    for name, value in {
        "DATABASE_URL": world.url,
        "STATE_DIR": str(tmp_path),
        "SECRET_KEY": report_world.KEY,
        "PROVIDERS__QUICKBOOKS__API_URL": api_url,
        "PROVIDERS__XERO__API_URL": api_url,
        "SYNC__REPORTS": "false",
        "LOG__LEVEL": "warning",
    }.items():
        monkeypatch.setenv(f"SQLSYNC_{name}", value)

    async def command(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(run_command, ["report", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    world.script.will("CashFlow", quickbooks_report(RENT))
    days = [f"--param={key}={value}" for key, value in JANUARY.items()]
    code, out, said = await command("the quickbooks", "cash_flow", *days)
    assert code == 0, said
    assert out.startswith("quickbooks.cash_flow: 2 rows, 2026-01-01 to 2026-01-31 Accrual, as of ")
    code, out, said = await command("the quickbooks", "BalanceSheet")
    assert (code, out) == (1, "") and "not in the company's plan" in said
    code, out, said = await command("the quickbooks")
    assert code == 0 and "cash_flow" in out and "profit_and_loss" in out
    for wrong, words in (
        (["the quickbooks", "Horoscope"], "there is no report"),
        (["the quickbooks", "CashFlow", "--param", "colour=red"], "It takes start_date, end_date"),
        (["the quickbooks", "CashFlow", "--param", "start_date"], "must be NAME=VALUE"),
        (["the quickbooks", "--param", "a=b"], "--param belongs to a report"),
        (["nobody"], "There is no connection named"),
    ):
        code, out, said = await command(*wrong)
        assert (code, out) == (2, "") and words in said, (wrong, said)
        assert len(said.splitlines()) == 1


async def test_a_view_over_the_function_outlives_a_new_version_of_it(world: World) -> None:
    world.script.will("CashFlow", quickbooks_report(RENT))
    async with working(world):
        await world.computed("quickbooks", "CashFlow", **JANUARY)
    await world.session.execute(
        "create view quickbooks.spent as select label, total from"
        " quickbooks.cash_flow(start_date => '2026-01-01')"
    )
    made = "create function quickbooks.cash_flow(text) returns int language sql as 'select 1'"
    change = "select sqlsync.replace_function('quickbooks', 'cash_flow', 'text', %s, 'select 1')"
    assert await world.value(change, made) is False
    assert await world.value("select count(*) from quickbooks.spent") == 2
    await world.session.execute("drop view quickbooks.spent")
