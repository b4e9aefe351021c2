"""The states of a connection and how one becomes another: one table, used by SQL and by tests.

Pure. Whoever changes a state puts `sources(target)` into the WHERE clause, so that a worker
that looked a moment ago cannot bring back to life what a person has just disconnected.
"""

from __future__ import annotations

from enum import StrEnum


class ConnectionState(StrEnum):
    """The values of sqlsync.connection.state."""

    PENDING = "pending"  # waits for a first consent, or was disconnected
    CONNECTED = "connected"  # may be used; the sync engine has not looked at it yet
    BACKFILLING = "backfilling"  # the history of some table is being read
    LIVE = "live"  # every table follows the changes
    NEEDS_REAUTH = "needs_reauth"  # the provider ended the grant; a person must consent again
    PAUSED = "paused"  # a person stopped the sync; tables and writes go on


_S = ConnectionState
_LOST = (_S.NEEDS_REAUTH, "the provider does not accept the grant any more")
_CUT = (_S.PENDING, "disconnected by a person")
_HALTED = (_S.PAUSED, "paused by a person")

# from -> (to, why). What a new consent makes of a state is `after_consent`.
TRANSITIONS: dict[ConnectionState, tuple[tuple[ConnectionState, str], ...]] = {
    _S.PENDING: ((_S.CONNECTED, "a person consented"),),
    _S.CONNECTED: (
        (_S.BACKFILLING, "a history is being read"),
        (_S.LIVE, "every history has been read"),
        _LOST,
        _CUT,
        _HALTED,
    ),
    _S.BACKFILLING: ((_S.LIVE, "every history has been read"), _LOST, _CUT, _HALTED),
    _S.LIVE: ((_S.BACKFILLING, "a history is read anew"), _LOST, _CUT, _HALTED),
    _S.NEEDS_REAUTH: (
        (_S.CONNECTED, "a person consented again, or the provider took the old grant after all"),
        (_S.PAUSED, "the same, of a connection that was paused"),
        _CUT,
    ),
    _S.PAUSED: ((_S.CONNECTED, "resumed by a person"), _LOST, _CUT),
}

ACTIVE = (_S.CONNECTED, _S.BACKFILLING, _S.LIVE)  # to be kept in step
USABLE = (*ACTIVE, _S.PAUSED)  # the provider may be asked

DISCONNECTED = "disconnected"  # state_reason of a pending connection that was live before

# SQL: the state after a grant that works, of a row `sqlsync.connection`.
AFTER_CONSENT = (
    "case when state in ('pending', 'needs_reauth') then"
    " case when paused_at is null then 'connected' else 'paused' end else state end"
)


def sources(target: ConnectionState) -> tuple[ConnectionState, ...]:
    """The states from which a connection may become `target`."""
    return tuple(
        source
        for source, targets in TRANSITIONS.items()
        if any(state is target for state, _ in targets)
    )
