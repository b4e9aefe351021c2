"""Refusals, in the service's own shapes and words.

`Invalid` is about one element of a write; `Refused` about a whole request. Texts that the
reference marks unverified are gathered here too, so that correcting one is one line.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from sqlsync.simulators.xero.values import Doc


class Invalid(Exception):
    """One element breaks a rule; `messages` are shown as its ValidationErrors."""

    def __init__(self, *messages: str) -> None:
        super().__init__(" ".join(messages))
        self.messages = list(messages)


class Refused(Exception):
    """A whole request is refused. body: JSON value, or text with `media`."""

    def __init__(
        self,
        status: int,
        body: Any = "",
        *,
        media: str = "application/json; charset=utf-8",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.media = media
        self.headers = headers or {}


def not_found() -> Refused:
    return Refused(404, "", media="text/html; charset=utf-8")


def not_implemented() -> Refused:
    return Refused(501, "", media="text/html; charset=utf-8")


def method_not_allowed() -> Refused:
    return Refused(405, "", media="text/html; charset=utf-8")


def _exception(number: int | None, kind: str, message: str, **more: Any) -> Refused:
    return Refused(400, {"ErrorNumber": number, "Type": kind, "Message": message, **more})


def validation(elements: list[Doc], message: str = "A validation exception occurred") -> Refused:
    return _exception(10, "ValidationException", message, Elements=elements)


def bad_query(message: str) -> Refused:
    return _exception(16, "QueryParseException", message)


def bad_post(message: str) -> Refused:
    return _exception(17, "PostDataInvalidException", message)


def high_volume(what: str) -> Refused:
    return _exception(
        None,
        "HighVolumeException",
        f"Your request is not filtering {what} efficiently, given the extremely high volume for "
        "this organisation. Please check https://developer.xero.com/documentation/api/"
        f"efficient-data-retrieval for tips on making {what.removesuffix('s')} retrieval more "
        "efficient.",
    )


def key_reused(key: str) -> Refused:
    return validation([], f"Idempotency Key: {key} is used with a different request.")


def key_too_long(limit: int) -> Refused:
    return validation([], f"Idempotency Key must be no more than {limit} characters.")


def precondition() -> Refused:
    return Refused(412, "", media="text/html; charset=utf-8")


def _gateway(status: int, title: str, detail: str, headers: dict[str, str]) -> Refused:
    body: Doc = {
        "Type": None,
        "Title": title,
        "Status": status,
        "Detail": detail,
        "Instance": str(uuid4()),
        "Extensions": {},
    }
    return Refused(status, body, media="application/json", headers=headers)


_INVALID_TOKEN = {"WWW-Authenticate": "Bearer error=invalid_token"}


def bad_token() -> Refused:
    return _gateway(401, "Unauthorized", "AuthenticationUnsuccessful", _INVALID_TOKEN)


def token_expired(at: str) -> Refused:
    detail = f"TokenExpired: token expired at {at}"
    return _gateway(401, "Unauthorized", detail, _INVALID_TOKEN)


def scope_missing() -> Refused:
    header = {"WWW-Authenticate": 'Bearer error="insufficent_scope"'}  # their spelling
    return _gateway(401, "Unauthorized", "AuthorizationUnsuccessful", header)


def tenant_not_connected() -> Refused:
    return _gateway(403, "Forbidden", "AuthenticationUnsuccessful", {})


def limited(problem: str, retry_after: int | None) -> Refused:
    headers = {"X-Rate-Limit-Problem": problem}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return Refused(429, "", media="text/html; charset=utf-8", headers=headers)


OFFLINE = "The Organisation is offline"


def offline(status: int = 503) -> Refused:
    return Refused(status, OFFLINE if status == 503 else "", media="text/plain")


# -- sentences ---

NOT_MODIFIABLE = "Invoice not of valid status for modification"
HAS_PAYMENTS = "This document cannot be edited as it has a payment or credit note allocated to it."
ARCHIVED_CONTACT = (
    "The specified contact details matched an archived contact. "
    "Archived contacts cannot currently be edited via the API."
)
SENT_NEEDS_APPROVAL = "Only AUTHORISED invoices may have SentToContact updated."
PAY_AUTHORISED_ONLY = "Payments can only be made against Authorised documents"
PAY_TOO_MUCH = "Payment amount exceeds the amount outstanding on this document"
UNIQUE_NAME = "Please enter a unique Name."
UNIQUE_CODE = "Please enter a unique Code."


def contact_name_taken(name: str) -> Invalid:
    return Invalid(
        f"The contact name {name} is already assigned to another contact. "
        "The contact name must be unique across all active contacts."
    )


def status_blocked(status: str) -> Invalid:
    return Invalid(
        f"The status {status} cannot be applied to the invoice because it has payments or credit "
        "notes allocated to it."
    )


def locked(kind: str, at: str) -> Invalid:
    return Invalid(
        f"The document date cannot be before the {kind} lock date, currently set at {at}"
    )


def no_currency(code: str) -> Invalid:
    return Invalid(f"Organisation is not subscribed to currency {code}")
