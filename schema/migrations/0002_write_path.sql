-- How a client's write is rehearsed, locked and applied on the client's own session.
--
-- A mirrored table takes changes from two sides only: the engine's role, and a rehearsal, which
-- can never be committed. Every function that clients can reach checks a ticket that only the
-- proxy can make, over everything it is given.

set local role sqlsync_engine;

-- What tickets are made with; the engine alone reads it.
create table sqlsync.secret (
    only_row boolean primary key default true check (only_row),
    key bytea not null
);
insert into sqlsync.secret (key)
values (sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'))
     || sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));

-- A rehearsal is open while its row exists; the savepoint's rollback removes it. Every row of
-- these two tables dies, so they are vacuumed eagerly and need no WAL.
create unlogged table sqlsync.rehearsal (
    pid int primary key,
    xid xid8 not null
) with (autovacuum_vacuum_threshold = 20, autovacuum_vacuum_scale_factor = 0);

create unlogged table sqlsync.captured (
    pid int not null,
    seq bigint generated always as identity,
    schema_name text not null,
    table_name text not null,
    operation text not null,
    old_rows jsonb[],
    new_rows jsonb[]
) with (autovacuum_vacuum_threshold = 20, autovacuum_vacuum_scale_factor = 0);
create index on sqlsync.captured (pid);

-- The belt: should the transaction be committed with a rehearsal open, it fails.
create function sqlsync.never_commits() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'a rehearsal is never committed' using errcode = 'XX000';
end $$;
create constraint trigger never_commits after insert on sqlsync.rehearsal
    deferrable initially deferred for each row execute function sqlsync.never_commits();
alter table sqlsync.rehearsal enable always trigger never_commits;

-- mac = H(secret, H(secret, purpose:pid:payload)): bound to one backend and one purpose.
create function sqlsync.check_ticket(purpose text, payload bytea, mac bytea) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare key bytea;
begin
    select s.key into strict key from sqlsync.secret s;
    if mac is distinct from sha256(key || sha256(key
            || convert_to(purpose || ':' || pg_backend_pid() || ':', 'UTF8') || payload)) then
        raise exception 'sqlsync: this function is called by the sqlsync proxy alone'
            using errcode = '42501';
    end if;
end $$;

create function sqlsync.open_rehearsal(nonce bytea, mac bytea) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform sqlsync.check_ticket('rehearse', nonce, mac);
    -- The client may have said SET CONSTRAINTS ALL IMMEDIATE.
    set constraints sqlsync.never_commits deferred;
    insert into sqlsync.rehearsal (pid, xid) values (pg_backend_pid(), pg_current_xact_id());
end $$;

create function sqlsync.rehearsing() returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    return exists (select from sqlsync.rehearsal r
        where r.pid = pg_backend_pid() and r.xid = pg_current_xact_id_if_assigned());
end $$;

-- Not SECURITY DEFINER: inside one, current_user would always be the owner.
create function sqlsync.guard() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    if current_user = 'sqlsync_engine' or sqlsync.rehearsing() then
        return null;
    end if;
    raise exception '"%" is a mirrored table: it changes only through the sqlsync proxy',
        tg_table_name
        using errcode = '55000',
              hint = 'Connect to the sqlsync proxy and run a plain INSERT, UPDATE or DELETE there; '
                  || 'writes inside functions, DO blocks and EXPLAIN ANALYZE are not supported.',
              schema = tg_table_schema, table = tg_table_name;
end $$;

-- AFTER STATEMENT, one firing a row of sqlsync.captured; old and new come in the same order.
create function sqlsync.capture() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    before_images jsonb[];
    after_images jsonb[];
    before_raw jsonb[];
    after_raw jsonb[];
