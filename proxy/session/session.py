"""One client's session while something of it must be looked at: events in, bytes out.

The relay hands over whole messages of both sides. What is no write of ours goes on as it
came; for the rest a script is started.
"""

from __future__ import annotations

from proxy.protocol.framing import (
    BIND,
    CLOSE,
    COPY_DONE,
    COPY_FAIL,
    EXECUTE,
    FAILED,
    NO_MESSAGE,
    PARSE,
    QUERY,
    SYNC,
    TERMINATE,
)
from proxy.session import wire
from proxy.session.blocks import end_failed_segment, end_segment
from proxy.session.core import Portal, Prepared, SessionCore
from proxy.session.effects import Script, SegmentFailed
from proxy.session.extended import execute_script
from proxy.session.facts import is_taken
from proxy.session.runs import synced
from proxy.session.strings import query_script
from proxy.statements.model import Kind

_PLAIN = (Kind.PASS, Kind.TRANSACTION)


class Session(SessionCore):
    """Reads the client's messages. Called while not busy; the caller queues them meanwhile."""

    def may_pass(self, kind: int, message: bytes) -> bool:
        """Judges a Query or Parse while nothing is held; remembers transaction commands."""
        if kind == QUERY:
            return all(s.kind in _PLAIN for s in self.read(message[5:-1]))
        try:
            body = wire.ParseBody.read(message[5:])
        except ValueError:
            return True
        found = self.read(body.sql)
        if body.name and body.name in self.statements:
            return False  # perhaps taken
        if not found:
            self.statements.pop(body.name, None)
            return True
        if found[0].kind is Kind.TRANSACTION:
            self.statements[body.name] = Prepared(found[0], body)
            return True
        return False

    def client_message(self, kind: int, message: bytes) -> None:
        if self.skipping and kind not in (TERMINATE, NO_MESSAGE):
            if kind == SYNC:
                self.start(end_failed_segment(self, message))
            return
        script = self._script_for(kind, message)
        if script is not None:
            self.in_query = kind == QUERY
            self.start(script)

    def _script_for(self, kind: int, message: bytes) -> Script | None:
        """The script that the message starts; None where it went on as it came."""
        script: Script | None = None
        if kind == QUERY:
            script = query_script(self, message, self.read(message[5:-1]))
            if script is None:
                self.forward_query(message)
            return script
        if kind == SYNC:
            if self.own_block:
                return end_segment(self, message)
            self.forward_sync(message)
            return None
        if kind == PARSE:
            script = self._parse(message)
        elif kind == BIND:
            script = self._bind(message)
        elif kind == EXECUTE:
            script = execute_script(self, message)
        elif kind == CLOSE:
            (self.portals if message[5:6] == b"P" else self.statements).pop(message[6:-1], None)
        elif kind in (COPY_DONE, COPY_FAIL):
            self.replies.copying = False
        if script is None:
            self.forward(message)
        return script

    def _parse(self, message: bytes) -> Script | None:
        try:
            body = wire.ParseBody.read(message[5:])
        except ValueError:
            return None
        if body.name and body.name in self.statements and self.status != FAILED:
            return self._if_free(b"S", body.name, message)
        self._parsed(body)
        return None

    def _parsed(self, body: wire.ParseBody) -> None:
        found = self.read(body.sql)
        if len(found) == 1 and found[0].kind is not Kind.PASS:
            self.statements[body.name] = Prepared(found[0], body)
        else:
            self.statements.pop(body.name, None)

    def _bind(self, message: bytes) -> Script | None:
        try:
            portal, statement, tail = wire.read_bind(message[5:])
        except ValueError:
            return None
        if portal and portal in self.portals and self.status != FAILED:
            return self._if_free(b"P", portal, message)
        self._bound(portal, statement, tail)
        return None

    def _bound(self, portal: bytes, statement: bytes, tail: bytes) -> None:
        prepared = self.statements.get(statement)
        if prepared is None:
            self.portals.pop(portal, None)
        else:
            self.portals[portal] = Portal(prepared, tail, len(self.replies.due))

    def _if_free(self, what: bytes, name: bytes, message: bytes) -> Script:
        """A Parse or Bind of a name that we know: it fails, and the old one stays, if it is
        still there; a rollback or SQL may have taken it away unseen."""
        try:
            yield from self.drained()
            # Nothing can be asked in a failed block: as if we had known that it has failed.
            # And a portal may have ended with the segment before.
            known = name in (self.portals if what == b"P" else self.statements)
            taken = False
            if known and not self.in_failed_block:
                taken = yield from is_taken(self, what, name)
                if not self.segment_open:  # our question must not count as its first statement
                    yield from synced(self)
        except SegmentFailed:
            return
        if not taken and what == b"S":
            self._parsed(wire.ParseBody.read(message[5:]))
        elif not taken:
            self._bound(*wire.read_bind(message[5:]))
        self.forward(message)
