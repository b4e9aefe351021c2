-- A union view keeps the type a column had when it came in, since views may stand on it. A table
-- whose column has another type by now gives its values as far as they are of that type.

set local role sqlsync_engine;

-- kind: any value of the type wanted, NULL as a rule.
create function sqlsync.as_far_as_it_is(value text, kind anyelement) returns anyelement
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    execute format('select %L::%s', value, pg_typeof(kind)) into kind;
    return kind;
exception when data_exception or invalid_text_representation or datetime_field_overflow then
    return null;
end $$;

create or replace function sqlsync.refresh_union(provider text, view_schema text, table_name text)
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
                    when h.type is not null
                        then format(', sqlsync.as_far_as_it_is(t.%1$I::text, null::%2$s) as %1$I',
                            w.name, format_type(w.type, null))
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

reset role;
