"""Samples of the reference pack, where it lies beside the project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from schema.loader import load_catalog
from schema.model import Catalog

SAMPLES = Path(__file__).parents[6] / "shared" / "reference" / "quickbooks" / "samples"


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog("quickbooks")


@pytest.fixture(scope="session")
def sample() -> Callable[[str], bytes]:
    """The bytes of a sample by name. Skips, loudly, where the reference pack is not there."""

    def read(name: str) -> bytes:
        path = SAMPLES / f"{name}.json"
        if not path.is_file():
            pytest.skip(f"the reference pack is not beside the project: {path} is missing")
        return path.read_bytes()

    return read
