"""Votes that come late, twice, cut off or from a stale tab: V4 to V8 of the promises."""

import random
import time
import uuid
from collections import Counter
from datetime import timedelta

import pytest
from django.db.models import F
from hypothesis import given as generated
from hypothesis import strategies

from annotation.assigning import swapped
from annotation.ballots import Answer, Ballot, canonical
from annotation.models import Campaign, Dimension, Judgement, Lease, Slot, Triplet, Vote
from annotation.promises import broken_promises
from demo.client import Client, SiteError
from tools.cutting import Cut, CuttingProxy

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("promises"),
]
TTL = 1.0  # seconds, as `serve` sets it


# V4: an abandoned item returns to the pool by itself.


def given_to(browsers, campaign, users, within):
    """How many of these people are given a pair, each asking until that many seconds are over."""
    until, waiting = time.monotonic() + within, list(users)
    while waiting:
        asked = [
            browsers.next(user, campaign, str(uuid.uuid4()), prefetch=True) for user in waiting
        ]
        answers = [each["body"] for each in browsers.together(asked)]
        waiting = [user for user, said in zip(waiting, answers, strict=True) if "lease" not in said]
        if time.monotonic() > until:
            break
        time.sleep(0.1 if waiting else 0)
    return len(users) - len(waiting)


def abandoned_and_found(browsers, campaign, gone, here):
    """Some take all pairs and are gone; who is there gets how many, within two seconds more?"""
    for _ in range(3):
        assert given_to(browsers, campaign, gone, 0) == len(gone)
    time.sleep(TTL)
    return sum(given_to(browsers, campaign, here, 2) for _ in range(3))


@pytest.mark.promise("V4")
def test_what_somebody_abandoned_is_given_to_others(
    make_campaign, people, browsers, count, measured
):
    gone = count(34, 4)
    campaign, users = make_campaign(3 * gone, votes_wanted=1), people(2 * gone)
    found = abandoned_and_found(browsers(), campaign, users[:gone], users[gone:])
    measured("V4", abandoned=3 * gone, given_again=found)
    assert found == 3 * gone


@pytest.mark.mutant("V4")
def test_without_the_way_back_it_is_stuck(make_campaign, people, browsers):
    campaign, users = make_campaign(3, votes_wanted=1), people(2)
    assert abandoned_and_found(browsers("stuck"), campaign, users[:1], users[1:]) == 0


# V5: a late judgement is kept, never refused.


