"""A site of an earlier version becomes one of this version and loses nothing, on both engines."""

import gzip
import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from tests.promises import counts

HERE = Path(__file__).parent
SITES = counts(["first"], ["first", "loop"], ["first", "loop"])


@pytest.fixture
def empty_database(db: None, tmp_path: Path) -> Iterator[str]:
    if connection.vendor == "sqlite":
        yield f"sqlite:///{tmp_path / 'site.sqlite3'}"
        return
    given = connection.settings_dict
    server = f"postgresql://{given['USER']}@{given['HOST']}:{given['PORT']}"
    name = f"upgraded_{uuid.uuid4().hex}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as database:
        database.execute(f'CREATE DATABASE "{name}"')
    yield f"{server}/{name}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as database:
        database.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def upgraded(name: str, url: str, folder: Path) -> dict[str, Any]:
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "TIEBREAK_VAR": str(folder),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": str(HERE.parents[1]),
    }
    command = [sys.executable, HERE / "forward.py", HERE / f"{name}.json.gz"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=HERE)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", SITES)
def test_an_old_site_is_brought_to_this_version_and_goes_on(
    name: str, empty_database: str, tmp_path: Path
) -> None:
    old = json.loads(gzip.decompress((HERE / f"{name}.json.gz").read_bytes()))
    before = Counter(row["model"] for row in old["rows"])
    found = upgraded(name, empty_database, tmp_path)
    assert found["counts"] == {model: before[model] for model in found["counts"]}
    assert found["counts"]["annotation.vote"] == 24
    assert found["broken"] == found["broken afterwards"] == []
    assert found["runs"] == ["cancelled", "queued", "succeeded"]
    assert found["runs page"] == 200
    assert found["vote"] == "counted"
    assert (
        found["snapshot"] == 6
    )  # the five that were complete, and the one that the vote completed
