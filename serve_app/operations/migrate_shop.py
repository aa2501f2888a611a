"""Brings the tables of a database up to date."""

from serve_app.database.schema import ensure_schema, saying_failures, schema_version
from serve_app.operations.workplace import Workplace


def migrate(workplace: Workplace) -> str:
    """Applies the migrations that are missing, and says which; the data stay.

    Raises:
        DatabaseFailed: PostgreSQL ended the work; the tables are as they were.
        SchemaMismatch: the tables are newer than this build.
        SettingsInvalid: the database does not answer, or belongs to another application.
    """
    with workplace.database() as conn, saying_failures("the migration"):
        before = schema_version(conn)
        ensure_schema(conn)
        after = schema_version(conn)
    if before == after:
        return f"the tables have version {after} already"
    if before is None:
        return f"created the tables, version {after}"
    return f"migrated the tables from version {before} to {after}"
