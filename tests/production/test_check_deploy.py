"""Unsafe configuration does not start: eight bad environments, each with its reason (S1)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import new_secrets
from tools.check_deploy import check
from tools.compose import ROOT, project

GOOD = {**new_secrets.fresh(), "ALLOWED_HOSTS": "tiebreak.example"}

# What goes wrong -> what .env or the environment says, and the reason that is given.
BAD_FILES = {
    "a short key": ({"SECRET_KEY": "short"}, "SECRET_KEY must have at least 50 characters"),
    "a default key": ({"SECRET_KEY": "development-only-" + "x" * 48}, "SECRET_KEY is a default"),
    "a key that repeats itself": ({"SECRET_KEY": "ab" * 40}, "repeats itself"),
    "every host": ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS must name the hosts"),
    "an origin without TLS": (
        {"CSRF_TRUSTED_ORIGINS": "http://tiebreak.example"}, "expected https://host",
    ),
    "no salt": ({"TIEBREAK_PSEUDONYM_SALT": ""}, "set TIEBREAK_PSEUDONYM_SALT"),
    "a short salt": ({"TIEBREAK_PSEUDONYM_SALT": "pepper"}, "TIEBREAK_PSEUDONYM_SALT must have"),
    "a salt that will change": (
        {"TIEBREAK_PSEUDONYM_SALT": GOOD["SECRET_KEY"]}, "must not be SECRET_KEY",
    ),
    "Redis without a password": ({"REDIS_PASSWORD": ""}, "set REDIS_PASSWORD"),
    "a database without a password": ({"POSTGRES_PASSWORD": ""}, "set POSTGRES_PASSWORD"),
}  # fmt: skip
BAD_ENVIRONMENTS = {
    "debugging": ({"TIEBREAK_DEBUG": "1"}, "TIEBREAK_DEBUG must be off"),
    "the superuser of the database": (
        {"DATABASE_URL": "postgresql://postgres:x@postgres/tiebreak"}, "logs in as 'postgres'",
    ),
    "SQLite": ({"DATABASE_URL": ""}, "DATABASE_URL must name a PostgreSQL database"),
    "a broker without a password": (
        {"CELERY_BROKER_URL": "redis://redis:6379/0"},
        "CELERY_BROKER_URL reaches Redis without a password",
    ),
    "a cache without a password": (
        {"CACHE_URL": "rediscache://redis:6379/1"}, "CACHE_URL reaches Redis without a password",
    ),
    "a secret file that is not there": (
        {"SECRET_KEY_FILE": "/nowhere/key"}, "SECRET_KEY_FILE names /nowhere/key",
    ),
}  # fmt: skip


def env_file(folder: Path, **changed: str) -> Path:
    path = folder / ".env"
    path.write_text("".join(f"{name}={value}\n" for name, value in (GOOD | changed).items()))
    path.chmod(0o600)
    return path


def start(**changed: str) -> subprocess.CompletedProcess[str]:
    """Django, with what the compose file gives the web service."""
    given = project(GOOD)["services"]["web"]["environment"] | changed
    return subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, capture_output=True, text=True,
        env={**given, "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


@pytest.mark.promise("S1")
def test_a_good_file_has_no_warnings(tmp_path: Path) -> None:
    assert check(env_file(tmp_path)) == []


@pytest.mark.promise("S1")
@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_with_the_reason(tmp_path: Path, case: str) -> None:
    changed, reason = BAD_FILES[case]
    faults = check(env_file(tmp_path, **changed))
    assert len(faults) == 1
    assert reason in faults[0]
    assert "Traceback" not in faults[0]


@pytest.mark.promise("S1")
@pytest.mark.parametrize("case", BAD_ENVIRONMENTS)
def test_a_bad_environment_does_not_start(case: str) -> None:
    changed, reason = BAD_ENVIRONMENTS[case]
    refused = start(**changed)
    assert refused.returncode != 0
    assert reason in refused.stderr.splitlines()[-1]


@pytest.mark.promise("S1")
def test_secrets_that_everybody_may_read_are_refused(tmp_path: Path) -> None:
    path = env_file(tmp_path)
    path.chmod(0o644)
    assert check(path) == [".env holds secrets and everybody may read it: chmod 600"]
    secret = tmp_path / "key"
    secret.write_text(GOOD["SECRET_KEY"])
    secret.chmod(0o644)
    refused = start(SECRET_KEY="", SECRET_KEY_FILE=str(secret))
    assert f"SECRET_KEY_FILE names {secret}, which everybody may read" in refused.stderr
    secret.chmod(0o600)
    assert start(SECRET_KEY="", SECRET_KEY_FILE=str(secret)).returncode == 0


def test_all_faults_are_told_at_once() -> None:
    refused = start(SECRET_KEY="short", ALLOWED_HOSTS="*", TIEBREAK_DEBUG="1")
    last = refused.stderr.splitlines()[-1]
    assert last.count(";") == 2


def test_no_file_is_said_plainly(tmp_path: Path) -> None:
    (fault,) = check(tmp_path / ".env")
    assert "cp .env.example .env" in fault


def test_fresh_secrets_are_fresh_and_fit_into_urls() -> None:
    one, two = new_secrets.fresh(), new_secrets.fresh()
    assert not set(one.values()) & set(two.values())
    assert all(value.replace("-", "").replace("_", "").isalnum() for value in one.values())
