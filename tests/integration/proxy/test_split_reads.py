"""Wherever the network cuts the two streams, the client sees the same.

The relay is handed its bytes in pieces: one at a time, and in random sizes. Scripts go to and
fro between relaying unread and looking at each message, so no byte may be lost or doubled when
the one begins and the other ends.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from integration.proxy.test_same_extended import BY_ID, RETURNING, SCRIPTS
from integration.proxy.test_same_strings import BLOCKS
from integration.proxy.twins import B, E, H, P, Q, S, Twins, run, twin_databases

from proxy.relay import ClientSide

BIG = "x" * 70_000
PIPELINES: dict[str, tuple[list[bytes], int | None]] = {
    "reads and writes by turns": (
        [
            run("select 1") + S + run(BY_ID, "7", "1") + S + Q("select 2")
            + P(RETURNING, "w") + S + B("8", "2", name="w") + E() + S + Q("deallocate w")
            + run("select 3") + S + Q("begin") + run(BY_ID, "9", "3") + S + Q("rollback")
            + Q("select 4") + run("select 5") + H + S + Q("update vendor set phone = '6'") + Q("")
        ],
        4,
    ),
    "long rows, then a write": (
        [Q("select repeat('é', 40000), g from generate_series(1, 3) g") + run(BY_ID, BIG, "1") + S
         + Q("select phone from vendor order by id") + run("select $1", BIG) + S],
        1,
    ),
    "many small rows": ([Q("select * from generate_series(1, 3000)") + run(BY_ID, "1", "1") + S
                         + Q("select * from generate_series(1, 3000)")], 1),
}  # fmt: skip
FEW = {
    **PIPELINES,
    **{name: SCRIPTS[name] for name in (
        "returning", "row limits", "portal lives in a block", "sent ahead behind an error",
        "block in one segment", "error after a write", "deallocate all in a segment",
        "rollback behind a write", "notices", "own names stay free in a failed block",
    )},
    **{name: BLOCKS[name] for name in ("copy before and after", "extended copy in", "savepoints")},
}  # fmt: skip


class _Shredded(ClientSide):
    """Gets its bytes in pieces of at most `most`, at least one."""

    __slots__ = ()
    most = 1
    chance = random.Random(20_26)

    def data_received(self, data: bytes) -> None:
        for piece in self._pieces(data):
            super().data_received(piece)

    def from_upstream(self, data: bytes) -> None:
        for piece in self._pieces(data):
            super().from_upstream(piece)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            size = self.chance.randint(1, self.most)
            yield data[at : at + size]
            at += size


@pytest.fixture(scope="module")
def shredded(postgres_server: Any, migrated_template: str) -> Iterator[Twins]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("proxy.service.ClientSide", _Shredded)
        with twin_databases(postgres_server, migrated_template) as pair:
            yield pair


@pytest.mark.parametrize("most", [1, 7, 400])
@pytest.mark.parametrize("name", FEW)
def test_a_stream_in_pieces_is_the_same_stream(
    shredded: Twins, name: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Shredded, "most", most)
    flights, calls = FEW[name]
    shredded.compare(*flights, calls=calls)
