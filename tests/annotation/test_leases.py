"""Who gets which pair, for how long, and what happens to what is left lying."""

import random
import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from annotation import assigning, queue
from annotation.assigning import Assignment, Empty, claim, release, reopen_expired, swapped
from annotation.errors import LeaseExpired, NotFound
from annotation.importing import create_triplets
from annotation.models import Cursor, Lease, Slot, Triplet, Vote


def expire(**which) -> None:
    """Turn the clock of these leases on by an hour."""
    Slot.objects.filter(state="leased", **which).update(
        lease_expires=F("lease_expires") - timedelta(hours=1)
    )


def lease_of(given: Assignment) -> Lease:
    return Lease.objects.select_related("slot", "triplet").get(pk=given.token)


def test_abandoned_pairs_return_by_themselves(make_campaign, people, annotator):
    campaign = make_campaign(3, votes_wanted=1)
    gone, there = (annotator(user) for user in people(2))
    gone.next(campaign)
    for _ in range(2):
        gone.next(campaign, prefetch=True)
    assert there.next(campaign)["empty"] is True
    expire()
    pairs = [there.next(campaign, prefetch=True)["lease"] for _ in range(3)]
    assert len(set(pairs)) == 3


def test_without_the_way_back_abandoned_pairs_are_stuck(
    make_campaign, people, annotator, monkeypatch
):
    """The mutant of the test above: a claim that looks at open slots alone."""
    campaign = make_campaign(1, votes_wanted=1)
    gone, there = (annotator(user) for user in people(2))
    gone.next(campaign)
    expire()
    monkeypatch.setattr(queue, "_EXPIRED", "s.state = 'leased' AND s.lease_expires < %s AND FALSE")
    assert there.next(campaign)["empty"] is True


def test_own_expired_pairs_come_back_too(make_campaign, people, annotator):
    campaign = make_campaign(1, votes_wanted=1)
    browser = annotator(people(1)[0])
    first = browser.next(campaign)
    expire()
    second = browser.next(campaign)
    assert second["lease"] != first["lease"]
    assert second["left"]["id"] == first["left"]["id"]
    # The vote under the old key takes the slot that is held under the new one.
    assert browser.vote(first).json()["state"] == "counted"
    assert browser.vote(second).json()["replay"] is True
    assert browser.vote(second, "right").status_code == 409
    assert Vote.objects.count() == 1


def test_a_late_vote_counts_while_a_slot_is_free_and_is_surplus_after(
    make_campaign, people, annotator
):
    campaign = make_campaign(1, votes_wanted=2)
    one, two, three, four = (annotator(user) for user in people(4))
    late, later = one.next(campaign), two.next(campaign)
    expire()
    taken = three.next(campaign)  # takes over one of the two
    assert one.vote(late).json()["state"] == "counted"
    assert three.vote(taken).json()["state"] == "counted"
    answer = two.vote(later)
    assert (answer.status_code, answer.json()["state"]) == (200, "surplus")
    assert two.vote(later).json() == {**answer.json(), "replay": True}
    assert Triplet.objects.get().state == "complete"
    # Surplus is an opinion too: it is not asked for again.
    assert four.next(campaign)["empty"] is True


def test_a_vote_on_a_withdrawn_pair_is_kept_as_surplus(make_campaign, people, annotator):
    campaign = make_campaign(1)
    browser, other = (annotator(user) for user in people(2))
    given = browser.next(campaign)
    Triplet.objects.update(state="withdrawn")
    assert browser.vote(given).json()["state"] == "surplus"
    assert other.next(campaign)["empty"] is True


def test_renewing_fails_once_another_has_the_pair(make_campaign, people, annotator):
    campaign = make_campaign(1, votes_wanted=1)
    slow, quick = (annotator(user) for user in people(2))
    given = slow.next(campaign)
    expire()
    assert slow.post(f"/api/leases/{given['lease']}/renew").status_code == 200
    expire()
    quick.next(campaign)
    answer = slow.post(f"/api/leases/{given['lease']}/renew")
    assert answer.status_code == 410
    assert "still accepted" in answer.json()["error"]


def test_leases_are_named_by_their_token(make_campaign, people):
    user = people(1)[0]
    for act in (assigning.renew, assigning.release, assigning.skip):
        with pytest.raises(NotFound):
            act(uuid.uuid4(), user)
    given = claim(make_campaign(1), user, uuid.uuid4())
    assert release(given.token, user) is True
    with pytest.raises(LeaseExpired):
        assigning.renew(given.token, user)


