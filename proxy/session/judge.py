"""Decides, while nobody looks at a session, whether what the client sends may pass unread.

Most clients never write a mirrored table, so a session (`proxy.session.session`) is made only
once a statement asks for one, and dropped when it has nothing left to remember.
"""

from __future__ import annotations

from collections.abc import Collection

from proxy.protocol.framing import PARSE, QUERY, Replies
from proxy.session.core import Host
from proxy.session.encodings import codec_of
from proxy.session.session import Session


class Judge:
    """host: whose names and statements count; None where nothing is to be judged.

    session: None while every statement so far could pass and left nothing to remember.
    """

    __slots__ = ("_conforming", "_encoding", "_replies", "host", "session")

    def __init__(self, host: Host | None, replies: Replies) -> None:
        self.host = host
        self.session: Session | None = None
        self._replies = replies
        self._encoding = "UTF8"
        self._conforming = True

    def may_pass(self, kind: int, whole: bytes) -> bool:
        """Of a Query or Parse. False: there is a session now, which must be handed it."""
        if self.session is not None:
            return self.session.may_pass(kind, whole)
        if self.host is None:
            return True
        if kind == QUERY:
            sql = whole[5:-1]
        else:
            start = whole.find(b"\0", 5) + 1
            sql = whole[start : whole.find(b"\0", start)]
        codec = "utf-8" if self._encoding == "UTF8" else codec_of(self._encoding)
        if not self.host.classifier.read(sql, codec, self._conforming):
            if kind == PARSE and self._is_plain:
                self.host.classifier.note_passing(whole)
            return True
        session = Session(self.host, self._replies)
        self.tell(session)
        may_pass = session.may_pass(kind, whole)
        if session.statements or not may_pass:
            self.session = session
        return may_pass

    @property
    def passing(self) -> Collection[bytes]:
        """Parse messages that may pass without being judged anew."""
        if self.host is None or self.session is not None or not self._is_plain:
            return ()
        return self.host.classifier.passing

    @property
    def _is_plain(self) -> bool:
        """Whether a text means here what it means to nearly all sessions."""
        return self._encoding == "UTF8" and self._conforming

    def parameter(self, body: bytes) -> None:
        """Upstream reports a parameter (ParameterStatus) unread by a session."""
        name, _, rest = body.partition(b"\0")
        if name == b"client_encoding":
            self._encoding = rest.rstrip(b"\0").decode("ascii", "replace")
        elif name == b"standard_conforming_strings":
            self._conforming = rest.rstrip(b"\0") == b"on"

    def tell(self, session: Session) -> None:
        """The session learns of the parameters that were reported meanwhile."""
        session.encoding = self._encoding
        session.conforming = self._conforming

    def learn(self, session: Session) -> None:
        """The other way round."""
        self._encoding = session.encoding
        self._conforming = session.conforming
