"""No query-string reaches relations that were not listed (RELIABILITY S3)."""

import time
from typing import Any

import pytest
from django.contrib import admin
from django.core.exceptions import BadRequest

from tests.access.conftest import ROWS, World, knock
from tests.promises import counts

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
# Forty ways to ask for a password: relations, lookups, orders, nesting, twice, encoded.
_FIELDS = (
    "password", "user__password", "annotator__password", "created_by__password", "person__password",
    "holder__password", "campaign__members__password", "slot__holder__password",
    "user__groups__permissions__codename", "session__session_data",
)  # fmt: skip
_LOOKUPS = ("__startswith", "__regex", "__contains")
PAYLOADS = [
    *(f"{field}{lookup}=pbkdf2" for field in _FIELDS for lookup in _LOOKUPS),
    "ordering=user__password", "order_by=-password", "o=password", "sort=user__password",
    "filter[user__password]=x", "fields=password", "include=user.password", "state__regex=^o",
    "id__in=1,2,3&password=x", "q__password=x",
]  # fmt: skip
HASH = "md5$"


def test_there_are_forty() -> None:
    assert len(PAYLOADS) == 40


def lists() -> list[Any]:
    """Addresses that read without naming a row: lists, and what stands for them."""
    return [
        row
        for row in ROWS
        if row.reads - {"anyone"} and "<" not in row.path.replace("<int:campaign_id>", "")
    ]


@pytest.mark.promise("S3")
def test_no_list_of_the_site_takes_them(world: World, figures: Any) -> None:
    wrong, leaks, checks = [], [], 0
    for row in lists():
        for payload in counts(PAYLOADS[::9], PAYLOADS, PAYLOADS):
            answer = world.clients["operator"].get(f"{row.url(world.own)}?{payload}")
            checks += 1
            if answer.status_code != 400:
                wrong.append((row.name, payload, answer.status_code))
            if HASH in content(answer):
                leaks.append((row.name, payload))
    assert wrong == [], "\n".join(map(str, wrong))
    assert leaks == []
    figures("S3", payloads=len(PAYLOADS), checks_on_lists=checks)


def content(answer: Any) -> str:
    raw = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return str(raw, "utf-8", "replace")


def changelists() -> list[str]:
    return [
        f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        for model in admin.site._registry
    ]


@pytest.mark.promise("S3")
def test_no_list_of_the_admin_takes_them(world: World, figures: Any) -> None:
    wrong, checks = [], 0
    client = world.clients["operator"]
    for path in changelists():
        for payload in counts(PAYLOADS[::9], PAYLOADS, PAYLOADS):
            answer = client.get(f"{path}?{payload}")
            checks += 1
            if answer.status_code != 400 or HASH in content(answer):
                wrong.append((path, payload, answer.status_code))
    assert wrong == [], "\n".join(map(str, wrong))
    figures("S3", checks_on_the_admin=checks)


@pytest.mark.promise("S3")
def test_the_filters_of_the_admin_still_filter(world: World, make_run: Any) -> None:
    client = world.clients["operator"]
    for query in ("state__exact=queued", "kind=snapshot", "q=x", "o=-1.2", "p=1", "o=1", "all="):
        assert client.get(f"/admin/pipelines/run/?{query}").status_code == 200, query
    for query in ("is_staff__exact=1", "groups__id__exact=1", "is_active__exact=0"):
        assert client.get(f"/admin/auth/user/?{query}").status_code == 200, query
    for path in changelists():
        assert client.get(path).status_code == 200, path


@pytest.fixture
def make_run(db: None) -> Any:
    from pipelines.models import Run

    return Run.objects.create(kind="snapshot", config={}, config_sha="", state="queued")


@pytest.mark.promise("S3")
@pytest.mark.parametrize(
    "path",
    [
        "/admin/auth/user/1/change/?_to_field=password",
        "/admin/auth/user/?_to_field=password&_popup=1",
    ],
)
def test_no_field_of_a_popup_is_free(world: World, path: str) -> None:
    assert world.clients["operator"].get(path).status_code == 400


@pytest.mark.promise("S3")
def test_an_answer_takes_the_same_time_whether_the_guess_is_right(world: World) -> None:
    """The query is refused before anything is asked of the database."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client, olga = world.clients["operator"], world.people["operator"]
    guesses = (olga.password[:16], "pbkdf2_sha256$XX")
    asked, spent = [], []
    for guess in guesses:
        start = time.perf_counter()
        with CaptureQueriesContext(connection) as queries:
            client.get("/admin/auth/user/", {"password__startswith": guess})
        spent.append(time.perf_counter() - start)
        asked.append([each["sql"] for each in queries.captured_queries])
    assert len(asked[0]) == len(asked[1])
    assert not any("pbkdf2" in sql and "LIKE" in sql for sql in asked[0] + asked[1])
    assert max(spent) < 1


@pytest.mark.mutant("S3")
def test_a_plain_admin_would_have_looked(
    world: World, rf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django's own takes a field of the row itself, and asks the database for it."""
    from annotation.models import Vote
    from annotation.strict_admin import StrictQuery

    ours = admin.site._registry[Vote]
    request = rf.get("/admin/annotation/vote/?remark__regex=^o")
    request.user = world.people["operator"]
    with pytest.raises(BadRequest):
        ours.changelist_view(request)
    monkeypatch.setattr(StrictQuery, "lookup_allowed", admin.ModelAdmin.lookup_allowed)
    assert admin.ModelAdmin.changelist_view(ours, request).status_code == 200


def test_a_page_says_which_entry_it_does_not_know(world: World) -> None:
    answer = world.clients["operator"].get("/runs/?state=queued&ordering=x")
    assert answer.status_code == 400
    assert knock(world.clients["operator"], _runs(), world.own, acts=False).status_code == 200


def _runs() -> Any:
    return next(row for row in ROWS if row.name == "pipelines:runs")
