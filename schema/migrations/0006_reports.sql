-- Reports: what they are asked with, finding a stored run, and asking for one.
--
-- Each connection's schema has `_sync_report` (the stored runs) and `_sync_report_parameter`
-- (what each report takes); the functions here read them by the schema's name.

set local role sqlsync_engine;

-- What the table of every report begins with; holds no rows itself.
create table sqlsync.report_row (
    run_id bigint not null,
    row_number integer not null,
    period_start date,
    period_end date,
    accounting_method text,
    currency text,
    as_of timestamptz,
    parameters jsonb,
    section text[],
    section_ids text[],
    depth integer,
    row_type text,
    row_group text,
    label text,
    label_id text,
    cells jsonb,
    raw jsonb
);
comment on column sqlsync.report_row.run_id is 'The stored run the row belongs to: _sync_report.id';
comment on column sqlsync.report_row.row_number is 'Place of the row in the report, from 1';
comment on column sqlsync.report_row.period_start is 'First day of the period, as the provider says it';
comment on column sqlsync.report_row.period_end is 'Last day of the period, as the provider says it';
comment on column sqlsync.report_row.accounting_method is 'Cash or Accrual';
comment on column sqlsync.report_row.currency is 'Currency of the report';
comment on column sqlsync.report_row.as_of is 'When the provider computed it';
comment on column sqlsync.report_row.parameters is 'What the report was asked with';
comment on column sqlsync.report_row.section is 'Titles of the sections the row lies in, outermost first';
comment on column sqlsync.report_row.section_ids is 'Their keys (accounts, customers), where they have any';
comment on column sqlsync.report_row.depth is 'How many sections are around the row, its own not counted';
comment on column sqlsync.report_row.row_type is 'section (a heading), data, summary (a sum of other rows) or header';
comment on column sqlsync.report_row.row_group is 'The provider''s word for the kind of section: Income, NetIncome';
comment on column sqlsync.report_row.label is 'The first cell';
comment on column sqlsync.report_row.label_id is 'Key of what the first cell names';
comment on column sqlsync.report_row.cells is 'The row''s other cells by title of their column; amounts are numbers';
comment on column sqlsync.report_row.raw is 'The row''s cells as the provider gave them';

-- A report is computed by the provider, so nobody writes to its table. Arguments: the title of
-- the provider, the name of the report.
create function sqlsync.report_guard() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    if current_user = 'sqlsync_engine' then
        return null;
    end if;
    raise exception '[%] % is a report: it can be read only', tg_argv[0], tg_argv[1]
        using errcode = '55000',
              hint = format('To have it computed anew: select sqlsync.refresh_report(%L, %L)',
                  tg_table_schema, tg_argv[1]),
              schema = tg_table_schema, table = tg_table_name;
end $$;

-- Makes the function of a report; a version with other arguments goes first. Where something
-- of the user's depends on that one, it stays, and the new one is not made. To be called by
-- the installer; `made` and `commented` are its own SQL.
create function sqlsync.replace_function(
    schema_name text, function_name text, types text, made text, commented text
) returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    old record;
begin
    for old in
        select p.oid, p.oid::regprocedure::text as signature
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = schema_name and p.proname = function_name
          and p.proowner = current_user::regrole
          and p.oid is distinct from
              to_regprocedure(format('%I.%I(%s)', schema_name, function_name, types))
    loop
        begin
            execute 'drop function ' || old.signature;
        exception when dependent_objects_still_exist then
            raise warning 'the function % stays as it is: something depends on it', old.signature;
            return false;
        end;
    end loop;
    execute made;
    execute commented;
    return true;
end $$;

