"""Guidelines: versions that never change, translations that fall back visibly, acceptance."""

import copy
from typing import Any

import pytest
from django.test import Client

from annotation.errors import BadGuideline, VoteConflict
from annotation.guidance import guidelines
from annotation.guidance.examples import clear_clips
from annotation.models import (
    Campaign,
    Cursor,
    Guideline,
    GuidelineAcceptance,
    GuidelineDraft,
    Video,
)


@pytest.fixture
def campaign(make_campaign: Any) -> Any:
    return make_campaign(2)


@pytest.fixture
def body(campaign: Any) -> dict[str, Any]:
    """The texts of the dimension set, as a lead finds them."""
    return copy.deepcopy(guidelines.default_body(campaign))


def logged_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def read(user: Any, campaign: Any, language: str = "en") -> Any:
    return logged_in(user).get(f"/api/campaigns/{campaign.pk}/guideline?language={language}").json()


def test_before_the_first_version_the_dimension_set_speaks(alice: Any, campaign: Any) -> None:
    said = read(alice, campaign)
    assert (said["id"], said["version"], said["accepted"]) == (None, 0, True)
    assert set(said["dimensions"]) == {"VQ", "MQ", "TA"}
    assert said["dimensions"]["VQ"]["title"] == "Visual quality"
    assert len(said["dimensions"]["VQ"]["sentences"]) == 5


def test_a_published_version_never_changes(lee: Any, campaign: Any, body: dict[str, Any]) -> None:
    first = guidelines.publish(campaign, body, major=True, user=lee)
    body["instructions"]["en"] = "Look twice."
    second = guidelines.publish(campaign, body, major=False, user=lee)
    assert (first.version, second.version) == (1, 2)
    assert Guideline.objects.get(version=1).body["instructions"] == {}
    assert Guideline.objects.get(version=2).body["instructions"] == {"en": "Look twice."}


def test_after_a_major_version_nobody_votes_before_accepting_it(
    lee: Any, alice: Any, campaign: Any, body: dict[str, Any], annotator: Any
) -> None:
    browser = annotator(alice)
    row = guidelines.publish(campaign, body, major=True, user=lee)
    shut = browser.next(campaign)
    assert (shut["empty"], shut["gate"]) == (True, "guideline")
    assert read(alice, campaign)["accepted"] is False
    answer = browser.post(f"/api/guidelines/{row.pk}/accept")
    assert answer.json() == {"accepted": 1}
    assert read(alice, campaign)["accepted"] is True
    assert browser.next(campaign)["guideline"] == 1


def test_a_minor_version_opens_no_gate_and_shuts_none(
    lee: Any, alice: Any, campaign: Any, body: dict[str, Any], annotator: Any
) -> None:
    guidelines.publish(campaign, body, major=False, user=lee)
    assert "lease" in annotator(alice).next(campaign)
    assert Campaign.objects.get(pk=campaign.pk).must_accept == 0


def test_an_old_version_does_not_open_the_gate_of_a_new_one(
    lee: Any, alice: Any, campaign: Any, body: dict[str, Any]
) -> None:
    first = guidelines.publish(campaign, body, major=True, user=lee)
    second = guidelines.publish(campaign, body, major=True, user=lee)
    guidelines.accept(second.pk, alice)
    guidelines.accept(first.pk, alice)
    assert Cursor.objects.get(annotator=alice).accepted == 2
    assert GuidelineAcceptance.objects.filter(annotator=alice).count() == 2


def test_a_language_that_is_missing_falls_back_to_english_and_says_so(
    lee: Any, alice: Any, campaign: Any, body: dict[str, Any]
) -> None:
    body["instructions"] = {"en": "Look twice.", "ja": "二度見てください。"}
    body["dimensions"] = {key: {"en": said["en"]} for key, said in body["dimensions"].items()}
    body["dimensions"]["VQ"]["ja"] = {
        "title": "画質",
        "question": "どちらが綺麗？",
        "sentences": [],
    }
    guidelines.publish(campaign, body, major=True, user=lee)
    said = read(alice, campaign, "ja")
    assert said["instructions"] == "二度見てください。"
    assert (said["dimensions"]["VQ"]["title"], said["dimensions"]["VQ"]["language"]) == (
        "画質",
        "ja",
    )
    assert said["dimensions"]["MQ"]["language"] == "en"
    assert read(alice, campaign, "ko")["instructions_language"] == "en"
    page = logged_in(alice)
    page.cookies["django_language"] = "ko"
    shown = page.get(f"/campaigns/{campaign.pk}/guideline/").content.decode()
    assert shown.count('lang="en"') >= 4