begin
    if not sqlsync.rehearsing() then
        return null;
    end if;
    if tg_op <> 'INSERT' then
        select array_agg(to_jsonb(r) - 'raw'), array_agg(to_jsonb(r) -> 'raw')
        into before_images, before_raw from old_rows r;
    end if;
    if tg_op <> 'DELETE' then
        select array_agg(to_jsonb(r) - 'raw'), array_agg(to_jsonb(r) -> 'raw')
        into after_images, after_raw from new_rows r;
    end if;
    if coalesce(before_images, after_images) is null then
        return null;
    end if;
    if (tg_op = 'UPDATE' and before_raw is distinct from after_raw)
            or (tg_op = 'INSERT' and exists (
                select from unnest(after_raw) x where jsonb_typeof(x) <> 'null')) then
        raise exception 'column "raw" of "%" is read-only', tg_table_name
            using errcode = '428C9', schema = tg_table_schema, table = tg_table_name,
                  column = 'raw', hint = 'Write the typed columns; raw follows from them.';
    end if;
    insert into sqlsync.captured
        (pid, schema_name, table_name, operation, old_rows, new_rows)
    values (pg_backend_pid(), tg_table_schema, tg_table_name, lower(tg_op),
            before_images, after_images);
    return null;
end $$;

-- What the open rehearsal did, as JSON in UTF-8 whatever the session's encoding.
create function sqlsync.rehearsed() returns bytea
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    return convert_to(coalesce((
        select jsonb_agg(jsonb_build_object('schema', c.schema_name, 'table', c.table_name,
            'operation', c.operation, 'old', to_jsonb(c.old_rows), 'new', to_jsonb(c.new_rows))
            order by c.seq)
        from sqlsync.captured c where c.pid = pg_backend_pid())::text, '[]'), 'UTF8');
end $$;

-- Locks rows by key, in key order, table after table as the payload names them, and returns
-- them as they are now. payload: {"schema": s, "locks": [{"table", "column", "ids"}]}, where
-- column is "id", or the parent's column of a child table. Returns, in the same order,
-- [{"image": {...}, "raw": {...}}] for each lock.
create function sqlsync.lock_rows(payload bytea, mac bytea) returns bytea
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    request jsonb;
    wanted jsonb;
    rows_found jsonb;
    found jsonb := '[]';