@pytest.mark.promise("V5")
def test_late_votes_count_where_a_slot_is_free_and_are_surplus_elsewhere(
    make_campaign, people, browsers, hand_out, count, measured
):
    pairs = count(100, 10)
    campaign, (slow, quick) = make_campaign(pairs, votes_wanted=1), people(2)
    at, triplets = browsers(), list(Triplet.objects.order_by("pk"))
    late = [hand_out(triplet, [slow])[0] for triplet in triplets]
    for triplet in triplets[::2]:  # somebody else took these in the meantime
        assert at.send(at.vote(hand_out(triplet, [quick])[0]))["body"]["state"] == "counted"
    answers = [at.send(at.vote(lease)) for lease in late]
    assert {each["status"] for each in answers} == {200}
    states = Counter(each["body"]["state"] for each in answers)
    measured("V5", late=pairs, **states)
    assert states == {"counted": pairs // 2, "surplus": pairs // 2}
    assert broken_promises(campaign) == []


# V6: a retry with the same key gives the same answer; another body is a conflict.


def each_first_answer_is_lost(seen):
    def rule(head):
        key = next((line for line in head.split(b"\r\n") if line.startswith(b"Idempotency")), None)
        if key is None or key in seen:
            return Cut.NOT
        seen.add(key)
        return Cut.AFTER

    return rule


def voted_through(port, cookies, leases, ballot):
    """What a browser ends with, whose first answer is lost each time."""
    client, ends = Client(f"http://127.0.0.1:{port}", pause=lambda _: None), []
    client.resume(cookies)
    for lease in leases:
        key = {"Idempotency-Key": str(lease.pk)}
        try:
            ends.append(client.post("/api/votes", ballot(lease), key))
        except SiteError as error:
            ends.append({"status": error.status, "replay": None, "vote": None})
    client.close()
    return ends


@pytest.fixture
def pairs_in_hand(make_campaign, people, hand_out):
    def make(pairs):
        campaign, user = make_campaign(pairs, votes_wanted=1), people(1)[0]
        return campaign, user, [hand_out(each, [user])[0] for each in Triplet.objects.all()]

    return make


@pytest.mark.promise("V6")
def test_a_vote_whose_answer_was_lost_is_answered_again(
    pairs_in_hand, serve, browsers, cookies, ballot, count, measured
):
    pairs, mutated = count(500, 40), count(100, 10)
    campaign, user, leases = pairs_in_hand(pairs)
    with CuttingProxy(serve().port, each_first_answer_is_lost(set())) as proxy:
        ends = voted_through(proxy.port, cookies(user), leases, ballot)
        assert proxy.requests[Cut.AFTER] == pairs
    assert [each["replay"] for each in ends] == [True] * pairs
    stored = {str(pk) for pk in Vote.objects.values_list("pk", flat=True)}
    assert {each["vote"] for each in ends} == stored
    assert Vote.objects.count() == pairs
    at = browsers()
    before = set(Judgement.objects.values_list("vote", "dimension", "label"))
    others = [at.send(at.vote(lease, ["right"] * 3)) for lease in leases[:mutated]]
    assert [each["status"] for each in others] == [409] * mutated
    measured("V6", answers_lost=pairs, same_vote=len(stored), conflicts=mutated)
    assert set(Judgement.objects.values_list("vote", "dimension", "label")) == before
    assert broken_promises(campaign) == []


@pytest.mark.mutant("V6")
def test_without_replay_a_lost_answer_ends_otherwise(pairs_in_hand, serve, cookies, ballot):
    _, user, leases = pairs_in_hand(2)
    with CuttingProxy(serve(mutants=True).port, each_first_answer_is_lost(set())) as proxy:
        ends = voted_through(proxy.port, cookies(user, "no-replay"), leases, ballot)
    assert [each["replay"] for each in ends] != [True] * 2


# V7: a stale tab cannot attribute a vote to the wrong pair.


@pytest.mark.promise("V7")
def test_votes_of_stale_tabs_are_refused(pairs_in_hand, browsers, ballot, count, measured):
    wrong, old = count(50, 6), count(20, 4)
    _, user, leases = pairs_in_hand(2)
    at, refused = browsers(), []
    for number in range(wrong):
        body = ballot(leases[number % 2])
        if number % 3 == 0:  # the sides changed
            body["left_video"], body["right_video"] = body["right_video"], body["left_video"]
        elif number % 3 == 1:  # the other tab's pair
            other = ballot(leases[1 - number % 2])
            body |= {side: other[side] for side in ("left_video", "right_video")}
        else:
            body["left_video"] = str(uuid.uuid4())
        refused.append(body)
    for number in range(old):  # a page from before the dimensions were changed
        body = ballot(leases[0])
        body["judgements"].pop("MQ")
        refused.append(body if number % 2 else {**body, "judgements": {"old": {"label": "left"}}})
    sent = [at.request(user, "/api/votes", each, Idempotency_Key=each["lease"]) for each in refused]
    assert [at.send(each)["status"] for each in sent] == [422] * (wrong + old)
    assert Vote.objects.count() == 0
    measured("V7", sent=len(sent), refused=len(sent), votes=0)


# V8: the side is random, recorded, and mapped back on the server.


@pytest.mark.promise("V8")
def test_the_left_side_is_a_coin_in_ten_thousand_leases(
    make_campaign, people, browsers, count, measured
):
    campaign = make_campaign(40, votes_wanted=3)
    slots = [(n, random.SystemRandom().randrange(2**40)) for n in (1, 2, 3) for _ in range(3334)]
    lefts = sum(swapped(n, shuffle) for n, shuffle in slots) / len(slots)
    measured("V8", leases=len(slots), swapped=round(lefts, 4))
    assert abs(lefts - 0.5) <= 0.015
    # What is drawn is what stands on the lease and what is shown.
    at = browsers()
    for user in people(count(30, 4)):
        given = at.send(at.next(user, campaign, str(uuid.uuid4())))["body"]
        lease = Lease.objects.select_related("triplet", "slot").get(pk=given["lease"])
        assert lease.swap == swapped(lease.slot.n, lease.triplet.shuffle)
        shown = given["left"]["id"], given["right"]["id"]
        assert shown == (str(lease.left_id), str(lease.right_id))


SIDES = {"left": "A", "right": "B", "tie": "tie"}
answers = strategies.builds(
    Answer,
    label=strategies.sampled_from(sorted(SIDES)),
    score_left=strategies.none() | strategies.integers(1, 5),
    score_right=strategies.none() | strategies.integers(1, 5),
)


@generated(strategies.lists(answers, min_size=3, max_size=3), strategies.booleans())
@pytest.mark.promise("V8")
def test_the_canonical_form_is_the_screen_turned_back(said, swap):
    keys = ("VQ", "MQ", "TA")
    shown = (uuid.uuid4(), uuid.uuid4())
    ballot = Ballot(str(shown[0]), str(shown[1]), dict(zip(keys, said, strict=True)))
    dimensions = [Dimension(pk=number, key=key) for number, key in enumerate(keys)]
    back = {"A": "B", "B": "A", "tie": "tie"}
    for answer, found in zip(
        said, canonical(ballot, Campaign(), dimensions, shown=shown, swap=swap), strict=True
    ):
        label = SIDES[answer.label]
        assert found.label == (back[label] if swap else label)
        scores = (answer.score_left, answer.score_right)
        assert (found.score_a, found.score_b) == (scores[::-1] if swap else scores)


def test_expired_leases_are_told_by_the_clock_of_the_database(make_campaign, people, browsers):
    """A lease that is renewed is held; one whose time is over is not."""
    campaign, (one, other) = make_campaign(1, votes_wanted=1), people(2)
    at = browsers()
    given = at.send(at.next(one, campaign, str(uuid.uuid4())))["body"]
    assert at.send(at.next(other, campaign, str(uuid.uuid4())))["body"]["empty"]
    Slot.objects.update(lease_expires=F("lease_expires") - timedelta(seconds=2 * TTL))
    renewed = at.send(at.request(one, f"/api/leases/{given['lease']}/renew", {}))
    assert renewed["status"] == 200
    assert at.send(at.next(other, campaign, str(uuid.uuid4())))["body"]["empty"]
