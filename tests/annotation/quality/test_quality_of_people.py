"""Standings, pauses, re-collection, own figures: the doors and pages of quality."""

import json
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from annotation.cursors import lock_cursor
from annotation.errors import CampaignError
from annotation.models import (
    Campaign,
    Cursor,
    Outbox,
    Probe,
    ProbeAnswer,
    ProbeKind,
    ProbeLease,
    Stage,
    Triplet,
    Video,
    Vote,
)
from annotation.promises import broken_promises
from annotation.quality import gold, recollecting, reliability

KEYS = ("VQ", "MQ", "TA")


@pytest.fixture
def campaign(make_campaign: Callable[..., Campaign]) -> Campaign:
    campaign = make_campaign(6)
    Campaign.objects.filter(pk=campaign.pk).update(gold_share=0, repeat_share=0)
    campaign.refresh_from_db()
    return campaign


@pytest.fixture
def voted(campaign: Campaign, people: Any, annotator: Any, side_of: Any) -> Campaign:
    """Three people agree on all six pairs that A is better; times are a minute apart."""
    for person in people(3):
        browser = annotator(person)
        for _ in range(6):
            given = browser.next(campaign)
            assert browser.vote(given, side_of(given, "A")).status_code == 200
    start = timezone.now() - timedelta(hours=1)
    for number, vote in enumerate(Vote.objects.order_by("submitted_at")):
        Vote.objects.filter(pk=vote.pk).update(submitted_at=start + timedelta(minutes=number % 6))
    Cursor.objects.update(work_since=start - timedelta(minutes=1))
    return campaign


def answered(
    campaign: Campaign, user: Any, errors: list[float], *, kind: str = "gold", after: Any = None
) -> list[ProbeAnswer]:
    """Answers on probes, a minute apart, half a minute after the votes."""
    start = after or timezone.now() - timedelta(minutes=59, seconds=30)
    pair = campaign.triplets.order_by("pk")[0]
    vote = Vote.objects.filter(annotator=user)
    made = []
    for number, error in enumerate(errors):
        repeat = {"annotator": user, "origin": vote[number]} if kind == "repeat" else {}
        probe = Probe.objects.create(
            campaign=campaign, kind=kind, prompt=pair.prompt, video_a=pair.video_a,
            video_b=pair.video_b, expected=dict.fromkeys(KEYS, "A"), shuffle=number, **repeat,
        )  # fmt: skip
        lease = ProbeLease.objects.create(
            probe=probe, campaign=campaign, annotator=user, swap=False, tab=uuid.uuid4(),
            state="answered", expires_at=start,
        )  # fmt: skip
        made.append(
            ProbeAnswer.objects.create(
                lease=lease,
                annotator=user,
                campaign=campaign,
                kind=kind,
                answers={},
                errors=error,
                by_dimension=dict.fromkeys(KEYS, error),
                req_hash="",
                submitted_at=start + timedelta(minutes=number),
                active_ms=1000,
            )
        )
    mine = Cursor.objects.filter(campaign=campaign, annotator=user)
    mine.update(questions=F("questions") + len(made))
    return made


def person_of(campaign: Campaign) -> Any:
    return Cursor.objects.filter(campaign=campaign).order_by("annotator").first().annotator


def paused(campaign: Campaign) -> Any:
    """Somebody good for three gold questions and then not any more."""
    user = person_of(campaign)
    answered(campaign, user, [0, 0, 0, *[1.0] * 17])
    cursor, now = lock_cursor(campaign.pk, user)
    reliability.look_at_gold(campaign, cursor, ProbeKind.GOLD, now)
    return user


def test_a_pause_is_told_to_the_annotator_and_the_lead(
    voted: Campaign, lee: Any, annotator: Any
) -> None:
    user = paused(voted)
    given = annotator(user).next(voted)
    assert (given["empty"], given["gate"]) == (True, "paused")
    assert "A lead has been told" in given["reason"]
    assert Outbox.objects.filter(kind="annotator.paused").count() == 1
    rows = annotator(lee).get(f"/api/campaigns/{voted.pk}/standings").json()["annotators"]
    assert [row["stage"] for row in rows] == ["paused", "working", "working"]
    assert rows[0]["gold_right"]["VQ"] == pytest.approx(3 / 20)
    dashboard = annotator(lee).get(f"/campaigns/{voted.pk}/").content.decode()
    assert "1 annotator is paused or has failed." in dashboard


