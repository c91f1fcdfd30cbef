"""Who judges what: campaigns, clips, triplets, and the votes on them.

The quota of a triplet is made of rows: one `Slot` per wanted vote, and a counted vote owns exactly
one. Too many votes are so a broken uniqueness, not a counting error (RELIABILITY 3a). Who writes:
`campaigns`, `importing` and `media` write what is shown, `assigning` leases slots, `voting` alone
writes votes and settles triplets.
"""

import hashlib
import uuid

from django.conf import settings
from django.contrib.auth.models import User
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce, Greatest, Least
from django.utils import timezone

from formats import dimensions as dimension_formats
from formats.labels import Label

USER = settings.AUTH_USER_MODEL


def _one_of(field: str, words: type[models.TextChoices], table: str) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=Q(**{f"{field}__in": words.values}), name=f"{table}_{field}_is_known"
    )


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
        """Adds `mine`: how many triplets this person has voted on."""
        own = Cursor.objects.filter(campaign=OuterRef("pk"), annotator=user).values("votes")
        return self.annotate(mine=Coalesce(models.Subquery(own), 0))


def _membership_of(user: User) -> models.QuerySet[models.Model]:
    through: type[models.Model] = Campaign.members.through
    return through._default_manager.filter(campaign_id=OuterRef("pk"), user_id=user.pk)


class CampaignState(models.TextChoices):
    DRAFT = "draft"
    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"


