"""Checks the addresses of stores and bundles before anything could print their passwords.

A password that is not percent-encoded falls apart: a part of it becomes the port, the host or the
path. Drivers then name that part in their messages.
"""

import re
from urllib.parse import urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from serve_app.errors import SettingsInvalid

_ENCODED = "write the signs / @ : ? # % of a password as %2F %40 %3A %3F %23 %25"
_DATABASE_FORM = f"must have the form postgresql://user:password@host:port/database; {_ENCODED}"
_REDIS_FORM = f"must have the form redis://:password@host:port/0; {_ENCODED}"
_REDIS_SCHEMES = ("redis", "rediss", "unix")


def checked_database_url(url: str) -> str:
    """The URL, or PostgreSQL's ``key=value`` form of it, if it can be read.

    Raises:
        SettingsInvalid: it cannot be read, or its password is not percent-encoded.
    """
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:
        # Without the cause: its message repeats parts of the URL.
        raise SettingsInvalid("DATABASE_URL", _DATABASE_FORM) from None
    ports = str(parts.get("port") or "").split(",")
    is_torn = any(port and not port.isdecimal() for port in ports)
    if "://" in url:
        is_torn |= _has_late_at(url)
    if is_torn:
        raise SettingsInvalid("DATABASE_URL", _DATABASE_FORM)
    return url


def checked_redis_url(url: str) -> str:
    """The URL if it can be read.

    Raises:
        SettingsInvalid: it cannot be read, or its password is not percent-encoded.
    """
    scheme = url.partition("://")[0]
    if scheme not in _REDIS_SCHEMES or not _has_port(url) or _has_late_at(url):
        raise SettingsInvalid("REDIS_URL", _REDIS_FORM)
    return url


def holds_credentials(uri: str) -> bool:
    """Tells whether a URI of bundles holds a key and its secret.

    A single name before the ``@`` is none: Azure has ``abfs://container@account``.
    """
    before, at, _ = uri.partition("://")[2].rpartition("@")
    return bool(at) and ":" in before


def _has_port(url: str) -> bool:
    try:
        urlsplit(url).port  # noqa: B018 - reading the port is what checks it
    except ValueError:
        return False
    return True


def _has_late_at(url: str) -> bool:
    """Tells whether the end of the password stands behind the first ``/``, ``?`` or ``#``."""
    scheme, _, rest = url.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    late = rest.removeprefix(authority)
    return authority.count("@") > 1 or (scheme != "unix" and "@" in late)
