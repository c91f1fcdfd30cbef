"""No pair with a withdrawn clip gets into a queue, by whatever way pairs get there."""

from collections.abc import Callable
from typing import Any

import pytest

from annotation import extending, importing
from annotation.errors import CampaignError
from annotation.importing import create_triplets
from annotation.models import Campaign, Flag, Probe, Triplet, Video
from annotation.promises import broken_promises
from annotation.quality import flags, gold
from annotation.voting import withdraw_votes

pytestmark = pytest.mark.django_db


def plain(make_campaign: Callable[..., Campaign], **options: Any) -> Campaign:
    campaign = make_campaign(1, **options)
    Campaign.objects.filter(pk=campaign.pk).update(gold_share=0, repeat_share=0)
    campaign.refresh_from_db()
    return campaign


def flagged(browser: Any, given: dict[str, Any]) -> None:
    body = {"kind": "disturbing", "side": "left"}
    assert browser.post(f"/api/leases/{given['lease']}/flag", body).json()["withdrawn"]


@pytest.fixture
def judged(make_campaign: Callable[..., Campaign], alice: Any, annotator: Any) -> Campaign:
    """A complete pair, one clip of which was flagged afterwards."""
    campaign, browser = plain(make_campaign, votes_wanted=1), annotator(alice)
    given = browser.next(campaign)
    assert browser.vote(given).status_code == 200
    flagged(browser, given)
    assert campaign.triplets.get().state == "complete"
    return campaign


def test_a_pair_whose_clip_is_flagged_after_it_was_read_is_refused(
    make_campaign: Callable[..., Campaign], alice: Any, annotator: Any
) -> None:
    campaign, other = plain(make_campaign), plain(make_campaign)
    triplet = campaign.triplets.select_related("prompt", "video_a", "video_b").get()
    pair = (triplet.prompt, triplet.video_a, triplet.video_b)
    browser = annotator(alice)
    flagged(browser, browser.next(campaign))
    with pytest.raises(CampaignError, match="is withdrawn; nobody is asked about it"):
        create_triplets(other, [pair])
    assert other.triplets.count() == 1


def test_gold_whose_clip_is_flagged_after_it_was_read_is_refused(
    make_campaign: Callable[..., Campaign], people: Any, lee: Any, annotator: Any
) -> None:
    campaign = plain(make_campaign, votes_wanted=2)
    for person in people(2):
        browser = annotator(person)
        given = browser.next(campaign)
        assert browser.vote(given, ["tie", "tie", "tie"]).status_code == 200
    read = Triplet.objects.select_related("campaign", "prompt", "video_a", "video_b").get()
    flagged(browser, given)
    with pytest.raises(CampaignError, match="was withdrawn"):
        gold.promote_all([read], lee)
    assert not Probe.objects.exists()


def test_more_votes_leave_pairs_with_a_withdrawn_clip_alone(
    judged: Campaign, bob: Any, annotator: Any
) -> None:
    assert extending.extend_votes(judged, 2) == extending.NOTHING
    triplet = judged.triplets.get()
    assert (triplet.state, triplet.need) == ("complete", 1)
    assert "lease" not in annotator(bob).next(judged)
    assert broken_promises(judged) == []


def test_a_vote_taken_back_from_a_pair_with_a_withdrawn_clip_withdraws_the_pair(
    judged: Campaign, bob: Any, lee: Any, annotator: Any
) -> None:
    triplet = judged.triplets.get()
    assert withdraw_votes(triplet.votes.all(), "a test") == 1
    triplet.refresh_from_db()
    assert triplet.state == "withdrawn"
    assert broken_promises(judged) == []
    assert "lease" not in annotator(bob).next(judged)
    # It comes back with its clip.
    flags.settle(Flag.objects.get().pk, lee, uphold=False)
    triplet.refresh_from_db()
    assert triplet.state == "open"
    assert not Video.objects.filter(withdrawn=True).exists()
    assert broken_promises(judged) == []
    browser = annotator(bob)
    assert browser.vote(browser.next(judged)).status_code == 200
    assert broken_promises(judged) == []


def test_clips_are_held_before_the_campaign(
    make_campaign: Callable[..., Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other way round, an import and a flag would wait for each other."""
    campaign, donor = plain(make_campaign), plain(make_campaign)
    triplet = donor.triplets.select_related("prompt", "video_a", "video_b").get()
    pair = (triplet.prompt, triplet.video_a, triplet.video_b)
    happened: list[str] = []
    hold, locked = importing.hold_clips, Campaign.objects.select_for_update

    def held(*words: Any) -> Any:
        happened.append("clips")
        return hold(*words)

    def lock(*words: Any, **named: Any) -> Any:
        happened.append("campaign")
        return locked(*words, **named)

    monkeypatch.setattr(importing, "hold_clips", held)
    monkeypatch.setattr(Campaign.objects, "select_for_update", lock)
    create_triplets(campaign, [pair])
    assert happened == ["clips", "campaign"]
