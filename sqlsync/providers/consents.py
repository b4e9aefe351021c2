"""Consents under way: what was asked, by whom it may be answered, and how it ended.

A consent's `state` travels through a person's browser. It is random, good once, for an hour,
at one provider, for one connection, under one redirect address (and, with PKCE, one verifier).
Postgres holds its hash only. The row outlives its use: the command that waits reads there how
it ended, whichever process took the callback.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlsync.database import EngineConnection
from sqlsync.errors import ConsentRefused
from sqlsync.vault import Vault

LIVES = "1 hour"
_REMEMBERED = "1 day"  # so that a second use can be named
_HINT = "Run: sqlsync connect"


class Outcome(StrEnum):
    """How a consent ended. The values are those of sqlsync.consent.outcome."""

    CONNECTED = "connected"
    REFUSED = "refused"  # the person said no, or it is not the consent that is needed
    FAILED = "failed"  # the provider did not do its part
    CHOOSE = "choose"  # granted for several companies: a person must say which
    WITHDRAWN = "withdrawn"  # nobody waits any more


@dataclass(frozen=True, slots=True)
class OpenConsent:
    """A consent as it was asked for."""

    connection_id: int
    name: str
    redirect_uri: str
    code_verifier: str | None
    company_id: str | None


@dataclass(frozen=True, slots=True)
class EndedConsent:
    """How it ended, in words for a person."""

    outcome: Outcome
    message: str | None
    hint: str | None
    missing_scopes: tuple[str, ...]


def hash_of(state: str) -> bytes:
    return hashlib.sha256(state.encode("utf-8", "surrogateescape")).digest()


async def open_consent(
    session: EngineConnection,
    vault: Vault,
    *,
    provider: str,
    connection_id: int,
    name: str,
    redirect_uri: str,
    code_verifier: str | None,
    company_id: str | None,
) -> str:
    """Notes a consent that is to come; returns its state. Forgets those long over."""
    state = secrets.token_urlsafe(32)
    await session.execute(
        f"delete from sqlsync.consent where created_at < clock_timestamp() - interval"
        f" '{_REMEMBERED}'".encode()
    )
    await session.execute(
        "insert into sqlsync.consent (state_hash, provider, connection_id, name, redirect_uri,"
        " code_verifier, company_id) values (%s, %s, %s, %s, %s, %s, %s)",
        [
            hash_of(state),
            provider,
            connection_id,
            name,
            redirect_uri,
            None if code_verifier is None else vault.seal(code_verifier),
            company_id,
        ],
    )
    return state


async def take_consent(
    session: EngineConnection, vault: Vault, *, provider: str, state: str
) -> OpenConsent:
    """The consent of a callback; it can be taken once. Raises ConsentRefused."""
    row = await (
        await session.execute(
            "update sqlsync.consent set used_at = clock_timestamp()"
            " where state_hash = %s and provider = %s and used_at is null and ended_at is null"
            f" and created_at > clock_timestamp() - interval '{LIVES}'"
            " returning connection_id, name, redirect_uri, code_verifier, company_id",
            [hash_of(state), provider],
        )
    ).fetchone()
    if row is None or row[0] is None:
        raise await _why_not(session, provider, state)
    connection_id, name, redirect_uri, verifier, company_id = row
    opened = None if verifier is None else vault.open(verifier)
    return OpenConsent(connection_id, name, redirect_uri, opened, company_id)


async def _why_not(session: EngineConnection, provider: str, state: str) -> ConsentRefused:
    row = await (
        await session.execute(
            "select provider, connection_id, used_at is not null, outcome = 'withdrawn'"
            " from sqlsync.consent where state_hash = %s",
            [hash_of(state)],
        )
    ).fetchone()
    if row is None or row[0] != provider:
        return ConsentRefused("This consent is not one we asked for.", hint=_HINT)
    if row[3]:
        return ConsentRefused("Nobody waits for this consent any more.", hint=_HINT)
    if row[2]:
        return ConsentRefused("This consent was used already.", hint="Look at: sqlsync status")
    if row[1] is None:
        return ConsentRefused("The connection was removed meanwhile.", hint=_HINT)
    return ConsentRefused("This consent is too old: it is good for an hour.", hint=_HINT)


async def chosen_consent(session: EngineConnection, *, provider: str, state: str) -> OpenConsent:
    """A consent that waits for the choice of a company. Raises ConsentRefused."""
    row = await (
        await session.execute(
            "select connection_id, name, redirect_uri, company_id from sqlsync.consent"
            " where state_hash = %s and provider = %s and outcome = 'choose'"
            " and connection_id is not null"
            f" and created_at > clock_timestamp() - interval '{LIVES}'",
            [hash_of(state), provider],
        )
    ).fetchone()
    if row is None:
        raise ConsentRefused("There is nothing to choose here any more.", hint=_HINT)
    return OpenConsent(row[0], row[1], row[2], None, row[3])


async def end_consent(
    session: EngineConnection,
    state: str,
    outcome: Outcome,
    *,
    message: str | None = None,
    hint: str | None = None,
    missing_scopes: Sequence[str] = (),
) -> bool:
    """Says how it ended, to whoever waits. False where it had ended already."""
    done = await session.execute(
        "update sqlsync.consent set outcome = %s, message = %s, hint = %s, missing_scopes = %s,"
        " ended_at = clock_timestamp()"
        " where state_hash = %s and (outcome is null or outcome = 'choose')",
        [outcome.value, message, hint, list(missing_scopes), hash_of(state)],
    )
    return done.rowcount > 0


async def look_at_consent(session: EngineConnection, state: str) -> EndedConsent | None:
    """How it ended; None while it has not."""
    row = await (
        await session.execute(
            "select outcome, message, hint, missing_scopes from sqlsync.consent"
            " where state_hash = %s",
            [hash_of(state)],
        )
    ).fetchone()
    if row is None or row[0] is None:
        return None
    return EndedConsent(Outcome(row[0]), row[1], row[2], tuple(row[3] or ()))
