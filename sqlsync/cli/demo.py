"""Everything on one machine, with two simulated companies: `sqlsync demo`."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from sqlsync.app import connecting, databases
from sqlsync.cli.background import Background, background
from sqlsync.cli.demo_check import DemoAddresses, run_checks
from sqlsync.cli.options import child_environment, start
from sqlsync.cli.people import set_up_user, user_url
from sqlsync.cli.progress import follow_backfill
from sqlsync.cli.standing import find_connection
from sqlsync.cli.supervisor import child_command
from sqlsync.database import connect
from sqlsync.embedded import sweep_abandoned
from sqlsync.errors import SqlsyncError
from sqlsync.settings import Address, Settings, load_settings

USER = "demo"
PREFIX = "sqlsync-demo-"
PROVIDERS = ("quickbooks", "xero")  # names of the connections and of their schemas, too
CLIENT_ID, CLIENT_SECRET, SIGNED_WITH = "demo-client", "demo-secret", "demo-webhook-secret"
# Customers and invoices: enough to look around in, few enough to be there soon.
SIZES = {"quickbooks": (200, 1000), "xero": (60, 200)}
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
    """Runs everything on this machine, with simulated companies to read and write."""
    with ExitStack() as stack:
        stack.enter_context(_stopped_by_signals())
        if state_dir is None:
            sweep_abandoned(f"{PREFIX}*/postgres")  # of demos that were killed
            made = stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX))
            directory = Path(made)
            directory.chmod(0o711)  # ours; Postgres runs as another user below it when we are root
        else:
            directory = state_dir
        try:
            addresses = _start(stack, directory, config, check=check)
            if check:
                run_checks(addresses)
                return
            _print_invitation(addresses)
            threading.Event().wait()
        except KeyboardInterrupt:
            _say("ending")
            raise


def _start(stack: ExitStack, directory: Path, config: Path | None, *, check: bool) -> DemoAddresses:
    settings = start(config).model_copy(update={"state_dir": directory})
    _say("Postgres")
    url = stack.enter_context(databases.open_database(settings, prepare_embedded=False))
    databases.prepare(url)
    simulated = {provider: _simulated(stack, config, url, provider) for provider in PROVIDERS}
    # This process is the demo's own: what it sets here is what its children see.
    os.environ.update(
        SQLSYNC_STATE_DIR=str(directory.absolute()),
        SQLSYNC_PROVIDERS__QUICKBOOKS__WEBHOOK_VERIFIER_TOKEN=SIGNED_WITH,
        SQLSYNC_PROVIDERS__XERO__WEBHOOK_KEY=SIGNED_WITH,
        **_listening(settings, any_port=check),
        **({"SQLSYNC_SYNC__POLL_ACTIVE_SECONDS": str(CHECK_POLL_SECONDS)} if check else {}),
    )
    for provider, company in simulated.items():
        section = f"SQLSYNC_PROVIDERS__{provider.upper()}__"
        os.environ[section + "ENVIRONMENT"] = "simulator"
        os.environ[section + "API_URL"] = company.address
        os.environ[section + "CLIENT_ID"] = CLIENT_ID
        os.environ[section + "CLIENT_SECRET"] = CLIENT_SECRET
    for provider, company in simulated.items():
        connecting.connect_company(
            load_settings(config),
            url,
            provider=provider,
            name=provider,
            schema_name=provider,
            company_id=company.id,
            refresh_token=company.refresh_token,
        )
    _say("proxy, worker and web")
    if "level" not in settings.log.model_fields_set:
        os.environ["SQLSYNC_LOG__LEVEL"] = "warning"  # the bars say how far it is
    services = _services(stack, config, url, settings, any_port=check)
    with connect(url) as database:
        for provider in PROVIDERS:
            _say(f"backfill of {provider}")
            follow_backfill(url, find_connection(database, provider), go_on=services.check)
        password = set_up_user(database, USER, write=True)
        dbname = database.info.dbname
    proxy = Address.parse(services.ready["proxy"])
    return DemoAddresses(
        url=user_url(proxy, USER, password, dbname),
        quickbooks=simulated["quickbooks"].address,
        realm=simulated["quickbooks"].id,
        xero=simulated["xero"].address,
        tenant=simulated["xero"].id,
        web=services.ready["web"],
        secret=SIGNED_WITH,
        poll_seconds=CHECK_POLL_SECONDS if check else settings.sync.poll_active_seconds,
    )


@dataclass(frozen=True, slots=True)
class _Simulated:
    """A simulated company: where it is, and what lets us in."""

    address: str
    id: str
    refresh_token: str


def _simulated(stack: ExitStack, config: Path | None, url: str, provider: str) -> _Simulated:
    customers, invoices = SIZES[provider]
    _say(f"a simulated {provider} company, {customers} customers and {invoices} invoices")
    sizes = ("--customers", str(customers), "--invoices", str(invoices))
    command = child_command("simulate", config, f"--{provider}", "127.0.0.1:0", *sizes)
    ready = stack.enter_context(background("simulate", command, child_environment(url))).ready
    if provider == "xero":
        company_id, refresh_token = ready["tenant"], ready["xero_refresh_token"]
    else:
        company_id, refresh_token = ready["realm"], ready["refresh_token"]
    return _Simulated(f"http://{ready[provider]}", company_id, refresh_token)


def _services(
    stack: ExitStack, config: Path | None, url: str, settings: Settings, *, any_port: bool
) -> Background:
    """Proxy, web and worker. Another demo may have taken the addresses since we looked."""
    command = child_command("up", config)
    try:
        return stack.enter_context(background("up", command, child_environment(url)))
    except SqlsyncError:
        listening = _listening(settings, any_port=any_port)
        if listening.items() <= os.environ.items():
            raise
        os.environ.update(listening)
        _say("an address was taken meanwhile; another is used")
        return stack.enter_context(background("up", command, child_environment(url)))


def _listening(settings: Settings, *, any_port: bool) -> dict[str, str]:
    """Where proxy and web are to listen."""
    return {
        "SQLSYNC_PROXY__LISTEN": _listen(settings.proxy.listen, any_port=any_port),
        "SQLSYNC_WEB__LISTEN": _listen(settings.web.listen, any_port=any_port),
    }


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

    select invoice_number, contact_name, total, amount_due from xero.invoice
        where type = 'ACCREC' and amount_due > 0 order by amount_due desc limit 5;
    update xero.contact set first_name = 'Ada' where id = (select id from contact order by name
        limit 1) returning name, first_name;
    insert into xero.contact (name) select name from xero.contact limit 1;

QuickBooks is simulated at {addresses.quickbooks}, Xero at {addresses.xero}. Ctrl-C ends it all.""",
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
