"""A random workload: many clients write by SQL while people change the books at the provider.

All objects, rolled-back transactions, refusals, lost, late and doubled webhooks, a worker that
follows and an engine that writes, all at once. When everybody has stopped and everything has
been settled, the mirror must hold what the provider holds, field by field.

SQLSYNC_WORKLOAD_WRITES: how many writes of clients (people make half as many changes).
SQLSYNC_WORKLOAD_SEED: another run; it is printed where one fails.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from engine_client import Client

from backfill.requests import request_backfill, request_poll
from schema.model import Catalog, DeleteMeans, ObjectSpec
from schema.rows import row_changes_to_fields
from sqlsync.database import EngineConnection, connect_engine, engine_pool, errors
from sqlsync.errors import ProviderError, SqlsyncError, WriteRefused
from sqlsync.writes.engine import WriteEngine
from sqlsync.writes.model import Change
from sqlsync.writes.sending import Patience
from sqlsync.writes.transitions import OPEN_SQL

CLIENTS = 3
SECONDS = 60.0
Columns = dict[str, Any]


class Scene(Protocol):
    """One provider with its mirror, and how it is written to. Reading both sides is its own."""

    url: str
    schema: str
    catalog: Catalog
    connection_id: int
    session: EngineConnection
    providers: Any

    async def given(self, spec: ObjectSpec, random: Random) -> Columns | None:
        """Columns of a new row; None where nobody makes such records."""
        ...

    def changes(self, spec: ObjectSpec, random: Random) -> Columns:
        """Columns to change in a row; none where rows of the object stay as they are."""
        ...

    async def ids(self, spec: ObjectSpec) -> Sequence[str]:
        """Keys of the records that the provider holds."""
        ...

    async def person(
        self, spec: ObjectSpec, operation: str, record_id: str | None, fields: Mapping[str, Any]
    ) -> bool:
        """A person's change in the provider's own pages; False where it was refused."""
        ...

    async def mischief(self, random: Random) -> None:
        """Spoils the next webhooks."""
        ...

    async def delivered(self) -> bool:
        """Whether no webhook is on its way any more."""
        ...

    async def assert_same(self, *, whole: bool) -> None:
        """whole: also what changes without a trace in any feed."""
        ...


def wanted(default: int = 90) -> int:
    return int(os.environ.get("SQLSYNC_WORKLOAD_WRITES", default))


def seed() -> int:
    return int(os.environ.get("SQLSYNC_WORKLOAD_SEED", "20"))


@dataclass
class Workload:
    """A run. `done` counts what happened: "insert", "refused insert", "person update", …"""

    scene: Scene
    random: Random
    done: Counter[str] = field(default_factory=Counter)

    async def run(self, writes: int) -> None:
        """Writes, waits until all is quiet, and compares."""
        scene = self.scene
        async with engine_pool(scene.url, max_size=8) as pool:
            patience = Patience(doubt=2.0, transaction=2.0, recovery=0.1, longest_recovery=1.0)
            engine = WriteEngine(pool, scene.providers, patience=patience)
            await engine.start()
            try:
                async with asyncio.TaskGroup() as group:
                    for number in range(CLIENTS):
                        own = Random(self.random.random())
                        group.create_task(self._client(engine, own, writes // CLIENTS, number))
                    group.create_task(self._person(Random(self.random.random()), writes // 2))
                await self._quiet(engine)
            finally:
                await engine.close()
        await self._same()

    # -- clients ------------------------------------------------------------------------------

    async def _client(self, engine: WriteEngine, random: Random, count: int, number: int) -> None:
        session = await connect_engine(self.scene.url)
        client = Client(engine, session, self.scene.catalog, schema=self.scene.schema)
        try:
            for _ in range(count):
                await self._transaction(client, random)
        finally:
            await session.close()

    async def _transaction(self, client: Client, random: Random) -> None:
        await client.begin()
        await client.session.execute("set local lock_timeout = '3s'")
        what = "nothing"
        try:
            for _ in range(random.choice((1, 1, 1, 2))):
                what, changes = await self._statement(client, random)
                if changes:
                    await client.execute(*changes)
                    self.done[what] += 1
            if random.random() < 0.8:
                await client.commit()
                return
            what = "rolled back"
            self.done[what] += 1
        except (ProviderError, WriteRefused) as refusal:
            self.done[f"refused {what}"] += 1
            self.done[f"because {type(refusal).__name__}"] += 1
        except (errors.LockNotAvailable, errors.DeadlockDetected, errors.UniqueViolation):
            self.done["locked"] += 1
        await client.rollback()

    async def _statement(self, client: Client, random: Random) -> tuple[str, list[Change]]:
        scene = self.scene
        spec = random.choice([s for s in scene.catalog.objects if s.enabled])
        choices = ["insert"] * 4 * spec.can("create") + ["update"] * 4 * spec.can("update")
        choices += ["delete"] * (spec.delete_means is not DeleteMeans.NONE)
        operation = random.choice(choices or ["nothing"])
        if operation == "insert":
            rows = [await scene.given(spec, random) for _ in range(random.choice((1, 1, 2)))]
            return operation, [client.insert(spec.table, **row) for row in rows if row]
        columns = scene.changes(spec, random) if operation == "update" else {}
        if operation == "nothing" or (operation == "update" and not columns):
            return operation, []
        found = await client.session.execute(
            f"select id from {scene.schema}.{spec.table} order by md5(id || %s) limit 1"
            " for update skip locked".encode(),
            [str(random.random())],
        )
        row = await found.fetchone()
        if row is None:
            return operation, []
        if operation == "delete":
            return operation, [await client.delete(spec.table, row[0])]
        return operation, [await client.update(spec.table, row[0], **columns)]

    # -- people -------------------------------------------------------------------------------

    async def _person(self, random: Random, count: int) -> None:
        scene = self.scene
        for _ in range(count):
            if random.random() < 0.2:
                await scene.mischief(random)
            spec = random.choice([s for s in scene.catalog.objects if s.enabled])
            operation = random.choice(("create", "update", "update", "update", "delete"))
            record_id: str | None = None
            columns = scene.changes(spec, random)
            if operation == "create":
                given = await scene.given(spec, random) if spec.can("create") else None
                columns = given or {}
            else:
                ids = await scene.ids(spec)
                record_id = random.choice(list(ids)) if ids else None
            empty = not columns if operation != "delete" else spec.delete_means is DeleteMeans.NONE
            if empty or (operation != "create" and record_id is None):
                continue
            fields = row_changes_to_fields(spec, columns) if operation != "delete" else {}
            accepted = await scene.person(spec, operation, record_id, fields)
            self.done[f"person {operation}" if accepted else "person refused"] += 1
            await asyncio.sleep(random.uniform(0, 0.02))

    # -- quiet --------------------------------------------------------------------------------

    async def _quiet(self, engine: WriteEngine) -> None:
        async with asyncio.timeout(SECONDS):
            await self._never(f"select count(*) from sqlsync.journal where state in {OPEN_SQL}")
            await engine._mirroring.idle()
            while not await self.scene.delivered():  # noqa: ASYNC110 - theirs has no event
                await asyncio.sleep(0.05)
            await self._never("select count(*) from sqlsync.inbox where state = 'new'")

    async def _never(self, query: str) -> None:
        """Returns once there is none."""
        while True:
            row = await (await self.scene.session.execute(query.encode())).fetchone()
            if row is not None and row[0] == 0:
                return
            await asyncio.sleep(0.05)

    async def _same(self) -> None:
        scene = self.scene
        try:
            await self._until_same(whole=False)
            await request_backfill(scene.session, scene.connection_id)
            await self._until_same(whole=True)
        except AssertionError as problem:
            raise AssertionError(f"seed {seed()}, {dict(self.done)}\n{problem}") from None

    async def _until_same(self, *, whole: bool) -> None:
        """Polls until both sides agree, a few times at most."""
        for last in (False, False, True):
            await request_poll(self.scene.session, self.scene.connection_id)
            async with asyncio.timeout(SECONDS):
                await self._never(
                    f"select count(*) from {self.scene.schema}._sync_cdc c where state <> 'paused'"
                    " and (state <> 'live' or finished_at is null or last_poll_at is null and"
                    f" object = any('{{{','.join(self._polled())}}}')"
                    " or last_poll_at < (select max(wanted_at) from sqlsync.poll))"
                )
                await self._never("select count(*) from sqlsync.refetch")
            if last:
                await self.scene.assert_same(whole=whole)
                return
            with suppress(AssertionError):
                await self.scene.assert_same(whole=whole)
                return

    def _polled(self) -> list[str]:
        return [s.table for s in self.scene.catalog.objects if s.change_feed != "none"]


__all__ = ["Columns", "Scene", "SqlsyncError", "Workload", "seed", "wanted"]
