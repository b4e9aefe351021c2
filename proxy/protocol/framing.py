"""Cuts the two byte streams of a session into messages, as little as can be.

Relaying needs no bodies: both streams are framed by header, and the transport's own bytes
objects go on as they came. The frontend's Query and Parse are shown whole to a judge, since
they carry statements; of the backend's messages only those are looked at that tell a state.

Source: PostgreSQL documentation, "Message Formats".
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

_HEADER = Struct("!BI").unpack_from

QUERY, PARSE, BIND, DESCRIBE, EXECUTE, CLOSE, FLUSH, SYNC = b"QPBDECHS"
FUNCTION_CALL, PASSWORD, TERMINATE = b"FpX"
COPY_DATA, COPY_DONE, COPY_FAIL = b"dcf"

DATA_ROW, COMMAND_COMPLETE, ERROR, NOTICE, READY = b"DCENZ"
PARAMETER_STATUS, KEY_DATA, AUTHENTICATION, NOTIFICATION = b"SKRA"
PARSE_COMPLETE, BIND_COMPLETE, CLOSE_COMPLETE = b"123"
ROW_DESCRIPTION, PARAMETER_DESCRIPTION, NO_DATA, SUSPENDED = b"Ttns"
COPY_IN, COPY_OUT, COPY_BOTH, EMPTY_QUERY = b"GHWI"

IDLE, IN_BLOCK, FAILED = b"ITE"

# Reading a statement means holding it whole; Postgres itself allows 1 GiB.
STATEMENT_BYTES = 64 * 1024 * 1024

# What Postgres takes of a client: PQ_LARGE_MESSAGE_LIMIT and PQ_SMALL_MESSAGE_LIMIT.
MESSAGE_BYTES = 0x3FFFFFFF
SHORT_BYTES = 10_000
NO_MESSAGE = 0  # the type of bytes that are none
_STATEMENTS = frozenset(b"QPB")
_LONG = _STATEMENTS | frozenset(b"Fd")


class TooLong(Exception):
    """A Query or Parse longer than the proxy reads."""


class Replies:
    """How many ReadyForQuery the client is still owed, and for what.

    A Sync sent ahead of a COPY FROM STDIN is eaten by it (when the copy's `G` arrives), and
    one sent during the copy is ignored.
    """

    __slots__ = ("copying", "due")

    def __init__(self) -> None:
        self.due: list[int] = []  # a list: an idle session should cost nothing
        self.copying = False

    def sent(self, kind: int) -> None:
        if kind == SYNC and self.copying:
            return
        self.due.append(kind)

    def copy_began(self) -> None:
        self.copying = True
        if self.due and self.due[0] == SYNC:
            self.due.clear()

    def ready(self) -> None:
        self.copying = False
        if self.due:
            del self.due[0]


class FrontendFramer:
    """The client's stream, while nothing is held.

    `judge` is called with each whole Query and Parse and says whether it may pass. It is not
    asked before `judging` is set: then nothing is collected, whatever a stranger sends.
    """

    __slots__ = ("_parts", "_size", "_skip", "executed", "judge", "judging", "replies")

    def __init__(
        self, replies: Replies, judge: Callable[[int, bytes], bool], *, judging: bool = False
    ) -> None:
        self.replies = replies
        self.judge = judge
        self.judging = judging
        self.executed = False  # an Execute passed since the last Sync
        self._skip = 0  # bytes of a message already on its way
        self._parts: list[bytes] = []  # of a header, or of a Query or Parse, not yet whole
        self._size = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Returns (what may pass, the rest from the first message that may not, or None).

        Raises TooLong for a statement beyond STATEMENT_BYTES.
        """
        if self._parts:
            self._parts.append(data)
            self._size += len(data)
            if self._size < self._wanted():
                return b"", None
            data = b"".join(self._parts)
            self._parts = []
        size = len(data)
        at = start = self._skip
        replies = self.replies
        if start > size:
            self._skip = start - size
            return data, None
        self._skip = 0
        while at + 5 <= size:
            kind, length = _HEADER(data, at)
            end = at + 1 + length
            if kind == 81 or kind == 80:  # Query, Parse
                if self.judging:
                    if length > STATEMENT_BYTES:
                        raise TooLong
                    if end > size:
                        break
                    if not self.judge(kind, data if end - at == size else data[at:end]):
                        return data[:at], data[at:]
                if kind == 81:
                    replies.due.append(81)
            elif kind == 83:  # Sync
                if not replies.copying:
                    replies.due.append(83)
                self.executed = False
            elif kind == 69:  # Execute
                self.executed = True
            elif kind == 99 or kind == 102:  # CopyDone, CopyFail
                replies.copying = False
            elif kind == 70:  # FunctionCall
                replies.sent(kind)
            if end > size:
                self._skip = end - size
                return data, None
            if length < 4:  # nonsense: upstream closes the connection
                self._skip = 1 << 62
                return data, None
            at = end
        if at == size:
            return data, None
        self._parts = [data[at:]]
        self._size = size - at
        return data[:at], None

    @property
    def at_rest(self) -> bool:
        """Between two messages, with nothing to remember of those before."""
        return not (self._skip or self._parts or self.executed or self.replies.copying)

    def _wanted(self) -> int:
        """Bytes needed before the waiting message can be looked at."""
        if self._size < 5:
            return 5
        head = self._parts[0] if len(self._parts[0]) >= 5 else b"".join(self._parts)[:5]
        kind, length = _HEADER(head, 0)
        if self.judging and kind in (QUERY, PARSE):
            return STATEMENT_BYTES + 5 if length > STATEMENT_BYTES else int(length) + 1
        return 5


class Splitter:
    """Whole messages out of a stream, while a session looks at each of them.

    A header that Postgres would not take is no message: what follows comes out as it is, as of
    type NO_MESSAGE, and upstream closes the connection over it. A `bounded` one, for the client's
    stream, raises TooLong for a Query, Parse or Bind beyond STATEMENT_BYTES.
    """

    __slots__ = ("_bounded", "_lost", "_parts", "_size", "_wanted")

    def __init__(self, *, bounded: bool = False) -> None:
        self._bounded = bounded  # the client's stream
        self._lost = False
        self._parts: list[bytes] = []
        self._size = 0
        self._wanted = 5

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Returns (type, whole message with header) of each message that is complete."""
        if self._lost:
            return [(NO_MESSAGE, data)]
        if self._parts:
            self._parts.append(data)
            self._size += len(data)
            if self._size < self._wanted:
                return []
            data = b"".join(self._parts)
            self._parts = []
        at, size = 0, len(data)
        self._wanted = 5
        found = []
        while at + 5 <= size:
            kind, length = _HEADER(data, at)
            if self._bounded:
                if length < 4 or length > (MESSAGE_BYTES if kind in _LONG else SHORT_BYTES):
                    self._lost = True
                    found.append((NO_MESSAGE, data[at:]))
                    return found
                if length > STATEMENT_BYTES and kind in _STATEMENTS:
                    raise TooLong
            end = at + 1 + length
            if end > size:
                self._wanted = end - at
                break
            found.append((kind, data[at:end]))
            at = end
        if at < size:
            self._parts = [data[at:]]
        self._size = size - at
        return found

    def take_rest(self) -> bytes:
        """The beginning of a message, for the one who goes on."""
        rest = b"".join(self._parts)
        self._parts = []
        self._size = 0
        return rest


class BackendFramer:
    """Upstream's stream, while it is relayed: notices what tells a state, keeps nothing else.

    Every byte fed has been or will be written to the client by the caller.
    """

    __slots__ = (
        "_skip",
        "_tail",
        "failed",
        "on_key",
        "on_parameter",
        "on_ready",
        "replies",
        "status",
    )

    def __init__(
        self,
        replies: Replies,
        on_parameter: Callable[[bytes], None],
        on_key: Callable[[bytes], None],
    ) -> None:
        self.replies = replies
        self.status = 0  # of the last ReadyForQuery: I, T or E
        self.failed = False  # an error came before the segment's Sync: upstream skips to it
        self.on_parameter = on_parameter  # body of ParameterStatus
        self.on_key = on_key  # body of BackendKeyData
        self.on_ready: Callable[[int], None] | None = None  # status of a ReadyForQuery
        self._skip = 0
        self._tail = b""  # of a header, or of a message whose body is wanted

    def feed(self, data: bytes) -> None:
        if self._tail:
            data = self._tail + data
            self._tail = b""
        size = len(data)
        at = self._skip
        if at > size:
            self._skip = at - size
            return
        header, last = _HEADER, size - 5
        while at <= last:
            kind, length = header(data, at)
            if kind == 68 or kind == 100:  # DataRow, CopyData: nearly all of a big result
                at += length + 1
                continue
            end = at + 1 + length
            if kind == 90 or kind == 83 or kind == 75:
                if end > size:
                    break
                if kind == 90:
                    self._ready(data[at + 5])
                elif kind == 83:
                    self.on_parameter(data[at + 5 : end])
                else:
                    self.on_key(data[at + 5 : end])
            elif kind == 71:  # CopyInResponse
                self.replies.copy_began()
            elif kind == 69:  # ErrorResponse
                self.failed = not self.replies.due
            at = end
        if at > size:
            self._skip = at - size
        else:
            self._skip = 0
            if at < size:
                self._tail = data[at:]

    @property
    def at_rest(self) -> bool:
        """Between two messages, with nothing to remember of those before."""
        return not (self._skip or self._tail or self.failed or self.replies.copying)

    def _ready(self, status: int) -> None:
        self.status = status
        self.failed = False
        replies = self.replies
        replies.copying = False
        if replies.due:
            del replies.due[0]
        if self.on_ready is not None:
            self.on_ready(status)

    def take_tail(self) -> bytes:
        """The relayed beginning of a message, for the one who goes on with whole messages."""
        tail, self._tail = self._tail, b""
        return tail

    def take_skip(self) -> int:
        """Bytes still to come of a message whose beginning has been relayed."""
        skip, self._skip = self._skip, 0
        return skip