begin
    perform sqlsync.check_ticket('lock', payload, mac);
    request := convert_from(payload, 'UTF8')::jsonb;
    for wanted in select * from jsonb_array_elements(request -> 'locks') loop
        execute format(
            'with locked as materialized (select t.* from %1$I.%2$I t where t.%3$I = any($1) '
            'order by t.%3$I for update) '
            'select coalesce(jsonb_agg(jsonb_build_object(''image'', to_jsonb(l) - ''raw'', '
            '''raw'', to_jsonb(l) -> ''raw'')), ''[]'') from locked l',
            request ->> 'schema', wanted ->> 'table', wanted ->> 'column')
        into rows_found
        using (select array_agg(value) from jsonb_array_elements_text(wanted -> 'ids'));
        found := found || jsonb_build_array(rows_found);
    end loop;
    return convert_to(found::text, 'UTF8');
end $$;

-- Brings rows to what the provider answered. Older versions than the mirror holds are ignored.
-- payload: {"schema", "noticed_by", "entries": [uuid],
--   "upserts": [{"table", "version": column|null, "rows": [{column: value}],
--                "children": [{"table", "parent_column", "rows": [...]}]}],
--   "deletes": [{"table", "ids": [...], "children": [{"table", "parent_column"}]}]}
create function sqlsync.apply_rows(payload jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    s text := payload ->> 'schema';
    noticed_by text := coalesce(payload ->> 'noticed_by', 'write');
    part jsonb;
    child jsonb;
    columns_sql text;
    set_sql text;
    newer_sql text;
    applied text[];
begin
    insert into sqlsync.marker (entry_id)
    select value::uuid from jsonb_array_elements_text(coalesce(payload -> 'entries', '[]'));

    for part in select * from jsonb_array_elements(coalesce(payload -> 'deletes', '[]')) loop
        for child in select * from jsonb_array_elements(coalesce(part -> 'children', '[]')) loop
            execute format('delete from %I.%I where %I = any($1)',
                s, child ->> 'table', child ->> 'parent_column')
            using (select array_agg(value) from jsonb_array_elements_text(part -> 'ids'));
        end loop;
        -- Already gone is no error: a cascade or the worker may have been first.
        execute format(
            'with gone as (delete from %1$I.%2$I where id = any($1) returning id, raw) '
            'insert into %1$I._sync_change (table_name, record_id, operation, noticed_by, image) '
            'select %2$L, id, ''delete'', $2, raw from gone', s, part ->> 'table')
        using (select array_agg(value) from jsonb_array_elements_text(part -> 'ids')), noticed_by;
    end loop;

    for part in select * from jsonb_array_elements(coalesce(payload -> 'upserts', '[]')) loop
        select string_agg(quote_ident(a.attname), ', ' order by a.attnum),
               string_agg(format('%1$I = excluded.%1$I', a.attname), ', ' order by a.attnum)
                   filter (where a.attname <> 'id')
        into columns_sql, set_sql
        from pg_attribute a
        where a.attrelid = format('%I.%I', s, part ->> 'table')::regclass
          and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
          and (part -> 'rows' -> 0) ? a.attname::text;
        newer_sql := case
            when part ->> 'version' is null then 'true'
            when part ->> 'version' = 'sync_token' then
                'case when t.sync_token ~ ''^[0-9]+$'' and excluded.sync_token ~ ''^[0-9]+$'' '
                'then t.sync_token::numeric <= excluded.sync_token::numeric else true end'
            else format('coalesce(t.%1$I <= excluded.%1$I, true)', part ->> 'version') end;
        execute format(
            'with put as (insert into %1$I.%2$I as t (%3$s) '
            'select %3$s from jsonb_populate_recordset(null::%1$I.%2$I, $1) r order by r.id '
            'on conflict (id) do update set %4$s where %5$s '
            'returning t.id, (t.xmax = 0) as inserted), '
            'logged as (insert into %1$I._sync_change '
            '(table_name, record_id, operation, noticed_by) '
            'select %2$L, id, case when inserted then ''insert'' else ''update'' end, $2 from put) '
            'select coalesce(array_agg(id), ''{}'') from put',
            s, part ->> 'table', columns_sql, set_sql, newer_sql)
        into applied using part -> 'rows', noticed_by;
        for child in select * from jsonb_array_elements(coalesce(part -> 'children', '[]')) loop
            execute format('delete from %I.%I where %I = any($1)',
                s, child ->> 'table', child ->> 'parent_column')
            using applied;
            select string_agg(quote_ident(a.attname), ', ' order by a.attnum) into columns_sql
            from pg_attribute a
            where a.attrelid = format('%I.%I', s, child ->> 'table')::regclass
              and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
              and (child -> 'rows' -> 0) ? a.attname::text;
            if columns_sql is not null then
                execute format('insert into %1$I.%2$I (%3$s) select %3$s '
                    'from jsonb_populate_recordset(null::%1$I.%2$I, $1) r where r.%4$I = any($2)',
                    s, child ->> 'table', columns_sql, child ->> 'parent_column')
                using child -> 'rows', applied;
            end if;
        end loop;
    end loop;
end $$;

-- The same on a client's session, by ticket.
create function sqlsync.apply(payload bytea, mac bytea) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform sqlsync.check_ticket('apply', payload, mac);
    perform sqlsync.apply_rows(convert_from(payload, 'UTF8')::jsonb);
end $$;

-- Which of the entries this session's transaction still carries: ROLLBACK TO takes them away.
create function sqlsync.live_entries(entries uuid[]) returns uuid[]
language sql security definer set search_path = pg_catalog, pg_temp as $$
    select coalesce(array_agg(m.entry_id), '{}') from sqlsync.marker m
    where m.entry_id = any(entries) and m.xid = pg_current_xact_id_if_assigned()
$$;

-- Raised on the client's session when a write is refused, so that the transaction's state is
-- upstream's own. The client is sent the proxy's words instead.
create function sqlsync.refuse() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'sqlsync: the write was refused' using errcode = 'P0001';
end $$;

revoke execute on all functions in schema sqlsync from public;
grant usage on schema sqlsync to public;
grant execute on function sqlsync.open_rehearsal(bytea, bytea), sqlsync.rehearsing(),
    sqlsync.guard(), sqlsync.capture(), sqlsync.rehearsed(), sqlsync.lock_rows(bytea, bytea),
    sqlsync.apply(bytea, bytea), sqlsync.live_entries(uuid[]), sqlsync.refuse() to public;

reset role;
