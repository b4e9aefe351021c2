"""Access and identity tokens: JWTs signed with RS256 by a key made for this run.

Clients that check signatures find the key under `jwks`; the service itself looks tokens up.
"""

from __future__ import annotations

import base64
from functools import cached_property

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sqlsync.simulators.xero.values import Doc, encode

KEY_ID = "SIMULATED-KEY-1"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """Signs claims. The key is made on first use."""

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def sign(self, claims: Doc) -> str:
        head = {"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}
        signed = f"{_text(encode(head))}.{_text(encode(claims))}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_text(signature)}"

    def jwks(self) -> Doc:
        """The public key, as `/.well-known/openid-configuration/jwks` shows it."""
        numbers = self._key.public_key().public_numbers()
        n = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
        e = numbers.e.to_bytes(3, "big")
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID}
        return {"keys": [{**key, "n": _text(n), "e": _text(e)}]}
