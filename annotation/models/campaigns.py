"""Campaigns, the dimensions they ask about, and how far each annotator is in them."""

from decimal import Decimal

from django.contrib.auth.models import User
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from annotation.models.common import USER, one_of
from formats import dimensions as dimension_formats


class DimensionSet(models.Model):
    name = models.SlugField(max_length=64, unique=True)
    title = models.CharField(max_length=200)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def to_format(self) -> dimension_formats.DimensionSet:
        """The same set as the files and the trainers know it."""
        rows = tuple(dimension.to_format() for dimension in self.dimensions.all())
        return dimension_formats.DimensionSet(self.name, self.title, rows)


class Dimension(models.Model):
    dimension_set = models.ForeignKey(
        DimensionSet, on_delete=models.CASCADE, related_name="dimensions"
    )
    key = models.CharField(max_length=32)
    title = models.CharField(max_length=100)
    question = models.CharField(max_length=300)
    sees_prompt = models.BooleanField(
        help_text="Whether the judgement, and the reward token, may depend on the prompt."
    )
    guideline = models.JSONField(default=list, blank=True, help_text="A list of sentences.")
    group = models.CharField(max_length=64, blank=True)
    position = models.PositiveSmallIntegerField(default=0)
    allow_tie = models.BooleanField(default=True, help_text="Whether 'same' may be answered.")
    min_width = models.PositiveSmallIntegerField(
        default=0,
        help_text="CSS pixels in which a clip must be seen to be judged here; 0 for any screen.",
    )

    class Meta:
        ordering = ["dimension_set", "position"]
        constraints = [
            models.UniqueConstraint(fields=["dimension_set", "key"], name="dimension_key_once"),
            models.UniqueConstraint(
                fields=["dimension_set", "position"], name="dimension_position_once"
            ),
        ]

    def __str__(self) -> str:
        return self.key

    def to_format(self) -> dimension_formats.Dimension:
        return dimension_formats.Dimension(
            key=self.key,
            title=self.title,
            question=self.question,
            sees_prompt=self.sees_prompt,
            guideline=tuple(self.guideline),
            group=self.group,
        )


class CampaignQuerySet(models.QuerySet["Campaign"]):
    def open_to(self, user: User) -> "CampaignQuerySet":
        """Campaigns whose doors stand open for this person, whatever their role."""
        return self.filter(Q(open_to_all=True) | Exists(_membership_of(user)))

    def visible_to(self, user: User, *, all_of_them: bool, votes: bool) -> "CampaignQuerySet":
        """What stands on this person's list: all for those who lead, else what they vote in."""
        if all_of_them:
            return self.all()
        return self.open_to(user).exclude(state=CampaignState.DRAFT) if votes else self.none()

    def with_votes_of(self, user: User) -> "CampaignQuerySet":
        """Adds `mine`: how many questions this person has answered.

        Probes included: a count that stood still after one of them would give it away.
        """
        own = Cursor.objects.filter(campaign=OuterRef("pk"), annotator=user).values("questions")
        return self.annotate(mine=Coalesce(models.Subquery(own), 0))


def _membership_of(user: User) -> models.QuerySet[models.Model]:
    through: type[models.Model] = Campaign.members.through
    return through._default_manager.filter(campaign_id=OuterRef("pk"), user_id=user.pk)


class CampaignState(models.TextChoices):
    DRAFT = "draft"
    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"


class CampaignKind(models.TextChoices):
    PAIRWISE = "pairwise"
    SINGLE = "single", "single clips, scored 1 to 5"
    # Pairs of a candidate and its base; opened by a run alone, which knows which is which.
    RETEST = "retest", "re-test, blind"


class Showing(models.TextChoices):
    TOGETHER = "together"
    ONE_BY_ONE = "one_by_one", "A alone, B alone, then both"


def _share(default: float, text: str) -> "models.FloatField[float, float]":
    bounds = [MinValueValidator(0), MaxValueValidator(1)]
    return models.FloatField(default=default, validators=bounds, help_text=text)


