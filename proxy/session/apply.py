"""The provider's answer, applied on the client's session by ticket.

An accepted write must not fail because the client is in a hurry: its timeouts are off in this
flight, and what they were comes back at its end.
"""

from __future__ import annotations

from proxy.session import wire
from proxy.session.core import SessionCore
from proxy.session.effects import Script, UpstreamError
from proxy.session.facts import Facts
from proxy.session.rehearsal import TICKETED, ticket
from proxy.session.runs import own, result


def apply(session: SessionCore, facts: Facts, payload: bytes, then: bytes = b"") -> Script:
    """Applies a payload, empty for nothing, and runs `then` in the same flight.

    Returns the OwnResult of `then`, None where it is empty. Raises UpstreamError.
    """
    timeouts = [
        (name, value)
        for name, value in (
            ("statement_timeout", facts.statement_timeout),
            ("lock_timeout", facts.lock_timeout),
        )
        if value != "0"
    ]
    back = list(timeouts)
    if facts.transaction_timeout != "0":
        back.append(("transaction_timeout", facts.transaction_timeout))
    applied = own(
        b"/* sqlsync */ select sqlsync.apply($1, $2)",
        ticket(session, facts, "apply", payload),
        TICKETED,
    )
    session.to_upstream.append(
        b"".join(set_for_transaction(name, "0") for name, _ in timeouts)
        + (applied if payload else b"")
        + then
        + b"".join(set_for_transaction(name, value) for name, value in back)
        + wire.FLUSH
    )
    for _ in timeouts:
        yield from result(session)
    if payload:
        yield from result(session)
    found = None
    if then:
        try:
            found = yield from result(session)
        except UpstreamError as error:
            # Its position is one in our text, not in the client's.
            raise UpstreamError(wire.moved(error.message, None)) from error
    for _ in back:
        yield from result(session)
    return found


def set_for_transaction(name: str, value: str) -> bytes:
    return own(
        b"/* sqlsync */ select pg_catalog.set_config($1, $2, true)",
        wire.values(wire.Value(name.encode()), wire.Value(value.encode())),
        wire.typed(wire.TEXT_OID, wire.TEXT_OID),
    )
