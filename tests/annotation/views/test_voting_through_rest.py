"""The contract of the REST API, as the voting page and the simulated annotators rely on it."""

import uuid

import pytest

from annotation.models import (
    Campaign,
    Consensus,
    Judgement,
    Lease,
    Outbox,
    Slot,
    Triplet,
    Vote,
)


def test_a_pair_comes_with_all_that_the_page_needs(make_campaign, alice, annotator):
    campaign = make_campaign(1)
    given = annotator(alice).next(campaign)
    assert set(given) == {
        *("lease", "expires_at", "campaign", "prompt", "left", "right", "dimensions"),
        *("per_video_scores", "watch_gate", "progress", "kind", "stage", "stage_progress"),
        *("guideline", "rest", "showing"),
    }
    assert set(given["left"]) == {
        *("id", "url", "poster", "fps", "num_frames", "width", "height", "duration"),
        "flash_warning",
    }
    assert [each["key"] for each in given["dimensions"]] == ["VQ", "MQ", "TA"]
    assert given["progress"] == {"mine": 0, "done": 0, "total": 1}


def test_nothing_that_an_annotator_gets_tells_who_made_a_clip(make_campaign, alice, annotator):
    campaign = make_campaign(2)
    browser = annotator(alice)
    given = browser.next(campaign)
    vote = browser.vote(given)
    answers = [
        browser.post(f"/api/campaigns/{campaign.pk}/next", {"tab": browser.tab}),
        vote,
        browser.get("/api/campaigns"),
        browser.get(f"/api/votes/mine?campaign={campaign.pk}"),
    ]
    videos = [*Triplet.objects.get(pk=Vote.objects.get().triplet_id).prompt.videos.all()]
    for text in [str(given), *(answer.content.decode() for answer in answers)]:
        assert "secret" not in text  # the generator, and the original path
        assert not any(video.sha256 in text or video.file in text for video in videos)


def test_a_reload_gives_the_same_pair_and_prefetch_a_further_one(make_campaign, alice, annotator):
    campaign = make_campaign(5)
    browser = annotator(alice)
    first = browser.next(campaign)
    assert browser.next(campaign)["lease"] == first["lease"]
    second, third = (browser.next(campaign, prefetch=True) for _ in range(2))
    assert len({first["lease"], second["lease"], third["lease"]}) == 3
    # Three are live: no fourth, and a strange tab gets the oldest.
    assert browser.next(campaign, prefetch=True)["empty"] is True
    assert browser.next(campaign, tab=str(uuid.uuid4()))["lease"] == first["lease"]
    assert browser.vote(first).status_code == 200
    assert browser.next(campaign)["lease"] == second["lease"]


def test_a_vote_is_stored_with_the_swap_undone(make_campaign, alice, annotator):
    campaign = make_campaign(6, votes_wanted=1)
    browser = annotator(alice)
    for _ in range(6):
        given = browser.next(campaign)
        body = browser.ballot(given, ["left", "right", "tie"])
        body["judgements"]["VQ"] |= {"score_left": 5, "score_right": 2}
        assert browser.send(body).json()["state"] == "counted"
        lease = Lease.objects.select_related("triplet").get(pk=given["lease"])
        left_is = "A" if given["left"]["id"] == str(lease.triplet.video_a_id) else "B"
        said = {each.dimension.key: each for each in Judgement.objects.filter(vote__lease=lease)}
        assert said["VQ"].label == left_is
        assert said["MQ"].label == {"A": "B", "B": "A"}[left_is]
        assert said["TA"].label == "tie"
        scores = {"A": said["VQ"].score_a, "B": said["VQ"].score_b}
        assert scores[left_is] == 5
        assert sorted(scores.values()) == [2, 5]
    # Both orders occurred, or the loop above has shown nothing.
    assert set(Lease.objects.values_list("swap", flat=True)) == {True, False}


def test_the_same_vote_again_is_a_replay_and_another_one_a_conflict(
    make_campaign, alice, annotator
):
    browser = annotator(alice)
    given = browser.next(make_campaign(1))
    first = browser.vote(given).json()
    again = browser.send({**browser.ballot(given), "timing": {"active_ms": 5000}})
    assert again.json() == {**first, "replay": True}
    other = browser.vote(given, "right")
    assert other.status_code == 409
    assert other.json()["code"] == "conflict"
    assert Vote.objects.count() == 1


