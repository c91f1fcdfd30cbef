"""Answers on probes at one moment are as safe as votes: one answer, one revision, one in hand.

Every request comes from a process of its own through HTTP, and all are let go together.
"""

import uuid
from contextlib import nullcontext
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from annotation.models import Campaign, Cursor, Probe, ProbeAnswer, ProbeKind, ProbeLease

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("promises"),
]
KEYS = ("VQ", "MQ", "TA")
NO_CONSTRAINTS = ("probeanswer_once", "probelease_one_open", "probelease_once_per_attempt")


def unprotected(without):
    """PostgreSQL is kept right by constraints too; SQLite says 'locked' before they matter."""
    return without(*NO_CONSTRAINTS) if connection.vendor == "postgresql" else nullcontext()


def gold_of(campaign, make_campaign, count):
    return Probe.objects.bulk_create(
        Probe(
            campaign=campaign,
            kind=ProbeKind.GOLD,
            prompt_id=pair.prompt_id,
            video_a_id=pair.video_a_id,
            video_b_id=pair.video_b_id,
            expected=dict.fromkeys(KEYS, "A"),
            shuffle=number,
        )
        for number, pair in enumerate(make_campaign(count).triplets.order_by("pk"))
    )


def hand_out(probe, user):
    """The probe as if it had been given, and its time had run out."""
    now = timezone.now()
    Cursor.objects.get_or_create(campaign=probe.campaign, annotator=user)
    return ProbeLease.objects.create(
        probe=probe,
        campaign=probe.campaign,
        annotator=user,
        swap=False,
        tab=uuid.uuid4(),
        state="released",
        issued_at=now - timedelta(minutes=1),
        expires_at=now,
    )


def body_of(lease, word):
    return {
        "lease": str(lease.pk),
        "left_video": str(lease.probe.video_a_id),
        "right_video": str(lease.probe.video_b_id),
        "judgements": {key: {"label": word} for key in KEYS},
        "timing": {"active_ms": 4000},
    }


def post(browsers, lease, word):
    key = {"Idempotency_Key": str(lease.pk)}
    return browsers.request(lease.annotator, "/api/votes", body_of(lease, word), **key)


def test_identical_answers_at_once_are_one(make_campaign, people, browsers, count):
    campaign, here = make_campaign(1), browsers()
    users = people(2)
    probes = gold_of(campaign, make_campaign, count(50, 6))
    for number, probe in enumerate(probes):
        lease = hand_out(probe, users[number % 2])
        replies = here.together([post(here, lease, "left")] * 4)
        assert {each["status"] for each in replies} == {200}
        assert len({each["body"]["vote"] for each in replies}) == 1
        assert sorted(each["body"]["replay"] for each in replies) == [False, True, True, True]
    assert ProbeAnswer.objects.count() == len(probes)
    answered = Cursor.objects.filter(campaign=campaign).values_list("questions", flat=True)
    assert sum(answered) == len(probes)


def test_different_answers_at_once_are_one_and_conflicts(make_campaign, people, browsers, count):
    campaign, here = make_campaign(1), browsers()
    user = people(1)[0]
    for probe in gold_of(campaign, make_campaign, count(50, 4)):
        lease = hand_out(probe, user)
        said = [post(here, lease, word) for word in ("left", "right", "tie")]
        assert sorted(each["status"] for each in here.together(said)) == [200, 409, 409]
        row = ProbeAnswer.objects.get(lease=lease)
        change = [
            here.request(
                user, f"/api/votes/{row.pk}", body_of(lease, word), method="PUT", If_Match="1"
            )
            for word in ("right", "tie")
        ]
        statuses = sorted(each["status"] for each in here.together(change))
        assert statuses == [200, 409]
        rows = list(ProbeAnswer.objects.filter(lease=lease).order_by("revision"))
        assert [each.revision for each in rows] == [1, 2]
        assert [each.superseded for each in rows] == [True, False]


def test_two_tabs_at_once_hold_one_probe(make_campaign, people, browsers, count):
    campaign, here = make_campaign(8), browsers()
    Campaign.objects.filter(pk=campaign.pk).update(gold_share=1, repeat_share=0)
    gold_of(campaign, make_campaign, 4)
    for user in people(count(20, 4)):
        asked = [here.next(user, campaign, str(uuid.uuid4())) for _ in range(4)]
        replies = here.together(asked)
        assert {each["status"] for each in replies} == {200}
        tokens = [each["body"]["lease"] for each in replies if "lease" in each["body"]]
        assert ProbeLease.objects.filter(pk__in=tokens).count() == 1
        assert ProbeLease.objects.filter(annotator=user, state="open").count() == 1


def test_without_locks_identical_answers_are_more_than_one(
    make_campaign, people, browsers, without
):
    campaign, here = make_campaign(1), browsers("no-locks")
    user = people(1)[0]
    with unprotected(without):
        statuses = set()
        for probe in gold_of(campaign, make_campaign, 4):
            lease = hand_out(probe, user)
            replies = here.together([post(here, lease, "left")] * 4)
            statuses |= {each["status"] for each in replies}
        answered = Cursor.objects.get(campaign=campaign, annotator=user).questions
        assert ProbeAnswer.objects.count() > 4 or statuses != {200} or answered != 4


def test_without_locks_two_tabs_hold_more_than_one_probe(make_campaign, people, browsers, without):
    campaign, here = make_campaign(8), browsers("no-locks")
    Campaign.objects.filter(pk=campaign.pk).update(gold_share=1, repeat_share=0)
    gold_of(campaign, make_campaign, 4)
    with unprotected(without):
        held, statuses = [], set()
        for user in people(4):
            # Who comes for the first time is put in order by the row of the cursor itself.
            Cursor.objects.create(campaign=campaign, annotator=user)
            asked = [here.next(user, campaign, str(uuid.uuid4())) for _ in range(4)]
            statuses |= {each["status"] for each in here.together(asked)}
            held.append(ProbeLease.objects.filter(annotator=user, state="open").count())
        assert max(held) > 1 or statuses != {200}
