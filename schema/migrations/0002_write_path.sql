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
begin
    if not sqlsync.rehearsing() then
        return null;
    end if;
    if tg_op = 'INSERT' then
        insert into sqlsync.captured (pid, schema_name, table_name, operation, new_rows)
        select pg_backend_pid(), tg_table_schema, tg_table_name, 'insert', images
        from (select array_agg(to_jsonb(n) - 'raw') as images from new_rows n) s
        where images is not null;
    elsif tg_op = 'UPDATE' then
        insert into sqlsync.captured (pid, schema_name, table_name, operation, old_rows, new_rows)
        select pg_backend_pid(), tg_table_schema, tg_table_name, 'update', o.images, n.images
        from (select array_agg(to_jsonb(r) - 'raw') as images,
                     array_agg(r.raw_image) as raws
              from (select x.*, to_jsonb(x) -> 'raw' as raw_image from old_rows x) r) o,
             (select array_agg(to_jsonb(r) - 'raw' ||
                     case when to_jsonb(r) ? 'raw' then jsonb_build_object('__raw',
                         md5((to_jsonb(r) -> 'raw')::text)) else '{}' end) as images
              from new_rows r) n
        where o.images is not null;
    else
        insert into sqlsync.captured (pid, schema_name, table_name, operation, old_rows)
        select pg_backend_pid(), tg_table_schema, tg_table_name, 'delete', images
        from (select array_agg(to_jsonb(o) - 'raw') as images from old_rows o) s
        where images is not null;
    end if;
    return null;
end $$;
