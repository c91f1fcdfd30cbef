"""The guard of the table of runs, in the database itself, on both engines.

Whatever writes to the table, be it the ORM or a person at a database prompt, passes here: an
illegal change of state and a falling fence are refused, and each change leaves its RunEvent row.
The legal changes are those of `lifecycle.LEGAL`; there is no second list.

It is put in place after every `migrate`, where it is not there as it should be: on SQLite Django
rebuilds a whole table for one new column, and a rebuilt table has lost its triggers.
"""

from typing import Any, Final

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from pipelines.lifecycle import LEGAL

_FIRST: Final = ("pipelines", "0002_run_guard")
_PAIRS: Final = ", ".join(
    f"'{before}>{after}'" for before, afters in LEGAL.items() for after in sorted(afters)
)

_GUARD: Final = f"""
    BEGIN
        IF NEW.fence < OLD.fence THEN
            RAISE EXCEPTION 'run %: the fence never falls (% to %)', OLD.id, OLD.fence, NEW.fence
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF NEW.state <> OLD.state AND OLD.state || '>' || NEW.state NOT IN ({_PAIRS}) THEN
            RAISE EXCEPTION 'run %: % to % is not a legal change', OLD.id, OLD.state, NEW.state
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END
"""
_RECORD: Final = """
    BEGIN
        INSERT INTO pipelines_runevent (run_id, at, before, after, fence, note)
            VALUES (NEW.id, clock_timestamp(),
                    CASE WHEN TG_OP = 'UPDATE' THEN OLD.state ELSE '' END,
                    NEW.state, NEW.fence, NEW.reason);
        RETURN NULL;
    END
"""
_FUNCTIONS: Final = {"pipelines_run_guard": _GUARD, "pipelines_run_record": _RECORD}
_POSTGRESQL: Final = {
    "pipelines_run_guard": """
        CREATE TRIGGER pipelines_run_guard BEFORE UPDATE ON pipelines_run
            FOR EACH ROW EXECUTE FUNCTION pipelines_run_guard()
    """,
    "pipelines_run_record_insert": """
        CREATE TRIGGER pipelines_run_record_insert AFTER INSERT ON pipelines_run
            FOR EACH ROW EXECUTE FUNCTION pipelines_run_record()
    """,
    "pipelines_run_record_update": """
        CREATE TRIGGER pipelines_run_record_update AFTER UPDATE ON pipelines_run
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
            EXECUTE FUNCTION pipelines_run_record()
    """,
}

_EVENT: Final = """
    INSERT INTO pipelines_runevent (run_id, at, before, after, fence, note)
        VALUES (NEW.id, strftime('%Y-%m-%d %H:%M:%f', 'now'), {before},
                NEW.state, NEW.fence, NEW.reason);
"""
_SQLITE: Final = {
    "pipelines_run_fence": (
        "CREATE TRIGGER pipelines_run_fence BEFORE UPDATE ON pipelines_run"
        " WHEN NEW.fence < OLD.fence"
        " BEGIN SELECT RAISE(ABORT, 'the fence of a run never falls'); END"
    ),
    "pipelines_run_state": (
        "CREATE TRIGGER pipelines_run_state BEFORE UPDATE ON pipelines_run"
        f" WHEN NEW.state <> OLD.state AND OLD.state || '>' || NEW.state NOT IN ({_PAIRS})"
        " BEGIN SELECT RAISE(ABORT, 'not a legal change of the state of a run'); END"
    ),
    "pipelines_run_record_insert": (
        "CREATE TRIGGER pipelines_run_record_insert AFTER INSERT ON pipelines_run BEGIN"
        + _EVENT.format(before="''")
        + "END"
    ),
    "pipelines_run_record_update": (
        "CREATE TRIGGER pipelines_run_record_update AFTER UPDATE ON pipelines_run"
        " WHEN OLD.state <> NEW.state BEGIN" + _EVENT.format(before="OLD.state") + "END"
    ),
}
TRIGGERS: Final = {"postgresql": _POSTGRESQL, "sqlite": _SQLITE}


def after_migrate(*, using: str, **_: Any) -> None:
    """Receiver of `post_migrate`: the guard stands wherever its first migration has run."""
    connection = connections[using]
    if _FIRST in MigrationRecorder(connection).applied_migrations():
        install(connection)


def install(connection: BaseDatabaseWrapper) -> None:
    """Put the guard in place, unless it stands already: then nothing is locked."""
    if stands(connection):
        return
    statements = _postgresql() if connection.vendor == "postgresql" else _sqlite()
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        for statement in statements:
            # Without parameters: the statements hold percent signs of their own.
            cursor.execute(statement)


def stands(connection: BaseDatabaseWrapper) -> bool:
    """Whether each part of the guard is there, word for word."""
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            found = dict(cursor.fetchall())
            return all(found.get(name) == text for name, text in _SQLITE.items())
        cursor.execute("SELECT proname, prosrc FROM pg_proc WHERE proname LIKE 'pipelines_run%%'")
        functions = dict(cursor.fetchall())
        cursor.execute(
            "SELECT tgname FROM pg_trigger"
            " WHERE tgrelid = 'pipelines_run'::regclass AND tgenabled = 'O'"
        )
        triggers = {name for (name,) in cursor.fetchall()}
    return triggers >= _POSTGRESQL.keys() and all(
        functions.get(name) == text for name, text in _FUNCTIONS.items()
    )


def _postgresql() -> list[str]:
    statements = [
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $is${text}$is$"
        for name, text in _FUNCTIONS.items()
    ]
    for name, text in _POSTGRESQL.items():
        statements += [f"DROP TRIGGER IF EXISTS {name} ON pipelines_run", text]
    return statements


def _sqlite() -> list[str]:
    statements = []
    for name, text in _SQLITE.items():
        statements += [f"DROP TRIGGER IF EXISTS {name}", text]
    return statements
