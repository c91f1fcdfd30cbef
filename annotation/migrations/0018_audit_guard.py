"""The database itself keeps the audit log append-only.

One change passes: erasure empties the address, and the details, of an entry. TRUNCATE is refused on
PostgreSQL; SQLite has none. A later migration that changes the table on SQLite makes it anew and must
make these triggers anew.
"""

from typing import Any

from django.db import migrations

POSTGRESQL = [
    """
    CREATE FUNCTION annotation_audit_guard() RETURNS trigger LANGUAGE plpgsql AS $guard$
    BEGIN
        IF TG_OP = 'UPDATE' AND NEW.address = '' AND NEW.details IN (OLD.details, '{}'::jsonb)
            AND (NEW.id, NEW.at, NEW.via, NEW.act, NEW.target)
                = (OLD.id, OLD.at, OLD.via, OLD.act, OLD.target)
            AND NEW.person_id IS NOT DISTINCT FROM OLD.person_id
        THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'the audit log is append-only'
            USING ERRCODE = 'integrity_constraint_violation';
    END $guard$
    """,
    """
    CREATE TRIGGER annotation_audit_rows BEFORE UPDATE OR DELETE ON annotation_auditentry
        FOR EACH ROW EXECUTE FUNCTION annotation_audit_guard()
    """,
    """
    CREATE TRIGGER annotation_audit_table BEFORE TRUNCATE ON annotation_auditentry
        FOR EACH STATEMENT EXECUTE FUNCTION annotation_audit_guard()
    """,
]
POSTGRESQL_BACK = [
    "DROP TRIGGER annotation_audit_table ON annotation_auditentry",
    "DROP TRIGGER annotation_audit_rows ON annotation_auditentry",
    "DROP FUNCTION annotation_audit_guard",
]
SQLITE = [
    """
    CREATE TRIGGER annotation_audit_update BEFORE UPDATE ON annotation_auditentry
        WHEN NOT (
            NEW.address = '' AND NEW.details IN (OLD.details, '{}') AND NEW.id = OLD.id
            AND NEW.at = OLD.at AND NEW.via = OLD.via AND NEW.act = OLD.act
            AND NEW.target = OLD.target AND NEW.person_id IS OLD.person_id
        )
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
    """
    CREATE TRIGGER annotation_audit_delete BEFORE DELETE ON annotation_auditentry
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
    # INSERT OR REPLACE takes a row away without asking the trigger above.
    """
    CREATE TRIGGER annotation_audit_insert BEFORE INSERT ON annotation_auditentry
        WHEN EXISTS (SELECT 1 FROM annotation_auditentry WHERE id = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
]
SQLITE_BACK = [
    "DROP TRIGGER annotation_audit_insert",
    "DROP TRIGGER annotation_audit_delete",
    "DROP TRIGGER annotation_audit_update",
]


def _execute(editor: Any, statements: dict[str, list[str]]) -> None:
    for statement in statements[editor.connection.vendor]:
        editor.execute(statement, params=None)


def forwards(_apps: Any, editor: Any) -> None:
    _execute(editor, {"postgresql": POSTGRESQL, "sqlite": SQLITE})


def backwards(_apps: Any, editor: Any) -> None:
    _execute(editor, {"postgresql": POSTGRESQL_BACK, "sqlite": SQLITE_BACK})


class Migration(migrations.Migration):
    dependencies = [("annotation", "0017_audit_log_and_erasures")]
    operations = [migrations.RunPython(forwards, backwards)]
