"""Log-in with a second factor: codes of an authenticator app."""

import re
import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.test import Client, TestCase

from tests.conftest import PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
LOGIN, CODE, SET_UP = (
    "/accounts/login/",
    "/accounts/2fa/authenticate/",
    "/accounts/2fa/totp/activate/",
)


def code_of(secret: str, *, steps: int = 0) -> str:
    counter = int(time.time()) // 30 + steps
    return str(totp.format_hotp_value(totp.hotp_value(secret, counter)))


def enrol(client: Client) -> str:
    """Set it up as a person does: read the secret from the page, type what the app says."""
    page = client.get(SET_UP)
    assert page.status_code == 200
    secret = str(page.context["form"].secret)
    assert secret in page.content.decode()
    with TestCase.captureOnCommitCallbacks(execute=True):
        answer = client.post(SET_UP, {"code": code_of(secret)})
    assert answer.status_code == 302, answer.content
    return secret


def log_in(client: Client, name: str = "lee", **more: Any) -> Any:
    return client.post(LOGIN, {"username": name, "password": PASSWORD}, **more)


@pytest.fixture
def lees_secret(lee: Any) -> str:
    client = Client()
    log_in(client)
    return enrol(client)


def inside(client: Client) -> bool:
    return client.get("/campaigns/").status_code == 200


@pytest.mark.promise("S4")
def test_the_password_alone_opens_nothing(lees_secret: str) -> None:
    client = Client()
    answer = log_in(client)
    assert (answer.status_code, answer["Location"]) == (302, CODE)
    assert not inside(client)
    assert client.get("/api/campaigns").status_code == 401
    # The code that set it up is used up; the next one is good.
    answer = client.post(CODE, {"code": code_of(lees_secret, steps=1)})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert inside(client)


def test_it_leads_on_to_where_the_person_wanted(lees_secret: str) -> None:
    client = Client()
    client.post(LOGIN, {"username": "lee", "password": PASSWORD, "next": "/runs/?kind=ingest"})
    answer = client.post(CODE, {"code": code_of(lees_secret, steps=1)})
    assert answer["Location"] == "/runs/?kind=ingest"


def test_the_log_in_of_the_admin_asks_as_well(lees_secret: str) -> None:
    client = Client()
    answer = client.post("/admin/login/", {"username": "lee", "password": PASSWORD})
    assert answer["Location"] == CODE
    assert client.get("/admin/").status_code == 302


def test_a_code_is_good_once(lees_secret: str) -> None:
    code = code_of(lees_secret, steps=1)
    first, second = Client(), Client()
    log_in(first), log_in(second)
    assert first.post(CODE, {"code": code}).status_code == 302
    assert second.post(CODE, {"code": code}).status_code == 200
    assert not inside(second)


@pytest.mark.promise("S4")
def test_wrong_codes_lock_like_wrong_passwords(lees_secret: str) -> None:
    client = Client()
    log_in(client)
    wrong = [client.post(CODE, {"code": f"{n:06d}"}).status_code for n in range(5)]
    assert wrong[-1] == 429
    assert client.post(CODE, {"code": code_of(lees_secret, steps=1)}).status_code == 429
    assert log_in(Client()).status_code == 429


def test_a_recovery_code_stands_in_once(lees_secret: str, lee: Any) -> None:
    row = Authenticator.objects.get(user=lee, type=Authenticator.Type.RECOVERY_CODES)
    code = row.wrap().get_unused_codes()[0]
    for opens in (True, False):
        client = Client()
        log_in(client)
        client.post(CODE, {"code": code})
        assert inside(client) is opens


def test_the_secret_is_not_in_the_table(lees_secret: str, lee: Any, settings: Any) -> None:
    for row in Authenticator.objects.filter(user=lee):
        assert lees_secret not in str(row.data)
    row = Authenticator.objects.get(user=lee, type=Authenticator.Type.TOTP)
    # A new SECRET_KEY reads it as long as the old one is named.
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "n" * 60
    assert row.wrap().validate_code(code_of(lees_secret, steps=1))
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(Exception, match=r".*"):
        row.wrap().validate_code(code_of(lees_secret, steps=1))


def test_no_password_no_set_up(lee: Any) -> None:
    """Who finds an open browser does not lock its owner out: the page asks for a fresh log-in."""
    client = Client()
    client.force_login(lee)
    session = client.session
    session["fresh_login"] = 0
    session.save()
    assert client.get(SET_UP)["Location"].startswith("/accounts/confirm/")


@pytest.fixture
def strict(settings: Any) -> None:
    settings.TIEBREAK_REQUIRES_MFA = True


@pytest.mark.promise("S2")
@pytest.mark.django_db(transaction=True)  # what setting it up leaves in the session comes at commit
@pytest.mark.parametrize("who", ["lee", "mia", "olga"])
def test_where_the_site_wants_one_staff_can_only_set_it_up(
    strict: None, request: Any, who: str
) -> None:
    request.getfixturevalue(who)
    client = Client()
    log_in(client, who)
    assert client.get("/campaigns/")["Location"] == "/accounts/2fa/"
    assert client.get("/admin/")["Location"] == "/accounts/2fa/"
    answer = client.get("/api/campaigns")
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_needed")
    assert client.post("/api/campaigns", {}, content_type="application/json").status_code == 403
    for path in ("/accounts/2fa/", "/account/", "/accounts/password_change/"):
        assert client.get(path).status_code == 200, path
    secret = enrol(client)
    assert inside(client)
    again = Client()
    log_in(again, who)
    again.post(CODE, {"code": code_of(secret, steps=1)})
    assert inside(again)


def test_annotators_need_none(strict: None, alice: Any) -> None:
    client = Client()
    log_in(client, "alice")
    assert client.get("/api/campaigns").status_code == 200
    assert client.get("/").status_code == 200


@pytest.mark.mutant("S2")
def test_without_the_setting_staff_gets_in_by_password(lee: Any) -> None:
    client = Client()
    log_in(client)
    assert inside(client)


def test_a_session_from_before_is_asked_too(lees_secret: str, lee: Any, strict: None) -> None:
    """A session that never showed the second factor is not let in because the account has one."""
    client = Client()
    client.force_login(lee)
    assert client.get("/campaigns/")["Location"] == "/accounts/2fa/"


def test_the_pages_are_ours_and_have_no_inline_script(lee: Any) -> None:
    client = Client()
    log_in(client)
    pages = [client.get(SET_UP)]
    enrol(client)
    paths = ("", "totp/deactivate/", "recovery-codes/", "recovery-codes/generate/")
    pages.extend(client.get(f"/accounts/2fa/{path}") for path in paths)
    waiting = Client()
    log_in(waiting)
    pages.append(waiting.get(CODE))
    for page in pages:
        html = page.content.decode()
        assert page.status_code == 200
        assert 'class="topbar"' in html
        assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|<style|\son\w+=", html)


def test_it_can_be_taken_off_again(lees_secret: str, lee: Any) -> None:
    client = Client()
    log_in(client)
    client.post(CODE, {"code": code_of(lees_secret, steps=1)})
    assert client.post("/accounts/2fa/totp/deactivate/").status_code == 302
    fresh = Client()
    log_in(fresh)
    assert inside(fresh)
