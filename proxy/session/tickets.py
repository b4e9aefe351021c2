"""Tickets: the proof, given to functions in Postgres, that the proxy asked.

mac = H(secret, H(secret, purpose:pid:payload)), as sqlsync.check_ticket makes it again. A
ticket travels as a parameter of Bind, never in the text of a statement, which others can see.
"""

from __future__ import annotations

from hashlib import sha256


class Tickets:
    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def mac(self, purpose: str, pid: int, payload: bytes) -> bytes:
        inner = sha256(self._secret + f"{purpose}:{pid}:".encode() + payload).digest()
        return sha256(self._secret + inner).digest()