def test_the_last_wanted_vote_settles_the_triplet(make_campaign, people, annotator, side_of):
    campaign = make_campaign(1, votes_wanted=3)
    for user, labels in zip(
        people(3), (["A", "A", "tie"], ["A", "B", "tie"], ["B", "tie", "invalid"]), strict=True
    ):
        browser = annotator(user)
        given = browser.next(campaign)
        browser.vote(given, [side_of(given, label) for label in labels])
    settled = {each.dimension.key: each for each in Consensus.objects.all()}
    assert [settled[key].label for key in ("VQ", "MQ", "TA")] == ["A", None, "tie"]
    # VQ: two of three say A. In the order A, tie, B.
    assert settled["VQ"].posterior == pytest.approx([2 / 3, 0, 1 / 3])
    assert settled["MQ"].posterior == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    # TA: the invalid judgement is no opinion, so both others say tie.
    assert settled["TA"].posterior == [0, 1, 0]
    assert Triplet.objects.get().state == "complete"
    assert list(Outbox.objects.values_list("kind", "ref")) == [
        ("triplet.complete", str(Triplet.objects.get().pk))
    ]
    campaign.refresh_from_db()
    assert (campaign.triplets_done, campaign.triplets_total) == (1, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"left_video": str(uuid.uuid4())}, "other clips"),
        ({"judgements": {"VQ": {"label": "left"}, "MQ": {"label": "left"}}}, "nothing on TA"),
        ({"VQ": {"label": "maybe"}}, "Unknown label 'maybe' on VQ"),
        ({"VQ": {"label": "A"}}, "expected left, right, tie, invalid"),
        ({"VQ": {"label": "invalid"}}, "needs a reason"),
        ({"VQ": {"label": "left", "reason": "broken"}}, "Only an invalid pair has a reason"),
        ({"VQ": {"label": "left", "score_left": 6}}, "from 1 to 5"),
        ({"VQ": {"label": "left", "score_left": 2.5}}, "whole number"),
        ({"VQ": {"label": "left", "strength": 2}}, "unknown entry 'strength'"),
        ({"XX": {"label": "left"}}, "Nobody asked about XX"),
        ({"timing": {"log": "x" * 70_000}}, "64 kB"),
    ],
)
def test_a_vote_that_does_not_fit_is_refused_with_a_sentence(
    make_campaign, alice, annotator, change, words
):
    browser = annotator(alice)
    body = browser.ballot(browser.next(make_campaign(1)))
    if set(change) <= {"VQ", "XX"}:
        change = {"judgements": {**body["judgements"], **change}}
    answer = browser.send({**body, **change})
    assert answer.status_code == 422
    assert words in answer.json()["error"]
    assert Vote.objects.count() == 0


def test_swapped_sides_are_refused(make_campaign, alice, annotator):
    browser = annotator(alice)
    body = browser.ballot(browser.next(make_campaign(1)))
    body["left_video"], body["right_video"] = body["right_video"], body["left_video"]
    assert browser.send(body).status_code == 422


@pytest.mark.parametrize("body", [{}, {"tab": 7}, {"tab": "x"}, []])
def test_an_unreadable_request_gets_a_sentence(make_campaign, alice, annotator, body):
    campaign = make_campaign(1)
    browser = annotator(alice)
    answer = browser.client.post(
        f"/api/campaigns/{campaign.pk}/next", body, content_type="application/json"
    )
    assert answer.status_code == 400
    assert answer.json()["error"]
    broken = browser.client.post("/api/votes", "{", content_type="application/json")
    assert broken.status_code == 400
    assert set(broken.json()) == {"error", "code"}


def test_a_foreign_lease_is_refused(make_campaign, alice, bob, annotator):
    campaign = make_campaign(1)
    body = annotator(alice).ballot(annotator(alice).next(campaign))
    for path in ("renew", "release", "skip"):
        assert annotator(bob).post(f"/api/leases/{body['lease']}/{path}").status_code == 403
    answer = annotator(bob).send(body)
    assert answer.status_code == 403
    assert answer.json()["code"] == "foreign_lease"
    assert annotator(alice).send(body).json()["state"] == "counted"


def test_a_logged_out_browser_gets_401_and_no_redirect(make_campaign, client):
    campaign = make_campaign(1)
    for answer in (
        client.get("/api/campaigns"),
        client.post(f"/api/campaigns/{campaign.pk}/next", {}, content_type="application/json"),
        client.post("/api/votes", {}, content_type="application/json"),
    ):
        assert answer.status_code == 401
        assert answer.json()["code"] == "not_authenticated"


