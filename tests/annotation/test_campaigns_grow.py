"""Campaigns are extended, cloned, planned, put in order and tied together, and stay consistent."""

import uuid
from collections import Counter
from typing import Any

import pytest
from django.core.management import call_command

from annotation import designs
from annotation.campaigns import create_campaign, open_campaign
from annotation.cloning import clone_campaign
from annotation.designs import First, Wish, create_pairs, propose_pairs, refresh_priorities
from annotation.errors import CampaignError
from annotation.extending import extend_votes, want_votes
from annotation.importing import create_triplets, position_of
from annotation.models import (
    Campaign,
    Consensus,
    Generator,
    Prompt,
    Slot,
    Triplet,
    Video,
)
from annotation.overlap import PRIORITY, bridge, overlap_of
from annotation.promises import broken_promises
from annotation.statistics.strategies import Strategy

pytestmark = pytest.mark.django_db


def voted(campaign: Campaign, browsers: list[Any], word: str = "left") -> None:
    """Everybody votes on everything that they are given."""
    for browser in browsers:
        while not (given := browser.next(campaign)).get("empty"):
            assert browser.vote(given, word).status_code == 200


@pytest.fixture
def quiet(make_campaign):
    """A campaign without hidden questions."""

    def make(*args: Any, **options: Any) -> Campaign:
        campaign = make_campaign(*args, **options)
        Campaign.objects.filter(pk=campaign.pk).update(gold_share=0, repeat_share=0)
        campaign.refresh_from_db()
        return campaign

    return make


def test_more_votes_reopen_what_was_complete(quiet, people, annotator):
    campaign = quiet(3, votes_wanted=1)
    first, second = (annotator(user) for user in people(2))
    voted(campaign, [first])
    assert Consensus.objects.count() == 9
    done = extend_votes(campaign, 2)
    assert (done.triplets, done.slots, done.reopened) == (3, 3, 3)
    assert (campaign.votes_wanted, campaign.triplets_done) == (2, 0)
    assert not Consensus.objects.exists()
    assert broken_promises(campaign) == []
    assert first.next(campaign)["empty"]  # who has voted is not asked again
    voted(campaign, [second])
    campaign.refresh_from_db()
    assert campaign.triplets_done == 3
    assert set(Consensus.objects.values_list("votes", flat=True)) == {2}
    assert broken_promises(campaign) == []


def test_extending_again_adds_nothing_and_fewer_votes_are_refused(quiet):
    campaign = quiet(2, votes_wanted=2)
    assert extend_votes(campaign, 4).slots == 4
    assert extend_votes(campaign, 4).slots == 0
    with pytest.raises(CampaignError, match="would throw votes away"):
        extend_votes(campaign, 3)
    assert Slot.objects.count() == 8


def test_imported_and_withdrawn_triplets_are_not_extended(quiet):
    campaign = quiet(3)
    first, second, _ = campaign.triplets.order_by("pk")
    Triplet.objects.filter(pk=first.pk).update(state="withdrawn")
    Triplet.objects.filter(pk=second.pk).update(need=0, state="complete")
    assert extend_votes(campaign, 4).triplets == 1


def test_a_clone_has_the_settings_and_none_of_the_votes(quiet, people, annotator, lee):
    campaign = quiet(3, votes_wanted=1)
    campaign.members.add(*people(1))
    voted(campaign, [annotator(campaign.members.get())])
    bare = clone_campaign(campaign, "bare", lee)
    assert (bare.state, bare.triplets_total, bare.gold_share) == ("draft", 0, 0)
    assert (bare.votes_wanted, bare.created_by, bare.members.count()) == (1, lee, 1)
    full = clone_campaign(campaign, "full", lee, triplets=True, votes_wanted=4)
    assert (full.triplets_total, full.triplets_done, full.votes_wanted) == (3, 0, 4)
    assert Slot.objects.filter(campaign=full, state="open").count() == 12
    pairs = [set(each.triplets.values_list("video_a", "video_b")) for each in (campaign, full)]
    assert pairs[0] == pairs[1]
    assert broken_promises(full) == []
    with pytest.raises(CampaignError, match="a campaign 'full' already"):
        clone_campaign(campaign, "full", lee)


def pool(campaign: Campaign, prompts: int, generators: str = "abc") -> None:
    for n in range(prompts):
        prompt = Prompt.objects.for_text(f"{campaign.name} {n}")
        for name in generators:
            generator, _ = Generator.objects.get_or_create(name=name)
            campaign.pool.add(
                Video.objects.create(
                    prompt=prompt, generator=generator, file="x", sha256=uuid.uuid4().hex * 2,
                    fps=8, num_frames=9, width=64, height=64, duration=9 / 8,
                )
            )  # fmt: skip


def test_a_plan_writes_nothing_and_then_what_it_said():
    campaign = create_campaign("planned", "videoalign", votes_wanted=2)
    pool(campaign, 4)
    proposal = propose_pairs(campaign, Wish(Strategy.BALANCED, budget=6, seed=3))
    assert (proposal.plan.pairs, proposal.plan.votes) == (6, 12)
    assert set(proposal.plan.by_generators.values()) == {2}
    assert not Triplet.objects.exists()
    assert create_pairs(campaign, proposal, priority=2) == 6
    assert create_pairs(campaign, proposal) == 0
    rest = propose_pairs(campaign, Wish(Strategy.ALL))
    assert rest.plan.pairs == 12 - 6
    create_pairs(campaign, rest)
    assert propose_pairs(campaign, Wish(Strategy.ALL)).plan.pairs == 0
    open_campaign(campaign)
    assert broken_promises(campaign) == []


