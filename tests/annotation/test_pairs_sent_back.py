"""Chosen pairs go back to people: who is asked, what they learn, what cannot go."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from annotation.assigning import PASSED_OVER, skips_of
from annotation.errors import CampaignError
from annotation.models import Campaign, Consensus, Flag, Skip, Slot, Triplet, Video
from annotation.promises import broken_promises
from annotation.relabelling import Sending, Way, outlook, send_back


@pytest.fixture
def campaign(make_campaign: Callable[..., Campaign]) -> Campaign:
    campaign = make_campaign(3, votes_wanted=2, name="Spring clips")
    Campaign.objects.filter(pk=campaign.pk).update(gold_share=0, repeat_share=0)
    campaign.refresh_from_db()
    return campaign


@pytest.fixture
def judged(campaign: Campaign, people: Any, annotator: Any, side_of: Any) -> list[Any]:
    """Two of the people have judged all three pairs: A, everywhere."""
    crowd: list[Any] = people(4)
    for person in crowd[:2]:
        browser = annotator(person)
        for _ in range(3):
            given = browser.next(campaign)
            assert browser.vote(given, side_of(given, "A")).status_code == 200
    assert campaign.triplets.filter(state="complete").count() == 3
    return crowd


def pairs_of(campaign: Campaign) -> list[int]:
    return list(campaign.triplets.order_by("pk").values_list("pk", flat=True))


def test_a_relabelling_is_a_draft_like_the_old_campaign_that_asks_other_people(
    campaign: Campaign, judged: list[Any], lee: Any, annotator: Any
) -> None:
    chosen = pairs_of(campaign)[:2]
    sending = Sending(Way.RELABEL, votes=2)
    seen = outlook(campaign, chosen, sending)
    assert (seen.pairs, seen.votes, seen.left_out, seen.short_of_people) == (2, 4, {}, 0)
    assert Campaign.objects.count() == 1
    sent = send_back(campaign, chosen, sending, lee)
    made = sent.campaign
    assert (made.state, made.name, made.votes_wanted) == ("draft", "Spring clips (2)", 2)
    assert (sent.pairs, made.triplets_total) == (2, 2)
    Campaign.objects.filter(pk=made.pk).update(state="open")
    for person in judged[:2]:
        assert annotator(person).next(made)["empty"] is True
    for person in judged[2:]:
        browser = annotator(person)
        for _ in range(2):
            assert browser.vote(browser.next(made)).status_code == 200
    made.refresh_from_db()
    assert made.triplets_done == 2
    assert broken_promises(made) == []
    assert campaign.triplets.filter(state="complete").count() == 3  # what was said stays said


def test_annotators_read_nothing_of_why_a_pair_came_back(
    campaign: Campaign, judged: list[Any], lee: Any, annotator: Any
) -> None:
    """The new campaign looks like the old one, but for its name's number and random ids."""
    made = send_back(campaign, pairs_of(campaign)[:1], Sending(Way.RELABEL, votes=1), lee).campaign
    Campaign.objects.filter(pk__in=(campaign.pk, made.pk)).update(state="open")
    send_back(campaign, pairs_of(campaign)[1:2], Sending(Way.MORE_VOTES, votes=1), lee)
    browser = annotator(judged[3])
    old, new = browser.next(campaign), browser.next(made)
    assert set(old) == set(new)
    said = json.dumps(new)
    for secret in ("relabel", "disagree", "surpris", "model", "judged before", 'Spring clips"'):
        assert secret not in said


def test_who_was_never_offered_a_pair_has_skipped_nothing(
    campaign: Campaign, judged: list[Any], lee: Any
) -> None:
    made = send_back(campaign, pairs_of(campaign), Sending(Way.RELABEL, votes=1), lee).campaign
    assert Skip.objects.filter(triplet__campaign=made, reason=PASSED_OVER).count() == 6
    assert skips_of(made).count() == 0


def test_people_of_an_earlier_relabelling_are_passed_over_too(
    campaign: Campaign, judged: list[Any], lee: Any, annotator: Any
) -> None:
    chosen = pairs_of(campaign)[:1]
    first = send_back(campaign, chosen, Sending(Way.RELABEL, votes=1), lee).campaign
    Campaign.objects.filter(pk=first.pk).update(state="open")
    browser = annotator(judged[2])
    assert browser.vote(browser.next(first)).status_code == 200
    assert outlook(campaign, chosen, Sending(Way.RELABEL, votes=2)).short_of_people == 1
    second = send_back(campaign, chosen, Sending(Way.RELABEL, votes=1), lee).campaign
    assert second.name == "Spring clips (3)"
    passed = Skip.objects.filter(triplet__campaign=second).values_list("annotator", flat=True)
    assert set(passed) == {each.pk for each in judged[:3]}


