"""Tokens of connections, kept sealed in Postgres and refreshed by one process at a time.

A refresh token is spent by its use: the answer brings the next one. So whoever refreshes holds
the token's row (`for update`), reads it again, refreshes only if it still must, and commits
the new pair before anyone uses it. Others wait for the row and find the new pair in it.

One moment cannot be closed: the process dies after the provider answered and before the
commit; then the new pair is lost. It is kept short (nothing but the update lies between), is
not ended by a cancelled caller, and a failed commit is tried again with the pair in memory.
Intuit changes the value at most once in 24 hours and the old one goes on working for a while,
so that mostly the stored token still works afterwards; else a person connects again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

import structlog

from sqlsync.database import EngineConnection, EnginePool, errors
from sqlsync.errors import DatabaseUnavailable, NeedsReauth, ProviderUnavailable
from sqlsync.providers.oauth import OAuthClient, Tokens
from sqlsync.providers.states import AFTER_CONSENT, ConnectionState, sources
from sqlsync.vault import Vault

log = structlog.get_logger(__name__)

MARGIN_SECONDS = 120.0  # refreshed this long before it ends: a call may take two minutes
MARGIN_PART = 0.25  # of its life at most: one that lives shortly is used, too
_SAVE_ATTEMPTS = 5

# The tokens, for how long the first is to be used, and when it ends.
_SELECT = f"""
select access_token, refresh_token,
       extract(epoch from access_expires_at - clock_timestamp())::float8
       - least({MARGIN_SECONDS},
               {MARGIN_PART} * extract(epoch from access_expires_at - refreshed_at))::float8,
       extract(epoch from access_expires_at - clock_timestamp())::float8
from sqlsync.token where connection_id = %s for update
"""
_SAVE = """
insert into sqlsync.token as t (connection_id, access_token, refresh_token, access_expires_at,
    refresh_expires_at, scopes, scopes_missing, refreshed_at, last_error)
values (%(id)s, %(access)s, %(refresh)s, clock_timestamp() + make_interval(secs => %(expires)s),
    clock_timestamp() + make_interval(secs => %(refresh_expires)s), %(scopes)s, %(missing)s,
    clock_timestamp(), null)
on conflict (connection_id) do update set access_token = excluded.access_token,
    refresh_token = excluded.refresh_token, access_expires_at = excluded.access_expires_at,
    refresh_expires_at = excluded.refresh_expires_at, scopes = excluded.scopes,
    scopes_missing = excluded.scopes_missing, refreshed_at = excluded.refreshed_at,
    last_error = null
"""


async def save_tokens(
    connection: EngineConnection,
    vault: Vault,
    connection_id: int,
    tokens: Tokens,
    *,
    missing: Sequence[str],
) -> None:
    """Writes the pair, sealed, in the caller's transaction. missing: asked for, not granted."""
    await connection.execute(
        _SAVE,
        {
            "id": connection_id,
            "access": vault.seal(tokens.access_token),
            "refresh": vault.seal(tokens.refresh_token),
            "expires": tokens.expires_in,
            "refresh_expires": tokens.refresh_expires_in,
            "scopes": tokens.scopes,
            "missing": " ".join(missing) or None,
        },
    )


async def lock_tokens(connection: EngineConnection, name: str) -> None:
    """To be called first where a transaction changes a connection and its tokens: a refresh
    takes the token's row first and the connection's after it, and so must everybody."""
    await connection.execute(
        "select 1 from sqlsync.token t join sqlsync.connection c on c.id = t.connection_id"
        " where c.name = %s for update of t",
        [name],
    )


@dataclass(frozen=True, slots=True)
class _Unsaved:
    """A pair that the provider gave and Postgres does not hold yet, and what it was got for."""

    tokens: Tokens
    spent: str = field(repr=False)


