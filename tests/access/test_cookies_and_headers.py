"""Cookies, headers, CSRF, HSTS as production has them (RELIABILITY S5)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.access.conftest import ROWS, Row, World
from tests.conftest import PASSWORD

ROOT = Path(__file__).parents[2]
PRODUCTION = {
    "TIEBREAK_MODE": "production",
    "SECRET_KEY": "k" * 10 + "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP",
    "TIEBREAK_PSEUDONYM_SALT": "s" * 10 + "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP",
    "ALLOWED_HOSTS": "testserver",
    "CSRF_TRUSTED_ORIGINS": "https://testserver",
    "DATABASE_URL": "postgresql://site:a-long-password-of-it@127.0.0.1/tiebreak",
}
NAMES = (
    "SESSION_COOKIE_NAME", "SESSION_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY",
    "SESSION_COOKIE_SAMESITE", "CSRF_COOKIE_NAME", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT",
    "SECURE_HSTS_SECONDS", "SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_HSTS_PRELOAD",
    "LANGUAGE_COOKIE_SECURE", "SECURE_PROXY_SSL_HEADER", "X_FRAME_OPTIONS",
)  # fmt: skip


@pytest.fixture(scope="module")
def of_production() -> dict[str, Any]:
    """The settings that a production environment gives, read in a process of its own."""
    code = (
        "import json, sys; from config import settings;"
        "print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}))"
    )
    known = {name: value for name, value in os.environ.items() if "TIEBREAK" not in name}
    done = subprocess.run(
        [sys.executable, "-c", code, *NAMES],
        cwd=ROOT,
        env={**known, **PRODUCTION},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return dict(json.loads(done.stdout))


@pytest.fixture
def production(settings: Any, of_production: dict[str, Any]) -> None:
    for name, value in of_production.items():
        setattr(settings, name, value)


def https(client: Client, path: str, **form: str) -> Any:
    return client.post(path, form, secure=True) if form else client.get(path, secure=True)


@pytest.mark.promise("S5")
@pytest.mark.one_engine
def test_cookies_are_of_this_host_alone(production: None, alice: Any) -> None:
    client = Client()
    answer = https(client, "/accounts/login/", username="alice", password=PASSWORD)
    assert answer.status_code == 302
    session = answer.cookies["__Host-session"]
    assert session["secure"] is True
    assert session["httponly"] is True
    assert (session["samesite"], session["path"], session["domain"]) == ("Lax", "/", "")
    csrf = https(client, "/").cookies["__Host-csrf"]
    assert (csrf["secure"], csrf["samesite"], csrf["path"]) == (True, "Lax", "/")
    assert csrf["domain"] == ""
    language = client.post("/language/", {"language": "ja"}, secure=True).cookies["django_language"]
    assert language["secure"] is True


@pytest.mark.promise("S5")
@pytest.mark.one_engine
def test_plain_http_leads_to_https(production: None, db: None) -> None:
    answer = Client().get("/accounts/login/")
    assert (answer.status_code, answer["Location"]) == (301, "https://testserver/accounts/login/")


def pages() -> list[Row]:
    return [row for row in ROWS if row.reads and not row.is_rest]


@pytest.mark.promise("S5", "S6")
@pytest.mark.one_engine
def test_every_page_has_the_headers(world: World, production: None, figures: Any) -> None:
    """Of all addresses that answer with HTML, whoever asks."""
    wrong, seen = [], 0
    for row in pages():
        for who in ("anonymous", "operator"):
            answer = world.clients[who].get(row.url(world.own), secure=True)
            if not answer.get("Content-Type", "").startswith("text/html"):
                continue
            seen += 1
            wrong += [(row.name, who, missing) for missing in missing_of(answer)]
    assert wrong == [], wrong
    assert seen > 60
    figures("S5", html_answers_with_all_headers=seen)


def missing_of(answer: Any) -> list[str]:
    policy = answer.get("Content-Security-Policy", "")
    says = {
        "HSTS": answer.get("Strict-Transport-Security", "").startswith("max-age=31536000; include"),
        "frames": answer.get("X-Frame-Options") == "DENY",
        "sniffing": answer.get("X-Content-Type-Options") == "nosniff",
        "referrer": answer.get("Referrer-Policy") == "same-origin",
        "opener": answer.get("Cross-Origin-Opener-Policy") == "same-origin",
        "policy": "default-src 'none'" in policy and "frame-ancestors 'none'" in policy,
        "no inline": "unsafe" not in policy,
    }
    return [name for name, holds in says.items() if not holds]


@pytest.mark.promise("S5")
@pytest.mark.one_engine
def test_nothing_is_changed_without_the_token_of_the_form(world: World, figures: Any) -> None:
    """Every address that acts, as somebody who may do everything there."""
    from django.contrib.auth.models import Group

    olga = world.people["operator"]
    olga.groups.set(Group.objects.all())
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(olga)
    let_through, checks = [], 0
    for row in ROWS:
        if not row.acts:
            continue
        checks += 1
        methods = ("post", "put", "patch", "delete") if row.is_rest else ("post",)
        codes = {getattr(client, method)(row.url(world.own)).status_code for method in methods}
        if 403 not in codes or not codes <= {403, 405}:
            let_through.append((row.name, codes))
    assert let_through == [], let_through
    figures("S5", acts_refused_without_csrf=checks)


@pytest.mark.mutant("S5")
@pytest.mark.one_engine
def test_without_the_check_of_the_form_the_walk_finds_it(world: World) -> None:
    client = Client(enforce_csrf_checks=False)
    client.force_login(world.people["operator"])
    row = next(row for row in ROWS if row.name == "annotation:language")
    assert client.post(row.url(world.own)).status_code != 403
