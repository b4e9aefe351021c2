-- Consents under way with what became of them, what is known of each connection, and one view
-- that shows it. No secret is in that view.

set local role sqlsync_engine;

alter table sqlsync.connection
    add column company_name text,          -- as the provider said when it was connected
    add column connected_at timestamptz,   -- the last consent, or the last token that was given
    add column paused_at timestamptz;      -- set by a person; outlives a lost grant

alter table sqlsync.token
    add column scopes_missing text;        -- asked for and not granted

-- A consent outlives its use, so that whoever waits for it learns how it ended, and a second use
-- is told from a forgery. `state` itself is known to the browser alone.
create table sqlsync.consent (
    state_hash bytea primary key,          -- SHA-256 of the state
    provider text not null check (provider in ('quickbooks', 'xero')),
    connection_id bigint references sqlsync.connection on delete set null,
    name text not null,                    -- of the connection
    redirect_uri text not null,            -- the code is exchanged under the very same
    code_verifier bytea,                   -- PKCE; sealed
    company_id text,                       -- the only company it may be for; null: any
    created_at timestamptz not null default clock_timestamp(),
    used_at timestamptz,                   -- a callback brought this state; good once
    ended_at timestamptz,
    outcome text check (outcome in ('connected', 'refused', 'failed', 'choose', 'withdrawn')),
    message text,
    hint text,
    missing_scopes text[]
);
create index on sqlsync.consent (created_at);
drop table sqlsync.oauth_state;

-- What was noticed about a connection in passing.
create table sqlsync.observed (
    connection_id bigint primary key references sqlsync.connection on delete cascade,
    last_webhook_at timestamptz
);

-- What a provider's answers said is left of a limit, by the key of the company's limits.
create table sqlsync.calls_left (
    key text primary key,                  -- 'xero:<tenant>'
    minute_left int,
    day_left int,
    noted_at timestamptz not null
);

-- A person says that what the next sweep of a table finds missing is really gone.
create table sqlsync.accepted_sweep (
    connection_id bigint not null references sqlsync.connection on delete cascade,
    table_name text not null,
    accepted_at timestamptz not null default clock_timestamp(),
    primary key (connection_id, table_name)
);

create view sqlsync._sync_connection as
select c.name, c.provider, c.company_id, c.company_name, c.schema_name, c.state, c.state_reason,
    string_to_array(t.scopes, ' ') as scopes_granted,
    string_to_array(t.scopes_missing, ' ') as scopes_missing,
    c.connected_at, c.paused_at,
    t.access_expires_at as access_token_expires_at,
    t.refresh_expires_at as refresh_token_expires_at,
    t.refreshed_at,
    t.last_error,
    o.last_webhook_at,
    case when l.noted_at > now() - interval '1 minute' then l.minute_left end as minute_calls_left,
    case when l.noted_at > now() - interval '1 day' then l.day_left end as day_calls_left,
    l.noted_at as calls_left_at
from sqlsync.connection c
left join sqlsync.token t on t.connection_id = c.id
left join sqlsync.observed o on o.connection_id = c.id
left join sqlsync.calls_left l on l.key = c.provider || ':' || c.company_id;

comment on view sqlsync._sync_connection is
    'Every connection: its company, state, scopes, how long its tokens last, calls left';
grant select on sqlsync._sync_connection to sqlsync_reader;

reset role;
