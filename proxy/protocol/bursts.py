"""Recognises a burst of messages that is framed like one before, by one comparison.

A client that runs a prepared statement sends the same few messages again and again, and gets
the same few back; only their bodies differ. Where each header stands as it stood before, the
framing is the same, since each header says where the next one is. So nothing is taken for
granted: all headers are compared, only not one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

BURST_BYTES = 512  # longer ones are rare, and the table has an entry for each size
MISSES = 8  # after so many the entry for a size goes to another burst

_HEADER = Struct("!BI").unpack_from


class Burst:
    """How one was framed: `unpack(data) == headers` for all of its size that are framed so."""

    __slots__ = ("headers", "misses", "unpack", "unpack_from")

    def __init__(self, form: str, data: bytes) -> None:
        struct = Struct(form)
        self.unpack: Callable[[bytes], tuple[int, ...]] = struct.unpack
        self.unpack_from: Callable[[bytes, int], tuple[int, ...]] = struct.unpack_from
        self.headers = self.unpack(data)
        self.misses = 0


class Bursts:
    """Bursts of messages of the types `inner`, and one of the type `last` at the end."""

    __slots__ = ("_inner", "_last", "by_size")

    def __init__(self, inner: bytes, last: bytes) -> None:
        self._inner = frozenset(inner)
        self._last = ord(last)
        self.by_size: dict[int, Burst] = {}

    def learn(self, data: bytes) -> None:
        """data: whole messages that were not recognised."""
        size = len(data)
        known = self.by_size.get(size)
        if known is not None and known.misses < MISSES:
            known.misses += 1
            return
        at, form, kind = 0, "!", 0
        while at < size <= BURST_BYTES:
            kind, length = _HEADER(data, at)
            if length < 4:
                return
            form += f"BI{length - 4}x"
            at += 1 + length
            if kind not in self._inner:
                break
        if at == size and kind == self._last:
            self.by_size[size] = Burst(form, data)


# One of each for the whole process: what is learned on one connection serves the others.
REQUESTS = Bursts(b"BDECH", b"S")  # Bind, Describe, Execute, Close, Flush; Sync
ANSWERS = Bursts(b"123tTnDCIs", b"Z")  # what upstream says without telling a state; ReadyForQuery