def test_a_resumed_person_starts_with_a_fresh_window(
    voted: Campaign, lee: Any, annotator: Any
) -> None:
    user = paused(voted)
    browser = annotator(lee)
    answer = browser.post(
        f"/api/campaigns/{voted.pk}/standings/{user.pk}/resume", {"note": "Look at the faces."}
    )
    assert answer.json() == {"stage": "working", "attempt": 0}
    cursor = Cursor.objects.get(annotator=user)
    assert cursor.stage_reason == "Look at the faces."
    assert reliability.gold_answers(cursor) == []
    assert Outbox.objects.filter(kind="annotator.resumed").count() == 1
    again = browser.post(f"/api/campaigns/{voted.pk}/standings/{user.pk}/resume", {})
    assert again.status_code == 422


def test_a_failed_qualification_gets_one_attempt_more(
    voted: Campaign, lee: Any, annotator: Any
) -> None:
    user = person_of(voted)
    Cursor.objects.filter(annotator=user).update(stage=Stage.FAILED, attempt=2)
    answer = annotator(lee).post(f"/api/campaigns/{voted.pk}/standings/{user.pk}/resume", {})
    assert answer.json() == {"stage": "qualification", "attempt": 3}


def test_votes_since_the_last_good_window_are_asked_anew(
    voted: Campaign, lee: Any, annotator: Any
) -> None:
    user = paused(voted)
    address = f"/api/campaigns/{voted.pk}/standings/{user.pk}/recollection"
    browser = annotator(lee)
    found = browser.get(address).json()
    # Votes at minutes 0 to 5; good gold at 0.5, 1.5 and 2.5: the votes at 3, 4 and 5 go.
    assert (found["votes"], found["gold_before"], found["gold_after"]) == (3, 3, 17)
    done = browser.post(address, {"note": "clicked through"}).json()
    assert done["votes"] == 3
    assert Vote.objects.filter(annotator=user, state="withdrawn").count() == 3
    assert Triplet.objects.filter(campaign=voted, state="open").count() == 3
    voted.refresh_from_db()
    assert voted.triplets_done == 3
    assert broken_promises(voted) == []
    assert Cursor.objects.get(annotator=user).stage == Stage.PAUSED
    # Somebody new finds the slots.
    assert recollecting.window(voted, user.pk).votes == 0


def test_promoted_gold_whose_votes_are_withdrawn_is_not_asked(
    voted: Campaign, lee: Any, annotator: Any
) -> None:
    user = paused(voted)
    last = Vote.objects.filter(annotator=user).order_by("-submitted_at").first()
    browser = annotator(lee)
    browser.post(f"/api/campaigns/{voted.pk}/gold/promotable", {"triplets": [last.triplet_id]})
    probe = Probe.objects.get(triplet=last.triplet_id)
    assert probe.active
    browser.post(f"/api/campaigns/{voted.pk}/standings/{user.pk}/recollection", {})
    probe.refresh_from_db()
    assert not probe.active


def test_standings_say_what_the_votes_say(voted: Campaign, lee: Any, annotator: Any) -> None:
    user = person_of(voted)
    answered(voted, user, [0, 0.5], kind="repeat")
    answered(voted, user, [0, 0, 0.5, 0.5])
    rows = annotator(lee).get(f"/api/campaigns/{voted.pk}/standings").json()["annotators"]
    row = next(each for each in rows if each["annotator"] == user.pk)
    assert (row["votes"], row["gold_answers"], row["repeats"]) == (6, 4, 2)
    assert row["gold"]["right"] == 0.75
    assert row["same_again"] == 0.75
    assert row["median_seconds"] == 4.0
    # Everybody said A on all: the truth by Dawid and Skene, which all of them name.
    assert row["dawid_skene"] == pytest.approx(1, abs=0.01)
    lefts = Vote.objects.filter(annotator=user, swap=False).count()
    assert row["left_share"] == pytest.approx(lefts / 6)
    assert row["leans"] == ""


