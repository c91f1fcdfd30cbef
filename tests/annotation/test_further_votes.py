"""Where people split, one more person is asked, up to `extra_votes` times."""

import pytest

from annotation.models import Consensus, Outbox, Slot, Triplet
from annotation.promises import broken_promises


@pytest.fixture
def vote(annotator, people, side_of):
    """A new person votes, in canonical labels."""

    def act(campaign, labels) -> str:
        browser = annotator(people(1)[0])
        given = browser.next(campaign)
        assert "lease" in given, given
        words = [labels] if isinstance(labels, str) else labels
        sides = [side_of(given, label) for label in words]
        return browser.vote(given, sides if len(sides) > 1 else sides[0]).json()["state"]

    return act


def test_a_split_asks_one_more_person_and_is_settled_by_them(make_campaign, vote):
    campaign = make_campaign(1, votes_wanted=2, extra_votes=2)
    vote(campaign, "A")
    vote(campaign, "B")
    triplet = Triplet.objects.get()
    assert (triplet.state, triplet.need, triplet.slots.count()) == ("open", 3, 3)
    assert not Consensus.objects.exists()
    assert not Outbox.objects.exists()
    assert vote(campaign, "B") == "counted"
    triplet.refresh_from_db()
    assert (triplet.state, triplet.need) == ("complete", 3)
    assert set(Consensus.objects.values_list("label", "votes")) == {("B", 3)}
    assert broken_promises(campaign) == []


def test_no_more_people_are_asked_than_the_campaign_allows(make_campaign, vote, annotator, people):
    campaign = make_campaign(1, votes_wanted=2, extra_votes=1)
    for label in ("A", "B", "tie"):
        vote(campaign, label)
    triplet = Triplet.objects.get()
    assert (triplet.state, triplet.need) == ("complete", 3)
    assert set(Consensus.objects.values_list("label", flat=True)) == {None}
    assert annotator(people(1)[0]).next(campaign)["empty"] is True
    assert broken_promises(campaign) == []


def test_one_dimension_without_a_majority_is_enough(make_campaign, vote):
    campaign = make_campaign(1, votes_wanted=2, extra_votes=1)
    vote(campaign, ["A", "A", "A"])
    vote(campaign, ["A", "A", "B"])
    assert Triplet.objects.get().need == 3


@pytest.mark.parametrize("labels", [("A", "A"), ("tie", "tie"), ("invalid", "A")])
def test_where_people_agree_nobody_is_asked_more(make_campaign, vote, labels):
    campaign = make_campaign(1, votes_wanted=2, extra_votes=3)
    for label in labels:
        vote(campaign, label)
    assert Triplet.objects.get().state == "complete"
    assert Slot.objects.count() == 2


def test_the_further_slot_keeps_the_place_in_the_queue_and_turns_the_sides(make_campaign, vote):
    campaign = make_campaign(1, votes_wanted=2, extra_votes=1)
    vote(campaign, "A")
    vote(campaign, "B")
    slots = list(Slot.objects.order_by("n"))
    assert [slot.n for slot in slots] == [1, 2, 3]
    assert len({slot.position for slot in slots}) == 1
    vote(campaign, "A")
    swaps = list(Triplet.objects.get().leases.order_by("slot__n").values_list("swap", flat=True))
    assert swaps[0] == swaps[2] != swaps[1]
