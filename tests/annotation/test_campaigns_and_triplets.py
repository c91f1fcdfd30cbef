"""Campaigns are data: their dimensions, their states, who may see them, what they ask."""

import pytest
from django.core.management import call_command

from annotation.campaigns import (
    close_campaign,
    create_campaign,
    ensure_built_in_sets,
    open_campaign,
    pause_campaign,
    store_dimension_set,
)
from annotation.errors import CampaignError
from annotation.importing import create_triplets, position_of
from annotation.models import Campaign, Dimension, DimensionSet, Slot, Triplet
from annotation.permissions import (
    is_annotator,
    is_lead,
    is_ml_engineer,
    may_see_campaign,
    votable_by,
)
from formats import dimensions as dimension_formats

pytestmark = pytest.mark.django_db


def test_each_site_has_the_built_in_sets_and_roles_after_migrating():
    Dimension.objects.all().delete()
    DimensionSet.objects.all().delete()
    call_command("migrate", verbosity=0)
    for name, built_in in dimension_formats.BUILT_IN.items():
        assert DimensionSet.objects.get(name=name).to_format() == built_in
    ensure_built_in_sets()
    assert DimensionSet.objects.count() == len(dimension_formats.BUILT_IN)


def test_a_set_with_other_dimensions_under_a_known_name_is_refused():
    other = dimension_formats.DimensionSet(
        "videoalign", "x", (dimension_formats.Dimension("glow", "Glow", "?", False),)
    )
    with pytest.raises(CampaignError, match="has the dimensions VQ, MQ, TA; expected glow"):
        store_dimension_set(other)


def test_a_bad_campaign_is_refused_with_a_sentence():
    create_campaign("one", "videoalign")
    for name, dimension_set, votes, words in (
        ("two", "nothing", 3, "no dimension set 'nothing'; there are anime, anime-groups"),
        ("two", "anime", 0, "votes_wanted is '0'; expected a whole number from 1 to 100"),
        ("one", "anime", 3, "a campaign 'one' already"),
    ):
        with pytest.raises(CampaignError, match=words):
            create_campaign(name, dimension_set, votes_wanted=votes)
    assert Campaign.objects.count() == 1


def test_a_campaign_moves_only_along_its_states(make_campaign):
    campaign = make_campaign(1)
    pause_campaign(campaign)
    close_campaign(campaign)
    with pytest.raises(CampaignError, match="is closed and cannot become paused"):
        pause_campaign(campaign)
    open_campaign(campaign)
    assert Campaign.objects.get().state == "open"
    with pytest.raises(CampaignError, match="no triplets yet"):
        open_campaign(make_campaign(0))


def test_a_pair_becomes_a_triplet_with_one_slot_per_vote(make_campaign):
    campaign = make_campaign(2, votes_wanted=4)
    assert Slot.objects.count() == 8
    campaign.refresh_from_db()
    assert (campaign.triplets_total, campaign.triplets_done) == (2, 0)


def test_the_same_pairs_again_add_nothing(make_campaign):
    campaign = make_campaign(3)
    there = list(Triplet.objects.order_by("pk"))
    pairs = [(each.prompt, each.video_a, each.video_b) for each in there]
    mirrored = [(prompt, b, a) for prompt, a, b in pairs]
    assert create_triplets(campaign, [*pairs, *mirrored]) == there
    assert (Triplet.objects.count(), Slot.objects.count()) == (3, 9)
    assert Campaign.objects.get().triplets_total == 3


def test_a_pair_of_one_clip_or_of_another_prompt_is_refused(make_campaign):
    campaign = make_campaign(2)
    one, two = Triplet.objects.all()
    with pytest.raises(CampaignError, match="needs two clips"):
        create_triplets(campaign, [(one.prompt, one.video_a, one.video_a)])
    with pytest.raises(CampaignError, match="was not made for the prompt"):
        create_triplets(campaign, [(one.prompt, one.video_a, two.video_b)])
    one.video_a.withdrawn = True
    one.video_a.save()
    with pytest.raises(CampaignError, match="is withdrawn"):
        create_triplets(campaign, [(one.prompt, one.video_a, one.video_b)])
    assert Triplet.objects.count() == 2


def test_new_pairs_get_slots_of_their_own_beside_those_that_are_there(make_campaign):
    campaign, other = make_campaign(2, votes_wanted=2), make_campaign(3, votes_wanted=1)
    pairs = [(each.prompt, each.video_a, each.video_b) for each in other.triplets.all()]
    there = [(each.prompt, each.video_b, each.video_a) for each in campaign.triplets.all()]
    made = create_triplets(campaign, [*there, *pairs, *pairs], priority=3)
    assert [each.pk for each in made[:2]] == list(
        campaign.triplets.order_by("pk").values_list("pk", flat=True)[:2]
    )
    slots = Slot.objects.filter(campaign=campaign)
    assert sorted(slots.values_list("triplet__priority", "n")) == [
        *[(0, 1), (0, 1), (0, 2), (0, 2)],
        *[(3, 1)] * 3,
        *[(3, 2)] * 3,
    ]
    for slot in slots.select_related("triplet"):
        triplet = slot.triplet
        assert slot.position == position_of(triplet.priority, triplet.shuffle)
        assert (slot.state, slot.holder, slot.epoch) == ("open", None, 0)


def test_roles_decide_who_sees_what(make_campaign, alice, bob, lee, mia, charlie, olga):
    campaign = make_campaign(1)
    assert [is_annotator(each) for each in (alice, lee, mia, charlie, olga)] == [True] + [False] * 4
    assert [is_lead(each) for each in (alice, lee, mia, olga)] == [False, True, False, True]
    assert [is_ml_engineer(each) for each in (alice, lee, mia, olga)] == [False, False, True, True]
    seers = [each for each in (alice, lee, mia, charlie, olga) if may_see_campaign(each, campaign)]
    assert seers == [alice, lee, mia, olga]
    campaign.open_to_all = False
    campaign.save()
    campaign.members.add(bob)
    assert [may_see_campaign(each, campaign) for each in (alice, bob, lee)] == [False, True, True]
    assert [list(votable_by(each)) for each in (alice, bob, lee)] == [[], [campaign], []]
    campaign.state = "draft"
    campaign.save()
    assert [may_see_campaign(each, campaign) for each in (bob, lee)] == [False, True]


def test_a_disabled_person_has_no_role(lee, olga):
    for user in (lee, olga):
        user.is_active = False
        assert not is_lead(user)


def test_dimensions_are_data_also_when_there_are_six(make_campaign, alice, annotator, side_of):
    campaign = make_campaign(1, votes_wanted=1, dimension_set="anime")
    browser = annotator(alice)
    given = browser.next(campaign)
    assert len(given["dimensions"]) == 6
    labels = ["A", "B", "tie", "invalid", "A", "B"]
    browser.vote(given, [side_of(given, label) for label in labels])
    settled = Triplet.objects.get().consensus.order_by("dimension__position")
    assert [each.label for each in settled] == labels
