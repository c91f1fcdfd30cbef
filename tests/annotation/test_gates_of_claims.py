"""Who gets no pair now, and why: told from the campaign and the person's cursor alone."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.accounts.consents import digest
from annotation.models import Campaign, Cursor, Dimension, Guideline, Slot, Vote


@pytest.fixture
def campaign(make_campaign):
    return make_campaign(3, votes_wanted=1)


@pytest.fixture
def browser(annotator, alice):
    return annotator(alice)


@pytest.fixture
def cursor(campaign, alice):
    return Cursor.objects.create(campaign=campaign, annotator=alice)


def change(row, **values) -> None:
    type(row).objects.filter(pk=row.pk).update(**values)


@pytest.mark.parametrize(
    ("gate", "of_campaign", "of_cursor"),
    [
        ("consent", {"consent": "You agree."}, {"consented": "0" * 64}),
        ("guideline", {"must_accept": 3}, {"accepted": 2}),
        ("failed", {}, {"stage": "failed"}),
        ("paused", {}, {"stage": "paused"}),
        ("daily", {"daily_hours": 1}, {"active_ms_today": 3_600_000}),
    ],
)
def test_a_shut_gate_is_named_and_nothing_is_leased(
    campaign, cursor, browser, gate, of_campaign, of_cursor
):
    change(campaign, **of_campaign)
    change(cursor, **{"day": timezone.now().date(), **of_cursor})
    answer = browser.next(campaign)
    assert (answer["empty"], answer["gate"]) == (True, gate)
    assert answer["reason"].endswith(".")
    assert not Slot.objects.exclude(state="open").exists()


def test_what_was_done_opens_the_gates(campaign, cursor, browser):
    change(campaign, consent="You agree.", must_accept=2, daily_hours=1)
    change(
        cursor,
        consented=digest("You agree."),
        accepted=2,
        active_ms_today=3_600_000,
        day=timezone.now().date() - timedelta(days=1),
    )
    assert browser.next(campaign)["lease"]
    # Another text asks anew.
    change(campaign, consent="You agree to more.")
    assert browser.next(campaign)["gate"] == "consent"


def test_a_reason_that_a_lead_gave_is_shown(campaign, cursor, browser):
    change(cursor, stage="paused", stage_reason="We look at your votes of yesterday.")
    assert browser.next(campaign)["reason"] == "We look at your votes of yesterday."


def test_a_pair_in_hand_can_still_be_voted_on_behind_a_gate(campaign, cursor, browser):
    given = browser.next(campaign)
    change(cursor, stage="paused")
    assert browser.vote(given).json()["state"] == "counted"


def test_a_window_too_narrow_for_a_dimension_gets_no_pair(campaign, browser):
    Dimension.objects.filter(dimension_set=campaign.dimension_set, key="VQ").update(min_width=640)
    answer = browser.next(campaign, screen_width=639)
    assert answer["gate"] == "screen"
    assert "640" in answer["reason"]
    given = browser.next(campaign, screen_width=640)
    assert [each["min_width"] for each in given["dimensions"]] == [640, 0, 0]


@pytest.mark.parametrize("width", ["wide", True, -1, {}])
def test_a_width_that_is_none_is_refused(campaign, browser, width):
    path = f"/api/campaigns/{campaign.pk}/next"
    answer = browser.post(path, {"tab": browser.tab, "screen_width": width})
    assert answer.status_code == 400
    assert "screen_width" in answer.json()["error"]


def test_the_activity_of_the_day_adds_up_and_begins_anew(campaign, cursor, browser):
    browser.vote(given := browser.next(campaign))
    second = browser.next(campaign)
    assert second["rest"] == {
        "suggest_after_ms": 25 * 60_000,
        "require_after_ms": 90 * 60_000,
        "active_ms_today": 4000,
        "daily_ms": 6 * 3_600_000,
    }
    vote = Vote.objects.get()
    browser.revise(str(vote.pk), 1, browser.ballot(given, "tie"))
    cursor.refresh_from_db()
    assert (cursor.active_ms_today, cursor.votes, cursor.questions) == (8000, 1, 1)
    change(cursor, day=timezone.now().date() - timedelta(days=1))
    browser.vote(second)
    cursor.refresh_from_db()
    assert (cursor.active_ms_today, cursor.day) == (4000, timezone.now().date())


def test_no_question_takes_more_than_an_hour_of_the_day(campaign, cursor, browser):
    body = browser.ballot(browser.next(campaign))
    browser.send({**body, "timing": {"active_ms": 2**31 - 1}})
    cursor.refresh_from_db()
    assert cursor.active_ms_today == 3_600_000
    assert Vote.objects.get().active_ms == 2**31 - 1


def test_the_vote_keeps_its_remark_and_the_guideline_it_was_given_under(campaign, browser):
    for version in (1, 2):
        Guideline.objects.create(campaign=campaign, version=version)
    given = browser.next(campaign)
    assert given["guideline"] == 2
    body = browser.ballot(given) | {"remark": " the hand melts ", "guideline": 2}
    first = browser.send(body).json()
    vote = Vote.objects.get()
    assert (vote.remark, vote.guideline.version) == ("the hand melts", 2)
    # Another remark is another vote.
    assert browser.send({**body, "remark": "no"}).status_code == 409
    revised = browser.revise(first["vote"], 1, {**body, "remark": "both hands", "guideline": 1})
    newest = Vote.objects.get(pk=revised.json()["vote"])
    assert (newest.remark, newest.guideline.version) == ("both hands", 1)
    mine = browser.get(f"/api/votes/mine?campaign={campaign.pk}").json()["votes"]
    assert [each["remark"] for each in mine] == ["both hands"]


@pytest.mark.parametrize(
    "change_", [{"remark": "x" * 2001}, {"remark": 7}, {"guideline": "two"}, {"guideline": -1}]
)
def test_a_remark_or_version_that_is_none_is_refused(campaign, browser, change_):
    answer = browser.send(browser.ballot(browser.next(campaign)) | change_)
    assert answer.status_code == 422
    assert not Vote.objects.exists()


def test_same_is_refused_where_one_must_be_chosen(campaign, browser):
    Dimension.objects.filter(dimension_set=campaign.dimension_set, key="MQ").update(allow_tie=False)
    given = browser.next(campaign)
    assert [each["allow_tie"] for each in given["dimensions"]] == [True, False, True]
    answer = browser.vote(given, "tie")
    assert answer.status_code == 422
    assert "MQ" in answer.json()["error"]
    assert browser.vote(given, ["tie", "left", "tie"]).json()["state"] == "counted"


def test_a_changed_dimension_is_seen_at_the_next_pair(campaign, browser):
    browser.next(campaign)
    Dimension.objects.filter(dimension_set=campaign.dimension_set, key="VQ").update(title="Beauty")
    assert browser.next(campaign)["dimensions"][0]["title"] == "Beauty"


def test_a_withdrawn_pair_is_not_shown_again_to_who_holds_it(campaign, browser):
    given = browser.next(campaign)
    campaign.triplets.filter(leases__token=given["lease"]).update(state="withdrawn")
    again = browser.next(campaign)
    assert again["lease"] != given["lease"]
    assert again["left"]["id"] != given["left"]["id"]
    assert Slot.objects.filter(state="leased").count() == 1
    assert browser.vote(given).json()["state"] == "surplus"
    assert Campaign.objects.get(pk=campaign.pk).triplets_done == 0