def test_who_changes_the_campaign_is_not_kept_waiting(make_campaign, people, annotator):
    first, second = make_campaign(3), make_campaign(1)
    browser = annotator(people(1)[0])
    oldest = browser.next(first)
    for _ in range(2):
        browser.next(first, prefetch=True)
    assert browser.next(second)["campaign"] == second.pk
    assert Slot.objects.filter(state="leased").count() == 3
    # What was given back can still be voted on.
    assert browser.vote(oldest).json()["state"] == "counted"


def test_a_sweep_reopens_what_expired(make_campaign, people):
    campaign, user = make_campaign(3), people(1)[0]
    leases = [lease_of(claim(campaign, user, uuid.uuid4(), prefetch=True)) for _ in range(2)]
    expire(pk=leases[0].slot_id)
    assert reopen_expired(campaign) == 1
    assert Slot.objects.filter(state="leased").get().pk == leases[1].slot_id


def test_the_walk_goes_once_around_and_meets_each_pair_once(make_campaign, people):
    campaign, user = make_campaign(6, votes_wanted=2), people(1)[0]
    # As if somebody had been in the middle of the queue when the pairs came in.
    middle = sorted(Slot.objects.values_list("position", flat=True))[6]
    Cursor.objects.create(campaign=campaign, annotator=user, position=middle)
    seen = []
    while isinstance(given := claim(campaign, user, uuid.uuid4(), prefetch=True), Assignment):
        seen.append(lease_of(given))
        Slot.objects.filter(pk=seen[-1].slot_id).update(
            state="voted", seat=None, lease_token=None, lease_expires=None
        )
    assert isinstance(given, Empty)
    assert len({lease.triplet_id for lease in seen}) == len(seen) == 6
    positions = [lease.slot.position for lease in seen]
    assert positions[0] == middle
    around = [p for p in positions if p >= middle], [p for p in positions if p < middle]
    assert positions == [*sorted(around[0]), *sorted(around[1])]


def test_higher_priority_is_asked_earlier(make_campaign, people):
    campaign, user = make_campaign(4, votes_wanted=1), people(1)[0]
    urgent_from = make_campaign(1)
    triplet = Triplet.objects.get(campaign=urgent_from)
    pair = (triplet.prompt, triplet.video_a, triplet.video_b)
    urgent = create_triplets(campaign, [pair], priority=5, chance=random.Random(0))
    assert lease_of(claim(campaign, user, uuid.uuid4())).triplet == urgent[0]


def test_sides_are_balanced_within_a_triplet_and_random_across():
    chance = random.Random(0)
    lefts = [
        swapped(n, shuffle)
        for shuffle in (chance.randrange(2**40) for _ in range(2500))
        for n in range(1, 5)
    ]
    # Of the four slots of each triplet, two are swapped.
    assert all(sum(lefts[at : at + 4]) == 2 for at in range(0, len(lefts), 4))
    first_slots = lefts[::4]
    # 2,500 coins: four standard deviations are 100.
    assert abs(sum(first_slots) - 1250) < 100


def test_the_side_is_recorded_with_the_lease(make_campaign, people):
    campaign, user = make_campaign(1), people(1)[0]
    given = claim(campaign, user, uuid.uuid4())
    lease = Lease.objects.get()
    assert lease.swap == swapped(lease_of(given).slot.n, lease.triplet.shuffle)
    sides = {lease.left_id, lease.right_id}
    assert sides == {lease.triplet.video_a_id, lease.triplet.video_b_id}


@pytest.mark.faults
@pytest.mark.django_db(transaction=True)
def test_tabs_of_one_person_that_ask_at_once_each_get_a_pair(make_campaign, people):
    """Each waits for the others' lock, and then sees what they were given."""
    campaign, user = make_campaign(20), people(1)[0]
    barrier, given = threading.Barrier(3), []

    def ask() -> None:
        try:
            barrier.wait(10)
            given.append(claim(campaign, user, uuid.uuid4(), prefetch=True))
        finally:
            connection.close()

    claim(campaign, user, uuid.uuid4())  # the cursor is there
    Slot.objects.filter(state="leased").update(**assigning.OPEN_AGAIN)
    for _ in range(5):
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        tokens = [each.token for each in given if isinstance(each, Assignment)]
        assert len(set(tokens)) == 3, given
        given.clear()
        Slot.objects.filter(state="leased").update(**assigning.OPEN_AGAIN)
