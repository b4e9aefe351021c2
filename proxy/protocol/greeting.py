"""Upstream's answers to a startup packet, as the client is to see them, without I/O.

Authentication is relayed, so little is changed on the way: a client whose packet was capped
is told so in upstream's name, and SCRAM with channel binding is not offered where TLS ends at
the proxy, since it would be bound to another connection than the client's.

Source: PostgreSQL documentation, "Start-up" and "SASL Authentication".
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.protocol.framing import (
    AUTHENTICATION,
    ERROR,
    KEY_DATA,
    PARAMETER_STATUS,
    READY,
    Splitter,
)
from proxy.protocol.messages import AUTH_SASL, message, strip_plus
from proxy.protocol.startup import Capped, negotiated

_OFFERS_SASL = AUTH_SASL.to_bytes(4)


class Greeting:
    """All that upstream says up to the first ReadyForQuery.

    hides_plus: channel binding is not offered. on_parameter, on_key: called with the bodies
    of ParameterStatus and BackendKeyData.
    """

    __slots__ = ("_capped", "_hides_plus", "_messages", "_on_key", "_on_parameter", "status")

    def __init__(
        self,
        capped: Capped,
        *,
        hides_plus: bool,
        on_parameter: Callable[[bytes], None],
        on_key: Callable[[bytes], None],
    ) -> None:
        self.status = 0  # of the ReadyForQuery, once it has come
        self._capped: Capped | None = capped if capped.changed else None  # still to be told
        self._hides_plus = hides_plus
        self._on_parameter = on_parameter
        self._on_key = on_key
        self._messages = Splitter()

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Returns (what the client gets, what came behind the first ReadyForQuery)."""
        shown, behind = [], []
        for kind, whole in self._messages.feed(data):
            if self.status:
                behind.append(whole)
            else:
                shown.append(self._shown(kind, whole))
        if self.status:
            behind.append(self._messages.take_rest())
        return b"".join(shown), b"".join(behind)

    def _shown(self, kind: int, whole: bytes) -> bytes:
        if kind == READY:
            self.status = whole[5]
        elif kind == KEY_DATA:
            self._on_key(whole[5:])
        elif kind == PARAMETER_STATUS:
            self._on_parameter(whole[5:])
        elif kind == AUTHENTICATION and whole[5:9] == _OFFERS_SASL and self._hides_plus:
            whole = message(b"R", strip_plus(whole[5:]))
        if self._capped is None or kind == ERROR:
            return whole
        capped, self._capped = self._capped, None
        if kind == ord("v"):
            return negotiated(capped, whole[5:])
        return negotiated(capped, None) + whole
