"""Who the person behind a consent is: the signed id_token and the key to check it with.

An app that asked for `openid` gets an id_token (a JSON Web Token, RS256) when it redeems its
code; the public key stands at the JWKS address. What `userinfo` tells depends on the scopes.
Source: Intuit, "OpenID Connect"; OpenID Connect Core 1.0, sections 2 and 5.4.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sqlsync.simulators.quickbooks.values import Doc

KEY_ID = "simulated-key-1"
SUBJECT = "b053d994-07d5-468d-b7ee-22e349d2e739"
ID_TOKEN_SECONDS = 3600
_ABOUT: dict[str, Doc] = {
    "email": {"email": "office@lakesidebikes.example", "emailVerified": True},
    "profile": {"givenName": "Mara", "familyName": "Ostrow"},
    "phone": {"phoneNumber": "+1 4155550100", "phoneNumberVerified": False},
    "address": {
        "address": {
            "streetAddress": "12 Quay Road",
            "locality": "Oakvale",
            "region": "CA",
            "postalCode": "94901",
            "country": "US",
        }
    },
}


class Signer:
    """Holds one key, made when it is first needed."""

    def __init__(self) -> None:
        self._made: rsa.RSAPrivateKey | None = None

    @property
    def _key(self) -> rsa.RSAPrivateKey:
        if self._made is None:
            self._made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return self._made

    def key_set(self) -> Doc:
        """The public key, as the JWKS address shows it."""
        numbers = self._key.public_key().public_numbers()
        size = (numbers.n.bit_length() + 7) // 8
        key = {"kty": "RSA", "e": _text(numbers.e.to_bytes(3, "big")), "use": "sig"}
        return {
            "keys": [
                {**key, "kid": KEY_ID, "alg": "RS256", "n": _text(numbers.n.to_bytes(size, "big"))}
            ]
        }

    def id_token(self, issuer: str, client_id: str, realm_id: str, now: int) -> str:
        """now: epoch seconds of the consent."""
        claims: Doc = {
            "sub": SUBJECT,
            "aud": [client_id],
            "realmid": realm_id,
            "auth_time": now,
            "iss": issuer,
            "exp": now + ID_TOKEN_SECONDS,
            "iat": now,
        }
        signed = f"{_json({'kid': KEY_ID, 'alg': 'RS256'})}.{_json(claims)}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_text(signature)}"


def user_info(scope: str) -> Doc | None:
    """What the userinfo address tells; None where the app did not ask for `openid`."""
    scopes = scope.split()
    if "openid" not in scopes:
        return None
    found: Doc = {"sub": SUBJECT}
    for name in scopes:
        found |= _ABOUT.get(name, {})
    return found


def _json(value: Any) -> str:
    return _text(msgspec.json.encode(value))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
