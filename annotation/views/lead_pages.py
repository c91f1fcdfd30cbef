"""What the pages of leads share: who may, what a form asks for, and what became of it."""

from collections.abc import Callable, Mapping

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from annotation.errors import AnnotationError, Unreadable
from annotation.models import Campaign
from annotation.permissions import is_lead

Act = Callable[[HttpRequest, User, Campaign], str]


def lead_and_campaign(request: HttpRequest, campaign_id: int) -> tuple[User, Campaign]:
    if not isinstance(request.user, User) or not is_lead(request.user):
        raise PermissionDenied("This page of a campaign belongs to its leads.")
    rows = Campaign.objects.select_related("dimension_set")
    return request.user, get_object_or_404(rows, pk=campaign_id)


def act_on(request: HttpRequest, user: User, campaign: Campaign, acts: Mapping[str, Act]) -> None:
    """Do what a form asks for, and say what became of it on the next page."""
    act = acts.get(request.POST.get("act", ""))
    try:
        if act is None:
            raise Unreadable(_("The page sent something unknown; open it again."))
        messages.success(request, act(request, user, campaign))
    except AnnotationError as error:
        messages.error(request, error.message)


def whole(request: HttpRequest, name: str) -> int:
    return whole_of(request.POST.get(name, ""), name)


def whole_of(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Unreadable(_("“%(name)s” must be a whole number.") % {"name": name})
    return int(text)
