"""People beside their accounts: settings, invitations, consent."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from annotation.models.campaigns import Campaign
from annotation.models.common import USER, one_of


class Language(models.TextChoices):
    """The languages of the pages, each under its own name."""

    ENGLISH = "en", "English"
    CHINESE = "zh-hans", "简体中文"
    JAPANESE = "ja", "日本語"
    KOREAN = "ko", "한국어"


class Profile(models.Model):
    """What a person has chosen. No row: the defaults."""

    user = models.OneToOneField(USER, on_delete=models.CASCADE, related_name="profile")
    language = models.CharField(max_length=8, choices=Language, blank=True)
    keys = models.JSONField(
        default=dict, blank=True, help_text="Command to KeyboardEvent.code, where changed."
    )
    single_letters = models.BooleanField(
        default=True, help_text="Letters are commands (WCAG 2.1.4: one switch turns them off)."
    )
    reset_sent_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Last e-mail to set a new password."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(language="") | Q(language__in=Language.values),
                name="profile_language_is_known",
            )
        ]

    def __str__(self) -> str:
        return f"profile of {self.user_id}"


class InvitedRole(models.TextChoices):
    ANNOTATOR = "annotator"
    LEAD = "lead"


class Invitation(models.Model):
    """A link that makes an account. The token itself is shown once; its hash is kept."""

    campaign = models.ForeignKey(
        Campaign, null=True, blank=True, on_delete=models.CASCADE, related_name="invitations"
    )
    role = models.CharField(max_length=9, choices=InvitedRole, default=InvitedRole.ANNOTATOR)
    token_sha256 = models.CharField(max_length=64, unique=True)
    note = models.CharField(max_length=200, blank=True)
    max_uses = models.PositiveIntegerField(default=1)
    uses = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField()
    revoked = models.BooleanField(default=False)
    created_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            one_of("role", InvitedRole, "invitation"),
            models.CheckConstraint(
                condition=Q(uses__lte=F("max_uses")), name="invitation_used_as_often_as_allowed"
            ),
        ]

    def __str__(self) -> str:
        return f"invitation {self.pk}"


class Consent(models.Model):
    """A person agreed to the text of a campaign; another text asks anew."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="consents")
    annotator = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="+")
    text_sha256 = models.CharField(max_length=64)
    given_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "annotator", "text_sha256"], name="consent_once"
            )
        ]

    def __str__(self) -> str:
        return f"consent of {self.annotator_id} in campaign {self.campaign_id}"
