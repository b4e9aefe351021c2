"""Every error sqlsync raises, in one tree.

Ask "may it be repeated?" and "was anything changed?" by class, never by text. Each class
carries the SQLSTATE a Postgres client sees; an instance carries the words.
"""

from __future__ import annotations


class SqlsyncError(Exception):
    """The root. `str(error)` is one sentence that says what happened."""

    sqlstate = "XX000"
    hint: str | None = None

    def __init__(
        self,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        table: str | None = None,
        column: str | None = None,
        constraint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        if hint is not None:
            self.hint = hint
        self.table = table
        self.column = column
        self.constraint = constraint


class ConfigError(SqlsyncError):
    """A setting, an argument or a file is wrong. Commands print it as one line and exit with 2."""

    sqlstate = "F0000"


class ConsentRefused(SqlsyncError):
    """A person said no, consented to something else, or the consent is not ours or not good."""

    sqlstate = "28000"


class CompanyChoice(ConfigError):
    """A consent covers several companies, and a person must say which one is meant."""

    def __init__(
        self, message: str, *, hint: str | None = None, companies: tuple[tuple[str, str], ...]
    ) -> None:
        super().__init__(message, hint=hint)
        self.companies = companies  # (id, name)


class CatalogError(ConfigError):
    """A catalog file is wrong; the message names the file and the field."""


class DatabaseUnavailable(SqlsyncError):
    """Postgres could not be reached, or is not the one we need."""

    sqlstate = "08006"


# -- what the provider answered, or did not ------------------------------------------------


class ProviderError(SqlsyncError):
    """A call to an accounting system did not give what was asked."""

    sqlstate = "58000"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        trace_id: str | None = None,
        detail: str | None = None,
        hint: str | None = None,
        table: str | None = None,
        column: str | None = None,
        constraint: str | None = None,
    ) -> None:
        super().__init__(
            message, detail=detail, hint=hint, table=table, column=column, constraint=constraint
        )
        self.code = code
        self.trace_id = trace_id


class ProviderRefusal(ProviderError):
    """The provider understood and said no. Nothing was changed; repeating gives the same."""

    sqlstate = "23514"


class DuplicateValue(ProviderRefusal):
    """A name or number is already used."""

    sqlstate = "23505"


class MissingRequired(ProviderRefusal):
    """A required field was not given."""

    sqlstate = "23502"


class BadReference(ProviderRefusal):
    """A field names a record that does not exist or is inactive."""

    sqlstate = "23503"


class RuleBroken(ProviderRefusal):
    """A business rule of the provider forbids the write."""

    sqlstate = "23514"


class ValueTooLong(ProviderRefusal):
    """A text is longer than the provider takes."""

    sqlstate = "22001"


class InvalidValue(ProviderRefusal):
    """A value has the wrong form: an enum, a date, a number, an e-mail address."""

    sqlstate = "22023"


class StaleVersion(ProviderRefusal):
    """The provider holds a newer version than the one this write was planned on.

    Nothing was changed. Clients see serialization_failure, which they know to retry.
    """

    sqlstate = "40001"
    hint = "Run the statement again; it is planned on the current version."


class NotFound(ProviderRefusal):
    """The provider does not hold the record."""

    sqlstate = "P0002"


class HistoryTooOld(ProviderRefusal):
    """The change feed does not reach back that far: a new backfill with a sweep is needed."""

    sqlstate = "55000"


class NotPermitted(ProviderRefusal):
    """The connection's scopes, or the person who connected, may not do this."""

    sqlstate = "42501"


class ProviderUnavailable(ProviderError):
    """The call could not be made or was not processed; nothing was changed. May be repeated."""


class Unreachable(ProviderUnavailable):
    """No connection, or the service answered that it is down (503)."""


class ProviderFault(ProviderUnavailable):
    """The provider failed inside (500) on a call that changes nothing, or answered nonsense."""


class NeedsReauth(ProviderUnavailable):
    """The grant is gone; a person must connect again. Repeating does not help."""

    hint = "Run: sqlsync connect"


class RateLimited(ProviderUnavailable):
    """The provider's limits are used up; nothing was read or changed."""

    sqlstate = "53400"

    def __init__(self, message: str, *, retry_after: float = 60.0, **words: str | None) -> None:
        super().__init__(message, **words)
        self.retry_after = retry_after  # seconds


class OutcomeUnknown(ProviderError):
    """A write was sent and no answer came. Repeat it only under the same idempotency key."""

    sqlstate = "08007"


# -- what we refuse ourselves, before any call ---------------------------------------------


class WriteRefused(SqlsyncError):
    """The write was refused before anything was sent to the provider."""

    sqlstate = "0A000"


class Unsupported(WriteRefused):
    """The statement is of a kind that cannot be written through."""

    sqlstate = "0A000"


class ReadOnlyColumn(WriteRefused):
    """The provider alone sets this column."""

    sqlstate = "428C9"


class ReadOnlyTable(WriteRefused):
    """The provider does not allow this kind of write on the object."""

    sqlstate = "55000"


class Cancelled(WriteRefused):
    """The client cancelled, or its time ran out, before anything was sent."""

    sqlstate = "57014"


# -- what came in at a door and is not to be believed ---------------------------------------


class BadWebhook(SqlsyncError):
    """A webhook delivery with a wrong signature or a body that cannot be read."""

    sqlstate = "22023"
