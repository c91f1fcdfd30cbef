"""The database itself refuses an illegal change of state and a falling fence, and writes the events.

Whatever writes to the table, be it the ORM or a person at a database prompt, passes here.
"""

from typing import Any

from django.db import migrations

# before>after, as it was at first. Since then pipelines.run_guard keeps it, after each migrate.
LEGAL = (
    "queued>starting",
    "queued>cancelled",
    "queued>failed",
    "starting>running",
    "starting>queued",
    "starting>failed",
    "starting>cancelling",
    "running>cancelling",
    "running>committing",
    "running>queued",
    "running>failed",
    "cancelling>cancelled",
    "committing>succeeded",
    "committing>queued",
    "committing>failed",
    "failed>queued",
)
PAIRS = ", ".join(f"'{pair}'" for pair in LEGAL)

POSTGRESQL = [
    f"""
    CREATE FUNCTION pipelines_run_guard() RETURNS trigger LANGUAGE plpgsql AS $guard$
    BEGIN
        IF NEW.fence < OLD.fence THEN
            RAISE EXCEPTION 'run %: the fence never falls (% to %)', OLD.id, OLD.fence, NEW.fence
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF NEW.state <> OLD.state AND OLD.state || '>' || NEW.state NOT IN ({PAIRS}) THEN
            RAISE EXCEPTION 'run %: % to % is not a legal change', OLD.id, OLD.state, NEW.state
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END $guard$
    """,
    """
    CREATE TRIGGER pipelines_run_guard BEFORE UPDATE ON pipelines_run
        FOR EACH ROW EXECUTE FUNCTION pipelines_run_guard()
    """,
    """
    CREATE FUNCTION pipelines_run_record() RETURNS trigger LANGUAGE plpgsql AS $record$
    BEGIN
        INSERT INTO pipelines_runevent (run_id, at, before, after, fence, note)
            VALUES (NEW.id, clock_timestamp(), CASE WHEN TG_OP = 'UPDATE' THEN OLD.state ELSE '' END,
                    NEW.state, NEW.fence, NEW.reason);
        RETURN NULL;
    END $record$
    """,
    """
    CREATE TRIGGER pipelines_run_record_insert AFTER INSERT ON pipelines_run
        FOR EACH ROW EXECUTE FUNCTION pipelines_run_record()
    """,
    """
    CREATE TRIGGER pipelines_run_record_update AFTER UPDATE ON pipelines_run
        FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
        EXECUTE FUNCTION pipelines_run_record()
    """,
]
POSTGRESQL_BACK = [
    "DROP TRIGGER IF EXISTS pipelines_run_record_update ON pipelines_run",
    "DROP TRIGGER IF EXISTS pipelines_run_record_insert ON pipelines_run",
    "DROP FUNCTION IF EXISTS pipelines_run_record",
    "DROP TRIGGER IF EXISTS pipelines_run_guard ON pipelines_run",
    "DROP FUNCTION IF EXISTS pipelines_run_guard",
]

SQLITE_EVENT = """
    INSERT INTO pipelines_runevent (run_id, at, before, after, fence, note)
        VALUES (NEW.id, strftime('%Y-%m-%d %H:%M:%f', 'now'), {before}, NEW.state, NEW.fence, NEW.reason);
"""
SQLITE = [
    """
    CREATE TRIGGER pipelines_run_fence BEFORE UPDATE ON pipelines_run
        WHEN NEW.fence < OLD.fence
        BEGIN SELECT RAISE(ABORT, 'the fence of a run never falls'); END
    """,
    f"""
    CREATE TRIGGER pipelines_run_state BEFORE UPDATE ON pipelines_run
        WHEN NEW.state <> OLD.state AND OLD.state || '>' || NEW.state NOT IN ({PAIRS})
        BEGIN SELECT RAISE(ABORT, 'not a legal change of the state of a run'); END
    """,
    "CREATE TRIGGER pipelines_run_record_insert AFTER INSERT ON pipelines_run BEGIN"
    + SQLITE_EVENT.format(before="''")
    + "END",
    "CREATE TRIGGER pipelines_run_record_update AFTER UPDATE ON pipelines_run"
    " WHEN OLD.state <> NEW.state BEGIN" + SQLITE_EVENT.format(before="OLD.state") + "END",
]
SQLITE_BACK = [
    "DROP TRIGGER IF EXISTS pipelines_run_record_update",
    "DROP TRIGGER IF EXISTS pipelines_run_record_insert",
    "DROP TRIGGER IF EXISTS pipelines_run_state",
    "DROP TRIGGER IF EXISTS pipelines_run_fence",
]


def _execute(editor: Any, statements: dict[str, list[str]]) -> None:
    for statement in statements[editor.connection.vendor]:
        # params=None: the statements hold percent signs of their own.
        editor.execute(statement, params=None)


def forwards(_apps: Any, editor: Any) -> None:
    _execute(editor, {"postgresql": POSTGRESQL, "sqlite": SQLITE})


def backwards(_apps: Any, editor: Any) -> None:
    _execute(editor, {"postgresql": POSTGRESQL_BACK, "sqlite": SQLITE_BACK})


class Migration(migrations.Migration):
    dependencies = [("pipelines", "0001_initial")]
    operations = [migrations.RunPython(forwards, backwards)]
