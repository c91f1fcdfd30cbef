"""What is shown: prompts, generators, clips, reference images."""

import hashlib
import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone


class Generator(models.Model):
    """What made a clip. No annotator ever learns it."""

    name = models.CharField(max_length=200, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ReferenceImage(models.Model):
    """The first frame of an image-to-video prompt. Opaque in URLs, as clips are."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    file = models.CharField(max_length=200, help_text="Below MEDIA_ROOT.")
    sha256 = models.CharField(max_length=64, unique=True)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    original_path = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return str(self.id)


class PromptQuerySet(models.QuerySet["Prompt"]):
    def for_text(self, text: str, image: ReferenceImage | None = None) -> "Prompt":
        """The row of this text (with this reference image), made if it is not there."""
        digest = prompt_sha256(text, image.sha256 if image else "")
        prompt, _ = self.get_or_create(sha256=digest, defaults={"text": text, "image": image})
        return prompt


def prompt_sha256(text: str, image_sha256: str = "") -> str:
    """Two prompts are one if their texts and their reference images are."""
    said = f"{text}\0{image_sha256}" if image_sha256 else text
    return hashlib.sha256(said.encode()).hexdigest()


class Prompt(models.Model):
    text = models.TextField()
    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    translations = models.JSONField(default=dict, blank=True)
    image = models.ForeignKey(
        ReferenceImage,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        help_text="What an image-to-video generator started from.",
    )
    category = models.CharField(max_length=64, blank=True)

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
    # Found at ingest; empty where a clip came in before it was looked for.
    phash = models.CharField(
        max_length=32, blank=True, help_text="Perceptual hash, hexadecimal: equal-looking clips."
    )
    flashes = models.FloatField(
        null=True, blank=True, help_text="Most general flashes within a second; above 3 is unsafe."
    )
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

    @property
    def shown_fps(self) -> float:
        """The rate of the copy for people: constant, also where that of the original is not."""
        return float(self.meta.get("constant_rate", self.fps))

    @property
    def shown_frames(self) -> int:
        """How many frames that copy has."""
        varies = "constant_rate" in self.meta
        return round(self.duration * self.shown_fps) if varies else self.num_frames
