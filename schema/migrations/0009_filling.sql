-- A column that is being filled is NULL where it is not filled yet. A write that sets it to NULL
-- would change nothing and be lost, and a predicate on it would choose the wrong rows. So
-- statements that name such a column wait until it is filled: seconds, as a rule.

set local role sqlsync_engine;

-- Names of columns; '*' where the whole child table is being filled.
create function sqlsync.filling_in(schema_name text, table_name text) returns text[]
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select array_agg(x.name) from sqlsync.connection c
    join sqlsync.fill f on f.connection_id = c.id
    cross join unnest(coalesce(f.columns, array['*'])) as x(name)
    where c.schema_name = $1 and f.table_name = $2
$$;

-- Not SECURITY DEFINER: inside one, current_user would always be the owner.
create or replace function sqlsync.guard() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
    off_in text;
    filling text[];
    named text;
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
    if tg_op in ('UPDATE', 'DELETE') then
        filling := sqlsync.filling_in(tg_table_schema, tg_table_name);
        -- EXECUTE hides the statement it runs.
        select min(f) into named from unnest(filling) f
        where f = '*' or strpos(lower(current_query()), f) > 0
            or current_query() ~* '\mexecute\M';
        if named is not null then
            raise exception '% was just switched on and is being filled',
                case named when '*' then format('"%s"', tg_table_name)
                    else format('column "%s" of "%s"', named, tg_table_name) end
                using errcode = '40001', schema = tg_table_schema, table = tg_table_name,
                      hint = 'Run the statement again in a moment; _sync_column.filling tells.';
        end if;
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

reset role;
