"""One running product for all acceptance tests of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from acceptance.every_table import House, running_house
from acceptance.product import Stack, running_stack

from sqlsync.embedded import EmbeddedPostgres


@pytest.fixture(scope="session")
def stack(
    postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    with running_stack(postgres_server, tmp_path_factory.mktemp("stack"), "acceptance") as found:
        yield found


@pytest.fixture(scope="session")
def house(
    postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """The same over a company of each provider."""
    with running_house(postgres_server, tmp_path_factory.mktemp("house"), "house") as found:
        yield found