def test_unsafe_requests_need_the_csrf_token(make_campaign, alice):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    answer = client.post("/api/votes", {}, content_type="application/json")
    assert answer.status_code == 403
    assert "CSRF" in answer.json()["error"]


def test_only_annotators_vote(make_campaign, lee, charlie, annotator):
    campaign = make_campaign(1)
    path = f"/api/campaigns/{campaign.pk}/next"
    assert annotator(lee).post(path, {"tab": str(uuid.uuid4())}).status_code == 403
    # Somebody without a role does not even learn that the campaign exists.
    assert annotator(charlie).post(path, {"tab": str(uuid.uuid4())}).status_code == 404
    assert annotator(charlie).get("/api/campaigns").json() == {"campaigns": []}


def test_a_campaign_for_members_is_hidden_from_others(make_campaign, alice, bob, annotator):
    campaign = make_campaign(1)
    Campaign.objects.filter(pk=campaign.pk).update(open_to_all=False)
    campaign.members.add(alice)
    assert annotator(alice).next(campaign)["lease"]
    path = f"/api/campaigns/{campaign.pk}/next"
    assert annotator(bob).post(path, {"tab": str(uuid.uuid4())}).status_code == 404


def test_a_paused_campaign_gives_no_pairs_but_takes_votes(make_campaign, alice, annotator):
    from annotation.campaigns import pause_campaign

    campaign = make_campaign(2)
    browser = annotator(alice)
    given = browser.next(campaign)
    pause_campaign(campaign)
    assert "paused" in browser.next(campaign)["reason"]
    assert browser.vote(given).json()["state"] == "counted"


def test_a_finished_campaign_says_so(make_campaign, alice, annotator):
    campaign = make_campaign(1, votes_wanted=1)
    browser = annotator(alice)
    browser.vote(browser.next(campaign))
    answer = browser.next(campaign)
    assert answer["empty"] is True
    assert "every pair" in answer["reason"]
    assert answer["retry_after"] > 0


def test_a_skipped_pair_goes_to_others_and_never_comes_back(make_campaign, alice, bob, annotator):
    campaign = make_campaign(1, votes_wanted=1)
    given = annotator(alice).next(campaign)
    path = f"/api/leases/{given['lease']}/skip"
    assert annotator(alice).post(path, {"reason": "cannot_decide"}).json() == {"skipped": True}
    assert annotator(alice).post(path, {"reason": "cannot_decide"}).json() == {"skipped": True}
    assert annotator(alice).next(campaign)["empty"] is True
    assert annotator(bob).next(campaign)["prompt"] == given["prompt"]


def test_a_released_pair_is_open_again(make_campaign, alice, annotator):
    campaign = make_campaign(1)
    browser = annotator(alice)
    given = browser.next(campaign)
    assert browser.post(f"/api/leases/{given['lease']}/release").json() == {"released": True}
    assert browser.post(f"/api/leases/{given['lease']}/release").json() == {"released": False}
    assert not Slot.objects.exclude(state="open").exists()
    assert browser.post(f"/api/leases/{given['lease']}/renew").status_code == 410


def test_renewing_gives_the_full_time_again(make_campaign, alice, annotator):
    browser = annotator(alice)
    given = browser.next(make_campaign(1))
    again = browser.post(f"/api/leases/{given['lease']}/renew")
    assert again.status_code == 200
    assert again.json()["expires_at"] >= given["expires_at"]


def test_own_votes_can_be_read_and_sent_back_as_they_are(make_campaign, alice, bob, annotator):
    campaign = make_campaign(3)
    browser = annotator(alice)
    for _ in range(3):
        given = browser.next(campaign)
        browser.vote(given, ["left", "tie", "invalid"])
    mine = browser.get(f"/api/votes/mine?campaign={campaign.pk}").json()
    assert len(mine["votes"]) == 3
    latest = mine["votes"][0]
    assert latest["lease"] == given["lease"]
    assert {key: each["label"] for key, each in latest["judgements"].items()} == {
        "VQ": "left",
        "MQ": "tie",
        "TA": "invalid",
    }
    assert latest["left"]["id"] == given["left"]["id"]
    others = annotator(bob).get(f"/api/votes/mine?campaign={campaign.pk}").json()
    assert others["votes"] == []
    body = {
        "left_video": latest["left"]["id"],
        "right_video": latest["right"]["id"],
        "judgements": latest["judgements"],
    }
    assert browser.revise(latest["vote"], 1, body).json()["revision"] == 2
