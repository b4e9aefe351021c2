"""Names of the NOTIFY channels by which the processes wake each other. Rows are the truth."""

from __future__ import annotations

POLL_CHANNEL = "sqlsync_poll"  # payload: connection id. Something changed there: poll it now
WORK_CHANNEL = "sqlsync_work"  # something may be due
INBOX_CHANNEL = "sqlsync_inbox"  # a webhook delivery was stored
