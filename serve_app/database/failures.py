"""Names the failures of PostgreSQL by what they mean for a read."""

from collections.abc import Mapping

import psycopg

from serve_app.errors import StoreUnavailable

# UnicodeError: a host name that DNS cannot have.
FAILURES = (psycopg.Error, OSError, UnicodeError)
"""What a connection or a query may raise."""

OUTDATED = (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName)
"""A session prepared a statement, and a migration or another program made it useless since."""

_REASONS: Mapping[type[Exception], str] = {
    TimeoutError: "timed_out",
    psycopg.errors.QueryCanceled: "timed_out",
    psycopg.errors.UndefinedTable: "no_schema",
    psycopg.errors.UndefinedColumn: "no_schema",
    psycopg.OperationalError: "unreachable",
    psycopg.InterfaceError: "unreachable",
    OSError: "unreachable",
    UnicodeError: "unreachable",
}
"""The first class that fits names the failure; subclasses stand before OperationalError."""


def reason_of(error: Exception) -> str:
    """The reason in one word, as ``StoreUnavailable`` names it."""
    if isinstance(error, StoreUnavailable):
        return error.reason
    reasons = (reason for kind, reason in _REASONS.items() if isinstance(error, kind))
    return next(reasons, type(error).__name__)