@pytest.mark.parametrize("language", ["zh-hans", "ja", "ko"])
def test_the_built_in_dimensions_speak_every_language(
    alice: Any, make_campaign: Any, language: str
) -> None:
    for dimension_set in ("videoalign", "anime", "anime-groups"):
        campaign = make_campaign(1, dimension_set=dimension_set)
        for said in read(alice, campaign, language)["dimensions"].values():
            assert said["language"] == language
            english = {row.title for row in campaign.dimension_set.dimensions.all()}
            assert said["title"] not in english


def test_examples_come_with_the_clip_and_the_note(
    lee: Any, alice: Any, campaign: Any, body: dict[str, Any]
) -> None:
    good, bad = Video.objects.all()[:2]
    body["examples"] = {
        "VQ": [
            {"video": str(good.pk), "good": True, "note": {"en": "sharp", "ko": "선명함"}},
            {"video": str(bad.pk), "good": False, "note": {"en": "blocks"}},
        ]
    }
    guidelines.publish(campaign, body, major=True, user=lee)
    first, second = read(alice, campaign, "ko")["examples"]["VQ"]
    assert first["video"]["url"].startswith(f"/v/{good.pk}?")
    assert (first["good"], first["note"]) == (True, "선명함")
    assert (second["good"], second["note"]) == (False, "blocks")
    assert "generator" not in str(first)
    Video.objects.filter(pk=good.pk).update(withdrawn=True)
    assert len(read(alice, campaign)["examples"]["VQ"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"extra": {}},
        {"dimensions": {"XX": {}}},
        {"dimensions": {}},
        {"dimensions": {"VQ": {"tlh": {}}}},
        {"dimensions": {"VQ": {"en": {"title": "x"}}}},
        {"dimensions": {"VQ": {"en": {"title": "x", "question": "y", "sentences": "z"}}}},
        {"instructions": "Look"},
        {"instructions": {"en": 5}},
        {"instructions": {"en": "x" * 20_001}},
        {"examples": {"VQ": [{"video": "no", "good": True}]}},
        {"examples": {"VQ": [{"video": "7b0c2b6e-3f57-4d0a-9c0e-0d0a5a1f2b3c", "good": True}]}},
        {"examples": {"VQ": [{"video": "7b0c2b6e-3f57-4d0a-9c0e-0d0a5a1f2b3c", "good": 1}]}},
        {"examples": {"XX": []}},
    ],
)
def test_what_is_no_guideline_is_refused(
    lee: Any, campaign: Any, body: dict[str, Any], change: dict[str, Any]
) -> None:
    with pytest.raises(BadGuideline):
        guidelines.publish(campaign, {**body, **change}, major=True, user=lee)
    assert not Guideline.objects.exists()
    assert Campaign.objects.get(pk=campaign.pk).must_accept == 0


def test_of_two_leads_who_save_a_draft_one_is_told(
    lee: Any, campaign: Any, body: dict[str, Any]
) -> None:
    first = guidelines.save_draft(campaign, body, 0, lee)
    assert first.revision == 1
    with pytest.raises(VoteConflict):
        guidelines.save_draft(campaign, body, 0, lee)
    assert guidelines.save_draft(campaign, body, 1, lee).revision == 2
    with pytest.raises(VoteConflict):
        guidelines.save_draft(campaign, body, 1, lee)


def test_who_opened_a_draft_before_a_publication_is_told_of_the_next_one(
    lee: Any, olga: Any, campaign: Any, body: dict[str, Any]
) -> None:
    opened = guidelines.save_draft(campaign, body, 0, lee).revision
    guidelines.publish(campaign, body, major=False, user=olga, draft=opened)
    there = guidelines.draft_of(campaign)
    assert there == guidelines.Draft(body, opened)  # what was published, saved by nobody
    mine = {**body, "instructions": {"en": "An hour of work."}}
    saved = guidelines.save_draft(campaign, mine, there.revision, olga)
    for revision in (0, opened):
        with pytest.raises(VoteConflict):
            guidelines.save_draft(campaign, body, revision, lee)
    assert guidelines.draft_of(campaign) == saved


def test_a_publication_leaves_a_draft_that_it_is_not_of(
    lee: Any, olga: Any, campaign: Any, body: dict[str, Any]
) -> None:
    read = guidelines.save_draft(campaign, body, 0, lee)
    mine = {**body, "instructions": {"en": "An hour of work."}}
    saved = guidelines.save_draft(campaign, mine, read.revision, olga)
    guidelines.publish(campaign, read.body, major=False, user=lee, draft=read.revision)
    path = f"/api/campaigns/{campaign.pk}/guidelines"
    given = {"body": body, "major": False}
    made = logged_in(lee).post(path, given, content_type="application/json")
    assert made.status_code == 201
    assert guidelines.draft_of(campaign) == saved


