"""Guidelines of a campaign: versions, translations, who accepted which."""

from django.db import models
from django.utils import timezone

from annotation.models.campaigns import Campaign
from annotation.models.common import USER


class Guideline(models.Model):
    """One published version; never changed, because votes were given under it.

    `body`: {"instructions": {language: text}, "dimensions": {key: {language: {"title", "question",
    "sentences": [...]}}}, "examples": {key: [{"video": uuid, "good": bool, "note": {language:
    text}}]}}. A language that is missing falls back to English, visibly.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="guidelines")
    version = models.PositiveIntegerField()
    major = models.BooleanField(
        default=True, help_text="Annotators must read and accept it before they go on."
    )
    body = models.JSONField(default=dict)
    published_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        USER, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["campaign", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "version"], name="guideline_version_once")
        ]

    def __str__(self) -> str:
        return f"guideline {self.version} of campaign {self.campaign_id}"


class GuidelineDraft(models.Model):
    """What leads are writing, until it is published. `body` as in `Guideline`, then empty."""

    campaign = models.OneToOneField(Campaign, on_delete=models.CASCADE, related_name="draft")
    body = models.JSONField(default=dict)
    revision = models.PositiveIntegerField(
        default=1, help_text="Rises with each save: of two people who edit, one is told."
    )
    saved_at = models.DateTimeField(default=timezone.now)
    saved_by = models.ForeignKey(
        USER, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    def __str__(self) -> str:
        return f"draft {self.revision} of campaign {self.campaign_id}"


class GuidelineAcceptance(models.Model):
    guideline = models.ForeignKey(Guideline, on_delete=models.CASCADE, related_name="acceptances")
    annotator = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="+")
    accepted_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["guideline", "annotator"], name="guideline_accepted_once"
            )
        ]

    def __str__(self) -> str:
        return f"guideline {self.guideline_id} accepted by {self.annotator_id}"
