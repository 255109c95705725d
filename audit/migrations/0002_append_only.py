"""The log can't be changed or shortened: the database itself refuses."""

from typing import Any

from django.db import migrations

POSTGRES = """
CREATE FUNCTION refuse_change_of_audit_logentry() RETURNS trigger AS $$
BEGIN RAISE EXCEPTION 'the log is append-only'; END;
$$ LANGUAGE plpgsql;
CREATE TRIGGER audit_logentry_append_only BEFORE UPDATE OR DELETE ON audit_logentry
FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit_logentry();
"""
POSTGRES_BACK = """
DROP TRIGGER audit_logentry_append_only ON audit_logentry;
DROP FUNCTION refuse_change_of_audit_logentry();
"""
SQLITE = [
    f"CREATE TRIGGER audit_logentry_no_{verb.lower()} BEFORE {verb} ON audit_logentry "
    "BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END"
    for verb in ("UPDATE", "DELETE")
]
SQLITE_BACK = [f"DROP TRIGGER audit_logentry_no_{verb}" for verb in ("update", "delete")]


def forwards(_apps: Any, schema_editor: Any) -> None:
    for statement in [POSTGRES] if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement)


def backwards(_apps: Any, schema_editor: Any) -> None:
    postgres = schema_editor.connection.vendor == "postgresql"
    for statement in [POSTGRES_BACK] if postgres else SQLITE_BACK:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunPython(forwards, backwards)]
