"""The doors of leads: strict in what they read, uniform in what goes wrong, safe to call twice."""

import json
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from annotation.campaigns import create_campaign, ensure_built_in_sets
from annotation.models import Campaign, DimensionSet, StoredAnswer, Triplet, Video

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead(lee) -> Client:
    client = Client()
    client.force_login(lee)
    return client


def send(client: Client, method: str, path: str, body: Any = None, **headers: str) -> Any:
    text = "" if method == "get" else json.dumps(body or {})
    return client.generic(
        method.upper(), path, text, content_type="application/json", headers=headers
    )


def test_a_campaign_is_made_changed_and_removed(lead):
    made = send(lead, "post", "/api/campaigns", {"name": "one", "dimension_set": "anime"})
    assert made.status_code == 201
    path = f"/api/campaigns/{made.json()['id']}"
    changed = send(lead, "patch", path, {"votes_wanted": 5, "hourly_rate": "12.50"})
    assert (changed.json()["votes_wanted"], changed.json()["hourly_rate"]) == (5, "12.50")
    assert lead.get(path).json() == changed.json()
    assert lead.delete(path).status_code == 204
    assert lead.get(path).json() == {"error": "There is no such campaign.", "code": "not_found"}


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("votes_wanted", 0, "expected a whole number from 1 to 100"),
        ("extra_votes", -1, "expected a whole number from 0"),
        ("gold_share", 1.5, "expected a number from 0 to 0.5"),
        ("kind", "triple", "kind: "),
        ("showing", "never", "showing: "),
        ("currency", "euro", "three capital letters"),
        ("hourly_rate", "-1", "an amount from 0"),
        ("daily_hours", 30, "from 0.1 to 24"),
        ("watch_gate", "perhaps", "watch_gate: "),
        ("dimension_set", "none", "no dimension set 'none'; there are anime"),
        ("name", "", "name: "),
        ("repeat_share", 0.49, "more than half"),
    ],
)
def test_each_option_is_checked_with_a_sentence(lead, option, value, words):
    body = {"name": "one", "dimension_set": "anime", option: value}
    if option == "repeat_share":
        body["gold_share"] = 0.3
    answer = send(lead, "post", "/api/campaigns", body)
    assert answer.status_code in {400, 422}
    assert words in answer.json()["error"]
    assert not Campaign.objects.exists()


def test_what_people_were_asked_stays(lead, make_campaign):
    campaign = make_campaign(1)
    path = f"/api/campaigns/{campaign.pk}"
    for change, words in (
        ({"votes_wanted": 5}, "extend the campaign instead"),
        ({"kind": "single"}, "clone the campaign instead"),
        ({"dimension_set": "anime"}, "clone the campaign instead"),
    ):
        answer = send(lead, "patch", path, change)
        assert answer.status_code == 422
        assert words in answer.json()["error"]
    assert lead.delete(path).json()["code"] == "bad_campaign"


FORBIDDEN = (
    *("id", "pk", "state", "triplets_total", "triplets_done", "created_by", "created_by_id"),
    *("created_at", "members", "pool", "must_accept", "mine", "is_superuser", "triplets", "done"),
)


@pytest.mark.parametrize("field", FORBIDDEN)
def test_fields_that_nobody_may_set_are_refused(lead, field):
    """S7: mass assignment. An entry that is not described is an error, not silently dropped."""
    answer = send(
        lead, "post", "/api/campaigns", {"name": "one", "dimension_set": "anime", field: 1}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "unreadable")
    assert not Campaign.objects.exists()
    there = create_campaign("there", "anime")
    before = Campaign.objects.values().get()
    assert send(lead, "patch", f"/api/campaigns/{there.pk}", {field: 1}).status_code == 400
    assert Campaign.objects.values().get() == before


