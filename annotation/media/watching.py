"""Who may see which clip and which reference image.

A signed address says that a person was given it; this says that they may still see what it shows.
"""

import uuid

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from annotation.models import Campaign, Guideline, Probe, ReferenceImage, Triplet, Video
from annotation.permissions import is_lead, is_ml_engineer, votable_by


def clip_for(user: User, video_id: uuid.UUID) -> Video | None:
    """The clip, if this person may watch it. One that was withdrawn is shown to leads alone."""
    if is_lead(user):
        return Video.objects.filter(pk=video_id).first()
    video = Video.objects.filter(pk=video_id, withdrawn=False).first()
    if video is None or is_ml_engineer(user):
        return video
    return video if _is_asked_about(votable_by(user), video) else None


def image_for(user: User, image_id: uuid.UUID) -> ReferenceImage | None:
    image = ReferenceImage.objects.filter(pk=image_id).first()
    if image is None or is_lead(user) or is_ml_engineer(user):
        return image
    campaigns = votable_by(user)
    asked = any(
        rows.filter(prompt__image=image).exists()
        for rows in (_triplets(campaigns), _probes(campaigns))
    )
    return image if asked else None


def _is_asked_about(campaigns: QuerySet[Campaign], video: Video) -> bool:
    shows = Q(video_a=video) | Q(video_b=video)
    return (
        _triplets(campaigns).filter(shows).exists()
        or _probes(campaigns).filter(shows).exists()
        or _is_example(campaigns, video)
    )


def _triplets(campaigns: QuerySet[Campaign]) -> QuerySet[Triplet]:
    return Triplet.objects.filter(campaign__in=campaigns.values("pk"))


def _probes(campaigns: QuerySet[Campaign]) -> QuerySet[Probe]:
    return Probe.objects.filter(campaign__in=campaigns.values("pk"))


def _is_example(campaigns: QuerySet[Campaign], video: Video) -> bool:
    """Whether a guideline shows it. There are few guidelines, and this is asked last."""
    bodies = Guideline.objects.filter(campaign__in=campaigns.values("pk"))
    return any(
        str(each.get("video")) == str(video.pk)
        for body in bodies.values_list("body", flat=True)
        for examples in body.get("examples", {}).values()
        for each in examples
    )
