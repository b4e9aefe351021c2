"""Every operation of the official data file has an address here that takes its method."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from sqlsync.simulators.xero.calls import Call
from sqlsync.simulators.xero.endpoints import BROAD_SCOPES, GRANULAR_SCOPES
from sqlsync.simulators.xero.problems import Refused
from sqlsync.simulators.xero.requests import is_allowed

FILE = Path(__file__).parents[6] / "shared/reference/xero/xero_accounting.yaml"
METHODS = ("get", "put", "post", "delete")


@cache
def operations() -> list[tuple[str, str]]:
    if not FILE.is_file():
        return []
    paths = yaml.load(FILE.read_text("utf-8"), Loader=yaml.CSafeLoader)["paths"]
    return [(m.upper(), path) for path, ops in paths.items() for m in ops if m in METHODS]


def test_the_official_file_is_there() -> None:
    if not operations():
        pytest.skip("the reference's data file is not on this machine")
    assert len(operations()) > 200


@pytest.fixture(scope="module")
def busy(module_world: Any) -> Any:
    return module_world(customers=5, invoices=60)


def filled(world: Any, path: str) -> tuple[str, ...]:
    """The address with an id of a record that is there, where there is one."""
    parts: list[str] = []
    for part in path.strip("/").split("/"):
        if part.startswith("{"):
            table = world.books.tables.get(parts[0])
            first = len(parts) == 1
            has = table is not None and first and table.rows
            parts.append(next(iter(table.rows)) if has else "1" if first else "x")
        else:
            parts.append(part)
    return tuple(parts)


@pytest.mark.parametrize(("method", "path"), operations(), ids=lambda value: str(value))
def test_the_operation_is_served(busy: Any, method: str, path: str) -> None:
    parts = filled(busy, path)
    params = {"contactid": next(iter(busy.books.table("Contacts").rows))}
    body = b"" if method in ("GET", "DELETE") else b"{}"
    call = Call(method, parts, params, body, client_id="tester")
    try:
        status = busy.organisation.handle(call).status
    except Refused as refused:
        status = refused.status
        if status == 404:
            # An id that is not there: a payment service, a linked transaction, a file.
            assert re.search(r"\{", path), path
    assert status not in (405, 501), (method, path)
    scopes = frozenset(GRANULAR_SCOPES | BROAD_SCOPES)
    assert is_allowed(call, scopes)
    assert not is_allowed(call, frozenset(("openid", "offline_access"))) or parts[0] == "Setup"
