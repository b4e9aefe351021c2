"""Secrets at rest: tokens are sealed before they reach Postgres.

Sealed is Fernet (AES-128-CBC with HMAC-SHA256). Several keys may be given, newest first: the
first seals, all of them open, so that a key is changed without losing what the old one sealed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from sqlsync.errors import ConfigError

_HINT = (
    "A key is 32 bytes in URL-safe base64. Make one with:"
    " python -c 'from sqlsync.vault import new_key; print(new_key())'"
)


def new_key() -> str:
    """A fresh random key, as it stands in settings."""
    return Fernet.generate_key().decode("ascii")


class Vault:
    """Seals and opens short texts. Holds keys in memory and nothing else."""

    def __init__(self, keys: Sequence[str]) -> None:
        """keys: newest first. Raises ConfigError where there is none or one is malformed."""
        if not keys:
            raise ConfigError("No secret_key is set.", hint=_HINT)
        fernets = []
        for number, key in enumerate(keys, start=1):
            try:
                fernets.append(Fernet(key.encode("ascii")))
            except ValueError:  # UnicodeEncodeError and binascii.Error are ValueErrors
                # The key itself is not repeated: messages end up in logs.
                raise ConfigError(
                    f"Key {number} of {len(keys)} in secret_key is malformed.", hint=_HINT
                ) from None
        self._fernet = MultiFernet(fernets)

    @classmethod
    def from_text(cls, text: str) -> Vault:
        """From the setting `secret_key`: one key, or several with commas, newest first."""
        return cls([key for key in re.split(r"[,\s]+", text) if key])

    def seal(self, text: str) -> bytes:
        """The text, unreadable and tamper-evident."""
        return self._fernet.encrypt(text.encode("utf-8"))

    def open(self, sealed: bytes) -> str:
        """What `seal` was given. Raises ConfigError where no key fits."""
        return self._fernet.decrypt(self._readable(sealed)).decode("utf-8")

    def rotate(self, sealed: bytes) -> bytes:
        """The same text under the newest key. Raises ConfigError where no key fits."""
        return self._fernet.rotate(self._readable(sealed))

    def _readable(self, sealed: bytes) -> bytes:
        sealed = bytes(sealed)
        try:
            self._fernet.decrypt(sealed)
        except InvalidToken:
            raise ConfigError(
                "A stored token cannot be opened with the present secret_key.",
                hint="Put the key it was sealed with behind the new one in secret_key"
                " (comma between), or connect again: sqlsync connect",
            ) from None
        return sealed

    def __repr__(self) -> str:
        return "Vault(…)"
