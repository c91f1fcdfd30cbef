"""What people said, and what is settled by it. `annotation.voting` alone writes here."""

import uuid

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation.models.assignments import Lease, Slot, Triplet
from annotation.models.campaigns import Campaign, Dimension
from annotation.models.common import USER, one_of
from annotation.models.guidelines import Guideline
from formats.labels import Label


class VoteQuerySet(models.QuerySet["Vote"]):
    def live(self) -> "VoteQuerySet":
        """The newest word of each annotator: what stands, counted or not."""
        return self.filter(state__in=[Vote.State.COUNTED, Vote.State.SURPLUS])

    def counted(self) -> "VoteQuerySet":
        return self.filter(state=Vote.State.COUNTED)

    def latest_of(self, user: User, campaign: Campaign) -> "VoteQuerySet":
        """Own votes, newest first, with all that showing and editing them needs."""
        return (
            self.live()
            .filter(annotator=user, triplet__campaign=campaign)
            .select_related("triplet__prompt", "triplet__video_a", "triplet__video_b", "lease")
            .prefetch_related("judgements__dimension")
            .order_by("-submitted_at")
        )


class VoteState(models.TextChoices):
    COUNTED = "counted"
    SURPLUS = "surplus"  # kept, but the triplet had its votes
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


class Vote(models.Model):
    """One annotator's submission on one triplet. Append-only: a correction is a new row."""

    State = VoteState

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    annotator = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="votes")
    triplet = models.ForeignKey(Triplet, on_delete=models.CASCADE, related_name="votes")
    slot = models.ForeignKey(
        Slot, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    # Copied from the triplet: the figures of a campaign are read by it.
    campaign = models.ForeignKey(
        Campaign, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="votes")
    guideline = models.ForeignKey(
        Guideline, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    remark = models.TextField(blank=True)
    swap = models.BooleanField()
    submitted_at = models.DateTimeField(default=timezone.now, editable=False)
    active_ms = models.PositiveIntegerField(null=True, blank=True)
    timing = models.JSONField(default=dict, blank=True)
    req_hash = models.CharField(max_length=64)
    revision = models.PositiveSmallIntegerField(default=1)
    supersedes = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="superseded_by"
    )
    state = models.CharField(max_length=10, choices=State)
    said = models.CharField(
        max_length=64, blank=True, help_text="Its judgements in shorthand: figures are read by it."
    )

    objects = VoteQuerySet.as_manager()

    class Meta:
        constraints = [
            one_of("state", VoteState, "vote"),
            models.UniqueConstraint(
                fields=["annotator", "lease", "revision"], name="vote_once_per_lease"
            ),
            models.UniqueConstraint(
                fields=["triplet", "annotator"],
                condition=Q(state__in=["counted", "surplus"]),
                name="vote_one_per_person",
            ),
            models.UniqueConstraint(
                fields=["slot"], condition=Q(slot__isnull=False), name="vote_one_per_slot"
            ),
            models.CheckConstraint(
                condition=Q(state="counted", slot__isnull=False)
                | (~Q(state="counted") & Q(slot__isnull=True)),
                name="vote_counted_means_slot",
            ),
            models.CheckConstraint(
                condition=Q(revision=1, supersedes__isnull=True)
                | Q(revision__gt=1, supersedes__isnull=False),
                name="vote_revision_means_history",
            ),
        ]
        indexes = [
            models.Index(fields=["annotator", "submitted_at"], name="vote_by_annotator"),
            models.Index(fields=["triplet", "state"], name="vote_by_triplet"),
            # Holds all that figures want, so that they never touch the wide rows.
            models.Index(
                fields=[
                    *("campaign", "submitted_at", "triplet", "annotator"),
                    *("state", "swap", "said", "active_ms"),
                ],
                name="vote_by_campaign",
            ),
            # Pages ask every few seconds whether anything was taken back.
            models.Index(
                fields=["campaign"], condition=Q(state="withdrawn"), name="vote_taken_back"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Word(models.TextChoices):
    """The labels of `formats`, as the database and the admin want them."""

    A = Label.A.value
    B = Label.B.value
    TIE = Label.TIE.value
    INVALID = Label.INVALID.value


def _score_range(field: str) -> Q:
    return Q(**{f"{field}__isnull": True}) | Q(**{f"{field}__gte": 1, f"{field}__lte": 5})


class Judgement(models.Model):
    """What a vote says on one dimension, in canonical order: the swap of the screen is undone."""

    vote = models.ForeignKey(Vote, on_delete=models.CASCADE, related_name="judgements")
    dimension = models.ForeignKey(Dimension, on_delete=models.PROTECT, related_name="+")
    # No label where a single clip was scored: the score is the judgement.
    label = models.CharField(max_length=7, choices=Word, null=True, blank=True)  # noqa: DJ001
    reason = models.CharField(max_length=32, blank=True)
    score_a = models.PositiveSmallIntegerField(null=True, blank=True)
    score_b = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(label__in=Word.values)
                | Q(label__isnull=True, score_a__isnull=False, score_b__isnull=True),
                name="judgement_label_or_score",
            ),
            models.UniqueConstraint(fields=["vote", "dimension"], name="judgement_once"),
            models.CheckConstraint(
                condition=(Q(label="invalid") & ~Q(reason=""))
                | (~Q(label="invalid") & Q(reason=""))
                | Q(label__isnull=True, reason=""),
                name="judgement_invalid_has_a_reason",
            ),
            models.CheckConstraint(
                condition=_score_range("score_a") & _score_range("score_b"),
                name="judgement_scores_one_to_five",
            ),
        ]

    def __str__(self) -> str:
        return self.label or str(self.score_a)


class ConsensusSource(models.TextChoices):
    VOTES = "votes"
    IMPORT = "import"
    ADJUDICATION = "adjudication"


class Consensus(models.Model):
    """The label settled for one dimension of a triplet. No label: people split."""

    Source = ConsensusSource

    triplet = models.ForeignKey(Triplet, on_delete=models.CASCADE, related_name="consensus")
    dimension = models.ForeignKey(Dimension, on_delete=models.PROTECT, related_name="+")
    label = models.CharField(max_length=7, choices=Word, null=True, blank=True)  # noqa: DJ001
    source = models.CharField(max_length=12, choices=Source)
    posterior = models.JSONField(null=True, blank=True, help_text="[P(A), P(tie), P(B)]")
    score_a = models.FloatField(null=True, blank=True, help_text="Mean opinion score of clip A.")
    score_b = models.FloatField(null=True, blank=True)
    votes = models.PositiveSmallIntegerField(default=0)
    settled_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "consensus"
        constraints = [
            one_of("source", ConsensusSource, "consensus"),
            models.UniqueConstraint(fields=["triplet", "dimension"], name="consensus_once"),
            models.CheckConstraint(
                condition=Q(label__isnull=True) | Q(label__in=Word.values),
                name="consensus_label_is_known",
            ),
            models.CheckConstraint(
                condition=~Q(source="import") | Q(votes=0), name="consensus_import_has_no_votes"
            ),
        ]

    def __str__(self) -> str:
        return self.label or "none"


class Outbox(models.Model):
    """What happened, for whoever reads on: written in the transaction in which it happened."""

    kind = models.CharField(max_length=64)
    ref = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "outbox"
        constraints = [models.UniqueConstraint(fields=["kind", "ref"], name="outbox_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.ref}"
