"""What a person settles by adjudication, and what becomes of votes that are taken back."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.errors import BadVote, VoteConflict
from annotation.models import Campaign, Consensus, Cursor, Outbox, Slot, Triplet, Vote
from annotation.promises import broken_promises
from annotation.voting import settle_by_adjudication, withdraw_votes


@pytest.fixture
def split(make_campaign, people, annotator, side_of):
    """A complete triplet on which two people split: (campaign, their browsers, their answers)."""
    campaign = make_campaign(1, votes_wanted=2)
    browsers = [annotator(user) for user in people(2)]
    answers = []
    for browser, label in zip(browsers, "AB", strict=True):
        given = browser.next(campaign)
        answers.append((given, browser.vote(given, side_of(given, label)).json()))
    return campaign, browsers, answers


def labels(**which) -> dict[str, str | None]:
    rows = Consensus.objects.filter(**which).select_related("dimension")
    return {each.dimension.key: each.label for each in rows}


def test_a_person_settles_what_people_split_on(split):
    campaign, _, _ = split
    triplet = Triplet.objects.get()
    settle_by_adjudication(triplet, {"VQ": "A", "TA": "tie"})
    assert labels() == {"VQ": "A", "MQ": None, "TA": "tie"}
    assert labels(source="adjudication") == {"VQ": "A", "TA": "tie"}
    settle_by_adjudication(triplet, {"VQ": "B"})
    assert labels()["VQ"] == "B"
    assert Outbox.objects.filter(kind="triplet.adjudicated", ref=str(triplet.pk)).count() == 1
    settle_by_adjudication(triplet, dict.fromkeys(("VQ", "MQ", "TA"), "A"))
    assert broken_promises(campaign) == []


def test_a_changed_vote_does_not_overrule_the_adjudicator(split, side_of):
    campaign, browsers, answers = split
    settle_by_adjudication(Triplet.objects.get(), {"VQ": "B"})
    given, answer = answers[1]
    browsers[1].revise(answer["vote"], 1, browsers[1].ballot(given, side_of(given, "A")))
    assert labels() == {"VQ": "B", "MQ": "A", "TA": "A"}
    assert broken_promises(campaign) == []


def test_only_a_complete_triplet_and_known_dimensions_are_adjudicated(split, make_campaign):
    triplet = Triplet.objects.get()
    with pytest.raises(BadVote, match="XX"):
        settle_by_adjudication(triplet, {"XX": "A"})
    with pytest.raises(ValueError, match="maybe"):
        settle_by_adjudication(triplet, {"VQ": "maybe"})
    with pytest.raises(VoteConflict, match="open"):
        settle_by_adjudication(make_campaign(1).triplets.get(), {"VQ": "A"})
    assert set(labels().values()) == {None}


def test_votes_taken_back_open_their_slots_and_others_are_asked(split, people, annotator, side_of):
    campaign, browsers, answers = split
    taken = Vote.objects.filter(pk=answers[0][1]["vote"])
    assert withdraw_votes(taken, "below the gold window") == 1
    vote = Vote.objects.get(pk=answers[0][1]["vote"])
    assert (vote.state, vote.slot) == ("withdrawn", None)
    assert Triplet.objects.get().state == "open"
    assert sorted(Slot.objects.values_list("state", flat=True)) == ["open", "voted"]
    assert not Consensus.objects.exists()
    assert list(Outbox.objects.values_list("kind", "ref")) == [("vote.withdrawn", str(vote.pk))]
    campaign.refresh_from_db()
    assert campaign.triplets_done == 0
    assert broken_promises(campaign) == []
    # The one whose vote it was is not asked again; somebody else is, and it is complete anew.
    assert browsers[0].next(campaign)["empty"] is True
    other = annotator(people(1)[0])
    given = other.next(campaign)
    assert other.vote(given, side_of(given, "B")).json()["state"] == "counted"
    assert set(labels().values()) == {"B"}
    assert Outbox.objects.filter(kind="triplet.complete").count() == 1
    assert broken_promises(campaign) == []


def test_what_the_annotator_sees_does_not_change(split):
    campaign, browsers, answers = split
    withdraw_votes(list(Vote.objects.filter(annotator=browsers[0].user)), "why not")
    cursor = Cursor.objects.get(annotator=browsers[0].user)
    assert (cursor.votes, cursor.questions) == (0, 1)
    again = browsers[0].send(browsers[0].ballot(answers[0][0], "left"))
    assert again.status_code in {200, 409}  # as for any vote that is there already
    assert Vote.objects.live().count() == 1
    assert Vote.objects.count() == 2
    assert broken_promises(campaign) == []


def test_taking_back_twice_does_nothing_more(split):
    _, _, answers = split
    taken = Vote.objects.filter(pk=answers[0][1]["vote"])
    assert [withdraw_votes(taken, "x"), withdraw_votes(taken, "x")] == [1, 0]
    assert Cursor.objects.filter(votes=0).count() == 1


def test_a_surplus_vote_taken_back_leaves_the_triplet_complete(make_campaign, people, annotator):
    campaign = make_campaign(1, votes_wanted=1)
    late, quick = (annotator(user) for user in people(2))
    given = late.next(campaign)
    Slot.objects.update(lease_expires=timezone.now() - timedelta(hours=1))
    quick.vote(quick.next(campaign))
    assert late.vote(given).json()["state"] == "surplus"
    assert withdraw_votes(Vote.objects.filter(state="surplus"), "x") == 1
    assert Triplet.objects.get().state == "complete"
    assert Campaign.objects.get(pk=campaign.pk).triplets_done == 1
    assert broken_promises(campaign) == []


def test_many_votes_of_several_people_and_campaigns_at_once(make_campaign, people, annotator):
    campaigns = [make_campaign(4, votes_wanted=2) for _ in range(2)]
    for browser in map(annotator, people(2)):
        for campaign in campaigns:
            for _ in range(4):
                browser.vote(browser.next(campaign))
    assert withdraw_votes(Vote.objects.all(), "all of it") == 16
    assert not Triplet.objects.exclude(state="open").exists()
    assert not Slot.objects.exclude(state="open").exists()
    assert [promise for campaign in campaigns for promise in broken_promises(campaign)] == []
