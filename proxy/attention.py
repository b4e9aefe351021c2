"""While a statement may write a mirrored table, the session is handed whole messages.

First the client's; upstream's too as soon as something of ours is under way, until the session
has done with them. Then the streams are relayed unread again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from proxy.protocol.framing import QUERY, SYNC, Splitter, TooLong
from proxy.session.effects import Work
from proxy.session.session import Session
from proxy.working import perform
from sqlsync.errors import SqlsyncError

if TYPE_CHECKING:
    from proxy.relay import ClientSide

QUEUED_BYTES = 8 * 1024 * 1024  # of the client, while a write is under way

log = logging.getLogger(__name__)


class Attention:
    """Stands between a client's side and its session from a statement of concern on."""

    __slots__ = ("_in", "_out", "_queue", "_queued", "_raw_left", "_side", "_task")

    def __init__(self, side: ClientSide, session: Session) -> None:
        session.segment_block = None
        session.segment_unknown = side.frontend.executed
        session.segment_open = True
        side.frontend.executed = False
        side.backend.on_ready = session.segment_ended
        self._side = side
        self._in = Splitter(bounded=True)  # the client's messages
        self._out: Splitter | None = None  # upstream's, while the session looks at them
        self._queue: deque[tuple[int, bytes]] = deque()
        self._queued = 0  # bytes in it
        self._raw_left = 0  # bytes of a message that was being relayed when we began to look
        self._task: asyncio.Task[None] | None = None

    @property
    def _session(self) -> Session | None:
        """None once it is abandoned."""
        return self._side.judge.session

    # -- from the client -----------------------------------------------------------------------

    def from_client(self, data: bytes) -> None:
        try:
            found = self._in.feed(data)
        except TooLong:
            self._side.say_too_long()
            return
        self._queue.extend(found)
        self._queued += sum(len(whole) for _, whole in found)
        self._pump()
        if self._queue and self._queued > QUEUED_BYTES:
            self._side.pause_client()

    def client_left(self) -> None:
        """It sends no more; what it sent before is still carried out, as natively."""
        session = self._session
        if session is None:
            self._side.end_upstream()
        elif not session.busy:
            self._pump()
        else:
            finishes = any(kind in (SYNC, QUERY) for kind, _ in self._queue)
            if session.token is not None and not session.in_query and not finishes:
                session.token.cancelled = True

    # -- from upstream -------------------------------------------------------------------------

    def from_upstream(self, data: bytes) -> None:
        if self._out is None:
            self._side.frame_upstream(data)
            self._pump()
            return
        if self._raw_left:
            part, data = data[: self._raw_left], data[self._raw_left :]
            self._raw_left -= len(part)
            self._side.write(part)
        session = self._session
        assert session is not None
        for kind, whole in self._out.feed(data):
            session.upstream_message(kind, whole)
        self._pump()

    def upstream_lost(self) -> None:
        """A provider that is being asked is waited for, without the client: what it did is
        settled when it answers. Behind other work wait messages that the client is owed."""
        self._send()
        session = self._session
        if self._task is None:
            self._side.abandon()
        elif session is not None and session.token is not None:
            session.token.cancelled = True
            self._side.close()

    # -- the session ---------------------------------------------------------------------------

    def _pump(self) -> None:
        """Gives the session what waits, as long as it takes it; then sends what it said."""
        session = self._session
        while self._queue and session is not None and not session.busy:
            kind, whole = self._queue.popleft()
            self._queued -= len(whole)
            if self._out is None:
                self._catch_up(session)
            session.client_message(kind, whole)
            if self._out is None and session.needs_upstream:
                self._look_upstream(session)
        self._send()
        if session is None or session.busy:
            return
        if self._out is not None and not session.needs_upstream:
            self._look_away_upstream(session)
        side = self._side
        side.resume_client()
        if side.client_gone:
            side.end_upstream()
        elif side.stopping and not session.owes_answers:
            side.say_stopping()
        elif not session.needs_all_messages and self._out is None:
            side.look_away(self._in.take_rest())

    def _send(self) -> None:
        session = self._session
        if session is None:
            return
        if session.to_upstream:
            data = b"".join(session.to_upstream)
            session.to_upstream.clear()
            self._side.write_upstream(data)
        if session.to_client:
            data = b"".join(session.to_client)
            session.to_client.clear()
            self._side.write(data)
        if session.work is not None and self._task is None:
            work, session.work = session.work, None
            self._task = asyncio.create_task(self._perform(work, session))

    def _catch_up(self, session: Session) -> None:
        """What upstream has said unread, as far as the session must know it."""
        backend = self._side.backend
        session.status = backend.status
        self._side.judge.tell(session)
        # A Sync that is on its way has ended the segment that failed.
        session.skipping |= backend.failed and not session.replies.due
        backend.failed = False

    def _look_upstream(self, session: Session) -> None:
        """From here on the session is handed upstream's messages too."""
        self._out = Splitter()
        self._raw_left = self._side.backend.take_skip()
        head = self._side.backend.take_tail()
        session.relayed_head = len(head)
        if head:
            self._out.feed(head)

    def _look_away_upstream(self, session: Session) -> None:
        """Nothing of ours is under way: what upstream says is relayed unread again."""
        if self._out is None or self._raw_left or session.relayed_head:
            return
        self._side.backend.status = session.status
        self._side.judge.learn(session)
        begun, self._out = self._out.take_rest(), None
        if begun:
            self._side.frame_upstream(begun)

    # -- work ----------------------------------------------------------------------------------

    async def _perform(self, work: Work, session: Session) -> None:
        result: Any = None
        failure: SqlsyncError | None = None
        try:
            result = await perform(self._side.context, work)
        except SqlsyncError as error:
            failure = error
        except Exception as error:  # a bug must not leave a client waiting for ever
            log.exception("a write failed inside the proxy")
            failure = SqlsyncError(f"sqlsync: internal error: {error}")
        finally:
            self._task = None
        if self._side.is_closed:
            self._side.abandon()
            return
        try:
            if failure is not None:
                session.work_failed(failure)
            else:
                session.work_done(result)
            self._pump()
        except Exception as error:
            self._side.broke(error)
            return
        if self._side.upstream_gone and self._task is None:
            self._side.abandon()
