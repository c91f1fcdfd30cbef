"""Questions with a known answer, flags, and adjudication (ANNOTATION D8).

A probe looks like a pair of the queue on the wire. It takes no slot and enters no consensus.
"""

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation.models.assignments import Triplet
from annotation.models.campaigns import Campaign
from annotation.models.clips import Prompt, Video
from annotation.models.common import USER, one_of
from annotation.models.guidelines import Guideline
from annotation.models.votes import Vote


class ProbeKind(models.TextChoices):
    PRACTICE = "practice"  # with explained feedback
    QUALIFICATION = "qualification"
    GOLD = "gold"
    REPEAT = "repeat"  # an own earlier pair with the sides swapped


class Probe(models.Model):
    """`expected`: {dimension key: "A" | "B" | "tie" | "invalid"}, or {key: score} for single clips.

    `explanation`: {language: text}, shown after a practice pair. A repeat belongs to one annotator
    and expects what they said themselves.
    """

    Kind = ProbeKind

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="probes")
    kind = models.CharField(max_length=13, choices=ProbeKind)
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="+")
    video_a = models.ForeignKey(Video, on_delete=models.PROTECT, related_name="+")
    video_b = models.ForeignKey(
        Video, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    triplet = models.ForeignKey(
        Triplet,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="probes",
        help_text="Where the pair was voted on: those who did are not asked it as gold.",
    )
    expected = models.JSONField()
    explanation = models.JSONField(default=dict, blank=True)
    annotator = models.ForeignKey(
        USER, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    origin = models.ForeignKey(
        Vote, null=True, blank=True, on_delete=models.PROTECT, related_name="repeats"
    )
    active = models.BooleanField(default=True)
    shuffle = models.BigIntegerField(help_text="Random: the order in which it is asked.")
    created_by = models.ForeignKey(
        USER, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            one_of("kind", ProbeKind, "probe"),
            models.CheckConstraint(
                condition=Q(kind="repeat", annotator__isnull=False, origin__isnull=False)
                | (~Q(kind="repeat") & Q(annotator__isnull=True, origin__isnull=True)),
                name="probe_repeat_has_an_origin",
            ),
            models.UniqueConstraint(
                fields=["origin"], condition=Q(origin__isnull=False), name="probe_repeat_once"
            ),
        ]
        indexes = [
            models.Index(fields=["campaign", "kind", "active", "shuffle"], name="probe_queue")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class ProbeLeaseState(models.TextChoices):
    OPEN = "open"
    ANSWERED = "answered"
    SKIPPED = "skipped"
    RELEASED = "released"


class ProbeLease(models.Model):
    """What `Lease` and `Slot` are to a triplet. Its token is told apart from theirs by nobody."""

    State = ProbeLeaseState

    token = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    probe = models.ForeignKey(Probe, on_delete=models.CASCADE, related_name="leases")
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="+")
    annotator = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    swap = models.BooleanField(help_text="Clip B stands on the left.")
    attempt = models.PositiveSmallIntegerField(default=0, help_text="Of the qualification.")
    tab = models.UUIDField()
    state = models.CharField(max_length=8, choices=ProbeLeaseState, default=ProbeLeaseState.OPEN)
    issued_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    skip_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            one_of("state", ProbeLeaseState, "probelease"),
            models.UniqueConstraint(
                fields=["campaign", "annotator"],
                condition=Q(state="open"),
                name="probelease_one_open",
            ),
            models.UniqueConstraint(
                fields=["probe", "annotator", "attempt"],
                condition=Q(state__in=["open", "answered"]),
                name="probelease_once_per_attempt",
            ),
        ]
        indexes = [models.Index(fields=["annotator", "campaign", "state"], name="probelease_mine")]

    def __str__(self) -> str:
        return str(self.token)


class ProbeAnswer(models.Model):
    """What an annotator said on a probe. Append-only, as votes are; the newest revision stands."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    lease = models.ForeignKey(ProbeLease, on_delete=models.CASCADE, related_name="answers")
    annotator = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=13, choices=ProbeKind)
    revision = models.PositiveSmallIntegerField(default=1)
    superseded = models.BooleanField(default=False)
    answers = models.JSONField(
        help_text="{key: {label, reason, score_a, score_b}} in canonical order."
    )
    errors = models.FloatField(help_text="Weighted share of wrong answers, 0 to 1 (D8).")
    by_dimension = models.JSONField(default=dict, help_text="{key: weighted error 0, 0.5 or 1}.")
    req_hash = models.CharField(max_length=64)
    guideline = models.ForeignKey(
        Guideline, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    remark = models.TextField(blank=True)
    active_ms = models.PositiveIntegerField(null=True, blank=True)
    timing = models.JSONField(default=dict, blank=True)
    submitted_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lease", "revision"], name="probeanswer_once"),
            models.CheckConstraint(
                condition=Q(errors__gte=0, errors__lte=1), name="probeanswer_errors_are_a_share"
            ),
        ]
        indexes = [
            models.Index(
                fields=["campaign", "annotator", "kind", "submitted_at"], name="probeanswer_recent"
            )
        ]

    def __str__(self) -> str:
        return str(self.id)


class FlagKind(models.TextChoices):
    DISTURBING = "disturbing"  # out of every queue at once
    BROKEN = "broken"
    RECOGNISED = "recognised", "I recognise the generator"
    OTHER = "other"


class FlagState(models.TextChoices):
    OPEN = "open"
    UPHELD = "upheld"
    DISMISSED = "dismissed"


class Flag(models.Model):
    Kind = FlagKind
    State = FlagState

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="flags")
    triplet = models.ForeignKey(
        Triplet, null=True, blank=True, on_delete=models.CASCADE, related_name="flags"
    )
    probe = models.ForeignKey(
        Probe, null=True, blank=True, on_delete=models.CASCADE, related_name="flags"
    )
    video = models.ForeignKey(
        Video, null=True, blank=True, on_delete=models.CASCADE, related_name="flags"
    )
    annotator = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10, choices=FlagKind)
    note = models.CharField(max_length=500, blank=True)
    state = models.CharField(max_length=9, choices=FlagState, default=FlagState.OPEN)
    withdrew = models.JSONField(
        default=list,
        blank=True,
        help_text="Triplets that left the queues with the clip: they come back if it does.",
    )
    retired = models.JSONField(
        default=list, blank=True, help_text="Questions with a known answer that left with it."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    settled_by = models.ForeignKey(
        USER, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            one_of("kind", FlagKind, "flag"),
            one_of("state", FlagState, "flag"),
            models.CheckConstraint(
                condition=Q(triplet__isnull=False, probe__isnull=True)
                | Q(triplet__isnull=True, probe__isnull=False),
                name="flag_on_a_question",
            ),
        ]
        indexes = [models.Index(fields=["campaign", "state"], name="flag_open")]

    def __str__(self) -> str:
        return f"{self.kind} by {self.annotator_id}"


class SplitReason(models.TextChoices):
    """Why people split, as the adjudicator sees it."""

    CLOSE = "close", "the clips are close"
    GUIDELINE = "guideline", "the guideline leaves it open"
    PROMPT = "prompt", "the prompt can be read in two ways"
    CARELESS = "careless", "some votes look careless"
    BROKEN = "broken", "a clip is broken"
    OTHER = "other"


class Adjudication(models.Model):
    """One person settles what people split on. `labels`: {key: canonical label}."""

    triplet = models.ForeignKey(Triplet, on_delete=models.CASCADE, related_name="adjudications")
    adjudicator = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    swap = models.BooleanField()
    labels = models.JSONField()
    reason = models.CharField(max_length=9, choices=SplitReason)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [one_of("reason", SplitReason, "adjudication")]
        indexes = [models.Index(fields=["triplet", "created_at"], name="adjudication_of")]

    def __str__(self) -> str:
        return f"adjudication of triplet {self.triplet_id}"