def test_the_scorecard_shows_own_figures_and_no_gold(
    voted: Campaign, annotator: Any, side_of: Any
) -> None:
    user = person_of(voted)
    answered(voted, user, [0, 0, 0, 0, 0.5], kind="repeat")
    answered(voted, user, [1.0, 1.0])
    Cursor.objects.filter(annotator=user).update(questions=13)
    card = annotator(user).get(f"/api/campaigns/{voted.pk}/scorecard").json()
    assert card["questions"] == 13
    # 6 votes of 4 s and 7 answers of 1 s.
    assert card["active_ms"] == 31_000
    assert card["agreement"] == 1.0
    assert card["self_consistency"] == 0.9
    assert [row["compared"] for row in card["dimensions"]] == [6, 6, 6]
    assert sum(day["questions"] for day in card["days"]) == 13
    text = json.dumps(card)
    assert "gold" not in text
    assert "votes" not in text


def test_the_scorecard_of_a_stranger_is_not_there(
    voted: Campaign, alice: Any, charlie: Any, annotator: Any
) -> None:
    assert annotator(alice).get(f"/api/campaigns/{voted.pk}/scorecard").status_code == 404
    assert annotator(charlie).get(f"/api/campaigns/{voted.pk}/scorecard").status_code == 404
    assert annotator(charlie).get(f"/campaigns/{voted.pk}/me/").status_code == 404


def test_figures_do_not_cost_more_queries_with_more_people(
    voted: Campaign, lee: Any, annotator: Any, django_assert_max_num_queries: Any
) -> None:
    user = person_of(voted)
    answered(voted, user, [0.5] * 10)
    browser, own = annotator(lee), annotator(user)
    with django_assert_max_num_queries(12):
        assert browser.get(f"/api/campaigns/{voted.pk}/standings").status_code == 200
    with django_assert_max_num_queries(27):
        assert browser.get(f"/campaigns/{voted.pk}/quality/").status_code == 200
    with django_assert_max_num_queries(20):
        assert browser.get(f"/campaigns/{voted.pk}/quality/gold/").status_code == 200
    with django_assert_max_num_queries(12):
        assert own.get(f"/api/campaigns/{voted.pk}/scorecard").status_code == 200


# Gold.


def test_gold_is_promoted_where_everybody_said_the_same(
    voted: Campaign, lee: Any, annotator: Any, alice: Any
) -> None:
    browser, address = annotator(lee), f"/api/campaigns/{voted.pk}/gold"
    ready = browser.get(f"{address}/promotable").json()["triplets"]
    assert len(ready) == 6
    wanted = [ready[0]["triplet"], ready[1]["triplet"]]
    made = browser.post(f"{address}/promotable", {"triplets": wanted})
    assert made.status_code == 201
    assert len(browser.get(f"{address}/promotable").json()["triplets"]) == 4
    rows = browser.get(address).json()["gold"]
    assert [row["triplet"] for row in rows] == wanted
    assert rows[0]["expected"] == dict.fromkeys(KEYS, "A")
    # Those who voted on it are not asked it; somebody new is.
    Campaign.objects.filter(pk=voted.pk).update(gold_share=1, repeat_share=0)
    assert annotator(person_of(voted)).next(voted).get("empty") is True
    given = annotator(alice).next(voted)
    assert ProbeLease.objects.get(pk=given["lease"]).probe.triplet_id in wanted
    assert browser.post(f"{address}/promotable", {"triplets": wanted}).status_code == 422


def test_a_pair_collected_again_since_it_was_read_is_not_made_gold(
    voted: Campaign, lee: Any
) -> None:
    read = voted.triplets.order_by("pk")[0]
    recollecting.recollect(voted, person_of(voted).pk, lee)
    expected = dict.fromkeys(KEYS, "A")
    with pytest.raises(CampaignError, match="is open: people could meet the pair"):
        gold.promote(read, lee)
    with pytest.raises(CampaignError, match="is open: people could meet the pair"):
        gold.from_triplet(read, ProbeKind.PRACTICE, lee, expected=expected)
    assert not Probe.objects.exists()


