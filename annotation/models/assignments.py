"""Who judges what: triplets, their slots, leases on them, skips.

The quota of a triplet is made of rows: one `Slot` per wanted vote, and a counted vote owns exactly
one. Too many votes are so a broken uniqueness, not a counting error (RELIABILITY 3a).
"""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Greatest, Least
from django.utils import timezone

from annotation.models.campaigns import Campaign
from annotation.models.clips import Prompt, Video
from annotation.models.common import USER, one_of


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
    """One prompt and the two clips compared: A and B, in canonical order.

    In a campaign of single clips there is no B, and the clip is scored alone.
    """

    State = TripletState

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="triplets")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT)
    video_a = models.ForeignKey(Video, on_delete=models.PROTECT, related_name="+")
    video_b = models.ForeignKey(
        Video, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
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
            one_of("state", TripletState, "triplet"),
            models.CheckConstraint(
                condition=~Q(video_a=F("video_b")), name="triplet_compares_two_clips"
            ),
            # The same pair never comes twice in a campaign, also not as B/A.
            models.UniqueConstraint(
                F("campaign"),
                F("prompt"),
                Least("video_a", Coalesce("video_b", "video_a")),
                Greatest("video_a", Coalesce("video_b", "video_a")),
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
            one_of("state", SlotState, "slot"),
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
    def left_id(self) -> uuid.UUID | None:
        return self.triplet.video_b_id if self.swap else self.triplet.video_a_id

    @property
    def right_id(self) -> uuid.UUID | None:
        return self.triplet.video_a_id if self.swap else self.triplet.video_b_id


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
