"""A vote can be changed; its history stays, and nobody overwrites what they have not seen."""

import uuid

import pytest

from annotation.models import Consensus, Outbox, Vote
from annotation.promises import broken_promises


@pytest.fixture
def voted(make_campaign, people, annotator, side_of):
    """A settled triplet of one vote: (campaign, browser, what was given, the answer)."""
    campaign = make_campaign(1, votes_wanted=1)
    browser = annotator(people(1)[0])
    given = browser.next(campaign)
    answer = browser.vote(given, side_of(given, "A")).json()
    return campaign, browser, given, answer


def test_a_new_row_takes_the_place_and_the_consensus_follows(voted, side_of):
    campaign, browser, given, first = voted
    body = browser.ballot(given, side_of(given, "B"))
    answer = browser.revise(first["vote"], 1, body)
    assert answer.status_code == 200
    second = answer.json()
    assert (second["revision"], second["state"], second["replay"]) == (2, "counted", False)
    assert second["vote"] != first["vote"]
    history = list(Vote.objects.order_by("revision").values_list("revision", "state"))
    assert history == [(1, "superseded"), (2, "counted")]
    assert set(Consensus.objects.values_list("label", flat=True)) == {"B"}
    assert Outbox.objects.filter(kind="vote.revised", ref=second["vote"]).exists()
    assert broken_promises(campaign) == []


def test_the_same_revision_sent_again_is_a_replay(voted, side_of):
    _, browser, given, first = voted
    body = browser.ballot(given, side_of(given, "B"))
    second = browser.revise(first["vote"], 1, body).json()
    again = browser.revise(first["vote"], 1, body)
    assert (again.status_code, again.json()) == (200, {**second, "replay": True})


def test_an_old_revision_is_a_conflict_that_names_the_new_one(voted, side_of):
    _, browser, given, first = voted
    second = browser.revise(first["vote"], 1, browser.ballot(given, "tie")).json()
    stale = browser.revise(first["vote"], 1, browser.ballot(given, side_of(given, "B")))
    assert stale.status_code == 409
    assert (stale.json()["vote"], stale.json()["revision"]) == (second["vote"], 2)
    wrong = browser.revise(second["vote"], 1, browser.ballot(given, "tie"))
    assert wrong.status_code == 409
    third = browser.revise(second["vote"], 2, browser.ballot(given, "right"))
    assert third.json()["revision"] == 3


def test_the_first_post_again_after_a_change_gives_the_newest(voted, side_of):
    _, browser, given, first = voted
    second = browser.revise(first["vote"], 1, browser.ballot(given, "tie")).json()
    again = browser.vote(given, side_of(given, "A")).json()
    assert again == {**second, "replay": True}


def test_a_foreign_vote_does_not_exist(voted, bob, annotator):
    _, browser, given, first = voted
    answer = annotator(bob).revise(first["vote"], 1, browser.ballot(given))
    assert answer.status_code == 404
    assert browser.revise(str(uuid.uuid4()), 1, browser.ballot(given)).status_code == 404


def test_a_change_names_its_revision_and_fits_what_was_shown(voted):
    _, browser, given, first = voted
    body = browser.ballot(given)
    answer = browser.client.put(f"/api/votes/{first['vote']}", body, "application/json")
    assert answer.status_code == 400
    assert "If-Match" in answer.json()["error"]
    body["left_video"], body["right_video"] = body["right_video"], body["left_video"]
    assert browser.revise(first["vote"], 1, body).status_code == 422