-- One value of a parameter in the one form it is stored in. Raises 22023.
create function sqlsync.report_value(
    report text, name text, kind text, choices text[], most int, given jsonb
) returns jsonb language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    word text := btrim(given #>> '{}');
    words text[];
    wanted text;
begin
    if kind in ('ids', 'names') then
        select array_agg(btrim(w) order by n) into words from (
            select w, n from jsonb_array_elements_text(
                case when jsonb_typeof(given) = 'array' then given else '[]' end)
                with ordinality as a(w, n)
            union all
            select w, n from string_to_table(
                case when jsonb_typeof(given) = 'array' then null else word end, ',')
                with ordinality as t(w, n)) both_forms
        where btrim(w) <> '';
        if kind = 'ids' then
            select array_agg(distinct w order by w) into words from unnest(words) w;
            wanted := 'ids with commas between them';
        else
            wanted := 'words with commas between them';
        end if;
        if not exists (select from unnest(words) w
                where w !~ '^[[:alnum:]_. -]{1,200}$' or length(w) > 200) then
            return to_jsonb(array_to_string(words, ','));
        end if;
    elsif jsonb_typeof(given) in ('array', 'object') then
        wanted := 'one value';
    elsif kind = 'date' then
        wanted := 'a day such as 2026-01-31';
        if word ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' then
            begin
                return to_jsonb(to_char(word::date, 'YYYY-MM-DD'));
            exception when data_exception then null;
            end;
        end if;
    elsif kind = 'integer' then
        wanted := case when most is null then 'a whole number from 1'
            else 'a whole number from 1 to ' || most end;
        if word ~ '^[0-9]{1,9}$' and word::int between 1 and coalesce(most, 999999999) then
            return to_jsonb(word::int);
        end if;
    elsif kind = 'boolean' then
        wanted := 'true or false';
        begin
            return to_jsonb(word::boolean);
        exception when data_exception then null;
        end;
    elsif kind = 'choice' then
        wanted := 'one of ' || array_to_string(choices, ', ');
        if exists (select from unnest(choices) c where lower(c) = lower(word)) then
            return (select to_jsonb(c) from unnest(choices) c where lower(c) = lower(word) limit 1);
        end if;
    else
        wanted := 'a text of at most 1000 characters';
        if length(word) <= 1000 then
            return to_jsonb(word);
        end if;
    end if;
    raise exception '%: parameter "%" takes %, not %', report, name, wanted, left(given::text, 100)
        using errcode = '22023';
end $$;

-- The report of that name (or table) of a schema: its name, its table. Raises 42704.
create function sqlsync.find_report(schema_name text, wanted text, out name text, out table_name text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    execute format('select o.name, o.table_name from %I._sync_object o'
        ' where o.kind = ''report'' and lower($1) in (lower(o.name), o.table_name)', schema_name)
    into name, table_name using wanted;
    if name is null then
        raise exception 'there is no report "%" in schema "%"', wanted, schema_name
            using errcode = '42704',
                  hint = format('They are listed by: select name from %I._sync_object'
                      ' where kind = ''report''', schema_name);
    end if;
end $$;

-- What a report is asked with, in the one form it is stored in: our names, days as YYYY-MM-DD,
-- ids sorted. Names may be ours or the provider's; NULL and '' are left out. Raises 22023.
create function sqlsync.report_parameters(schema_name text, report text, given jsonb) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    key text;
    value jsonb;
    known record;
    found jsonb := '{}';
    first_day text;
    last_day text;
    named text;
    lacking text;
begin
    if jsonb_typeof(coalesce(given, '{}')) <> 'object' then
        raise exception '%: the parameters are a JSON object, not %', report, left(given::text, 100)
            using errcode = '22023', hint = 'Such as {"start_date": "2026-01-01"}.';
    end if;
    for key, value in select k, v from jsonb_each(coalesce(given, '{}')) e(k, v) loop
        execute format('select p.* from %I._sync_report_parameter p where p.report = $1'
            ' and lower($2) in (lower(p.name), lower(p.api_name))', schema_name)
        into known using report, key;
        if known.name is null then
            execute format('select string_agg(p.name, '', '' order by p.position)'
                ' from %I._sync_report_parameter p where p.report = $1', schema_name)
            into lacking using report;
            raise exception '% takes no parameter "%"', report, left(key, 100)
                using errcode = '22023', hint = coalesce('It takes ' || lacking || '.',
                    'It takes none.');
        end if;
        continue when jsonb_typeof(value) = 'null' or value = '""' or value = '[]';
        value := sqlsync.report_value(
            report, known.name, known.kind, known.choices, known.most, value);
        continue when jsonb_typeof(value) = 'null';
        found := found || jsonb_build_object(known.name, value);
        case known.role
            when 'start' then first_day := value #>> '{}';
            when 'end' then last_day := value #>> '{}';
            when 'macro' then named := known.name;
            else null;
        end case;
    end loop;
    if named is not null and coalesce(first_day, last_day) is not null then
        raise exception '%: a named period (%) and days of a period exclude each other',
            report, named using errcode = '22023';
    end if;
    if first_day > last_day then
        raise exception '%: the period would begin % and end %', report, first_day, last_day
            using errcode = '22023';
    end if;
    execute format('select string_agg(p.name, '', '' order by p.position)'
        ' from %I._sync_report_parameter p'
        ' where p.report = $1 and p.required and not $2 ? p.name', schema_name)
    into lacking using report, found;
    if lacking is not null then
        raise exception '% needs the parameter %', report, lacking using errcode = '22023';
    end if;
    return found;
end $$;

-- The stored run that fits what is given: the period (or the days it was asked with), the
-- accounting method, and everything else exactly; of several the latest, and without anything
-- said of the period the run that is refreshed by itself. Raises P0002, with the way to get it.
create function sqlsync.stored_report(schema_name text, report text, given jsonb) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    asked jsonb := sqlsync.report_parameters(schema_name, report, given);
    of_period text[];
    part record;
    conditions text := '';
    says_period boolean := false;
    found bigint;
    standing record;
    stored text;
    shown text;
begin
    execute format('select coalesce(array_agg(p.name), ''{}'') from %I._sync_report_parameter p'
        ' where p.report = $1 and p.role is not null', schema_name)
    into of_period using report;
    for part in execute format('select p.name, p.role, $2 ->> p.name as value'
        ' from %I._sync_report_parameter p where p.report = $1 and p.role is not null'
        ' and $2 ? p.name', schema_name) using report, asked
    loop
        says_period := says_period or part.role <> 'method';
        conditions := conditions || format(' and (r.parameters ->> %L = %L', part.name, part.value)
            || case part.role
                when 'start' then format(' or r.period_start = %L::date', part.value)
                when 'end' then format(' or r.period_end = %L::date', part.value)
                when 'method' then
                    format(' or lower(r.accounting_method) = lower(%L)', part.value)
                else '' end || ')';
    end loop;
    execute format('select r.id from %I._sync_report r where r.report = $1'
        ' and r.fetched_at is not null and r.parameters - $2 = $3 - $2 %s'
        ' order by (r.is_default and not $4) desc, r.as_of desc, r.id desc limit 1',
        schema_name, conditions)
    into found using report, of_period, asked, says_period;
    if found is not null then
        return found;
    end if;

    execute format('select r.state, r.error from %I._sync_report r where r.report = $1'
        ' and r.fetched_at is null and r.parameters @> $2 and (r.parameters = $2 or r.is_default)'
        ' order by (r.parameters = $2) desc, r.is_default desc limit 1', schema_name)
    into standing using report, asked;
    execute format('select string_agg(concat_ws('' '', x.period_start || '' to'', x.period_end,'
        ' x.accounting_method, nullif(x.parameters::text, ''{}'')), ''; '')'
        ' from (select r.* from %I._sync_report r where r.report = $1 and r.fetched_at is not null'
        ' order by r.as_of desc limit 5) x', schema_name)
    into stored using report;
    select string_agg(k || ' ' || v, ', ') into shown from jsonb_each_text(asked) e(k, v);
    raise exception '%', case
        when standing.state = 'error' then format('%s%s could not be computed: %s', report,
            coalesce(' with ' || shown, ''), standing.error)
        when standing.state is not null then format('%s%s was asked for and is not here yet',
            report, coalesce(' with ' || shown, ''))
        when shown is null then format('%s is not stored yet', report)
        else format('%s is not stored with %s', report, shown) end
        using errcode = 'P0002',
              detail = 'Stored: ' || coalesce(stored, 'nothing'),
              hint = format('Ask for it: select sqlsync.refresh_report(%L, %L, %L)',
                  schema_name, report, asked::text);
end $$;

-- Asks for a report, to be computed by the provider as soon as a worker can; what is stored
-- stays readable until then. connection: its name or its schema. every: keep it fresh, at
-- least so often ('0' ends that). Returns the id of the row of `_sync_report` to look at.
create function sqlsync.refresh_report(
    connection text, report text, parameters jsonb default '{}', every interval default null
) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    place record;
    kind record;
    asked jsonb;
    found bigint;
    caller text := case when current_setting('role') = 'none' then session_user::text
        else current_setting('role') end;
begin
    select k.id, k.schema_name, k.name, k.state into place from sqlsync.connection k
    where k.name = refresh_report.connection or k.schema_name = refresh_report.connection
    order by (k.name = refresh_report.connection) desc limit 1;
    if place.id is null or to_regclass(format('%I._sync_report', place.schema_name)) is null then
        raise exception 'there is no connection "%"', connection using errcode = '42704',
            hint = 'Give the name of a connection, or its schema.';
    end if;
    if not has_schema_privilege(caller, place.schema_name, 'usage') then
        raise exception 'permission denied for schema %', place.schema_name using errcode = '42501';
    end if;
    select * into kind from sqlsync.find_report(place.schema_name, report);
    asked := sqlsync.report_parameters(place.schema_name, kind.name, parameters);
    if place.state not in ('connected', 'backfilling', 'live') then
        raise exception 'the connection "%" is %: nothing can be asked for', place.name, place.state
            using errcode = '58000', hint = 'Run: sqlsync status';
    end if;
    if every < interval '0' or (every > interval '0' and every < interval '5 minutes') then
        raise exception 'a report is refreshed every 5 minutes at most' using errcode = '22023',
            hint = 'Each refresh is a call to the provider.';
    end if;
    execute format('insert into %I._sync_report as r'
        ' (report, table_name, parameters, scheduled, refresh_every, requested_at, requested_by)'
        ' values ($1, $2, $3, coalesce($4 > interval ''0'', false), nullif($4, interval ''0''),'
        ' clock_timestamp(), $5)'
        ' on conflict (report, md5(parameters::text)) do update set requested_at = clock_timestamp(),'
        ' requested_by = $5, next_run_at = null, failures = 0,'
        ' state = case when r.state = ''error'' then ''pending'' else r.state end,'
        ' scheduled = case when $4 is null then r.scheduled else $4 > interval ''0'' end,'
        ' refresh_every = case when $4 is null then r.refresh_every'
        ' else nullif($4, interval ''0'') end returning id', place.schema_name)
    into found using kind.name, kind.table_name, asked, every, caller;
    perform pg_notify('sqlsync_work', '');
    return found;
end $$;

-- A report that is switched off is no longer refreshed by itself; who asks for it gets it.
create function sqlsync.choose_object(connection_id bigint, table_name text, enabled boolean)
returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    s text := (select c.schema_name from sqlsync.connection c where c.id = connection_id);
    switched boolean;
begin
    if not exists (select from sqlsync.applied_object a
            where a.connection_id = choose_object.connection_id and a.table_name = '_reports'
            and choose_object.table_name = any(a.children)) then
        perform sqlsync.switch_object(connection_id, table_name, enabled);
        return;
    end if;
    execute format('update %I._sync_report r set scheduled = $1 where r.table_name = $2'
        ' and r.is_default returning true', s) into switched using enabled, table_name;
    if switched is null then
        raise exception '"%" is a report that is computed only when somebody asks', table_name
            using errcode = '55000',
                  hint = format('select sqlsync.refresh_report(%L, %L, …)', s, table_name);
    end if;
    if enabled then
        delete from sqlsync.off f where f.connection_id = choose_object.connection_id
            and f.table_name = choose_object.table_name and f.column_name = '';
    else
        insert into sqlsync.off (connection_id, table_name) values (connection_id, table_name)
        on conflict do nothing;
    end if;
    perform pg_notify('sqlsync_work', '');
end $$;

create or replace function sqlsync.enable_object(connection text, object text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform sqlsync.choose_object((sqlsync.connection_named(connection)).id, object, true);
end $$;

create or replace function sqlsync.disable_object(connection text, object text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform sqlsync.choose_object((sqlsync.connection_named(connection)).id, object, false);
end $$;

create or replace function sqlsync.object_chosen() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if new.enabled is null or old.enabled is null then
        raise exception '"%" is not an object that is synced', old.name using errcode = '55000';
    end if;
    perform sqlsync.choose_object(c.id, old.table_name, new.enabled)
    from sqlsync.connection c where c.schema_name = tg_table_schema;
    return new;
end $$;

revoke execute on function
    sqlsync.choose_object(bigint, text, boolean),
    sqlsync.replace_function(text, text, text, text, text),
    sqlsync.refresh_report(text, text, jsonb, interval) from public;
grant execute on function sqlsync.refresh_report(text, text, jsonb, interval) to sqlsync_writer;

reset role;
