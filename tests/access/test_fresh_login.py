"""Dangerous acts ask for the password again (RELIABILITY S5)."""

import time
from typing import Any

import pytest
from django.test import Client

from annotation.accounts import fresh_login
from annotation.models import ApiToken, Invitation
from tests.access.conftest import ROWS, Row, World, is_refused, knock
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
CONFIRM = "/accounts/confirm/"


def log_in(person: Any, *, minutes_ago: float = 0) -> Client:
    client = Client()
    client.force_login(person)
    session = client.session
    session[fresh_login.STAMP] = int(time.time() - 60 * minutes_ago)
    session.save()
    return client


def side(acts: bool) -> str:
    return "acts" if acts else "reads"


@pytest.mark.promise("S5")
def test_what_is_dangerous_is_known() -> None:
    """The list of RELIABILITY 3c: what stands there as ○, and what gives rights away."""
    asked = {row.name for row in ROWS if row.fresh}
    assert asked >= {
        "pipelines:api-runs", "pipelines:api-comparisons", "pipelines:start-anime",
        "annotation:api-settle", "annotation:flags", "annotation:quality",
        "annotation:api-recollection", "annotation:api-active", "annotation:people",
        "annotation:campaign-people", "annotation:api-people", "annotation:api-invitations",
        "annotation:api-password-link", "annotation:tokens", "annotation:api-tokens",
        "annotation:pay-table", "annotation:api-pay-table", "annotation:api-erase",
        "pipelines:base-model-decide", "pipelines:api-base-model-decide",
        "mfa_activate_totp", "mfa_deactivate_totp", "socialaccount_connections",
    }  # fmt: skip


@pytest.mark.promise("S5")
def test_no_dangerous_act_is_done_on_an_old_log_in(world: World) -> None:
    """Not by pages, not by REST: asked at every address that the matrix marks."""
    client = log_in(world.people["operator"], minutes_ago=16)
    client.raise_request_exception = False
    let_through = []
    for row in ROWS:
        for acts in (False, True):
            if side(acts) not in row.fresh:
                continue
            answer = knock(client, row, world.own, acts=acts)
            if not asks_again(row, answer):
                let_through.append((row.name, side(acts), answer.status_code))
    assert let_through == []


def asks_again(row: Row, answer: Any) -> bool:
    if row.is_rest:
        return answer.status_code == 403 and answer.json()["code"] == "fresh_login_needed"
    if answer.status_code == 302:
        return answer["Location"].startswith(CONFIRM)
    return answer.status_code == 403 and b"Confirm that it is you" in answer.content


@pytest.mark.mutant("S5")
def test_without_the_question_the_walk_finds_what_is_let_through(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh_login, "is_fresh", lambda _request: True)
    client = log_in(world.people["operator"], minutes_ago=16)
    row = next(row for row in ROWS if row.name == "annotation:api-invitations")
    assert not asks_again(row, knock(client, row, world.own, acts=True))


def test_a_log_in_is_fresh_for_a_quarter_of_an_hour(lee: Any) -> None:
    assert log_in(lee, minutes_ago=14.9).post("/people/", {"act": "x"}).status_code == 400
    assert log_in(lee, minutes_ago=15.1).post("/people/", {"act": "x"}).status_code == 403
    # A stamp of the future, from a clock that was set back, is none.
    assert log_in(lee, minutes_ago=-60).post("/people/", {"act": "x"}).status_code == 403


def test_a_form_that_was_sent_too_late_is_not_lost(lee: Any) -> None:
    client = log_in(lee, minutes_ago=20)
    form = {"act": "invite", "role": "annotator", "max_uses": "2", "days": "3", "note": "a\n<b>"}
    page = client.post("/people/", form)
    assert page.status_code == 403
    assert not Invitation.objects.exists()
    assert dict(page.context["held"]) == form
    assert "<b>" not in page.content.decode().split("<main")[1]
    answer = client.post("/people/", {**form, fresh_login.PASSWORD: PASSWORD})
    assert answer.status_code == 200
    made = Invitation.objects.get()
    assert (made.max_uses, made.note) == (2, "a\n<b>")
    assert client.post("/people/", form).status_code == 200  # and fresh from here on


def test_a_wrong_password_does_nothing_and_is_said(lee: Any) -> None:
    client = log_in(lee, minutes_ago=20)
    page = client.post("/people/", {"act": "invite", fresh_login.PASSWORD: "wrong"})
    assert (page.status_code, page.context["wrong"]) == (403, True)
    assert "wrong" not in str(page.context["held"])
    assert not Invitation.objects.exists()


@pytest.mark.promise("S4")
def test_guesses_lock_as_failed_log_ins_do(lee: Any) -> None:
    client = log_in(lee, minutes_ago=20)
    form = {"act": "invite", fresh_login.PASSWORD: "wrong"}
    assert [client.post("/people/", form).status_code for _ in range(5)] == [403] * 4 + [429]
    right = {**form, fresh_login.PASSWORD: PASSWORD}
    assert client.post("/people/", right).status_code == 429


def test_a_page_that_asks_first_leads_on_afterwards(mia: Any) -> None:
    client = log_in(mia, minutes_ago=20)
    wanted = "/admin/pipelines/run/add/?kind=snapshot"
    asked = client.get(wanted)
    assert asked.status_code == 302
    page = client.get(asked["Location"])
    assert page.context["onwards"] == wanted
    answer = client.post(CONFIRM, {"next": wanted, fresh_login.PASSWORD: PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, wanted)
    assert client.get(wanted).status_code == 200


@pytest.mark.parametrize("onwards", ["https://evil.example/", "//evil.example/", "javascript:x"])
def test_it_leads_nowhere_else(mia: Any, onwards: str) -> None:
    client = log_in(mia, minutes_ago=20)
    answer = client.post(CONFIRM, {"next": onwards, fresh_login.PASSWORD: PASSWORD})
    assert answer["Location"] == "/"


def test_a_program_with_a_session_confirms_and_asks_again(alice: Any) -> None:
    client = log_in(alice, minutes_ago=20)
    body = {"name": "x", "scopes": ["vote"]}

    def ask() -> Any:
        return client.post("/api/tokens", body, content_type="application/json")

    assert ask().json()["code"] == "fresh_login_needed"
    assert not ApiToken.objects.exists()
    client.post(CONFIRM, {fresh_login.PASSWORD: PASSWORD})
    assert ask().status_code == 201


def test_a_token_has_its_scope_instead(world: World) -> None:
    from annotation.accounts.tokens import make_token

    _, secret = make_token(world.people["operator"], "x", scopes=["runs"])
    row = next(row for row in ROWS if row.name == "pipelines:api-runs")
    answer = knock(Client(), row, world.own, acts=True, Authorization=f"Bearer {secret}")
    assert not is_refused(answer)


def test_a_door_may_ask_by_itself(rf: Any, lee: Any) -> None:
    from django.contrib.sessions.backends.db import SessionStore
    from django.http import HttpResponse

    guarded = fresh_login.required(lambda request: HttpResponse("done"))
    request = rf.get("/somewhere/")
    request.user, request.session = lee, SessionStore()
    assert guarded(request).status_code == 302
    fresh_login.stamp(request)
    assert guarded(request).content == b"done"
