-- What is synced is chosen per connection, at any time: objects, child tables and columns.
--
-- Off by choice is a row of sqlsync.off; all else is on. A table that is off stays as it is and
-- takes no writes; a column that is off is not there. What is switched on is filled from `raw`
-- by whoever sees sqlsync.fill first (the worker, or the command that asked), without a call to
-- the provider.

-- Other databases of the cluster may be making the same role: a collision is tried again.
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'sqlsync_admin') then
        create role sqlsync_admin nologin;
    end if;
exception when duplicate_object then null;
end
$$;
grant sqlsync_reader to sqlsync_admin;
grant usage on schema sqlsync to sqlsync_admin;

set local role sqlsync_engine;

create table sqlsync.off (
    connection_id bigint not null references sqlsync.connection on delete cascade,
    table_name text not null,
    column_name text not null default '',  -- '': the table itself
    since timestamptz not null default clock_timestamp(),
    primary key (connection_id, table_name, column_name)
);

-- Child tables of an object, so that its switch is theirs too.
alter table sqlsync.applied_object add column children text[] not null default '{}';

-- What is to be filled from `raw`, in key order. columns null: the child table as a whole.
create table sqlsync.fill (
    id bigint generated always as identity primary key,
    connection_id bigint not null references sqlsync.connection on delete cascade,
    object_name text not null,
    table_name text not null,
    columns text[],
    after_id text,                           -- all rows up to here are done
    left_ids text[] not null default '{}',   -- but these, which a client's write held
    rows_done bigint not null default 0,
    rows_total bigint not null default 0,
    started_at timestamptz not null default clock_timestamp()
);
create index on sqlsync.fill (connection_id);

-- Union views over the companies of a provider, made on request.
create table sqlsync.union_schema (
    provider text not null,
    schema_name text not null,
    primary key (provider, schema_name)
);

-- -- what is off ---------------------------------------------------------------------------------

-- Whose table is off: the connection's name; null where it is on, or no table of ours.
create function sqlsync.off_in(schema_name text, table_name text) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select c.name from sqlsync.connection c join sqlsync.off f on f.connection_id = c.id
    where c.schema_name = $1 and f.column_name = '' and (f.table_name = $2
        or exists (select from sqlsync.applied_object a where a.connection_id = c.id
                   and a.table_name = f.table_name and $2 = any(a.children)))
    limit 1
$$;

-- Not SECURITY DEFINER: inside one, current_user would always be the owner.
create or replace function sqlsync.guard() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
    off_in text;
begin
    if current_user = 'sqlsync_engine' then
        return null;
    end if;
    off_in := sqlsync.off_in(tg_table_schema, tg_table_name);
    if off_in is not null then
        raise exception '"%" is not synced: it was switched off', tg_table_name
            using errcode = '55000', schema = tg_table_schema, table = tg_table_name,
                  hint = format('Somebody of sqlsync_admin may switch it on: '
                      'select sqlsync.enable_object(%L, %L)', off_in, tg_table_name);
    end if;
    if sqlsync.rehearsing() then
        return null;
    end if;
    raise exception '"%" is a mirrored table: it changes only through the sqlsync proxy',
        tg_table_name
        using errcode = '55000',
              hint = 'Connect to the sqlsync proxy and run a plain INSERT, UPDATE or DELETE there; '
                  || 'writes inside functions, DO blocks and EXPLAIN ANALYZE are not supported.',
              schema = tg_table_schema, table = tg_table_name;
end $$;

-- -- applying answers: columns as they are, child tables that are on -----------------------------

create or replace function sqlsync.apply_rows(payload jsonb) returns void
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
    off text[];
begin
    insert into sqlsync.marker (entry_id)
    select value::uuid from jsonb_array_elements_text(coalesce(payload -> 'entries', '[]'));
    select coalesce(array_agg(f.table_name), '{}') into off
    from sqlsync.connection c join sqlsync.off f on f.connection_id = c.id
    where c.schema_name = s and f.column_name = '';

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
        -- From here on nobody adds a column or takes one away.
        execute format('lock table %I.%I in row exclusive mode', s, part ->> 'table');
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
            continue when child ->> 'table' = any(off);
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