@pytest.mark.faults
@pytest.mark.django_db(transaction=True)
def test_of_two_leads_who_promote_a_pair_at_once_one_is_told(
    voted: Campaign, lee: Any, olga: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    triplet = voted.triplets.order_by("pk")[0]
    said: list[str] = []

    def promote_too() -> None:
        try:
            gold.promote_all([Triplet.objects.get(pk=triplet.pk)], olga)
        except CampaignError as error:
            said.append(error.message)
        finally:
            connection.close()

    other, plain = threading.Thread(target=promote_too), gold._check_clips

    def check(*given: Any) -> None:  # all else is looked at by now
        monkeypatch.setattr(gold, "_check_clips", plain)
        other.start()
        other.join(1)
        plain(*given)

    monkeypatch.setattr(gold, "_check_clips", check)
    gold.promote_all([triplet], lee)
    other.join(30)
    assert said == [f"Triplet {triplet.pk} is asked as gold already."]
    assert Probe.objects.get().created_by == lee


def test_a_question_is_asked_again_only_where_it_could_be_made(voted: Campaign, lee: Any) -> None:
    triplet = voted.triplets.order_by("pk")[0]
    (first,) = gold.promote_all([triplet], lee)
    assert not gold.restore(first)  # it is asked
    gold.retire(first)
    (second,) = gold.promote_all([triplet], lee)
    with pytest.raises(CampaignError, match=f"Triplet {triplet.pk} is asked as gold already"):
        gold.restore(first)
    gold.retire(second)
    Triplet.objects.filter(pk=triplet.pk).update(state="open")
    with pytest.raises(CampaignError, match=f"Triplet {triplet.pk} is open: people could meet"):
        gold.restore(first)
    Triplet.objects.filter(pk=triplet.pk).update(state="complete")
    Video.objects.filter(pk=triplet.video_a_id).update(withdrawn=True)
    with pytest.raises(CampaignError, match=f"The clip {triplet.video_a_id} was withdrawn"):
        gold.restore(first)
    Video.objects.filter(pk=triplet.video_a_id).update(withdrawn=False)
    assert gold.restore(first)
    assert Probe.objects.filter(active=True).get() == first


def test_a_question_is_made_changed_and_retired_by_rest(
    voted: Campaign, lee: Any, annotator: Any
) -> None:
    browser, address = annotator(lee), f"/api/campaigns/{voted.pk}/gold"
    triplet = voted.triplets.order_by("pk")[0]
    body = {"kind": "practice", "triplet": triplet.pk, "explanation": "A is sharper."}
    made = browser.post(address, body).json()
    assert made["expected"] == dict.fromkeys(KEYS, "A")
    assert made["explanation"] == {"en": "A is sharper."}
    assert browser.post(address, body).status_code == 422  # asked as practice already
    one = f"{address}/{made['id']}"
    changed = browser.client.patch(
        one, json.dumps({"expected": {"VQ": "tie"}}), content_type="application/json"
    )
    assert changed.json()["expected"] == {"VQ": "tie"}
    assert browser.client.delete(one).status_code == 204
    assert browser.get(one).json()["active"] is False
    clips = {"video_a": str(triplet.video_a_id), "video_b": str(triplet.video_b_id)}
    from_clips = browser.post(
        address, {"kind": "gold", "expected": {"VQ": "B", "TA": "invalid"}, **clips}
    )
    assert from_clips.status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "repeat"},
        {"kind": "gold", "expected": {"XX": "A"}},
        {"kind": "gold", "expected": {"VQ": "left"}},
        {"kind": "gold", "expected": {"VQ": 3}},
        {"kind": "gold", "expected": {}},
    ],
)
def test_a_question_that_cannot_be_is_refused(
    voted: Campaign, lee: Any, annotator: Any, body: dict[str, Any]
) -> None:
    triplet = voted.triplets.order_by("pk")[0]
    answer = annotator(lee).post(f"/api/campaigns/{voted.pk}/gold", {"triplet": triplet.pk, **body})
    assert answer.status_code == 422
    assert not Probe.objects.exists()


