"""Votes on one pair at one moment: V2, V3, V12 of the promises, each with the mutant breaking it.

Every request comes from a process of its own through HTTP, and all are let go together.
"""

from collections import Counter
from contextlib import nullcontext

import pytest
from django.db import connection
from django.db.models import Count

from annotation.models import Triplet, Vote
from annotation.promises import broken_promises

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("promises"),
]
ON_POSTGRES = connection.vendor == "postgresql"
NO_CONSTRAINTS = (
    "vote_once_per_lease",
    "vote_one_per_person",
    "vote_one_per_slot",
    "slot_one_per_person",
)


def unprotected(without):
    """PostgreSQL is kept right by constraints too; SQLite says 'locked' before they matter."""
    return without(*NO_CONSTRAINTS) if ON_POSTGRES else nullcontext()


def triplets_of(campaign):
    return Triplet.objects.filter(campaign=campaign).order_by("pk").prefetch_related("slots")


# V2: at most one live vote per (triplet, annotator).


def double_clicks(browsers, hand_out, campaign, users):
    """Per triplet: one person, two tabs with the same pair, two clicks in each."""
    replies = []
    for number, triplet in enumerate(triplets_of(campaign)):
        lease = hand_out(triplet, [users[number % len(users)]])[0]
        replies.append(browsers.together([browsers.vote(lease)] * 4))
    return replies


@pytest.mark.promise("V2")
def test_four_identical_posts_at_once_are_one_vote(
    make_campaign, people, browsers, hand_out, count, measured
):
    pairs = count(200, 16)
    campaign = make_campaign(pairs, votes_wanted=2)
    replies = double_clicks(browsers(), hand_out, campaign, people(4))
    assert {each["status"] for four in replies for each in four} == {200}
    assert all(len({each["body"]["vote"] for each in four}) == 1 for four in replies)
    assert [sum(each["body"]["replay"] for each in four) for four in replies] == [3] * pairs
    assert Vote.objects.count() == pairs
    assert broken_promises(campaign) == []
    measured("V2", posts=4 * pairs, votes=pairs, replays=3 * pairs)


@pytest.mark.mutant("V2")
def test_without_locks_double_clicks_are_more_than_one_vote(
    make_campaign, people, browsers, hand_out, without
):
    campaign = make_campaign(4, votes_wanted=2)
    with unprotected(without):
        replies = double_clicks(browsers("no-locks"), hand_out, campaign, people(4))
        statuses = {each["status"] for four in replies for each in four}
        assert Vote.objects.count() > 4 or statuses != {200}


# V3: counted votes never exceed the quota.


def race(browsers, hand_out, campaign, users):
    """Everybody was shown every pair once, and now all vote on it."""
    replies = []
    for triplet in triplets_of(campaign):
        leases = hand_out(triplet, users)
        replies.append(browsers.together([browsers.vote(each) for each in leases]))
    return replies


def counted(campaign):
    found = Vote.objects.counted().filter(campaign=campaign).values("triplet")
    return sorted(found.annotate(n=Count("pk")).values_list("n", flat=True))


@pytest.mark.promise("V3")
def test_a_race_for_the_last_slots_never_gives_too_many(
    make_campaign, people, browsers, hand_out, count, measured
):
    pairs, racers = count(50, 6), count(32, 8)
    campaign = make_campaign(pairs, votes_wanted=3)
    replies = race(browsers(), hand_out, campaign, people(racers))
    states = Counter(each["body"].get("state") for all_ in replies for each in all_)
    assert {each["status"] for all_ in replies for each in all_} == {200}
    assert counted(campaign) == [3] * pairs
    assert states == {"counted": 3 * pairs, "surplus": (racers - 3) * pairs}
    assert broken_promises(campaign) == []
    measured("V3", triplets=pairs, racers=racers, wanted=3, **states)


@pytest.mark.mutant("V3")
def test_without_locks_a_race_gives_too_many(make_campaign, people, browsers, hand_out, without):
    campaign = make_campaign(3, votes_wanted=3)
    with unprotected(without):
        replies = race(browsers("no-locks"), hand_out, campaign, people(8))
        statuses = {each["status"] for all_ in replies for each in all_}
        assert statuses != {200} or max(counted(campaign)) > 3 or broken_promises(campaign)


# V12: changing a vote keeps history and never overwrites blindly.


def changes_of_mind(browsers, hand_out, ballot, campaign, user):
    """Per triplet: a vote, and two tabs that change it at the same moment, each otherwise."""
    replies = []
    for triplet in triplets_of(campaign):
        lease = hand_out(triplet, [user])[0]
        vote = browsers.send(browsers.vote(lease))["body"]["vote"]
        both = [
            browsers.request(
                user, f"/api/votes/{vote}", ballot(lease, [label] * 3), method="PUT", If_Match="1"
            )
            for label in ("right", "tie")
        ]
        replies.append(browsers.together(both))
    return replies


def histories(campaign):
    rows = Vote.objects.filter(campaign=campaign).order_by("triplet", "revision")
    found = {}
    for triplet, revision, state in rows.values_list("triplet_id", "revision", "state"):
        found.setdefault(triplet, []).append((revision, state))
    return list(found.values())


@pytest.mark.promise("V12")
def test_of_two_tabs_that_change_a_vote_one_wins_and_history_stays(
    make_campaign, people, browsers, hand_out, ballot, count, measured
):
    pairs = count(100, 10)
    campaign = make_campaign(pairs, votes_wanted=1)
    replies = changes_of_mind(browsers(), hand_out, ballot, campaign, people(1)[0])
    assert [sorted(each["status"] for each in both) for both in replies] == [[200, 409]] * pairs
    assert histories(campaign) == [[(1, "superseded"), (2, "counted")]] * pairs
    assert broken_promises(campaign) == []
    measured("V12", changed_at_once=pairs, won=pairs, conflicts=pairs)


@pytest.mark.mutant("V12")
def test_without_locks_a_change_is_written_over_another(
    make_campaign, people, browsers, hand_out, ballot, without
):
    campaign = make_campaign(4, votes_wanted=1)
    with unprotected(without):
        at = browsers("no-locks")
        replies = changes_of_mind(at, hand_out, ballot, campaign, people(1)[0])
        statuses = [sorted(each["status"] for each in both) for both in replies]
        assert statuses != [[200, 409]] * 4
