"""Campaigns of single clips: one clip at a time, scored from 1 to 5 on each dimension."""

import pytest

from annotation.models import Consensus, Judgement, Lease, Vote
from annotation.promises import broken_promises


@pytest.fixture
def campaign(make_campaign):
    return make_campaign(2, votes_wanted=2, kind="single")


def ballot(given, scores):
    """Scores by number; a word is an invalid clip and its reason."""
    said = [
        {"score_left": each} if isinstance(each, int) else {"label": "invalid", "reason": each}
        for each in scores
    ]
    keys = [each["key"] for each in given["dimensions"]]
    return {
        "lease": given["lease"],
        "left_video": given["left"]["id"],
        "right_video": None,
        "judgements": dict(zip(keys, said, strict=True)),
        "timing": {"active_ms": 1000},
    }


def test_one_clip_is_shown_and_no_second(campaign, alice, annotator):
    given = annotator(alice).next(campaign)
    assert given["kind"] == "single"
    assert given["right"] is None
    assert given["left"]["id"]
    assert not Lease.objects.get().swap


def test_the_mean_of_the_scores_is_settled_without_a_label(campaign, people, annotator):
    first, second = (annotator(user) for user in people(2))
    for browser, scores in ((first, [5, 4, 1]), (second, [4, 4, "broken"])):
        for _ in range(2):
            answer = browser.send(ballot(browser.next(campaign), scores))
            assert answer.json()["state"] == "counted", answer.json()
    found = {
        (each.dimension.key, each.label, each.score_a, each.score_b, each.posterior)
        for each in Consensus.objects.select_related("dimension")
    }
    # Half say that TA cannot be judged: then it has no score.
    assert found == {
        ("VQ", None, 4.5, None, None),
        ("MQ", None, 4, None, None),
        ("TA", "invalid", None, None, None),
    }
    campaign.refresh_from_db()
    assert campaign.triplets_done == 2
    assert broken_promises(campaign) == []


def test_people_who_differ_in_scores_are_not_a_split(make_campaign, people, annotator):
    campaign = make_campaign(1, votes_wanted=2, extra_votes=2, kind="single")
    for browser, score in zip(map(annotator, people(2)), (1, 5), strict=True):
        browser.send(ballot(browser.next(campaign), [score] * 3))
    assert campaign.triplets.get().state == "complete"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"score_left": 6}, "from 1 to 5"),
        ({"score_left": 0}, "from 1 to 5"),
        ({}, "wants a score"),
        ({"score_left": 3, "score_right": 3}, "one clip"),
        ({"label": "left"}, "not for 'left'"),
        ({"label": "tie", "score_left": 3}, "not for 'tie'"),
        ({"label": "invalid"}, "needs a reason"),
        ({"label": "invalid", "reason": "broken", "score_left": 2}, "or 'invalid'"),
    ],
)
def test_what_is_no_score_is_refused(campaign, alice, annotator, said, words):
    browser = annotator(alice)
    body = ballot(browser.next(campaign), [3, 3, 3])
    body["judgements"]["VQ"] = said
    answer = browser.send(body)
    assert answer.status_code == 422
    assert words in answer.json()["error"]
    assert not Vote.objects.exists()


def test_a_score_can_be_read_back_and_changed(campaign, alice, annotator):
    browser = annotator(alice)
    given = browser.next(campaign)
    first = browser.send(ballot(given, [1, 2, "unsafe"])).json()
    mine = browser.get(f"/api/votes/mine?campaign={campaign.pk}").json()["votes"][0]
    assert mine["right"] is None
    assert mine["judgements"]["VQ"] == {
        "label": None,
        "reason": "",
        "score_left": 1,
        "score_right": None,
    }
    body = {**ballot(given, [1, 2, 3]), "judgements": mine["judgements"]}
    body["judgements"]["VQ"]["score_left"] = 5
    second = browser.revise(first["vote"], 1, body)
    assert second.status_code == 200, second.json()
    now = Judgement.objects.filter(vote=second.json()["vote"]).order_by("dimension__position")
    assert [(each.label, each.score_a) for each in now] == [(None, 5), (None, 2), ("invalid", None)]


def test_a_ballot_for_a_pair_does_not_fit_a_single_clip(campaign, alice, annotator):
    browser = annotator(alice)
    given = browser.next(campaign)
    body = ballot(given, [3, 3, 3]) | {"right_video": given["left"]["id"]}
    assert browser.send(body).status_code == 422