class Campaign(models.Model):
    State = CampaignState
    Kind = CampaignKind

    name = models.CharField(max_length=200, unique=True)
    kind = models.CharField(
        max_length=8,
        choices=CampaignKind,
        default=CampaignKind.PAIRWISE,
        help_text="Single: one clip per question, scored from 1 to 5 on each dimension.",
    )
    dimension_set = models.ForeignKey(DimensionSet, on_delete=models.PROTECT)
    votes_wanted = models.PositiveSmallIntegerField(
        default=3, validators=[MinValueValidator(1)], help_text="Votes per triplet."
    )
    extra_votes = models.PositiveSmallIntegerField(
        default=0, help_text="At most so many further votes on a triplet where people split."
    )
    state = models.CharField(max_length=8, choices=State, default=State.DRAFT)
    instructions = models.TextField(blank=True)
    watch_gate = models.BooleanField(
        default=True, help_text="Voting opens when both clips were shown once."
    )
    per_video_scores = models.BooleanField(
        default=False, help_text="Ask for an optional score from 1 to 5 per clip."
    )
    showing = models.CharField(max_length=10, choices=Showing, default=Showing.TOGETHER)
    # Quality (ANNOTATION D8).
    qualify = models.BooleanField(
        default=False, help_text="Practice and a qualification come before the first pair."
    )
    gold_share = _share(0.05, "Of the questions: gold, with a known answer.")
    repeat_share = _share(0.025, "Of the questions: own earlier pairs with the sides swapped.")
    pass_share = _share(0.75, "Weighted share of right answers that passes the qualification.")
    keep_share = _share(0.65, "Below this in the last 40 gold questions, work is paused.")
    # Rest and pay (ANNOTATION D9).
    break_after_minutes = models.PositiveSmallIntegerField(
        default=25, help_text="Active minutes after which a break is suggested; 0 for never."
    )
    rest_after_minutes = models.PositiveSmallIntegerField(
        default=90, help_text="Active minutes after which five minutes of rest are required."
    )
    daily_hours = models.FloatField(
        default=6, help_text="Active hours per person and day, at most."
    )
    hourly_rate = models.DecimalField(
        max_digits=8, decimal_places=2, default=Decimal(0), help_text="Paid per active hour."
    )
    currency = models.CharField(max_length=3, default="EUR")
    consent = models.TextField(
        blank=True, help_text="What annotators agree to before their first pair; empty for nothing."
    )
    must_accept = models.PositiveIntegerField(
        default=0, editable=False, help_text="The guideline version that people must have accepted."
    )
    open_to_all = models.BooleanField(default=True, help_text="Every annotator may vote.")
    members: models.ManyToManyField[User, models.Model] = models.ManyToManyField(
        USER, blank=True, related_name="campaigns"
    )
    pool: models.ManyToManyField[models.Model, models.Model] = models.ManyToManyField(
        "annotation.Video",
        blank=True,
        related_name="+",
        help_text="Clips that pairs may be made of, beside those that are asked about already.",
    )
    created_by = models.ForeignKey(
        USER, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    made_by = models.CharField(
        max_length=64, blank=True, editable=False, help_text="The run that opened it, if one did."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # Counters, kept in the transactions that change them: a page must not count 182,000 rows.
    triplets_total = models.PositiveIntegerField(default=0, editable=False)
    triplets_done = models.PositiveIntegerField(default=0, editable=False)

    mine: int  # on rows of `with_votes_of`

    objects = CampaignQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            one_of("state", CampaignState, "campaign"),
            one_of("kind", CampaignKind, "campaign"),
            models.CheckConstraint(condition=Q(votes_wanted__gte=1), name="campaign_wants_a_vote"),
            models.UniqueConstraint(
                fields=["made_by"], condition=~Q(made_by=""), name="campaign_once_per_maker"
            ),
            models.CheckConstraint(
                condition=Q(triplets_done__lte=F("triplets_total")), name="campaign_done_of_total"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Stage(models.TextChoices):
    """Where an annotator stands in a campaign (ANNOTATION D8)."""

    PRACTICE = "practice"
    QUALIFICATION = "qualification"
    WORKING = "working"
    PAUSED = "paused"  # the last gold questions went wrong; a lead decides
    FAILED = "failed"  # both attempts at the qualification


class Cursor(models.Model):
    """How far an annotator has walked through the queue of a campaign.

    Without it every claim would pass all that the annotator has already judged (ANNOTATION 0.8).
    Its row is also the lock under which everything that one annotator does in a campaign happens.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="cursors")
    annotator = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    position = models.BigIntegerField(default=-(2**62))
    votes = models.PositiveIntegerField(default=0, help_text="Triplets voted on.")
    stage = models.CharField(max_length=13, choices=Stage, default=Stage.WORKING)
    attempt = models.PositiveSmallIntegerField(default=0, help_text="Of the qualification.")
    stage_since = models.DateTimeField(default=timezone.now)
    stage_reason = models.CharField(max_length=300, blank=True)
    work_since = models.DateTimeField(
        default=timezone.now, help_text="When work last began or was resumed: older gold is past."
    )
    questions = models.PositiveIntegerField(
        default=0, help_text="Everything answered, probes included: what the annotator sees."
    )
    last_probe = models.PositiveIntegerField(
        default=0, help_text="Number of the question that was the last probe: never two in a row."
    )
    # So that a claim without a probe costs no query more.
    probe = models.UUIDField(null=True, blank=True, help_text="Token of the probe in hand.")
    # Copied here so that a claim asks one row whether the door stands open.
    accepted = models.PositiveIntegerField(default=0, help_text="Version of the guideline.")
    consented = models.CharField(max_length=64, blank=True, help_text="sha256 of the text.")
    day = models.DateField(null=True, blank=True)
    active_ms_today = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["campaign", "annotator"], name="cursor_once"),
            one_of("stage", Stage, "cursor"),
        ]

    def __str__(self) -> str:
        return f"cursor of {self.annotator_id} in campaign {self.campaign_id}"
