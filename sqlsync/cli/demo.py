"""Everything on one machine, with a simulated company: `sqlsync demo`."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sqlsync.app import connecting, databases
from sqlsync.cli.background import background
from sqlsync.cli.demo_check import DemoAddresses, run_checks
from sqlsync.cli.options import child_environment, start
from sqlsync.cli.people import set_up_user, user_url
from sqlsync.cli.progress import follow_backfill
from sqlsync.cli.standing import find_connection
from sqlsync.cli.supervisor import child_command
from sqlsync.database import connect
from sqlsync.settings import Address, load_settings

NAME = "demo"
CLIENT_ID, CLIENT_SECRET, VERIFIER = "demo-client", "demo-secret", "demo-verifier"
CUSTOMERS, INVOICES = 200, 1000
# The check waits for a poll, so it polls more often than the default of once a minute.
CHECK_POLL_SECONDS = 5


def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Run the whole session through a client, and exit")
    ] = False,
    state_dir: Annotated[
        Path | None, typer.Option("--state-dir", help="Kept afterwards; default: a temporary one")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE")] = None,
) -> None:
    """Runs everything on this machine, with a simulated company to read and write."""
    with ExitStack() as stack:
        stack.enter_context(_stopped_by_signals())
        directory = state_dir or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="sqlsync-demo-"))
        )
        if state_dir is None:
            directory.chmod(0o711)  # ours; Postgres runs as another user below it when we are root
        addresses = _start(stack, directory, config, check=check)
        if check:
            run_checks(addresses)
            return
        _print_invitation(addresses)
        threading.Event().wait()


def _start(stack: ExitStack, directory: Path, config: Path | None, *, check: bool) -> DemoAddresses:
    settings = start(config).model_copy(update={"state_dir": directory})
    _say("Postgres")
    url = stack.enter_context(databases.open_database(settings, prepare_embedded=False))
    databases.prepare(url)
    _say(f"a simulated QuickBooks company, {CUSTOMERS} customers and {INVOICES} invoices")
    simulator = stack.enter_context(
        background(
            "simulate",
            child_command(
                "simulate",
                config,
                *("--quickbooks", "127.0.0.1:0"),
                *("--customers", str(CUSTOMERS), "--invoices", str(INVOICES)),
            ),
            child_environment(url),
        )
    )
    base = f"http://{simulator.ready['quickbooks']}"
    # This process is the demo's own: what it sets here is what its children see.
    os.environ.update(
        SQLSYNC_STATE_DIR=str(directory.absolute()),
        SQLSYNC_PROVIDERS__QUICKBOOKS__ENVIRONMENT="simulator",
        SQLSYNC_PROVIDERS__QUICKBOOKS__API_URL=base,
        SQLSYNC_PROVIDERS__QUICKBOOKS__CLIENT_ID=CLIENT_ID,
        SQLSYNC_PROVIDERS__QUICKBOOKS__CLIENT_SECRET=CLIENT_SECRET,
        SQLSYNC_PROVIDERS__QUICKBOOKS__WEBHOOK_VERIFIER_TOKEN=VERIFIER,
        SQLSYNC_PROXY__LISTEN=_listen(settings.proxy.listen, any_port=check),
        SQLSYNC_WEB__LISTEN=_listen(settings.web.listen, any_port=check),
        **({"SQLSYNC_SYNC__POLL_ACTIVE_SECONDS": str(CHECK_POLL_SECONDS)} if check else {}),
    )
    connecting.connect_company(
        load_settings(config),
        url,
        provider="quickbooks",
        name=NAME,
        schema_name="quickbooks",
        company_id=simulator.ready["realm"],
        refresh_token=simulator.ready["refresh_token"],
    )
    _say("proxy, worker and web")
    services = stack.enter_context(
        background("up", child_command("up", config), child_environment(url))
    )
    _say("backfill")
    with connect(url) as database:
        follow_backfill(url, find_connection(database, NAME), go_on=services.check)
        password = set_up_user(database, NAME, write=True)
        dbname = database.info.dbname
    proxy = Address.parse(services.ready["proxy"])
    return DemoAddresses(
        url=user_url(proxy, NAME, password, dbname),
        simulator=base,
        realm=simulator.ready["realm"],
        web=services.ready["web"],
        verifier=VERIFIER,
        poll_seconds=CHECK_POLL_SECONDS if check else settings.sync.poll_active_seconds,
    )


def _listen(wanted: Address, *, any_port: bool) -> str:
    """The address of the settings where it is free, else any port of this machine."""
    if not any_port:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((wanted.host, wanted.port))
                return str(wanted)
            except OSError:
                pass
    return "127.0.0.1:0"


def _print_invitation(addresses: DemoAddresses) -> None:
    print(
        f"""
Open another terminal:

    psql '{addresses.url}'

and try:

    select id, display_name, email, balance from customer order by balance desc limit 5;
    update customer set display_name = 'Acme Corporation' where id = '1' returning id, display_name;
    update customer set display_name = 'x' where id = '999999';

The company is simulated at {addresses.simulator}. Ctrl-C ends it all.""",
        flush=True,
    )


def _say(text: str) -> None:
    print(f"demo: {text}", file=sys.stderr, flush=True)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does: through the exits of all that was entered."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
