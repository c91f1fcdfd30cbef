"""The pages in the language of the person: the switch, the profile, the texts of the scripts."""

import re
from typing import Any

import pytest
from django.conf import settings as site
from django.core import checks
from django.test import Client

from annotation import languages
from annotation.models import Language, Profile

LOGIN = "/accounts/login/"


def language_of(response: Any) -> str:
    found = re.search(r'<html lang="([^"]+)"', response.content.decode())
    assert found
    return found[1]


def test_the_site_and_the_profile_know_the_same_languages() -> None:
    assert [(each.value, each.label) for each in Language] == site.LANGUAGES


@pytest.mark.parametrize(
    ("asked", "shown"),
    [("", "en"), ("zh-CN,zh;q=0.9", "zh-hans"), ("ja", "ja"), ("ko-KR", "ko"), ("de", "en")],
)
@pytest.mark.django_db
def test_without_a_choice_the_browser_is_asked(client: Client, asked: str, shown: str) -> None:
    assert language_of(client.get(LOGIN, headers={"Accept-Language": asked})) == shown


@pytest.mark.django_db
def test_the_switch_holds_for_the_browser(client: Client) -> None:
    answer = client.post("/language/", {"language": "ko", "next": LOGIN})
    assert (answer.status_code, answer["Location"]) == (302, LOGIN)
    assert language_of(client.get(LOGIN, headers={"Accept-Language": "ja"})) == "ko"


@pytest.mark.django_db
def test_the_switch_leads_to_no_other_site(client: Client) -> None:
    answer = client.post("/language/", {"language": "ko", "next": "//evil.example/"})
    assert answer["Location"] == "/"


@pytest.mark.django_db
def test_an_unknown_language_changes_nothing(client: Client) -> None:
    answer = client.post("/language/", {"language": "tlh", "next": LOGIN})
    assert site.LANGUAGE_COOKIE_NAME not in answer.cookies


def test_the_switch_needs_a_token() -> None:
    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/language/", {"language": "ko"}).status_code == 403


def test_what_a_person_chose_comes_back_at_the_next_login(alice: Any, client: Client) -> None:
    client.force_login(alice)
    client.post("/language/", {"language": "ja"})
    assert Profile.objects.get(user=alice).language == "ja"
    elsewhere = Client()
    assert elsewhere.get(LOGIN).wsgi_request.LANGUAGE_CODE == "en"
    login = {"username": "alice", "password": "a long test password"}
    assert elsewhere.post(LOGIN, login).status_code == 302
    assert language_of(elsewhere.get("/")) == "ja"


@pytest.mark.django_db
def test_the_texts_of_the_scripts_are_kept_for_ever_under_their_digest(client: Client) -> None:
    page = client.get(LOGIN, headers={"Accept-Language": "ja"}).content.decode()
    found = re.search(r'<script src="(/jsi18n/ja\.[0-9a-f]+\.js)"', page)
    assert found
    texts = client.get(found[1])
    assert texts["Content-Type"].startswith("text/javascript")
    assert "immutable" in texts["Cache-Control"]
    assert "gettext" in texts.content.decode()
    assert client.get("/jsi18n/ja.stale.js")["Cache-Control"] == "no-cache"
    assert client.get("/jsi18n/tlh.stale.js").status_code == 404


def test_a_catalog_that_is_not_compiled_stops_the_site(settings: Any, tmp_path: Any) -> None:
    assert languages.check_catalogs() == []
    settings.BASE_DIR = tmp_path
    found = languages.check_catalogs()
    assert len(found) == 6
    assert {each.level for each in found} == {checks.ERROR}


def test_an_error_of_a_door_is_told_in_the_language_of_the_reader(alice: Any) -> None:
    client = Client(headers={"Accept-Language": "ko"})
    client.force_login(alice)
    answer = client.get("/api/campaigns/999999/consent")
    assert (answer.status_code, answer.json()["error"]) == (404, "해당 캠페인이 없습니다.")
    assert answer.json()["code"] == "not_found"


def test_an_empty_queue_is_told_in_the_language_of_the_reader(
    alice: Any, make_campaign: Any
) -> None:
    client = Client(headers={"Accept-Language": "ja"})
    client.force_login(alice)
    path = f"/api/campaigns/{make_campaign(0).pk}/next"
    body = {"tab": "7b0c2b6e-3f57-4d0a-9c0e-0d0a5a1f2b3c"}
    answer = client.post(path, body, content_type="application/json").json()
    assert answer["empty"] is True
    assert answer["reason"].startswith("このキャンペーンで")


@pytest.mark.django_db
def test_a_page_that_is_not_there_says_so_in_the_language_of_the_reader(client: Client) -> None:
    page = client.get("/nowhere/", headers={"Accept-Language": "zh-CN"})
    assert page.status_code == 404
    assert "没有这个页面" in page.content.decode()
    assert language_of(page) == "zh-hans"
