"""Samples of the reference pack where it lies beside the project, and steps to write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schema.loader import load_catalog
from schema.model import Catalog
from sqlsync.providers.base import Step, StepKind
from sqlsync.providers.xero.calls import Calls, calls_of

SAMPLES = Path(__file__).parents[6] / "shared" / "reference" / "xero" / "samples"
ID = "c3a5f08d-1b96-47e2-8d40-5f6b92e7a3c1"

Make = Callable[..., Step]


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog("xero")


@pytest.fixture(scope="session")
def calls(catalog: Catalog) -> Callable[[str], Calls]:
    return lambda table: calls_of(catalog.by_table[table])


@pytest.fixture(scope="session")
def sample() -> Callable[[str], Any]:
    """A sample by name. Skips, loudly, where the reference pack is not there."""

    def read(name: str) -> Any:
        path = SAMPLES / f"{name}.json"
        if not path.is_file():
            pytest.skip(f"the reference pack is not beside the project: {path} is missing")
        return json.loads(path.read_text())

    return read


@pytest.fixture(scope="session")
def step(catalog: Catalog) -> Make:
    """`step(StepKind.UPDATE, "invoice", {"Reference": "x"}, base={…})`."""

    def make(
        kind: StepKind,
        table: str,
        fields: dict[str, Any] | None = None,
        *,
        base: dict[str, Any] | None = None,
        record_id: str = ID,
    ) -> Step:
        spec = catalog.by_table[table]
        raw = None
        if base is not None:
            raw = json.dumps({spec.by_column["id"].path[0]: record_id, **base}).encode()
        return Step(kind, spec, fields or {}, None if kind is StepKind.CREATE else record_id, raw)

    return make
