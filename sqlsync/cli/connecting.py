"""The commands about the grant of a company: connect, disconnect, pause, resume."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from sqlsync.app import connecting, databases, hands
from sqlsync.app.addresses import public_url
from sqlsync.cli.background import background
from sqlsync.cli.options import ConfigOption, child_environment, start
from sqlsync.cli.standing import count_open_writes, find_connection
from sqlsync.cli.supervisor import child_command
from sqlsync.database import connect as connect_database
from sqlsync.errors import ConfigError, ProviderError
from sqlsync.settings import Address, Settings

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the connection")]


def connect(
    provider: Annotated[str, typer.Argument(metavar="quickbooks|xero")],
    name: Annotated[
        str, typer.Option(help="What you call the connection; a known name is connected again")
    ],
    schema: Annotated[
        str | None, typer.Option(help="Postgres schema of its tables; default: the provider")
    ] = None,
    company: Annotated[
        str | None, typer.Option(help="Company it must be: realm or tenant id")
    ] = None,
    refresh_token: Annotated[
        str | None,
        typer.Option(help="Refresh token of --company; without it a consent page is opened"),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Connects a company, or connects it again. Without a token: prints the page to open, and
    waits for consent."""
    settings = start(config)
    hands.check_provider(provider)
    if company is None and refresh_token is not None:
        raise ConfigError("--refresh-token needs --company.")
    hands.require_app(settings, provider)
    with databases.open_database(settings, prepare_embedded=True) as url:
        if company is not None and refresh_token is not None:
            missing = connecting.connect_company(
                settings,
                url,
                provider=provider,
                name=name,
                schema_name=schema,
                company_id=company,
                refresh_token=refresh_token,
            ).missing_scopes
        else:
            with _web_side(settings, config, url) as web, _waiting() as show:
                missing = connecting.connect_by_consent(
                    settings,
                    url,
                    provider=provider,
                    name=name,
                    schema_name=schema,
                    company_id=company,
                    public_url=public_url(settings, web),
                    show=show,
                )
        with connect_database(url) as database:
            row = find_connection(database, name)
    print(f"connected {row.name}: company {row.company_id}, schema {row.schema_name}")
    if missing:
        print(
            f"not granted: {', '.join(missing)}; the tables that need it say so in _sync_cdc",
            file=sys.stderr,
        )


@contextmanager
def _waiting() -> Iterator[Callable[[str], None]]:
    """Shows the page to open, and then that somebody waits."""
    console = Console(file=sys.stderr)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    minutes = connecting.CONSENT_SECONDS // 60
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as p:

        def show(address: str) -> None:
            print(f"Open this page and approve:\n{address}", flush=True)
            words = f"waiting for the consent, up to {minutes} minutes; Ctrl-C gives up"
            p.add_task(words, total=None)
            if not console.is_terminal:
                print(words, file=sys.stderr, flush=True)

        yield show


@contextmanager
def _web_side(settings: Settings, config: Path | None, url: str) -> Iterator[Address | None]:
    """The consent comes back to the web side: the one that runs, else one of our own.

    Gives where our own listens; None: as the settings say.
    """
    listen = settings.web.listen
    if listen.port:
        try:
            socket.create_connection((_reachable(listen.host), listen.port), timeout=2).close()
            yield None
            return
        except OSError:
            pass  # nobody is there
    with background("web", child_command("web", config), child_environment(url)) as child:
        yield Address.parse(child.ready["web"])


def _reachable(host: str) -> str:
    """Addresses that one can listen on and not connect to."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def disconnect(
    name: NameArgument,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Forget the tokens even where the provider is not told"),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Ends sqlsync's access to a company. Its tables stay, readable and as they are."""
    settings = start(config)
    with databases.open_database(settings, prepare_embedded=True) as url:
        with connect_database(url) as database:
            row = find_connection(database, name)
            waiting = count_open_writes(database, row)
        try:
            connecting.disconnect_company(
                settings, url, provider=row.provider, name=name, tell_provider=not forget
            )
        except ProviderError as error:
            error.hint = "Nothing was changed. Try again, or add --forget and end it there."
            raise
    print(f"disconnected {name}: its tables stay in schema {row.schema_name}, writes are refused")
    if waiting:
        print(f"{waiting} writes are not settled; they wait for a new consent", file=sys.stderr)
    print(f"to connect it again: sqlsync connect {row.provider} --name {name}", file=sys.stderr)


def pause(name: NameArgument, config: ConfigOption = None) -> None:
    """Stops the sync of a company until `resume`. Its tables stay, writes go on."""
    settings = start(config)
    with databases.open_database(settings, prepare_embedded=True) as url:
        connecting.pause(url, name)
    print(f"paused {name}")


def resume(name: NameArgument, config: ConfigOption = None) -> None:
    """Lets the sync of a paused company go on; what was missed is caught up."""
    settings = start(config)
    with databases.open_database(settings, prepare_embedded=True) as url:
        connecting.resume(url, name)
    print(f"resumed {name}")