def test_an_open_pair_cannot_be_gold(campaign: Campaign, lee: Any, annotator: Any) -> None:
    triplet = campaign.triplets.order_by("pk")[0]
    address = f"/api/campaigns/{campaign.pk}/gold"
    browser = annotator(lee)
    body = {"kind": "gold", "expected": {"VQ": "A"}}
    assert browser.post(address, {**body, "triplet": triplet.pk}).status_code == 422
    clips = {"video_a": str(triplet.video_b_id), "video_b": str(triplet.video_a_id)}
    refused = browser.post(address, {**body, **clips})
    assert refused.status_code == 422
    assert "still in the queue" in refused.json()["error"]


# Pages.


def test_the_pages_of_quality_belong_to_leads(
    voted: Campaign, alice: Any, mia: Any, lee: Any, annotator: Any
) -> None:
    for rest in ("quality/", "quality/gold/", "quality/flags/", "adjudicate/"):
        address = f"/campaigns/{voted.pk}/{rest}"
        assert annotator(lee).get(address).status_code == 200
        assert annotator(alice).get(address).status_code == 403
        assert annotator(mia).get(address).status_code == 403


def test_a_lead_decides_on_the_page(voted: Campaign, lee: Any, annotator: Any) -> None:
    user = paused(voted)
    browser = annotator(lee)
    address = f"/campaigns/{voted.pk}/quality/"
    page = browser.get(f"{address}?person={user.pk}").content.decode()
    assert "Take back 3 votes" in page
    said = {"act": "recollect", "person": user.pk, "note": ""}
    done = browser.client.post(address, said, follow=True)
    assert "3 votes are taken back" in done.content.decode()
    said = {"act": "resume", "person": user.pk, "note": "Please go on."}
    assert "may go on" in browser.client.post(address, said, follow=True).content.decode()
    assert Cursor.objects.get(annotator=user).stage == Stage.WORKING
    wrong = browser.client.post(address, {"act": "dance"}, follow=True)
    assert "something unknown" in wrong.content.decode()
    assert browser.get(f"{address}?person=999999").status_code == 404


def test_a_lead_makes_gold_on_the_page(voted: Campaign, lee: Any, annotator: Any) -> None:
    browser = annotator(lee)
    address = f"/campaigns/{voted.pk}/quality/gold/"
    first, second = voted.triplets.order_by("pk")[:2]
    done = browser.client.post(address, {"act": "promote", "triplet": [first.pk]}, follow=True)
    assert "1 questions more" in done.content.decode()
    said = {
        "act": "add", "triplet": second.pk, "kind": "practice", "expected-VQ": "tie",
        "explanation": "Both flicker.",
    }  # fmt: skip
    browser.client.post(address, said)
    probe = Probe.objects.get(kind="practice")
    assert (probe.expected, probe.explanation) == ({"VQ": "tie"}, {"en": "Both flicker."})
    browser.client.post(address, {"act": "retire", "question": probe.pk})
    probe.refresh_from_db()
    assert not probe.active
    refused = browser.client.post(address, {"act": "promote"}, follow=True)
    assert "Choose the triplets" in refused.content.decode()


def test_the_own_page_shows_the_scorecard(voted: Campaign, annotator: Any) -> None:
    user = person_of(voted)
    page = annotator(user).get(f"/campaigns/{voted.pk}/me/").content.decode()
    assert "Agreement with others" in page
    assert "100\N{NO-BREAK SPACE}%" in page
    assert "gold" not in page.lower()


def test_the_schema_knows_the_doors_without_a_warning() -> None:
    from drf_spectacular.drainage import GENERATOR_STATS
    from drf_spectacular.generators import SchemaGenerator

    GENERATOR_STATS.reset()
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    assert "/api/leases/{token}/flag" in paths
    assert "/api/campaigns/{campaign_id}/adjudication/{triplet_id}" in paths
    ours = [each for each in GENERATOR_STATS._warn_cache if "quality" in each]
    assert ours == []
