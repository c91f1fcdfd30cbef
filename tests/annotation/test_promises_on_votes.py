"""Each way to spoil the votes by hand is either refused by the database or found."""

import uuid

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.models import (
    Campaign,
    Consensus,
    Cursor,
    DimensionSet,
    Guideline,
    Judgement,
    Outbox,
    Probe,
    ProbeLease,
    Slot,
    Triplet,
    Video,
    Vote,
)
from annotation.promises import broken_promises


@pytest.fixture
def voted(make_campaign, people, annotator):
    """Two triplets of two votes: one complete, one with one vote."""
    campaign = make_campaign(2, votes_wanted=2)
    first, second = (annotator(user) for user in people(2))
    for browser in (first, first, second):
        browser.vote(browser.next(campaign))
    return campaign


def test_all_is_well_after_voting(voted, capsys):
    assert broken_promises(voted) == []
    call_command("check_votes")
    assert "All is well in 1 campaigns" in capsys.readouterr().out


def elsewhere():
    dimensions = DimensionSet.objects.get(name="videoalign")
    return Campaign.objects.create(name="elsewhere", dimension_set=dimensions)


def probe_lease(state):
    """A gold question that somebody was given, as a bare row."""
    triplet = Triplet.objects.select_related("campaign").first()
    probe = Probe.objects.create(
        campaign=triplet.campaign,
        kind="gold",
        prompt=triplet.prompt,
        video_a=triplet.video_a,
        video_b=triplet.video_b,
        expected={},
        shuffle=0,
    )
    ProbeLease.objects.create(
        probe=probe,
        campaign=triplet.campaign,
        annotator=Vote.objects.first().annotator,
        swap=False,
        tab=uuid.uuid4(),
        state=state,
        expires_at=timezone.now(),
    )


def complete():
    return Triplet.objects.filter(state="complete")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda: complete().update(state="open"), "has all its votes but is still open"),
        (lambda: complete().update(need=3), "is complete without its votes"),
        (lambda: Triplet.objects.update(need=1), "has more counted votes than wanted"),
        (lambda: Triplet.objects.update(state="complete"), "is complete without its votes"),
        (lambda: Consensus.objects.all().delete(), "is complete without a consensus"),
        (lambda: Outbox.objects.all().delete(), "nobody was told"),
        (lambda: Vote.objects.update(state="withdrawn", slot=None), "but has no vote"),
        (
            lambda: Slot.objects.filter(state="voted").update(state="open", holder=None),
            "its slot is not its own",
        ),
        (lambda: Campaign.objects.update(triplets_done=0), "counts 0 of 2 triplets"),
        (lambda: Cursor.objects.update(votes=7), "counts 7 votes"),
        (
            lambda: Judgement.objects.filter(dimension__key="VQ").delete(),
            "does not speak of each dimension",
        ),
        (lambda: Triplet.objects.update(need=3), "has not one slot per wanted vote"),
        (lambda: complete().update(state="open"), "its votes are settled already"),
        (lambda: Vote.objects.update(campaign=elsewhere()), "counted in another campaign"),
        (
            lambda: Vote.objects.update(
                guideline=Guideline.objects.create(campaign=elsewhere(), version=1)
            ),
            "under the guideline of another campaign",
        ),
        (lambda: Cursor.objects.update(questions=0), "counts fewer questions than they answered"),
        (lambda: Cursor.objects.update(probe=uuid.uuid4()), "holds a probe that is not open"),
        (lambda: probe_lease("open"), "is open, but in nobody's hand"),
        (lambda: probe_lease("answered"), "is answered, but has no answer"),
    ],
)
def test_a_corruption_is_found(voted, spoil, words):
    spoil()
    assert any(words in each for each in broken_promises(voted))
    with pytest.raises(CommandError, match=words):
        call_command("check_votes")


def again(**changes):
    """A second row like the newest vote."""

    def spoil():
        vote = Vote.objects.order_by("submitted_at").last()
        vote.pk = None
        for name, value in changes.items():
            setattr(vote, name, value() if callable(value) else value)
        vote._state.adding = True
        vote.save(force_insert=True)

    return spoil