class TokenSource:
    """The access token of one connection, fresh whenever it is asked for."""

    def __init__(
        self, pool: EnginePool, vault: Vault, oauth: OAuthClient, connection_id: int
    ) -> None:
        self._pool = pool
        self._vault = vault
        self._oauth = oauth
        self._connection_id = connection_id
        self._token: str | None = None
        self._until = 0.0  # monotonic: when `_token` should be refreshed
        self._unsaved: _Unsaved | None = None
        self._refreshing: asyncio.Task[str] | None = None

    async def access_token(self) -> str:
        """A token that is good for some minutes more.

        Raises NeedsReauth (the grant is gone; the connection now says so), Unreachable,
        ProviderFault (the app's secret is wrong), DatabaseUnavailable, ConfigError (the stored
        tokens cannot be opened).
        """
        if self._token is not None and monotonic() < self._until:
            return self._token
        return await self._join(stale=None)

    async def renew(self, stale: str) -> str:
        """Another token than `stale`, which the provider refused. Raises as `access_token`."""
        if self._token is not None and self._token != stale and monotonic() < self._until:
            return self._token
        return await self._join(stale=stale)

    async def replaced(self, token: str) -> str | None:
        """Another token than `token`, where a person connected again since it was given out: it
        may hold what this one lacks. None where there is none. Raises as `access_token`."""
        try:
            async with self._pool.connection() as connection, connection.transaction():
                row = await (await connection.execute(_SELECT, [self._connection_id])).fetchone()
        except errors.OperationalError as error:
            raise DatabaseUnavailable(f"The tokens cannot be read: {error}") from error
        if row is None or row[0] is None or (row[2] or 0.0) <= 0:
            return None
        current = self._vault.open(row[0])
        return None if current == token else self._keep(current, row[2])

    async def lost(self, error: NeedsReauth, token: str) -> None:
        """The provider does not accept the grant of `token`, though it looks good: the connection
        now says so, unless it has another one by now. Raises nothing: the caller has the error.
        """
        self._token = None
        try:
            async with self._pool.connection() as connection, connection.transaction():
                row = await (await connection.execute(_SELECT, [self._connection_id])).fetchone()
                if row is None or row[0] is None or self._vault.open(row[0]) == token:
                    await self._mark_gone(connection, error)
        except errors.OperationalError:
            log.warning("the lost grant is not noted yet", connection_id=self._connection_id)

    async def _join(self, stale: str | None) -> str:
        """One refresh in this process, whoever asks; a caller's cancellation does not end it."""
        while True:
            ours = self._refreshing is None
            if self._refreshing is None:
                self._refreshing = asyncio.create_task(self._refresh(stale))
                self._refreshing.add_done_callback(self._done)
            token = await asyncio.shield(self._refreshing)
            if ours or token != stale:
                return token
            # A refresh that was under way before `stale` was refused may have given just that.

    def _done(self, task: asyncio.Task[str]) -> None:
        self._refreshing = None
        if not task.cancelled():
            task.exception()  # looked at: whoever waits gets it, and if nobody waits it is logged

    async def _refresh(self, stale: str | None) -> str:
        if self._unsaved is not None:
            await self._save_again(self._unsaved)
        try:
            async with self._pool.connection() as connection, connection.transaction():
                found = await self._refresh_locked(connection, stale)
        except errors.OperationalError as error:
            if self._unsaved is None:
                raise DatabaseUnavailable(f"The tokens cannot be read: {error}") from error
            found = self._unsaved.tokens
            await self._save_again(self._unsaved)
        if isinstance(found, NeedsReauth):
            raise found
        if isinstance(found, str):
            return found
        self._unsaved = None
        log.info("tokens refreshed", connection_id=self._connection_id)
        margin = min(MARGIN_SECONDS, MARGIN_PART * found.expires_in)
        return self._keep(found.access_token, found.expires_in - margin)

    async def _refresh_locked(
        self, connection: EngineConnection, stale: str | None
    ) -> str | Tokens | NeedsReauth:
        """The stored token where it is still good; else new ones, written but not committed.

        NeedsReauth is returned, not raised: what is noted about it must be committed.
        """
        row = await (await connection.execute(_SELECT, [self._connection_id])).fetchone()
        if row is None:
            raise NeedsReauth("The connection has no token yet.")
        sealed, sealed_refresh, use, left = row
        current = self._vault.open(sealed) if sealed is not None else None
        usable = current is not None and current != stale
        if current is not None and usable and (use or 0.0) > 0:
            return self._keep(current, use)
        spent = self._vault.open(sealed_refresh)
        try:
            tokens = await self._oauth.refresh(spent)
        except NeedsReauth as error:
            await self._mark_gone(connection, error)
            return error
        except ProviderUnavailable:
            if current is not None and usable and (left or 0.0) > 5.0:
                return current  # not kept: the next call tries to refresh again
            raise
        self._unsaved = _Unsaved(tokens, spent)
        await self._save(connection, tokens)
        return tokens

    async def _save(self, connection: EngineConnection, tokens: Tokens) -> None:
        """The new pair; a connection that was thought to be without a grant has one after all."""
        await save_tokens(
            connection,
            self._vault,
            self._connection_id,
            tokens,
            missing=self._oauth.missing_scopes(tokens),
        )
        await connection.execute(
            f"update sqlsync.connection set state = {AFTER_CONSENT}, state_reason = null"
            " where id = %s and state = 'needs_reauth'".encode(),
            [self._connection_id],
        )

    async def _save_again(self, unsaved: _Unsaved) -> None:
        """The commit failed and the provider has already rotated: the pair must not be lost."""
        for attempt in range(_SAVE_ATTEMPTS):
            try:
                async with self._pool.connection() as connection, connection.transaction():
                    row = await (
                        await connection.execute(_SELECT, [self._connection_id])
                    ).fetchone()
                    # Another process may have refreshed meanwhile: then its pair is the newer.
                    if row is not None and self._vault.open(row[1]) == unsaved.spent:
                        await self._save(connection, unsaved.tokens)
            except errors.OperationalError as error:
                log.warning("tokens not saved yet", connection_id=self._connection_id)
                if attempt == _SAVE_ATTEMPTS - 1:
                    raise DatabaseUnavailable(
                        f"New tokens cannot be saved: {error}; they are kept in memory."
                    ) from error
                await asyncio.sleep(0.2 * 2**attempt)
            else:
                self._unsaved = None
                return

    async def _mark_gone(self, connection: EngineConnection, error: NeedsReauth) -> None:
        """The connection waits for a person. Its tokens stay: a refusal can be a mistake."""
        await connection.execute(
            "update sqlsync.token set last_error = %s where connection_id = %s",
            [str(error), self._connection_id],
        )
        await connection.execute(
            "update sqlsync.connection set state = 'needs_reauth', state_reason = %s"
            " where id = %s and state = any(%s)",
            [str(error), self._connection_id, list(sources(ConnectionState.NEEDS_REAUTH))],
        )

    def _keep(self, token: str, seconds: float) -> str:
        self._token = token
        self._until = monotonic() + max(0.0, seconds)
        return token
