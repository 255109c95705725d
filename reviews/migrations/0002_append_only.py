"""Judgments can't be changed or removed: the database itself refuses."""

from typing import Any

from django.db import migrations

TABLE = "reviews_judgment"
POSTGRES = f"""
CREATE FUNCTION refuse_change_of_{TABLE}() RETURNS trigger AS $$
BEGIN RAISE EXCEPTION 'judgments are append-only'; END;
$$ LANGUAGE plpgsql;
CREATE TRIGGER {TABLE}_append_only BEFORE UPDATE OR DELETE ON {TABLE}
FOR EACH ROW EXECUTE FUNCTION refuse_change_of_{TABLE}();
"""
POSTGRES_BACK = f"""
DROP TRIGGER {TABLE}_append_only ON {TABLE};
DROP FUNCTION refuse_change_of_{TABLE}();
"""
SQLITE = [
    f"CREATE TRIGGER {TABLE}_no_{verb.lower()} BEFORE {verb} ON {TABLE} "
    f"BEGIN SELECT RAISE(ABORT, 'judgments are append-only'); END"
    for verb in ("UPDATE", "DELETE")
]
SQLITE_BACK = [f"DROP TRIGGER {TABLE}_no_{verb}" for verb in ("update", "delete")]


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