def test_a_lead_writes_and_publishes_on_the_page(lee: Any, alice: Any, campaign: Any) -> None:
    lead, path = logged_in(lee), f"/campaigns/{campaign.pk}/guideline/"
    clip = Video.objects.first()
    assert clip
    form = {"revision": "0", "instructions": "Look twice.", "act": "save"}
    for row in campaign.dimension_set.dimensions.all():
        form |= {f"{row.key}-title": row.title, f"{row.key}-question": row.question}
    form |= {
        "VQ-sentences": "Sharp.\n\nClean.\n",
        "VQ-video-0": f"http://testserver/v/{clip.pk}?x=1&s=2",
        "VQ-good-0": "bad",
        "VQ-note-0": "blocks",
    }
    assert lead.post(path, form).status_code == 302
    assert GuidelineDraft.objects.get().revision == 1
    assert read(alice, campaign)["version"] == 0
    shown = lead.get(path).content.decode()
    assert "Look twice." in shown
    assert (
        lead.post(
            f"{path}?language=ko",
            {**form, "revision": "1", "VQ-title": "화질", "act": "publish-major"},
        ).status_code
        == 302
    )
    row = Guideline.objects.get()
    assert (row.version, row.major, row.created_by) == (1, True, lee)
    assert row.body["dimensions"]["VQ"]["en"]["sentences"] == ["Sharp.", "Clean."]
    assert row.body["dimensions"]["VQ"]["ko"]["title"] == "화질"
    (example,) = row.body["examples"]["VQ"]
    assert example["video"] == str(clip.pk)
    assert example["good"] is False
    assert guidelines.draft_of(campaign) == guidelines.Draft(row.body, 2)
    assert "There is a draft" not in lead.get(path).content.decode()


def test_a_fault_on_the_page_loses_nothing_that_was_typed(lee: Any, campaign: Any) -> None:
    form = {"revision": "0", "instructions": "Typed with care.", "act": "publish-major"}
    answer = logged_in(lee).post(f"/campaigns/{campaign.pk}/guideline/", form)
    assert answer.status_code == 422
    assert "Typed with care." in answer.content.decode()
    assert not Guideline.objects.exists()


def test_a_lead_runs_it_all_through_rest(lee: Any, campaign: Any, body: dict[str, Any]) -> None:
    lead, root = logged_in(lee), f"/api/campaigns/{campaign.pk}"
    body["instructions"]["en"] = "Look twice."
    saved = lead.put(
        f"{root}/guideline/draft", {"body": body, "revision": 0}, content_type="application/json"
    )
    assert saved.json()["revision"] == 1
    made = lead.post(f"{root}/guidelines", {"major": False}, content_type="application/json")
    assert made.status_code == 201
    assert made.json()["body"]["instructions"] == {"en": "Look twice."}
    (listed,) = lead.get(f"{root}/guidelines").json()["guidelines"]
    assert (listed["version"], listed["major"], listed["by"]) == (1, False, "lee")


def test_annotators_do_not_write(alice: Any, campaign: Any, body: dict[str, Any]) -> None:
    browser, root = logged_in(alice), f"/api/campaigns/{campaign.pk}"
    for answer in (
        browser.get(f"{root}/guideline/draft"),
        browser.get(f"{root}/guidelines"),
        browser.post(f"{root}/guidelines", {"body": body}, content_type="application/json"),
        browser.post(f"/campaigns/{campaign.pk}/guideline/", {"act": "publish-major"}),
    ):
        assert answer.status_code == 403
    assert not Guideline.objects.exists()


def test_a_guideline_of_a_campaign_that_is_not_theirs_is_not_there(
    lee: Any, bob: Any, campaign: Any, body: dict[str, Any]
) -> None:
    row = guidelines.publish(campaign, body, major=True, user=lee)
    Campaign.objects.update(open_to_all=False)
    browser = logged_in(bob)
    assert browser.post(f"/api/guidelines/{row.pk}/accept").status_code == 404
    assert browser.get(f"/api/campaigns/{campaign.pk}/guideline").status_code == 404


def test_a_lead_is_offered_the_clips_on_which_everybody_agreed(
    lee: Any, make_campaign: Any, people: Any, annotator: Any, side_of: Any
) -> None:
    campaign = make_campaign(2, votes_wanted=2)
    clear, split = campaign.triplets.order_by("pk")
    for user, other in zip(people(2), ("A", "B"), strict=True):
        browser = annotator(user)
        for _ in range(2):
            given = browser.next(campaign)
            agreed = given["prompt"]["text"] == clear.prompt.text
            first = side_of(given, "A" if agreed else other)
            browser.vote(given, [first, "tie", first])
    offered = clear_clips(campaign)
    assert [each.video for each in offered] == [clear.video_a, clear.video_b]
    winner, loser = offered
    assert (winner.better, winner.worse) == (("VQ", "TA"), ())
    assert (loser.better, loser.worse) == ((), ("VQ", "TA"))
    text = logged_in(lee).get(f"/campaigns/{campaign.pk}/guideline/").content.decode()
    assert f'<option value="{clear.video_a_id}">better on VQ, TA' in text
    assert str(split.video_a_id) not in text
