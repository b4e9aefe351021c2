"""One client's session while something of it must be looked at: events in, bytes out.

The relay hands over whole messages of both sides. What is no write of ours goes on as it
came; for the rest a script is started.
"""

from __future__ import annotations

from proxy.protocol.framing import QUERY, SYNC, TERMINATE
from proxy.session import wire
from proxy.session.core import Portal, Prepared, SessionCore
from proxy.session.extended import execute_script
from proxy.session.simple import query_script
from proxy.statements.model import Kind


class Session(SessionCore):
    """Reads the client's messages. Called while not busy; the caller queues them meanwhile."""

    def may_pass(self, kind: int, message: bytes) -> bool:
        """Judges a Query or Parse while nothing is held; remembers transaction commands."""
        if kind == QUERY:
            return not any(
                s.kind not in (Kind.PASS, Kind.TRANSACTION) for s in self.read(message[5:-1])
            )
        try:
            body = wire.ParseBody.read(message[5:])
        except ValueError:
            return True
        found = self.read(body.sql)
        if not found:
            if self.statements:
                self.statements.pop(body.name, None)
            return True
        if found[0].kind is Kind.TRANSACTION:
            self.statements[body.name] = Prepared(found[0], body)
            return True
        return False

    def client_message(self, kind: int, message: bytes) -> None:
        if self.skipping and kind != TERMINATE:
            if kind == SYNC:
                self.start(self.end_failed_segment(message))
            return
        match kind:
            case 81:  # Query
                script = query_script(self, message, self.read(message[5:-1]))
                if script is None:
                    self.forward_query(message)
                else:
                    self.in_query = True
                    self.start(script)
            case 80:  # Parse
                self._parse(message)
            case 66:  # Bind
                self._bind(message)
            case 69:  # Execute
                script = execute_script(self, message)
                if script is None:
                    self.forward(message)
                else:
                    self.start(script)
            case 67:  # Close
                if message[5:6] == b"P":
                    self.portals.pop(message[6:-1], None)
                else:
                    self.statements.pop(message[6:-1], None)
                self.forward(message)
            case 83:  # Sync
                if self.own_block:
                    self.start(self.end_segment(message))
                else:
                    self.forward_sync(message)
            case 99 | 102:  # CopyDone, CopyFail
                self.replies.copying = False
                self.forward(message)
            case _:
                self.forward(message)

    def _parse(self, message: bytes) -> None:
        try:
            body = wire.ParseBody.read(message[5:])
        except ValueError:
            self.forward(message)
            return
        found = self.read(body.sql)
        if len(found) == 1 and found[0].kind is not Kind.PASS:
            self.statements[body.name] = Prepared(found[0], body)
        else:
            self.statements.pop(body.name, None)
        self.forward(message)

    def _bind(self, message: bytes) -> None:
        try:
            portal, statement, tail = wire.read_bind(message[5:])
        except ValueError:
            self.forward(message)
            return
        prepared = self.statements.get(statement)
        if prepared is None:
            self.portals.pop(portal, None)
        elif portal == b"" or portal not in self.portals:
            # Bind of a name that is taken fails; the old portal stays what it is.
            self.portals[portal] = Portal(prepared, tail)
        self.forward(message)