-- -- union views ---------------------------------------------------------------------------------

-- The columns of one table over all companies: those the view has already, in their order, then
-- new ones, company by company. A column that no company has any more stays, as NULL.
create function sqlsync.refresh_union(provider text, view_schema text, table_name text)
returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    view_name text := 'all_' || refresh_union.table_name;
    target oid := to_regclass(format('%I.%I', view_schema, 'all_' || refresh_union.table_name));
    body text;
    operation text;
begin
    if target is not null and not exists (
            select from pg_class c where c.oid = target and c.relkind = 'v'
            and pg_get_userbyid(c.relowner) = 'sqlsync_engine') then
        raise exception '"%"."%" exists and is not a view of sqlsync', view_schema, view_name
            using errcode = '42P07', hint = 'Rename it, or choose another schema for the views.';
    end if;
    with member as (
        select c.id, c.name, c.schema_name, t.oid as relation
        from sqlsync.connection c
        join pg_namespace n on n.nspname = c.schema_name
        join pg_class t on t.relnamespace = n.oid and t.relname = refresh_union.table_name
            and t.relkind = 'r' and pg_get_userbyid(t.relowner) = 'sqlsync_engine'
        where c.provider = refresh_union.provider
          and exists (select from sqlsync.applied_object a where a.connection_id = c.id
              and (a.table_name = refresh_union.table_name
                   or refresh_union.table_name = any(a.children)))
    ), here as (
        -- Without the columns that are about to go.
        select m.id, a.attname as name, a.attnum as place, a.atttypid as type
        from member m join pg_attribute a on a.attrelid = m.relation
        where a.attnum > 0 and not a.attisdropped
          and not exists (select from sqlsync.off f where f.connection_id = m.id
              and f.table_name = refresh_union.table_name and f.column_name = a.attname)
    ), shown as (
        select a.attname as name, 0::bigint as company, a.attnum as place, a.atttypid as type
        from pg_attribute a where a.attrelid = target and a.attnum > 1 and not a.attisdropped
    ), wanted as (
        select distinct on (name) name, company, place, type
        from (select * from shown union all select name, id, place, type from here) x
        order by name, company
    )
    select string_agg(
        format('select %L::text as connection%s from %I.%I t', m.name, (
            select string_agg(case
                    when h.type = w.type then format(', t.%I', w.name)
                    when h.type is not null and w.type = 'text'::regtype
                        then format(', t.%1$I::text as %1$I', w.name)
                    else format(', null::%s as %I', format_type(w.type, null), w.name)
                end, '' order by w.company, w.place)
            from wanted w left join here h on h.id = m.id and h.name = w.name),
            m.schema_name, refresh_union.table_name),
        E'\nunion all ' order by m.id)
    into body from member m;
    if body is null then
        return;
    end if;
    execute format('create or replace view %I.%I with (security_invoker = true) as %s',
        view_schema, view_name, body);
    if target is null then
        execute format('comment on view %I.%I is %L', view_schema, view_name,
            format('"%s" of every company; to write, name one company''s own table',
                refresh_union.table_name));
        execute format('grant select on %I.%I to sqlsync_reader', view_schema, view_name);
        -- Writers may ask, and are told where to write.
        execute format('grant insert, update, delete on %I.%I to sqlsync_writer',
            view_schema, view_name);
        execute format('create trigger sqlsync_refuse before insert or update or delete on %I.%I '
            'for each statement execute function sqlsync.refuse_union()', view_schema, view_name);
        execute format('create trigger sqlsync_refuse_row instead of insert or update or delete '
            'on %I.%I for each row execute function sqlsync.refuse_union()',
            view_schema, view_name);
    end if;
end $$;

create function sqlsync.refuse_union() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    raise exception '"%" shows several companies: it cannot be written', tg_table_name
        using errcode = '55000', schema = tg_table_schema, table = tg_table_name,
              hint = format('Write to the table of one company, such as %s.',
                  coalesce((select string_agg(quote_ident(c.schema_name) || '.'
                                || quote_ident(substr(tg_table_name, 5)), ' or ')
                   from sqlsync.connection c
                   where to_regclass(format('%I.%I', c.schema_name, substr(tg_table_name, 5)))
                       is not null), 'schema.table'));
