"""Fixtures for everybody: people, real services, a browser.

With CI=true a missing real component is a failure; on a user's machine a skip with its reason.
"""

import gc
import os
import re

# Before torch is imported anywhere: busy cores and many OpenMP threads cost minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["TIEBREAK_TRAINER_THREADS"] = "1"  # several tests share the cores
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Playwright's loop runs in the test's thread, beside Django's ORM.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import keep_to_sqlite
from tests.promises import LEVEL, Figures, keep_cases, keeper
from tools.services import ServiceMissing, postgres, redis

_SCRATCH = Path(tempfile.mkdtemp(prefix="tiebreak-tests-"))
os.environ["TIEBREAK_VAR"] = str(_SCRATCH)
# The development default of PostgreSQL or a broker must not leak into tests.
for _name in ("CELERY_BROKER_URL", "MEDIA_ROOT", "RUNS_ROOT", "STATIC_ROOT", "TIEBREAK_MODE"):
    os.environ.pop(_name, None)

PASSWORD = "a long test password"
PATIENCE = 30_000  # ms that a browser has for what a page must show; CI machines are slow


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shared",
        default=os.environ.get("TIEBREAK_SHARED", ""),
        help="folder with data/videoalign (six real clips, three suites); also TIEBREAK_SHARED",
    )


def pytest_configure() -> None:
    """Settings were read before this file: nothing of a test may land in the own var/."""
    # What is imported and collected now stays, and to look through it for garbage takes long.
    gc.disable()
    from django.conf import settings

    from tools.messages import compile_all

    compile_all()  # of the translations, where one was changed

    settings.VAR = _SCRATCH
    settings.TIEBREAK_TRAINER_THREADS = 1
    settings.STATIC_ROOT = _SCRATCH / "static"
    settings.STATIC_ROOT.mkdir(exist_ok=True)  # WhiteNoise wants it when a live server starts


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 20, 20)  # tests leave little in circles, and looking took long


