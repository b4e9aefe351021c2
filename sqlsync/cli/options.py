"""What every command shares: the --config option, and settings with logging set up."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from sqlsync.errors import ConfigError
from sqlsync.logs import configure_logging
from sqlsync.settings import Address, Settings, load_settings

ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file; default ./sqlsync.toml."),
]
SupervisedOption: TypeAlias = Annotated[bool, typer.Option("--supervised", hidden=True)]


def start(config: Path | None, *, supervised: bool = False) -> Settings:
    """Settings of this run, with logging as they say. Raises ConfigError.

    supervised: a parent holds our stdin; its end, even by kill -9, is ours.
    """
    settings = load_settings(config)
    configure_logging(settings.log.level, settings.log.format)
    if supervised:
        threading.Thread(target=_stop_with_parent, daemon=True, name="parent").start()
    return settings


def _stop_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def child_environment(url: str, **more: str) -> dict[str, str]:
    """Of child processes: they use the server that we hold open, and start none."""
    return {**os.environ, "SQLSYNC_DATABASE_URL": url, **more}


def address(option: str, text: str) -> Address:
    """The address an option gives. Raises ConfigError naming the option."""
    try:
        return Address.parse(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}.") from None