end $$;

-- All union views of a provider; or only those of one table.
create function sqlsync.refresh_unions(provider text, only_table text default null) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    wish record;
    found_table text;
begin
    for wish in select u.schema_name from sqlsync.union_schema u
                where u.provider = refresh_unions.provider order by u.schema_name loop
        for found_table in
            select distinct t.name
            from sqlsync.connection c
            join sqlsync.applied_object a on a.connection_id = c.id
            cross join unnest(a.table_name || a.children) as t(name)
            where c.provider = refresh_unions.provider
              and (only_table is null or t.name = only_table) order by 1 loop
            perform sqlsync.refresh_union(refresh_unions.provider, wish.schema_name, found_table);
        end loop;
    end loop;
end $$;

-- -- choosing ------------------------------------------------------------------------------------

-- The object that a table belongs to. Raises where the connection has no such table.
create function sqlsync.object_of(connection_id bigint, table_name text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    found_object text;
begin
    select a.table_name into found_object from sqlsync.applied_object a
    where a.connection_id = object_of.connection_id
      and (a.table_name = object_of.table_name or object_of.table_name = any(a.children));
    if found_object is null then
        raise exception 'the connection has no object "%"', object_of.table_name
            using errcode = '42704', hint = 'select table_name from _sync_object lists them.';
    end if;
    return found_object;
end $$;

-- A choice waits for the table at most this long: those who wait for it wait behind us.
create function sqlsync.be_patient() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('lock_timeout') = '0' then
        perform set_config('lock_timeout', '10s', true);
    end if;
end $$;

create function sqlsync.switch_object(connection_id bigint, table_name text, enabled boolean)
returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    s text := (select c.schema_name from sqlsync.connection c where c.id = connection_id);
    object_name text := sqlsync.object_of(connection_id, table_name);
begin
    if enabled = not exists (select from sqlsync.off f where f.connection_id =
            switch_object.connection_id and f.table_name = switch_object.table_name
            and f.column_name = '') then
        return;
    end if;
    perform sqlsync.be_patient();
    if enabled then
        delete from sqlsync.off f where f.connection_id = switch_object.connection_id
            and f.table_name = switch_object.table_name and f.column_name = '';
    else
        insert into sqlsync.off (connection_id, table_name) values (connection_id, table_name);
    end if;
    if object_name <> table_name then
        -- No page and no answer is under way while the lines come or go.
        execute format('lock table %I.%I in exclusive mode', s, object_name);
        execute format('truncate %I.%I', s, table_name);
        delete from sqlsync.fill f where f.connection_id = switch_object.connection_id
            and f.table_name = switch_object.table_name;
        if enabled then
            perform sqlsync.want_fill(connection_id, table_name, null);
        end if;
    else
        delete from sqlsync.reading r where r.connection_id = switch_object.connection_id
            and r.table_name = switch_object.table_name;
        delete from sqlsync.refetch r where r.connection_id = switch_object.connection_id
            and r.table_name = switch_object.table_name;
        execute format(
            'update %I._sync_cdc set state = $1, cursor = null, error = null, next_run_at = null, '
            'started_at = null, finished_at = case when $1 = ''paused'' then finished_at end, '
            'rows_done = case when $1 = ''paused'' then rows_done else 0 end, '
            'rows_total = case when $1 = ''paused'' then rows_total end, '
            'updated_at = clock_timestamp() where object = $2', s)
        using case when enabled then 'pending' else 'paused' end, table_name;
    end if;
    perform pg_notify('sqlsync_work', '');
end $$;

-- Asks for new columns (null: a whole child table) to be filled from `raw`.
create function sqlsync.want_fill(connection_id bigint, table_name text, columns text[])
returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    s text := (select c.schema_name from sqlsync.connection c where c.id = want_fill.connection_id);
    object_name text := sqlsync.object_of(want_fill.connection_id, want_fill.table_name);
    estimate bigint;
begin
    execute format('select count(*) from %I.%I', s, object_name) into estimate;
    if estimate = 0 then
        return;
    end if;
    insert into sqlsync.fill (connection_id, object_name, table_name, columns, rows_total)
    values (want_fill.connection_id, object_name, want_fill.table_name, want_fill.columns,
        estimate);
    execute format('update %I._sync_column set filling = true where table_name = $1 '
        'and (column_name = any($2) or ($2 is null and enabled))', s)
    using want_fill.table_name, want_fill.columns;
    perform pg_notify('sqlsync_work', '');
end $$;

-- What would break, or go unseen, if the column went: in words.
create function sqlsync.uses_of_column(schema_name text, table_name text, column_name text)
returns text[] language sql stable set search_path = pg_catalog, pg_temp as $$
    with it as (
        select a.attrelid, a.attnum, a.attacl from pg_attribute a
        where a.attrelid = format('%I.%I', $1, $2)::regclass and a.attname = $3
    ), used as (
        select case when v.oid is null then pg_describe_object(d.classid, d.objid, d.objsubid)
            else case v.relkind when 'm' then 'materialized view ' else 'view ' end
                || v.oid::regclass::text end as what
        from it join pg_depend d on d.refclassid = 'pg_class'::regclass
            and d.refobjid = it.attrelid and d.refobjsubid = it.attnum and d.deptype in ('n', 'a')
        left join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
        left join pg_class v on v.oid = r.ev_class
        left join pg_namespace vn on vn.oid = v.relnamespace
        left join pg_index i on d.classid = 'pg_class'::regclass and i.indexrelid = d.objid
        left join pg_class ic on ic.oid = i.indexrelid
        where d.classid <> 'pg_attrdef'::regclass
          -- our union views give the column up by themselves
          and not (v.relname is not distinct from 'all_' || $2 and exists (
              select from sqlsync.union_schema u where u.schema_name = vn.nspname))
          -- and our own index goes with it
          and not (i.indexrelid is not null and i.indnatts = 1 and i.indexprs is null
              and ic.relname ~ '_idx$' and left(ic.relname, least(length($2 || '_' || $3), 50))
                  = left($2 || '_' || $3, 50))
        union
        select 'a privilege of ' || coalesce(nullif(x.grantee, 0)::regrole::text, 'public')
        from it cross join aclexplode(it.attacl) x
    )
    select coalesce(array_agg(distinct what order by what), '{}') from used where what is not null
$$;

create function sqlsync.switch_columns(
    connection_id bigint, table_name text, columns text[], enabled boolean
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    s text;
    its_provider text;
    object_name text := sqlsync.object_of(connection_id, table_name);
    one text;
    uses text[];
    found_column record;
    changed text[] := '{}';
    parts text[] := '{}';
begin
    select c.schema_name, c.provider into s, its_provider
    from sqlsync.connection c where c.id = connection_id;
    perform sqlsync.be_patient();
    -- Ingest and apply lock a row of the object first, so nothing is under way from here on.
    execute format('lock table %I.%I in %s mode', s, object_name,
        case when object_name = table_name then 'access exclusive' else 'exclusive' end);
    foreach one in array columns loop
        execute format('select * from %I._sync_column where table_name = $1 and column_name = $2',
            s) into found_column using table_name, one;
        if found_column is null then
            raise exception 'column "%" of "%" does not exist', one, table_name
                using errcode = '42703', hint = 'select * from _sync_column lists the columns.';
        end if;
        continue when enabled = exists (select from pg_attribute a
            where a.attrelid = format('%I.%I', s, table_name)::regclass
            and a.attname = one and not a.attisdropped);
        changed := changed || one;
        if enabled then
            parts := parts || format('add column %I %s', one, found_column.type);
            delete from sqlsync.off f where f.connection_id = switch_columns.connection_id
                and f.table_name = switch_columns.table_name
                and f.column_name = one;
            continue;
        end if;
        if found_column.always then
            raise exception 'column "%" of "%" cannot be switched off: syncing needs it',
                one, table_name using errcode = '0A000';
        end if;
        uses := sqlsync.uses_of_column(s, table_name, one);
        if cardinality(uses) > 0 then
            raise exception 'column "%" of "%" cannot be switched off: it is used by %',
                one, table_name, array_to_string(uses, ', ')
                using errcode = '2BP01', schema = s, table = table_name, column = one,
                      hint = 'Change or drop what uses it first.';
        end if;
        parts := parts || format('drop column %I', one);
        insert into sqlsync.off (connection_id, table_name, column_name)
        values (connection_id, table_name, one) on conflict do nothing;
        update sqlsync.fill f set columns = array_remove(f.columns, one)
        where f.connection_id = switch_columns.connection_id
          and f.table_name = switch_columns.table_name;
    end loop;
    if changed = '{}' then
        return;
    end if;
    delete from sqlsync.fill f where f.columns = '{}';
    if enabled then
        execute format('alter table %I.%I %s', s, table_name, array_to_string(parts, ', '));
        for found_column in execute format('select column_name as name, comment from '
                '%I._sync_column where table_name = $1 and column_name = any($2)', s)
                using table_name, changed loop
            execute format('comment on column %I.%I.%I is %L', s, table_name, found_column.name,
                found_column.comment);
        end loop;
        perform sqlsync.refresh_unions(its_provider, table_name);
        perform sqlsync.want_fill(connection_id, table_name, changed);
    else
        perform sqlsync.refresh_unions(its_provider, table_name);
        execute format('alter table %I.%I %s', s, table_name, array_to_string(parts, ', '));
    end if;
end $$;

-- -- the same, as people say it ------------------------------------------------------------------

create function sqlsync.connection_named(name text) returns sqlsync.connection
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    found_connection sqlsync.connection;
begin
    select * into found_connection from sqlsync.connection c where c.name = connection_named.name;
    if not found then
        raise exception 'there is no connection "%"', connection_named.name
            using errcode = '42704', hint = coalesce('There are: '
                || (select string_agg(c.name, ', ' order by c.id) from sqlsync.connection c),
                'Make one: sqlsync connect');
    end if;
    return found_connection;
end $$;

create function sqlsync.enable_object(connection text, object text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform sqlsync.switch_object((sqlsync.connection_named(connection)).id, object, true);
end $$;

create function sqlsync.disable_object(connection text, object text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform sqlsync.switch_object((sqlsync.connection_named(connection)).id, object, false);
end $$;

-- The rows of _sync_column carry the choice: their trigger does the work.
create function sqlsync.enable_columns(connection text, object text, variadic columns text[])
returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    it sqlsync.connection := sqlsync.connection_named(connection);
begin
    perform sqlsync.mark_columns(it.schema_name, it.id, object, columns, true);
end $$;

create function sqlsync.disable_columns(connection text, object text, variadic columns text[])
returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    it sqlsync.connection := sqlsync.connection_named(connection);
begin
    perform sqlsync.mark_columns(it.schema_name, it.id, object, columns, false);
end $$;

-- Exactly these columns, and those that syncing needs. Columns in use refuse to go.
create function sqlsync.choose_columns(connection text, object text, variadic columns text[])
returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    it sqlsync.connection := sqlsync.connection_named(connection);
    unwanted text[];
begin
    perform sqlsync.mark_columns(it.schema_name, it.id, object, columns, true);
    execute format('select coalesce(array_agg(column_name), ''{}'') from %I._sync_column '
        'where table_name = $1 and enabled and not always and not column_name = any($2)',
        it.schema_name) into unwanted using object, columns;
    perform sqlsync.mark_columns(it.schema_name, it.id, object, unwanted, false);
end $$;

create function sqlsync.mark_columns(
    schema_name text, connection_id bigint, object text, columns text[], enabled boolean
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    unknown text;
begin
    perform sqlsync.object_of(connection_id, object);
    execute format('select string_agg(c, '', '') from unnest($2) c where not exists (select from '
        '%I._sync_column k where k.table_name = $1 and k.column_name = c)', schema_name)
    into unknown using object, columns;
    if unknown is not null then
        raise exception 'column "%" of "%" does not exist', unknown, object
            using errcode = '42703', hint = 'select * from _sync_column lists the columns.';
    end if;
    execute format('update %I._sync_column set enabled = $3 where table_name = $1 '
        'and column_name = any($2) and enabled <> $3', schema_name)
    using object, columns, enabled;
end $$;

-- AFTER UPDATE ON _sync_column, once a statement.
create function sqlsync.columns_chosen() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    part record;
begin
    for part in
        select c.id, n.table_name, n.enabled, array_agg(n.column_name order by n.position) as names
        from new_rows n join old_rows o using (table_name, column_name)
        join sqlsync.connection c on c.schema_name = tg_table_schema
        where n.enabled <> o.enabled
        group by c.id, n.table_name, n.enabled order by n.table_name, n.enabled
    loop
        perform sqlsync.switch_columns(part.id, part.table_name, part.names, part.enabled);
    end loop;
    return null;
end $$;

-- INSTEAD OF UPDATE ON _sync_object.
create function sqlsync.object_chosen() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if new.enabled is null or old.enabled is null then
        raise exception '"%" is not an object that is synced', old.name using errcode = '55000';
    end if;
    perform sqlsync.switch_object(c.id, old.table_name, new.enabled)
    from sqlsync.connection c where c.schema_name = tg_table_schema;
    return new;
end $$;

create function sqlsync.make_union(provider text, schema_name text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from sqlsync.connection c where c.provider = make_union.provider) then
        raise exception 'there is no connection of provider "%"', make_union.provider
            using errcode = '42704', hint = 'Make one: sqlsync connect';
    end if;
    if make_union.schema_name ~ '^(pg_|sqlsync)'
            or make_union.schema_name in ('information_schema', 'procrastinate', 'billing') then
        raise exception 'the schema "%" is reserved', make_union.schema_name
            using errcode = '42939';
    end if;
    if to_regnamespace(quote_ident(make_union.schema_name)) is null then
        execute format('create schema %I', make_union.schema_name);
    end if;
    execute format('grant usage on schema %I to sqlsync_reader', make_union.schema_name);
    insert into sqlsync.union_schema (provider, schema_name)
    values (make_union.provider, make_union.schema_name) on conflict do nothing;
    perform sqlsync.refresh_unions(make_union.provider);
end $$;

-- Takes the union views away again; refused where something is built on one of them.
create function sqlsync.drop_union(provider text, schema_name text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    gone text;
begin
    delete from sqlsync.union_schema u
    where u.provider = drop_union.provider and u.schema_name = drop_union.schema_name;
    if not found then
        raise exception 'there are no union views of "%" in schema "%"',
            drop_union.provider, drop_union.schema_name using errcode = '42704';
    end if;
    for gone in
        select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = drop_union.schema_name and c.relkind = 'v'
          and exists (select from pg_trigger t where t.tgrelid = c.oid
                      and t.tgname = 'sqlsync_refuse')
          and exists (select from sqlsync.applied_object a
              join sqlsync.connection k on k.id = a.connection_id
              where k.provider = drop_union.provider
              and substr(c.relname, 5) = any(a.table_name || a.children))
    loop
        execute format('drop view %I.%I', drop_union.schema_name, gone);
    end loop;
end $$;

-- What is not named here is for the engine, or for people who may choose.
do $$
declare
    internal regprocedure;
begin
    for internal in
        select p.oid from pg_proc p where p.pronamespace = 'sqlsync'::regnamespace
        and p.proname in ('refresh_union', 'refresh_unions', 'object_of', 'be_patient',
            'switch_object', 'want_fill', 'uses_of_column', 'switch_columns', 'connection_named',
            'enable_object', 'disable_object', 'enable_columns', 'disable_columns',
            'choose_columns', 'mark_columns', 'columns_chosen', 'object_chosen', 'make_union',
            'drop_union') loop
        execute format('revoke execute on function %s from public', internal);
    end loop;
end $$;
grant execute on function sqlsync.enable_object(text, text), sqlsync.disable_object(text, text),
    sqlsync.enable_columns(text, text, text[]), sqlsync.disable_columns(text, text, text[]),
    sqlsync.choose_columns(text, text, text[]), sqlsync.make_union(text, text),
    sqlsync.drop_union(text, text) to sqlsync_admin;

reset role;