_WHOLE = bool(os.environ.get("TIEBREAK_TEST_COUNTS"))  # no files were asked for
# Fixtures behind which there are tables or processes that use them.
_TABLES = {"db", "transactional_db", "live_server", "database_url", "postgres_url"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Which of the two engines a test is for, where both have their turn (tools/run_tests.py).

    On the second only what touches tables runs again. What needs a broker runs there alone: both
    belong to production.
    """
    for item in items:
        names = [name for mark in item.iter_markers("promise") for name in mark.args]
        item.user_properties += [("promise", name) for name in names]
    engine = os.environ.get("TIEBREAK_TEST_ENGINE")
    if engine == "postgresql":
        kept = [each for each in items if _touches_tables(each)]
    elif engine == "sqlite":
        kept = [
            each
            for each in items
            if not (each.get_closest_marker("redis") and _touches_tables(each))
            and not (_WHOLE and not LEVEL and _kills_around_tables(each))
        ]
    else:
        return
    dropped = set(items) - set(kept)
    config.hook.pytest_deselected(items=[each for each in items if each in dropped])
    items[:] = kept


_passed: Counter[str] = Counter()  # by promise


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        _passed.update(name for kind, name in report.user_properties if kind == "promise")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What passed of each promise, where all tests of promises were run (tools/run_tests.py)."""
    if os.environ.get("TIEBREAK_TEST_COUNTS") and not hasattr(session.config, "workerinput"):
        keep_cases(os.environ["TIEBREAK_TEST_ENGINE"], _passed)


def _kills_around_tables(item: pytest.Item) -> bool:
    """A promise for which processes of runs are killed. `make test` tries it on the engine of
    production, and `make test-faults` on both; those of votes are tried on both always."""
    of_promise = item.get_closest_marker("promise") or item.get_closest_marker("mutant")
    return bool(
        of_promise
        and item.get_closest_marker("faults")
        and item.nodeid.startswith("tests/pipelines/")
        and _touches_tables(item)
    )


def _touches_tables(item: pytest.Item) -> bool:
    if item.get_closest_marker("one_engine"):
        return False
    fixtures = set(getattr(item, "fixturenames", ()))
    return bool(item.get_closest_marker("django_db") or fixtures & _TABLES)


def pytest_unconfigure() -> None:
    shutil.rmtree(_SCRATCH, ignore_errors=True)


def unavailable(reason: str) -> None:
    """A real component is missing: a failure in CI, a skip on a user's machine."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"CI needs it: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest) -> Path:
    """The folder with the real clips; nothing of it is in the repository."""
    given = request.config.getoption("--shared")
    folder = Path(given) if given else Path(__file__).parents[2] / "shared"
    if not (folder / "data" / "videoalign" / "example.csv").exists():
        unavailable(
            f"no data/videoalign/example.csv under {folder}:"
            " name the folder with --shared or TIEBREAK_SHARED"
        )
    return folder


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """A file, not memory: the tests' child processes open the same database."""
    from django.conf import settings

    database = settings.DATABASES["default"]
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    database.setdefault("TEST", {})["NAME"] = f"test_{database['NAME']}_{worker}"
    if database["ENGINE"].endswith("sqlite3"):
        database["TEST"]["NAME"] = str(_SCRATCH / f"test-{worker}.sqlite3")
        # Votes need FULL; tests need minutes. Durability has its own tests, which set it.
        database["OPTIONS"]["init_command"] = (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA foreign_keys=ON;"
        )
    if template := os.environ.get("TIEBREAK_TEST_TEMPLATE"):
        copy_database(template, database)
    if database["ENGINE"].endswith("sqlite3"):
        keep_to_sqlite(database["TEST"]["NAME"])


def copy_database(template: str, database: dict[str, Any]) -> None:
    """A migrated database for this worker: every one would spend five seconds on the same tables.

    `template`: a file of SQLite, or the name of a database of the same PostgreSQL.
    """
    name = database["TEST"]["NAME"]
    if database["ENGINE"].endswith("sqlite3"):
        shutil.copy(template, name)
        return
    import psycopg

    server = {"host": database["HOST"], "port": database["PORT"], "user": database["USER"]}
    with psycopg.connect(**server, dbname="postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """Keep what was copied; it lies in the scratch folder, or in a server that is thrown away."""
    return bool(os.environ.get("TIEBREAK_TEST_TEMPLATE"))


@pytest.fixture(scope="session")
def django_db_modify_db_settings_parallel_suffix() -> None:
    """The name above carries the worker already."""


@pytest.fixture(autouse=True, scope="session")
def _tests_may_empty_the_audit_log() -> Iterator[None]:
    """Tests with real transactions empty all tables; triggers would keep that of the audit."""
    from django.db.backends.base.operations import BaseDatabaseOperations

    plain = BaseDatabaseOperations.execute_sql_flush

    def flush(operations: Any, statements: list[str]) -> None:
        before, after = _without_triggers(operations.connection)
        plain(operations, [*before, *statements, *after])

    BaseDatabaseOperations.execute_sql_flush = flush
    yield
    BaseDatabaseOperations.execute_sql_flush = plain


def _without_triggers(connection: Any) -> tuple[list[str], list[str]]:
    """What switches the triggers of the audit log off, and on again."""
    if connection.vendor == "postgresql":
        switch = "ALTER TABLE annotation_auditentry {} TRIGGER USER"
        return [switch.format("DISABLE")], [switch.format("ENABLE")]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, sql FROM sqlite_master"
            " WHERE type = 'trigger' AND tbl_name = 'annotation_auditentry'"
        )
        triggers = dict(cursor.fetchall())
    return [f"DROP TRIGGER {name}" for name in triggers], list(triggers.values())


@pytest.fixture
def database_url(db: None) -> str:
    """The URL of the live test database, for child processes (they see only what is committed)."""
    from django.db import connection

    values: dict[str, Any] = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    return f"postgresql://{values['USER']}@{values['HOST']}:{values['PORT']}/{values['NAME']}"


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.RUNS_ROOT = tmp_path / "runs"
    settings.ARTIFACT_STORE_URL = str(tmp_path / "store")
    settings.TIEBREAK_TOMBSTONES = tmp_path / "tombstones.jsonl"
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    # Requests are counted per test.
    local = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": str(tmp_path)}
    settings.CACHES = {**settings.CACHES, "throttle": local}
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL: the one that the test command started, or an own one."""
    given = os.environ.get("TIEBREAK_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    try:
        with postgres() as url:
            yield url
    except ServiceMissing as error:
        unavailable(str(error))


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real Redis of this test process alone: tests may stop and flush it."""
    try:
        with redis() as url:
            yield url
    except ServiceMissing as error:
        unavailable(str(error))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """`figures("J4", kills=50)` keeps what was measured (tests/promises.py)."""
    from django.db import connection

    # pytest-xdist writes the group of a test behind its name.
    return keeper(connection.vendor, re.sub(r"@[\w-]+$", "", request.node.nodeid))


# People: alice and bob annotate, lee leads, mia trains, charlie has no role, olga operates.


def _person(name: str, *groups: str, **flags: bool) -> Any:
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group

    user = get_user_model().objects.create_user(name, password=PASSWORD, **flags)
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


@pytest.fixture
def alice(db: None) -> Any:
    return _person("alice", "annotator")


@pytest.fixture
def bob(db: None) -> Any:
    return _person("bob", "annotator")


@pytest.fixture
def lee(db: None) -> Any:
    return _person("lee", "lead", is_staff=True)


@pytest.fixture
def mia(db: None) -> Any:
    return _person("mia", "ml_engineer", is_staff=True)


@pytest.fixture
def charlie(db: None) -> Any:
    return _person("charlie")


@pytest.fixture
def olga(db: None) -> Any:
    return _person("olga", is_staff=True, is_superuser=True)


# A browser.


def chromium() -> str | None:
    given = os.environ.get("TIEBREAK_CHROMIUM")
    return (
        given
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )


CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium, driven by Playwright."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)

    path = chromium()
    if path is None:
        unavailable(
            "no Chromium: install it with `apt-get install chromium`,"
            " or name one in TIEBREAK_CHROMIUM"
        )
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield instance
        instance.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A fresh page in a fresh profile; an error in the page's own script fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []
