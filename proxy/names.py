"""Which relations of the database lead to a mirrored table, kept up to date.

Tables come and go with connections, views with whoever makes them, so the names are read
anew every few seconds, and at once when asked. A name that is not known yet is safe: the
guard refuses the write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from proxy.statements.classify import Classifier
from proxy.statements.model import MirrorNames, Relation
from schema.model import Catalog
from sqlsync.database import EnginePool

REFRESH_SECONDS = 2.0

# Tables that carry the guard, with their columns; then views over them, however deep.
_RELATIONS = """
with recursive guarded as (
    select c.oid, n.nspname, c.relname, k.provider
    from sqlsync.connection k
    join pg_catalog.pg_namespace n on n.nspname = k.schema_name
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relkind = 'r'
    join pg_catalog.pg_trigger t on t.tgrelid = c.oid and t.tgname = '00_sqlsync_guard'
), leads_to as (
    select oid, nspname, relname, provider, oid as base from guarded
    union
    select v.oid, n.nspname, v.relname, l.provider, l.base
    from leads_to l
    join pg_catalog.pg_depend d on d.refobjid = l.oid
        and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        and d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    join pg_catalog.pg_rewrite r on r.oid = d.objid
    join pg_catalog.pg_class v on v.oid = r.ev_class and v.relkind = 'v'
    join pg_catalog.pg_namespace n on n.oid = v.relnamespace
)
select distinct on (l.oid) l.nspname, l.relname, l.provider, bn.nspname, b.relname,
    array(select a.attname::text from pg_catalog.pg_attribute a
          where a.attrelid = l.oid and a.attnum > 0 and not a.attisdropped order by a.attnum)
from leads_to l
join pg_catalog.pg_class b on b.oid = l.base
join pg_catalog.pg_namespace bn on bn.oid = b.relnamespace
order by l.oid, l.base
"""

log = logging.getLogger(__name__)


async def load_names(pool: EnginePool, catalogs: Mapping[str, Catalog]) -> MirrorNames:
    async with pool.connection() as connection:
        rows = await (await connection.execute(_RELATIONS)).fetchall()
    found = []
    for schema, name, provider, base_schema, base_name, columns in rows:
        catalog = catalogs.get(provider)
        known = catalog.by_any_table.get(base_name) if catalog else None
        if catalog is None or known is None:
            continue
        spec, child = known
        is_view = (schema, name) != (base_schema, base_name)
        keys = child.key_columns if child else ("id",)
        found.append(
            Relation(
                schema=schema,
                name=name,
                columns=tuple(columns),
                keys=keys if set(keys) <= set(columns) else (),
                base=(base_schema, base_name) if is_view else None,
                object_table=spec.table,
                object_title=spec.title,
                provider_title=catalog.title,
                is_child=child is not None,
            )
        )
    return MirrorNames.of(found)


class NamesKeeper:
    """Keeps a classifier's names current while it runs."""

    def __init__(
        self, pool: EnginePool, catalogs: Mapping[str, Catalog], classifier: Classifier
    ) -> None:
        self._pool = pool
        self._catalogs = catalogs
        self._classifier = classifier
        self._wanted = asyncio.Event()

    def refresh_soon(self) -> None:
        self._wanted.set()

    async def refresh(self) -> None:
        names = await load_names(self._pool, self._catalogs)
        if names != self._classifier.names:
            self._classifier.set_names(names)

    async def run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(REFRESH_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()
            try:
                await self.refresh()
            except Exception as error:  # the database may be away for a moment
                log.warning("mirrored names could not be read: %s", error)