def test_more_votes_reopen_the_pairs_for_other_people(
    campaign: Campaign, judged: list[Any], lee: Any, annotator: Any
) -> None:
    chosen = pairs_of(campaign)[:1]
    sent = send_back(campaign, chosen, Sending(Way.MORE_VOTES, votes=1), lee)
    assert (sent.campaign, sent.pairs) == (campaign, 1)
    triplet = Triplet.objects.get(pk=chosen[0])
    assert (triplet.state, triplet.need) == ("open", 3)
    assert Slot.objects.filter(triplet=triplet, state="open").count() == 1
    assert annotator(judged[0]).next(campaign)["empty"] is True
    browser = annotator(judged[2])
    assert browser.vote(browser.next(campaign)).status_code == 200
    assert Triplet.objects.get(pk=chosen[0]).state == "complete"
    assert broken_promises(campaign) == []


def test_a_ruling_is_asked_blind_and_once(
    campaign: Campaign, judged: list[Any], lee: Any, olga: Any, annotator: Any
) -> None:
    chosen = pairs_of(campaign)[:2]
    assert send_back(campaign, chosen, Sending(Way.ADJUDICATE), lee).pairs == 2
    case = annotator(olga).get(f"/api/campaigns/{campaign.pk}/adjudication/next").json()
    assert (case["why"], case["waiting"]) == ("flagged", 2)
    assert case["triplet"] in chosen
    with pytest.raises(CampaignError, match="2 were ruled on, or wait for a ruling, already"):
        send_back(campaign, chosen, Sending(Way.ADJUDICATE), lee)
    assert Flag.objects.count() == 2
    more = outlook(campaign, pairs_of(campaign), Sending(Way.ADJUDICATE))
    assert (more.pairs, more.votes) == (1, 0)
    assert more.left_out == {"were ruled on, or wait for a ruling, already": 2}


def test_a_ruling_ends_what_a_lead_asked_for_and_leaves_flags_of_annotators(
    campaign: Campaign, judged: list[Any], lee: Any, olga: Any, annotator: Any
) -> None:
    chosen = pairs_of(campaign)[:1]
    send_back(campaign, chosen, Sending(Way.ADJUDICATE), lee)
    flag = Flag.objects.create(
        campaign=campaign, triplet_id=chosen[0], annotator=judged[0], kind="other", note="odd"
    )
    browser = annotator(olga)
    case = browser.get(f"/api/campaigns/{campaign.pk}/adjudication/next").json()
    said = {
        "left_video": case["left"]["id"],
        "right_video": case["right"]["id"],
        "judgements": {each["key"]: {"label": "tie"} for each in case["dimensions"]},
        "reason": "close",
    }
    address = f"/api/campaigns/{campaign.pk}/adjudication/{case['triplet']}"
    assert browser.post(address, said).status_code == 200
    assert set(Consensus.objects.filter(triplet=chosen[0]).values_list("label", "source")) == {
        ("tie", "adjudication")
    }
    asked = Flag.objects.exclude(pk=flag.pk).get()
    assert (asked.state, asked.settled_by) == ("upheld", olga)
    flag.refresh_from_db()
    assert flag.state == "open"


def test_what_cannot_go_is_counted_by_its_reason(
    campaign: Campaign, judged: list[Any], lee: Any, make_campaign: Any
) -> None:
    first, second, third = pairs_of(campaign)
    Video.objects.filter(pk=Triplet.objects.get(pk=first).video_b_id).update(withdrawn=True)
    Triplet.objects.filter(pk=second).update(state="open")
    Triplet.objects.filter(pk=third).update(need=0)
    Consensus.objects.filter(triplet=third).update(source="import", votes=0)
    foreign = pairs_of(make_campaign(1, name="Other"))
    seen = outlook(campaign, [first, second, third, *foreign], Sending(Way.MORE_VOTES, votes=1))
    assert seen.pairs == 0
    assert seen.left_out == {
        "have a withdrawn clip": 1,
        "still wait for votes": 1,
        "came with their labels and take no votes in this campaign": 1,
        "are not pairs of this campaign": 1,
    }
    assert outlook(campaign, [third], Sending(Way.RELABEL, votes=1)).pairs == 1


@pytest.mark.parametrize(
    ("sending", "sentence"),
    [
        (Sending(Way.RELABEL), "votes is 0; expected a whole number"),
        (Sending(Way.RELABEL, 1, "Spring clips"), "there is a campaign 'Spring clips' already"),
        (Sending(Way.MORE_VOTES, -1), "votes is -1; expected"),
    ],
)
def test_a_sending_that_cannot_be_says_why(
    campaign: Campaign, judged: list[Any], lee: Any, sending: Sending, sentence: str
) -> None:
    with pytest.raises(CampaignError, match=sentence):
        outlook(campaign, pairs_of(campaign), sending)


def test_closed_campaigns_single_clips_and_nothing_at_all_are_refused(
    campaign: Campaign, judged: list[Any], lee: Any
) -> None:
    chosen = pairs_of(campaign)
    with pytest.raises(CampaignError, match="choose 1 to 5000 pairs, got 0"):
        outlook(campaign, [], Sending(Way.ADJUDICATE))
    campaign.state = "closed"
    with pytest.raises(CampaignError, match="is closed and takes no votes"):
        send_back(campaign, chosen, Sending(Way.MORE_VOTES, votes=1), lee)
    campaign.kind = "single"
    with pytest.raises(CampaignError, match="is of the kind single"):
        send_back(campaign, chosen, Sending(Way.RELABEL, votes=1), lee)