class Campaign(models.Model):
    State = CampaignState

    name = models.CharField(max_length=200, unique=True)
    dimension_set = models.ForeignKey(DimensionSet, on_delete=models.PROTECT)
    votes_wanted = models.PositiveSmallIntegerField(
        default=3, validators=[MinValueValidator(1)], help_text="Votes per triplet."
    )
    state = models.CharField(max_length=8, choices=State, default=State.DRAFT)
    instructions = models.TextField(blank=True)
    watch_gate = models.BooleanField(
        default=True, help_text="Voting opens when both clips were shown once."
    )
    per_video_scores = models.BooleanField(
        default=False, help_text="Ask for an optional score from 1 to 5 per clip."
    )
    open_to_all = models.BooleanField(default=True, help_text="Every annotator may vote.")
    members: models.ManyToManyField[User, models.Model] = models.ManyToManyField(
        USER, blank=True, related_name="campaigns"
    )
    created_by = models.ForeignKey(
        USER, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
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
            _one_of("state", CampaignState, "campaign"),
            models.CheckConstraint(condition=Q(votes_wanted__gte=1), name="campaign_wants_a_vote"),
            models.CheckConstraint(
                condition=Q(triplets_done__lte=F("triplets_total")), name="campaign_done_of_total"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Generator(models.Model):
    """What made a clip. No annotator ever learns it."""

    name = models.CharField(max_length=200, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class PromptQuerySet(models.QuerySet["Prompt"]):
    def for_text(self, text: str) -> "Prompt":
        """The row of this text, made if it is not there."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        prompt, _ = self.get_or_create(sha256=digest, defaults={"text": text})
        return prompt


class Prompt(models.Model):
    text = models.TextField()
    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    translations = models.JSONField(default=dict, blank=True)

    objects = PromptQuerySet.as_manager()

    def __str__(self) -> str:
        return self.text if len(self.text) <= 80 else f"{self.text[:79]}…"


class Video(models.Model):
    """One clip. Its id is random on purpose: it stands in URLs and says nothing."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="videos")
    generator = models.ForeignKey(Generator, null=True, blank=True, on_delete=models.PROTECT)
    seed = models.BigIntegerField(null=True, blank=True)
    file = models.CharField(max_length=200, help_text="Of the original, below MEDIA_ROOT.")
    sha256 = models.CharField(max_length=64)
    original_path = models.CharField(max_length=1000, blank=True)
    fps = models.FloatField()
    num_frames = models.PositiveIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    duration = models.FloatField(help_text="Seconds.")
    meta = models.JSONField(default=dict, blank=True)
    withdrawn = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            # Coalesce, because SQL takes two NULLs for different values.
            models.UniqueConstraint(
                F("prompt"),
                F("sha256"),
                Coalesce("generator", 0),
                Coalesce("seed", -1),
                name="video_once",
            ),
            models.CheckConstraint(condition=Q(num_frames__gte=1), name="video_has_frames"),
            models.CheckConstraint(condition=Q(fps__gt=0), name="video_has_a_rate"),
        ]
        indexes = [models.Index(fields=["sha256"], name="video_by_content")]

    def __str__(self) -> str:
        return str(self.id)


class TripletQuerySet(models.QuerySet["Triplet"]):
    def complete(self) -> "TripletQuerySet":
        return self.filter(state=Triplet.State.COMPLETE)

    def with_clips(self) -> "TripletQuerySet":
        return self.select_related("prompt", "video_a__generator", "video_b__generator")


class TripletState(models.TextChoices):
    OPEN = "open"
    COMPLETE = "complete"
    WITHDRAWN = "withdrawn"


class Triplet(models.Model):
    """One prompt and the two clips compared: A and B, in canonical order."""

    State = TripletState

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="triplets")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT)
    video_a = models.ForeignKey(Video, on_delete=models.PROTECT, related_name="+")
    video_b = models.ForeignKey(Video, on_delete=models.PROTECT, related_name="+")
    need = models.PositiveSmallIntegerField(help_text="Votes wanted: the number of its slots.")
    state = models.CharField(max_length=9, choices=State, default=State.OPEN)
    priority = models.SmallIntegerField(default=0, help_text="Higher is asked earlier.")
    shuffle = models.BigIntegerField(help_text="Random: the order within a priority.")
    source_row = models.JSONField(
        null=True, blank=True, help_text="The imported row, word for word."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TripletQuerySet.as_manager()

    class Meta:
        constraints = [
            _one_of("state", TripletState, "triplet"),
            models.CheckConstraint(
                condition=~Q(video_a=F("video_b")), name="triplet_compares_two_clips"
            ),
            # The same pair never comes twice in a campaign, also not as B/A.
            models.UniqueConstraint(
                F("campaign"),
                F("prompt"),
                Least("video_a", "video_b"),
                Greatest("video_a", "video_b"),
                name="triplet_pair_once",
            ),
        ]
        indexes = [models.Index(fields=["campaign", "state"], name="triplet_by_state")]

    def __str__(self) -> str:
        return f"triplet {self.pk}"


class SlotState(models.TextChoices):
    OPEN = "open"
    LEASED = "leased"
    VOTED = "voted"


class Slot(models.Model):
    """One of the votes that a triplet wants."""

    State = SlotState

    triplet = models.ForeignKey(Triplet, on_delete=models.CASCADE, related_name="slots")
    # Copied from the triplet, so that one index finds the next open slot of a campaign.
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="+")
    position = models.BigIntegerField(help_text="Priority, then shuffle: the place in the queue.")
    n = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=6, choices=State, default=State.OPEN)
    holder = models.ForeignKey(
        USER, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    seat = models.PositiveSmallIntegerField(null=True, blank=True)
    lease_token = models.UUIDField(null=True, blank=True, unique=True)
    lease_expires = models.DateTimeField(null=True, blank=True)
    epoch = models.PositiveIntegerField(default=0, help_text="How often it was leased.")

    class Meta:
        constraints = [
            _one_of("state", SlotState, "slot"),
            models.UniqueConstraint(fields=["triplet", "n"], name="slot_number_once"),
            models.UniqueConstraint(
                fields=["triplet", "holder"],
                condition=Q(holder__isnull=False),
                name="slot_one_per_person",
            ),
            models.UniqueConstraint(
                fields=["holder", "seat"], condition=Q(state="leased"), name="slot_seat_once"
            ),
            models.CheckConstraint(
                condition=Q(seat__isnull=True)
                | Q(seat__gte=1, seat__lte=settings.TIEBREAK_LEASES_PER_ANNOTATOR),
                name="slot_seats",
            ),
            models.CheckConstraint(
                condition=Q(state="open", holder__isnull=True)
                | (~Q(state="open") & Q(holder__isnull=False)),
                name="slot_open_means_nobody",
            ),
            models.CheckConstraint(
                condition=Q(
                    state="leased",
                    lease_token__isnull=False,
                    lease_expires__isnull=False,
                    seat__isnull=False,
                )
                | (
                    ~Q(state="leased")
                    & Q(lease_token__isnull=True, lease_expires__isnull=True, seat__isnull=True)
                ),
                name="slot_leased_means_lease",
            ),
        ]
        indexes = [
            models.Index(
                fields=["campaign", "position", "id"], condition=Q(state="open"), name="slot_queue"
            ),
            models.Index(
                fields=["campaign", "lease_expires"],
                condition=Q(state="leased"),
                name="slot_expiring",
            ),
        ]

    def __str__(self) -> str:
        return f"slot {self.n} of triplet {self.triplet_id}"


class Cursor(models.Model):
    """How far an annotator has walked through the queue of a campaign.

    Without it every claim would pass all that the annotator has already judged (ANNOTATION 0.8).
    Its row is also the lock under which everything that one annotator does in a campaign happens.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="cursors")
    annotator = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    position = models.BigIntegerField(default=-(2**62))
    votes = models.PositiveIntegerField(default=0, help_text="Triplets voted on.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["campaign", "annotator"], name="cursor_once")
        ]

    def __str__(self) -> str:
        return f"cursor of {self.annotator_id} in campaign {self.campaign_id}"


class Lease(models.Model):
    """What an annotator was shown, and which clip stood on the left. Never changed."""

    token = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    annotator = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    slot = models.ForeignKey(Slot, on_delete=models.CASCADE, related_name="leases")
    triplet = models.ForeignKey(Triplet, on_delete=models.CASCADE, related_name="leases")
    swap = models.BooleanField(help_text="Clip B stands on the left.")
    tab = models.UUIDField()
    issued_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [models.Index(fields=["annotator", "issued_at"], name="lease_by_annotator")]

    def __str__(self) -> str:
        return str(self.token)

    @property
    def left_id(self) -> uuid.UUID:
        return self.triplet.video_b_id if self.swap else self.triplet.video_a_id

    @property
    def right_id(self) -> uuid.UUID:
        return self.triplet.video_a_id if self.swap else self.triplet.video_b_id


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
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="votes")
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

    objects = VoteQuerySet.as_manager()

    class Meta:
        constraints = [
            _one_of("state", VoteState, "vote"),
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
    label = models.CharField(max_length=7, choices=Word)
    reason = models.CharField(max_length=32, blank=True)
    score_a = models.PositiveSmallIntegerField(null=True, blank=True)
    score_b = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            _one_of("label", Word, "judgement"),
            models.UniqueConstraint(fields=["vote", "dimension"], name="judgement_once"),
            models.CheckConstraint(
                condition=(Q(label="invalid") & ~Q(reason=""))
                | (~Q(label="invalid") & Q(reason="")),
                name="judgement_invalid_has_a_reason",
            ),
            models.CheckConstraint(
                condition=_score_range("score_a") & _score_range("score_b"),
                name="judgement_scores_one_to_five",
            ),
        ]

    def __str__(self) -> str:
        return self.label


class Skip(models.Model):
    """An annotator passes on a triplet: it is not offered again, and its slot goes to others."""

    triplet = models.ForeignKey(Triplet, on_delete=models.CASCADE, related_name="skips")
    annotator = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["triplet", "annotator"], name="skip_once")]

    def __str__(self) -> str:
        return f"skip of triplet {self.triplet_id}"


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
            _one_of("source", ConsensusSource, "consensus"),
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