LISTS = ("/api/campaigns", "/api/videos", "/api/campaigns/{}/triplets", "/api/dimension-sets")
TRAVERSALS = (
    "created_by__password__startswith=p",
    "campaign__created_by__password=x",
    "ordering=created_by__password",
    "order_by=-annotator__email",
    "generator__name__regex=^a",
    "prompt__text__contains=x",
    "filter[created_by__password]=x",
    "state__in=open",
    "fields=password",
    "search=x",
)


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("query", TRAVERSALS)
def test_no_query_reaches_a_column_that_was_not_listed(lead, make_campaign, path, query):
    """S3: 4 lists x 10 payloads, each 400, and nothing of a password in the answer."""
    campaign = make_campaign(1)
    answer = lead.get(f"{path.format(campaign.pk)}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "unreadable")
    assert "md5$" not in answer.content.decode()


@pytest.mark.parametrize("value", ["abc", "-1", "1 OR 1=1", "9" * 40, "1.5", "٣"])
def test_a_value_of_a_query_is_of_its_type(lead, value):
    answer = lead.get("/api/videos", {"prompt": value})
    assert answer.status_code == 400


def test_admin_lists_do_not_follow_relations_from_the_query(lead, make_campaign):
    make_campaign(1)
    for query in ("created_by__password__startswith=m", "members__password__regex=."):
        page = lead.get(f"/admin/annotation/campaign/?{query}")
        assert page.status_code in {302, 400}, query


DOORS = (
    ("get", "/api/campaigns/{}"),
    ("patch", "/api/campaigns/{}"),
    ("delete", "/api/campaigns/{}"),
    *(
        ("post", f"/api/campaigns/{{}}/{act}")
        for act in ("open", "pause", "close", "extend", "clone", "import", "pairs")
    ),
    ("get", "/api/campaigns/{}/triplets"),
    ("get", "/api/campaigns/{}/export"),
)


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_what_is_not_there_is_404_and_annotators_learn_nothing(lead, alice, method, path):
    assert send(lead, method, path.format(4711)).status_code == 404
    annotator = Client()
    annotator.force_login(alice)
    there = create_campaign("there", "anime")
    answers = {send(annotator, method, path.format(pk)).content for pk in (there.pk, 4711)}
    assert len(answers) == 1
    assert json.loads(answers.pop())["code"] == "not_allowed"
    assert send(Client(), method, path.format(there.pk)).status_code == 401


def test_clips_of_nobody_make_no_pair(lead, make_campaign):
    campaign = make_campaign(1)
    other = make_campaign(1)
    a, b = (each.video_a_id for each in (campaign.triplets.get(), other.triplets.get()))
    path = f"/api/campaigns/{campaign.pk}/pairs"
    for pair, words in (
        ({"video_a": str(a), "video_b": "00000000-0000-4000-8000-000000000000"}, "no clip 0000"),
        ({"video_a": str(a), "video_b": str(b)}, "not made for the prompt"),
        ({"video_a": str(a)}, "two clips per question"),
        ({"video_a": "x"}, "pairs.0.video_a: "),
    ):
        answer = send(lead, "post", path, {"pairs": [pair]})
        assert words in answer.json()["error"]
    assert campaign.triplets.count() == 1


def test_pairs_of_clips_that_are_here_become_triplets_once(lead, make_campaign):
    campaign = make_campaign(2)
    copy = create_campaign("copy", "videoalign")
    pairs = [
        {"video_a": str(each.video_b_id), "video_b": str(each.video_a_id)}
        for each in campaign.triplets.all()
    ]
    path = f"/api/campaigns/{copy.pk}/pairs"
    first = send(lead, "post", path, {"pairs": pairs, "priority": 3})
    assert (first.status_code, first.json()["added"]) == (201, 2)
    again = send(lead, "post", path, {"pairs": pairs})
    assert again.json() == {"triplets": first.json()["triplets"], "added": 0}


def test_lists_go_page_by_page_and_rows_that_come_meanwhile_shift_nothing(lead, make_campaign):
    make_campaign(5)  # ten clips
    first = lead.get("/api/videos?limit=4").json()
    Video.objects.filter(pk=first["results"][0]["id"]).update(withdrawn=True)
    seen, page = list(first["results"]), first
    while page["next"]:
        page = lead.get(page["next"]).json()
        seen += page["results"]
    assert len({each["id"] for each in seen}) == len(seen) == 10
    for cursor in ("cD1hYmM", "cD0lMDA"):  # p=abc; p=%00
        assert lead.get(f"/api/videos?cursor={cursor}").json()["code"] == "unreadable"
    assert len(lead.get("/api/videos?limit=100000").json()["results"]) == 10


def test_the_same_request_under_one_key_is_done_once(lead):
    body = {"name": "one", "dimension_set": "anime"}
    first = send(lead, "post", "/api/campaigns", body, **{"Idempotency-Key": "k-1"})
    again = send(lead, "post", "/api/campaigns", body, **{"Idempotency-Key": "k-1"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again["Idempotency-Replayed"] == "true"
    assert Campaign.objects.count() == 1
    other = send(
        lead, "post", "/api/campaigns", {**body, "name": "two"}, **{"Idempotency-Key": "k-1"}
    )
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert Campaign.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_equal_requests_at_once_one_acts_and_both_are_answered(lee):
    together, answers = Barrier(2), []

    def ask() -> None:
        client = Client()
        client.force_login(lee)
        together.wait()
        body = {"name": "one", "dimension_set": "anime"}
        answers.append(send(client, "post", "/api/campaigns", body, **{"Idempotency-Key": "k"}))
        connection.close()

    ensure_built_in_sets()
    threads = [Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.status_code for each in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert sum("Idempotency-Replayed" in each.headers for each in answers) == 1
    assert Campaign.objects.count() == 1


def test_a_key_belongs_to_its_person_and_a_refusal_is_not_kept(lead, mia, olga):
    body = {"name": "one", "dimension_set": "nothing"}
    bad = send(lead, "post", "/api/campaigns", body, **{"Idempotency-Key": "k"})
    assert bad.status_code == 422
    assert not StoredAnswer.objects.exists()
    good = {"name": "one", "dimension_set": "anime"}
    key = {"Idempotency-Key": "k"}
    assert send(lead, "post", "/api/campaigns", good, **key).status_code == 201
    other = Client()
    other.force_login(olga)
    assert "already" in send(other, "post", "/api/campaigns", good, **key).json()["error"]
    assert (
        send(lead, "post", "/api/campaigns", good, **{"Idempotency-Key": "x" * 101}).status_code
        == 400
    )


def test_dimension_sets_are_fixed_once_they_are_used(lead):
    own = {
        "name": "faces",
        "title": "Faces",
        "dimensions": [
            {"key": "skin", "title": "Skin", "question": "Which?", "min_width": 300},
            {"key": "eyes", "title": "Eyes", "question": "Which?", "allow_tie": False},
        ],
    }
    assert send(lead, "post", "/api/dimension-sets", own).status_code == 201
    changed = {"title": "Faces!", "dimensions": own["dimensions"][:1]}
    path = "/api/dimension-sets/faces"
    assert len(send(lead, "put", path, changed).json()["dimensions"]) == 1
    create_campaign("uses it", "faces")
    refused = send(lead, "put", path, changed).json()
    assert "make 'faces-2'" in refused["error"]
    assert lead.get(path).json()["fixed"] is True
    assert lead.delete(path).status_code == 422
    assert send(lead, "post", "/api/dimension-sets", own).json()["code"] == "bad_campaign"
    assert lead.delete("/api/dimension-sets/videoalign").status_code == 422


@pytest.mark.parametrize(
    "dimension",
    [
        {"key": "a b", "title": "T", "question": "Q"},
        {"key": "prompt", "title": "T", "question": "Q"},
        {"key": "ok", "title": " ", "question": "Q"},
        {"key": "ok", "title": "T", "question": "Q", "weight": 3},
        {"key": "ok", "title": "T", "question": "Q", "guideline": ["x" * 1001]},
        {"key": "ok", "title": "T", "question": "Q", "min_width": -1},
    ],
)
def test_a_bad_dimension_makes_no_set(lead, dimension):
    body = {"name": "own", "title": "Own", "dimensions": [dimension]}
    answer = send(lead, "post", "/api/dimension-sets", body)
    assert answer.status_code in {400, 422}
    assert set(answer.json()) == {"error", "code"}
    assert not DimensionSet.objects.filter(name="own").exists()


def test_an_import_says_each_fault_with_its_line(lead):
    from django.core.files.uploadedfile import SimpleUploadedFile

    campaign = create_campaign("new", "anime")
    table = b"path_A,path_B,prompt\na.mp4,b.mp4,red\n/x,b.mp4,red\n"
    answer = lead.post(
        f"/api/campaigns/{campaign.pk}/import", {"file": SimpleUploadedFile("t.csv", table)}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_file")
    assert [each["line"] for each in answer.json()["faults"]] == [3]
    assert not Triplet.objects.exists()


@pytest.mark.parametrize("clips", ["..", "../..", "/etc", "nowhere"])
def test_an_import_reads_only_folders_that_are_meant_for_it(lead, clips):
    campaign = create_campaign("new", "anime")
    answer = send(lead, "post", f"/api/campaigns/{campaign.pk}/import", {"clips": clips})
    assert answer.status_code == 422
    assert "incoming" in answer.json()["error"]
