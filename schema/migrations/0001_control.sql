-- Control tables, roles and queues of sqlsync. Mirrored tables live in schemas of their own,
-- one a connection; this schema holds what all of them share. Run by the migration runner,
-- once, in a transaction, under an advisory lock.

-- Roles belong to the cluster: another database of it may have made them already.
do $$
declare role_name text;
begin
    foreach role_name in array array['sqlsync_engine', 'sqlsync_reader', 'sqlsync_writer'] loop
        begin
            if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
                execute format('create role %I nologin', role_name);
            end if;
        exception when duplicate_object or unique_violation then null;
        end;
    end loop;
    begin
        grant sqlsync_reader to sqlsync_writer;
        execute format('grant sqlsync_engine to %I', session_user);
    exception when unique_violation then null;
    end;
end
$$;

create schema sqlsync authorization sqlsync_engine;
grant usage on schema sqlsync to sqlsync_reader;
do $$ begin execute format('grant create on database %I to sqlsync_engine', current_database()); end $$;

set local role sqlsync_engine;

-- One QuickBooks company or one Xero organisation.
create table sqlsync.connection (
    id bigint generated always as identity primary key,
    name text not null unique,
    provider text not null check (provider in ('quickbooks', 'xero')),
    schema_name text not null unique,
    company_id text,                       -- realm or tenant id; null until consent came back
    state text not null default 'pending'
        check (state in ('pending', 'connected', 'backfilling', 'live', 'needs_reauth', 'paused')),
    state_reason text,
    created_at timestamptz not null default now(),
    unique (provider, company_id)
);

-- Tokens, encrypted (Fernet) before they reach Postgres. Refreshed under FOR UPDATE of the row.
create table sqlsync.token (
    connection_id bigint primary key references sqlsync.connection on delete cascade,
    access_token bytea,
    refresh_token bytea not null,
    access_expires_at timestamptz,
    refresh_expires_at timestamptz,
    scopes text,
    refreshed_at timestamptz,
    last_error text
);

-- OAuth consents under way.
create table sqlsync.oauth_state (
    state text primary key,
    connection_id bigint not null references sqlsync.connection on delete cascade,
    code_verifier text,
    created_at timestamptz not null default now()
);

-- GCRA rate limits, shared by all processes: theoretical arrival time per key.
create table sqlsync.rate (
    key text primary key,
    tat timestamptz not null
);

-- Webhook deliveries as they came, stored before they are answered.
create table sqlsync.inbox (
    id bigint generated always as identity primary key,
    provider text not null,
    received_at timestamptz not null default clock_timestamp(),
    body bytea not null,
    body_hash bytea not null,
    state text not null default 'new' check (state in ('new', 'done', 'failed')),
    attempts int not null default 0,
    error text,
    handled_at timestamptz
);
create index on sqlsync.inbox (id) where state = 'new';

-- The journal: what a write means to do at the provider, and how far it got.
create table sqlsync.journal (
    id uuid primary key,
    connection_id bigint not null references sqlsync.connection on delete cascade,
    state text not null check (state in ('planned', 'sent', 'acknowledged', 'mirrored',
        'refused', 'in_doubt', 'undoing', 'undone', 'parked', 'dropped')),
    owner bigint not null,                 -- whose session advisory lock says the writer lives
    transaction_id uuid not null,          -- all entries of one client transaction
    xid xid8,                              -- the client's transaction in Postgres
    seq int not null,                      -- order inside the transaction
    role_name text not null,
    table_name text not null,
    kind text not null,                    -- StepKind
    record_id text,                        -- null until a create was answered
    provisional_id text,
    call_key text not null,                -- idempotency key of the request
    call_item int not null,                -- the step's place in it
    deferred boolean not null default false, -- has no inverse: sent when the client commits
    fields jsonb not null,                 -- what is sent
    before jsonb,                          -- the record as it was
    answer jsonb,                          -- the record as the provider then held it
    error_code text,
    error text,
    undo_key text,                         -- idempotency key of the compensation
    undo jsonb,                            -- the compensation as sent: kind, fields, base
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp()
);
create index on sqlsync.journal (connection_id, created_at);
create index on sqlsync.journal (transaction_id);
create index journal_open on sqlsync.journal (owner)
    where state in ('planned', 'sent', 'acknowledged', 'in_doubt', 'undoing');

-- Written by apply() in the client's transaction: proof that it committed.
create table sqlsync.marker (
    entry_id uuid primary key,
    xid xid8 not null default pg_current_xact_id()
);

-- Objects chosen per connection, and where each stands. `_sync_cdc` of a connection's schema
-- is the same information for users.
create table sqlsync.applied_object (
    connection_id bigint not null references sqlsync.connection on delete cascade,
    table_name text not null,
    catalog_hash text not null,
    primary key (connection_id, table_name)
);

reset role;
