"""Both streams of a session while nobody looks at it: bytes in, the same bytes out.

A client sends the same few messages again and again and gets the same few back; only their
bodies differ. What is framed as something before it is recognised by one comparison and goes
on at once (`from_client`, `from_upstream`: each is the whole way from socket to socket). All
else is framed header by header, and what carries a statement is judged.

The short way is open where the long one would come to the same: between two messages of the
stream, with no error, copy or begun segment to remember. `tests/unit/proxy/session` compares
the two.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection
from struct import Struct

from proxy.protocol.bursts import ANSWERS, BURST_BYTES, REQUESTS
from proxy.protocol.framing import BackendFramer, FrontendFramer, Replies
from proxy.session.core import Host
from proxy.session.judge import Judge

_SYNC_MESSAGE = b"S\0\0\0\x04"
_length_at = Struct("!I").unpack_from
_request_of, _answer_of = REQUESTS.by_size.get, ANSWERS.by_size.get


class Passage:
    """What comes of the bytes of both sides is said by two callables, once they are known.

    unread: nobody looks at the session, so the short way may be taken.
    """

    __slots__ = (
        "_answers_at_rest",
        "_due",
        "_passing",
        "_requests_at_rest",
        "_to_client",
        "_to_upstream",
        "_unread",
        "backend",
        "frontend",
        "judge",
        "replies",
    )

    def __init__(self, host: Host | None) -> None:
        self.replies = Replies()
        self.judge = Judge(host, self.replies)
        self.frontend = FrontendFramer(self.replies, self.judge.may_pass)
        self.backend = BackendFramer(self.replies, self.judge.parameter, self.key_came)
        self._to_client: Callable[[bytes], object] = _nowhere
        self._to_upstream: Callable[[bytes], object] = _nowhere
        self._due = self.replies.due
        self._passing: Collection[bytes] = ()
        self._unread = self._requests_at_rest = self._answers_at_rest = False

    @property
    def unread(self) -> bool:
        return self._unread

    @unread.setter
    def unread(self, unread: bool) -> None:
        self._unread = unread
        self.settle()

    def settle(self) -> None:
        """To be called when anything was out of the ordinary: is the short way open now?"""
        self._requests_at_rest = self._unread and self.frontend.at_rest
        self._answers_at_rest = self._unread and self.backend.at_rest
        self._passing = self.judge.passing

    # -- the short way -------------------------------------------------------------------------

    def from_client(self, data: bytes) -> None:
        if self._requests_at_rest:
            kind, size = data[0], len(data)
            if kind == 81:  # Query: a SELECT, and nothing behind it
                if (
                    size > 11
                    and data[5:11].upper() == b"SELECT"
                    and _length_at(data, 1)[0] == size - 1
                    and data.find(b";", 11, size - 2) < 0
                ):
                    self._due.append(81)
                    self._to_upstream(data)
                    return
            elif kind == 80 and size > 5:  # Parse: of a text that passed before
                end = _length_at(data, 1)[0] + 1
                if data[:end] in self._passing:
                    burst = _request_of(size - end)
                    if burst is not None and burst.unpack_from(data, end) == burst.headers:
                        self._due.append(83)
                        self._to_upstream(data)
                        return
            else:
                burst = _request_of(size)
                if burst is not None and burst.unpack(data) == burst.headers:
                    self._due.append(83)
                    self._to_upstream(data)
                    return
        self.unusual_request(data)

    def from_upstream(self, data: bytes) -> None:
        if self._answers_at_rest:
            burst = _answer_of(len(data))
            if burst is not None and burst.unpack(data) == burst.headers:
                self.backend.status = data[-1]
                due = self._due
                if due:
                    del due[0]
                self._to_client(data)
                return
        self.unusual_answer(data)

    @abstractmethod
    def unusual_request(self, data: bytes) -> None:
        """The client sent what the short way does not know."""

    @abstractmethod
    def unusual_answer(self, data: bytes) -> None:
        """Upstream sent what the short way does not know."""

    @abstractmethod
    def key_came(self, body: bytes) -> None:
        """A BackendKeyData passed."""

    # -- the long way --------------------------------------------------------------------------

    def frame_client(self, data: bytes) -> bytes | None:
        """Passes on what may pass; returns the rest from the first message that may not.

        Raises TooLong.
        """
        began_at_rest = self._requests_at_rest
        passed, rest = self.frontend.feed(data)
        if passed:
            self._to_upstream(passed)
        if self._unread:
            self.settle()
            if began_at_rest and self._requests_at_rest and data.endswith(_SYNC_MESSAGE):
                begins = _length_at(data, 1)[0] + 1 if data[0] == 80 else 0
                if len(data) - begins <= BURST_BYTES:
                    REQUESTS.learn(data[begins:])
        return rest

    def frame_upstream(self, data: bytes) -> None:
        began_at_rest = self._answers_at_rest
        self.backend.feed(data)
        self._to_client(data)
        if self._unread:
            self.settle()
            if began_at_rest and self._answers_at_rest and len(data) <= BURST_BYTES:
                ANSWERS.learn(data)


def _nowhere(data: bytes) -> None:
    """Nobody is there yet."""
