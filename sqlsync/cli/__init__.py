"""The command line: `sqlsync COMMAND`.

Answers go to stdout, everything else to stderr. Bad input, in arguments or settings, is one
clear line and exit code 2; what fails later is one line and exit code 1.
"""

from __future__ import annotations

import sys

import typer

# typer ships click inside and names these nowhere else.
from typer._click.exceptions import ClickException, NoArgsIsHelpError, UsageError

from sqlsync.cli.books import backfill, migrate, status
from sqlsync.cli.choosing import objects, union
from sqlsync.cli.connecting import connect, disconnect, pause, resume
from sqlsync.cli.demo import demo
from sqlsync.cli.doctor import doctor
from sqlsync.cli.files import download, files, upload
from sqlsync.cli.people import add_user, psql
from sqlsync.cli.reports import report
from sqlsync.cli.running import ExplainedSimulator, proxy, simulate, up, web, worker
from sqlsync.cli.verifying import verify
from sqlsync.errors import ConfigError, SqlsyncError

_ENDS = (".", "!", "?", ":")

app = typer.Typer(
    name="sqlsync",
    help="The books of QuickBooks Online and Xero companies as Postgres tables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(migrate)
app.command()(connect)
app.command()(disconnect)
app.command()(pause)
app.command()(resume)
app.command()(up)
app.command()(proxy)
app.command()(worker)
app.command()(web)
app.command()(status)
app.command()(backfill)
app.command()(verify)
app.command()(report)
app.command()(objects)
app.command()(union)
app.command()(files)
app.command()(upload)
app.command()(download)
user = typer.Typer(help="People and programs that use the tables.", no_args_is_help=True)
user.command("add")(add_user)
app.add_typer(user, name="user")
app.command(cls=ExplainedSimulator)(simulate)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(psql)
app.command()(demo)
app.command()(doctor)


def main() -> None:
    """Entry point of `sqlsync` and `python -m sqlsync.cli`."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command and returns its exit code: 0, 1 it failed, 2 bad input, 130 interrupted."""
    try:
        code = app(arguments, prog_name="sqlsync", standalone_mode=False)
    except ConfigError as error:
        return _complain(error, 2)
    except SqlsyncError as error:
        return _complain(error, 1)
    except NoArgsIsHelpError as error:
        print(error.ctx.get_help() if error.ctx else "", file=sys.stderr)
        return 2
    except UsageError as error:
        help_line = f" Try: {error.ctx.command_path} --help" if error.ctx else ""
        return _say(f"{error.format_message()}{help_line}", 2)
    except ClickException as error:
        return _say(error.format_message(), 2)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads any more: end without a complaint
        return 1
    return code if isinstance(code, int) else 0


def _complain(error: SqlsyncError, code: int) -> int:
    # What a server or the system said may end without a full stop.
    said = error.message if error.message.rstrip().endswith(_ENDS) else f"{error.message}."
    return _say(f"{said} {error.hint}" if error.hint else error.message, code)


def _say(text: str, code: int) -> int:
    print(f"sqlsync: {' '.join(text.split())}", file=sys.stderr)
    return code
