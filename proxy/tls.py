"""The proxy's own certificate, for clients that want TLS.

TLS ends at the proxy: it must read what it relays. A certificate renewed on disk is taken
up by calling `server_context` again; sessions that exist keep the one they began with.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from sqlsync.errors import ConfigError

ALPN = "postgresql"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of the certificate chain and its private key, both PEM."""

    certificate: Path
    key: Path

    @classmethod
    def from_settings(
        cls, tls_cert: str | Path | None, tls_key: str | Path | None
    ) -> TlsFiles | None:
        """None where neither is set. Raises ConfigError where only one is."""
        if not tls_cert and not tls_key:
            return None
        if not tls_cert or not tls_key:
            missing = "tls_key" if tls_cert else "tls_cert"
            raise ConfigError(f"proxy.tls_cert and proxy.tls_key go together: {missing} is not set")
        return cls(Path(tls_cert), Path(tls_key))


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Returns a context for TLS 1.2 and newer. Raises ConfigError that names the file."""
    for setting, path in (("tls_cert", files.certificate), ("tls_key", files.key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise ConfigError(f"proxy.{setting} {path} cannot be read: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    try:
        # A key behind a passphrase would otherwise ask on the terminal and hang a service.
        context.load_cert_chain(files.certificate, files.key, password=lambda: b"")
    except ssl.SSLError as error:
        raise ConfigError(
            f"proxy.tls_cert {files.certificate} and proxy.tls_key {files.key} cannot be used: "
            f"{_why(error)}"
        ) from error
    return context


def _why(error: ssl.SSLError) -> str:
    reasons = {
        "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
        "BAD_DECRYPT": "the key is behind a passphrase; give one without",
    }
    return reasons.get(error.reason or "", "not a certificate and its key in PEM form")