def second_person(slots):
    """Give two slots of one triplet to one person."""
    one, two = slots.filter(triplet=slots.first().triplet).order_by("n")
    slots.filter(pk=two.pk).update(state="voted", holder=one.holder)


@pytest.mark.parametrize(
    ("spoil", "constraint"),
    [
        (again(), "vote"),  # the same lease, person and slot
        (again(revision=2, state="surplus", slot=None), "vote"),  # a second live word
        (again(state="surplus"), "vote_counted_means_slot"),
        (lambda: Vote.objects.update(slot=None), "vote_counted_means_slot"),
        (lambda: Vote.objects.update(revision=2), "vote_revision_means_history"),
        (lambda: Vote.objects.update(state="lost", slot=None), "vote_state_is_known"),
        (lambda: Slot.objects.update(state="open"), "slot_open_means_nobody"),
        (lambda: Slot.objects.filter(state="open").update(state="leased"), "slot"),
        (lambda: Slot.objects.update(seat=1), "slot_leased_means_lease"),
        (lambda: Slot.objects.update(n=1), r"slot_number_once|annotation_slot.n$"),
        (
            lambda: second_person(Slot.objects.filter(triplet__state="complete")),
            r"slot_one_per|slot.holder_id$",
        ),
        (lambda: Slot.objects.update(state="gone"), "slot"),
        (lambda: Triplet.objects.update(state="gone"), "triplet_state_is_known"),
        (lambda: Campaign.objects.update(state="gone"), "campaign_state_is_known"),
        (lambda: Campaign.objects.update(triplets_done=9), "campaign_done_of_total"),
        (lambda: Campaign.objects.update(votes_wanted=0), "campaign_wants_a_vote"),
        (lambda: Judgement.objects.update(label="same"), "judgement_label_or_score"),
        (lambda: Judgement.objects.update(label="invalid"), "judgement_invalid_has_a_reason"),
        (lambda: Judgement.objects.update(reason="broken"), "judgement_invalid_has_a_reason"),
        (lambda: Judgement.objects.update(score_a=6), "judgement_scores"),
        (lambda: Judgement.objects.update(score_b=0), "judgement_scores"),
        (lambda: Consensus.objects.update(label="same"), "consensus_label_is_known"),
        (lambda: Consensus.objects.update(source="import"), "consensus_import_has_no_votes"),
        (lambda: Video.objects.update(num_frames=0), "video_has_frames"),
        (lambda: Video.objects.update(fps=0), "video_has_a_rate"),
    ],
)
def test_the_database_refuses(voted, spoil, constraint):
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        spoil()


def test_a_pair_comes_once_also_with_its_sides_changed(voted):
    triplet = Triplet.objects.first()
    for a, b in (("video_a", "video_b"), ("video_b", "video_a")):
        with pytest.raises(IntegrityError), transaction.atomic():
            Triplet.objects.create(
                campaign=voted,
                prompt=triplet.prompt,
                video_a=getattr(triplet, a),
                video_b=getattr(triplet, b),
                need=1,
                shuffle=1,
            )
    with pytest.raises(IntegrityError, match="triplet_compares_two_clips"), transaction.atomic():
        Triplet.objects.filter(pk=triplet.pk).update(video_b=triplet.video_a_id)


def test_one_person_holds_three_leases_and_no_more(make_campaign, people, annotator):
    campaign = make_campaign(5)
    browser = annotator(people(1)[0])
    browser.next(campaign)
    for _ in range(2):
        browser.next(campaign, prefetch=True)
    held = Slot.objects.filter(state="leased").first()
    spare = Slot.objects.filter(triplet__in=Triplet.objects.exclude(slots__state="leased"))
    values = {"holder": held.holder, "lease_expires": held.lease_expires, "state": "leased"}
    for seat in (1, 4):
        changes = {**values, "seat": seat, "lease_token": "0" * 32}
        with pytest.raises(IntegrityError, match=r"slot_seat|slot\.seat"), transaction.atomic():
            Slot.objects.filter(pk=spare.first().pk).update(**changes)
