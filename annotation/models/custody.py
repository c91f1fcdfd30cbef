"""Who did what that could harm, and whose data was erased: `audit` and `erasing` alone write."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation.models.common import USER


class AuditEntry(models.Model):
    """One act. Append-only: triggers of the database refuse every change but the erasure of where
    it came from and of its details, and every removal."""

    at = models.DateTimeField(default=timezone.now, editable=False, db_index=True)
    # No person: the machine itself, or an operator at its command line.
    person = models.ForeignKey(
        USER, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    via = models.CharField(max_length=24, help_text="session, token tb_…, or command.")
    address = models.CharField(max_length=64, blank=True, help_text="Of the client.")
    act = models.CharField(max_length=64, db_index=True)
    target = models.CharField(max_length=120, blank=True, db_index=True)
    details = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name_plural = "audit log"
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.act} {self.target}".strip()


class Erasure(models.Model):
    """A person's wish to be forgotten, and when it was done. The account stays, without a name."""

    person = models.OneToOneField(USER, on_delete=models.PROTECT, related_name="erasure")
    asked_at = models.DateTimeField(default=timezone.now, editable=False)
    done_at = models.DateTimeField(null=True, blank=True)
    done_by = models.ForeignKey(
        USER, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(done_by__isnull=True) | Q(done_at__isnull=False),
                name="erasure_by_somebody_is_done",
            )
        ]

    def __str__(self) -> str:
        return f"erasure of {self.person_id}"