def test_a_plan_can_be_narrowed(capsys):
    campaign = create_campaign("planned", "videoalign")
    with pytest.raises(CampaignError, match="has no clips that fit"):
        propose_pairs(campaign, Wish(Strategy.ALL))
    pool(campaign, 4)
    first = Prompt.objects.order_by("pk").first()
    Prompt.objects.filter(pk=first.pk).update(category="cats")
    assert propose_pairs(campaign, Wish(Strategy.ALL, generators=("a", "b"))).plan.pairs == 4
    assert propose_pairs(campaign, Wish(Strategy.ALL, prompts=(first.pk,))).plan.pairs == 3
    call_command("plan_pairs", "planned", strategy="all", category="cats", create=True)
    assert "created: 3" in capsys.readouterr().out


def test_the_active_strategy_asks_where_the_votes_leave_most_doubt(people, annotator, side_of):
    campaign = create_campaign(
        "active", "videoalign", votes_wanted=1, gold_share=0.0, repeat_share=0.0
    )
    pool(campaign, 12, "abc")
    create_pairs(campaign, propose_pairs(campaign, Wish(Strategy.ALL, generators=("a", "b"))))
    open_campaign(campaign)
    browser = annotator(people(1)[0])
    while not (given := browser.next(campaign)).get("empty"):
        browser.vote(given, [side_of(given, "A")] * 3)
    proposal = propose_pairs(campaign, Wish(Strategy.ACTIVE, budget=6))
    # a against b is known by now; c has never been seen.
    assert set(proposal.plan.by_generators) == {"a / c", "b / c"}


def test_pairs_on_which_people_differ_go_first(quiet, people, annotator, side_of):
    campaign = quiet(4, votes_wanted=3)
    for browser, label in zip((annotator(each) for each in people(2)), "AB", strict=True):
        for _ in range(2):
            given = browser.next(campaign)
            browser.vote(given, [side_of(given, label)] * 3)
    half = Triplet.objects.filter(votes__isnull=False).distinct()
    split = {each.pk for each in half if each.votes.count() == 2}
    assert split
    assert refresh_priorities(campaign, First.DISAGREEMENT) == len(split)
    assert set(Triplet.objects.filter(priority=100).values_list("pk", flat=True)) == split
    for slot in Slot.objects.exclude(state="voted").select_related("triplet"):
        assert slot.position == position_of(slot.triplet.priority, slot.triplet.shuffle)
    assert refresh_priorities(campaign, First.DISAGREEMENT) == 0


def test_a_wish_of_a_person_keeps_its_place(quiet):
    campaign = quiet(3)
    wished = campaign.triplets.first()
    Triplet.objects.filter(pk=wished.pk).update(priority=500)
    refresh_priorities(campaign, First.ACTIVE)
    wished.refresh_from_db()
    assert wished.priority == 500


def test_a_pair_that_is_wished_for_during_a_refresh_keeps_its_place(quiet, monkeypatch):
    campaign = quiet(3)
    wished, plain = campaign.triplets.first(), designs.set_priorities

    def set_priorities(given: Campaign, wanted: dict[int, int], **options: Any) -> int:
        want_votes(campaign, {wished.pk: wished.need + 1}, priority=PRIORITY)
        return plain(given, dict.fromkeys(wanted, 7), **options)

    monkeypatch.setattr(designs, "set_priorities", set_priorities)
    assert refresh_priorities(campaign, First.DISAGREEMENT) == 2
    wished.refresh_from_db()
    assert wished.priority == PRIORITY


def test_pairs_that_come_after_more_votes_were_asked_for_want_as_many(quiet):
    campaign = quiet(1, votes_wanted=2)
    seen = Campaign.objects.get(pk=campaign.pk)
    (row,) = quiet(1).triplets.all()
    extend_votes(campaign, 4)
    (added,) = create_triplets(seen, [(row.prompt, row.video_a, row.video_b)])
    assert (added.need, added.slots.count()) == (4, 4)


def test_two_groups_that_share_nothing_are_seen_and_tied_together(quiet, people, annotator):
    campaign = quiet(8, votes_wanted=2)
    a, b, c, d = (annotator(user) for user in people(4))
    for browsers in ((a, b), (c, d)):
        for browser in browsers:
            for _ in range(4):
                browser.vote(browser.next(campaign))
    found = overlap_of(campaign, wanted=4)
    assert not found.connected
    assert [len(group) for group in found.groups] == [2, 2]
    assert found.loose == (0,)
    assert Counter(each.triplets for each in found.shares) == {4: 2}
    done = bridge(campaign, wanted=4)
    assert (done.slots, done.reopened) == (4, 4)
    assert broken_promises(campaign) == []
    assert overlap_of(campaign, wanted=4).waiting == 4
    assert bridge(campaign, wanted=4).slots == 0  # it is asked for already
    assert Triplet.objects.filter(priority=PRIORITY).count() == 4
    voted(campaign, [a])
    assert overlap_of(campaign, wanted=4).connected
    assert broken_promises(campaign) == []


def test_beginners_do_not_make_a_graph_fall_apart(quiet, people, annotator):
    campaign = quiet(3, votes_wanted=1)
    for user in people(3):
        annotator(user).vote(annotator(user).next(campaign))
    found = overlap_of(campaign)
    assert found.connected
    assert len(found.beginners) == 3
    assert overlap_of(create_campaign("empty", "anime")).groups == ()


def test_wanting_votes_twice_asks_once(quiet):
    campaign = quiet(2, votes_wanted=1)
    wanted = dict.fromkeys(campaign.triplets.values_list("pk", flat=True), 3)
    assert want_votes(campaign, wanted).slots == 4
    assert want_votes(campaign, wanted).slots == 0
    assert broken_promises(campaign) == []
