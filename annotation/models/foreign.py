"""Votes that came with an import. Whoever gave them is a stranger here, whatever their pseudonym:
no account is theirs, and they enter no figure about people. `imports.foreign_votes` writes."""

from django.db import models

from annotation.models.assignments import Triplet
from annotation.models.campaigns import Campaign


class ForeignAnnotator(models.Model):
    """Somebody of another site. Equal names of two files are two people: pseudonyms are dealt per
    export."""

    campaign = models.ForeignKey(
        Campaign, on_delete=models.CASCADE, related_name="foreign_annotators"
    )
    origin = models.CharField(max_length=64, help_text="sha256 of the file that named them.")
    name = models.CharField(max_length=100)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "origin", "name"], name="foreign_annotator_once"
            )
        ]

    def __str__(self) -> str:
        return self.name


class ForeignVote(models.Model):
    """What a stranger said on a triplet, in canonical order."""

    triplet = models.ForeignKey(Triplet, on_delete=models.CASCADE, related_name="foreign_votes")
    annotator = models.ForeignKey(ForeignAnnotator, on_delete=models.CASCADE, related_name="votes")
    counted = models.BooleanField(help_text="It settled the label there; else it was surplus.")
    said = models.JSONField(help_text="Per dimension: label, reason, score_a, score_b.")
    swap = models.BooleanField(null=True, help_text="Clip B stood on the left; null: not told.")
    given_at = models.CharField(max_length=40, blank=True, help_text="As the file says it.")
    active_ms = models.PositiveIntegerField(null=True)
    remark = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["triplet", "annotator"], name="foreign_vote_one_per_person"
            )
        ]

    def __str__(self) -> str:
        return f"foreign vote on triplet {self.triplet_id}"
