-- What the sync engine must remember between jobs. The queue itself is procrastinate's, in
-- schema sqlsync_jobs, made by `backfill.jobs.apply_job_schema`.

-- Pages go through temporary tables.
do $$ begin
    execute format('grant temporary on database %I to sqlsync_engine', current_database());
end $$;

set local role sqlsync_engine;

-- The same delivery twice is one row: providers repeat what was answered too late.
create unique index inbox_delivery on sqlsync.inbox (provider, body_hash);

alter table sqlsync.inbox add column due_at timestamptz not null default clock_timestamp();

-- Records to fetch again: their row was locked by a client's write, or a create of ours was
-- on its way, when they came. Written in the transaction that passed them over, so that a
-- cursor or a watermark may move on without losing them.
create table sqlsync.refetch (
    connection_id bigint not null references sqlsync.connection on delete cascade,
    table_name text not null,
    record_id text not null,
    noticed_by text not null,
    due_at timestamptz not null default clock_timestamp(),
    attempts int not null default 0,
    primary key (connection_id, table_name, record_id)
);
create index on sqlsync.refetch (due_at);

-- One reading of an object's whole history, under way or done.
create table sqlsync.reading (
    connection_id bigint not null references sqlsync.connection on delete cascade,
    table_name text not null,
    number bigint generated always as identity,
    sweeping boolean not null,             -- rows were there before: what it lacks may be gone
    counted bigint,                        -- how many records the provider said it has
    rows_seen bigint not null default 0,
    paged boolean not null default false,  -- all pages are in; what it lacked is looked at next
    failures int not null default 0,       -- in a row
    primary key (connection_id, table_name)
);

-- What a sweeping reading brought. Logged: losing it would look like records that are gone.
create table sqlsync.seen (
    connection_id bigint not null references sqlsync.connection on delete cascade,
    table_name text not null,
    record_id text not null,
    primary key (connection_id, table_name, record_id)
);

-- Failures in a row of what is done for a whole connection (polls), for the back-off.
create table sqlsync.poll (
    connection_id bigint primary key references sqlsync.connection on delete cascade,
    failures int not null default 0,
    next_run_at timestamptz,
    last_error text
);

-- Who enqueues what is due: the worker process that renewed this last. One that is gone is
-- known by its advisory lock, one that hangs by the age of its renewal.
create table sqlsync.leader (
    only_row boolean primary key default true check (only_row),
    holder int not null default 0,
    renewed_at timestamptz not null default '-infinity'
);
insert into sqlsync.leader default values;

reset role;
