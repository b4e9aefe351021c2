from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from sqlsync.logs import configure_logging, drop_secrets


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_secrets_are_dropped_however_deep_they_stand() -> None:
    event = {
        "event": "call",
        "Authorization": "Bearer x",
        "headers": {"authorization": "Bearer x", "accept": "json"},
        "tokens": [{"access_token": "a", "refresh-token": "b", "realm": "1"}],
    }
    assert drop_secrets(None, "info", event) == {
        "event": "call",
        "headers": {"accept": "json"},
        "tokens": [{"realm": "1"}],
    }


def test_an_event_is_one_line_of_json() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    structlog.get_logger("proxy").info("client came", address="127.0.0.1", password="x")
    line = json.loads(stream.getvalue())
    assert line["event"] == "client came"
    assert line["logger"] == "proxy"
    assert line["level"] == "info"
    assert "password" not in line


def test_loggers_of_libraries_come_out_in_the_same_form() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    logging.getLogger("library").warning("took %d s", 3, extra={"client_secret": "x"})
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"]) == ("took 3 s", "warning")
    assert "client_secret" not in line


def test_an_exception_stays_on_the_line() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError" in json.loads(line)["exception"]
