-- A poll that somebody asked for: every object is to be asked once more, at its own pace or not.

set local role sqlsync_engine;

alter table sqlsync.poll add column wanted_at timestamptz;  -- objects polled before this are due

reset role;
