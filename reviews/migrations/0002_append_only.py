"""Judgments and adjudications can't be changed or removed: the database itself refuses."""

from typing import Any

from django.db import migrations

TABLES = {"reviews_judgment": "judgments", "reviews_adjudication": "adjudications"}
POSTGRES = "".join(
    f"""
CREATE FUNCTION refuse_change_of_{table}() RETURNS trigger AS $$
BEGIN RAISE EXCEPTION '{name} are append-only'; END;
$$ LANGUAGE plpgsql;
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION refuse_change_of_{table}();
"""
    for table, name in TABLES.items()
)
POSTGRES_BACK = "".join(
    f"""
DROP TRIGGER {table}_append_only ON {table};
DROP FUNCTION refuse_change_of_{table}();
"""
    for table in TABLES
)
SQLITE = [
    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, '{name} are append-only'); END"
    for table, name in TABLES.items()
    for verb in ("UPDATE", "DELETE")
]
SQLITE_BACK = [
    f"DROP TRIGGER {table}_no_{verb}" for table in TABLES for verb in ("update", "delete")
]


def forwards(_apps: Any, schema_editor: Any) -> None:
    for statement in [POSTGRES] if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement)


def backwards(_apps: Any, schema_editor: Any) -> None:
    postgres = schema_editor.connection.vendor == "postgresql"
    for statement in [POSTGRES_BACK] if postgres else SQLITE_BACK:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("reviews", "0001_initial")]
    operations = [migrations.RunPython(forwards, backwards)]
