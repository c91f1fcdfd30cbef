"""What the frame of the site shows to whom."""

from dataclasses import dataclass

from django import template
from django.conf import settings
from django.template.context import RequestContext
from django.urls import reverse
from django.utils.translation import gettext as _

from annotation.permissions import Person, is_annotator, is_lead, is_ml_engineer

register = template.Library()

register.filter("is_annotator", is_annotator)
register.filter("is_lead", is_lead)
register.filter("is_ml_engineer", is_ml_engineer)


@dataclass(frozen=True, slots=True)
class NavLink:
    title: str
    url: str
    current: bool


def _wanted(user: Person) -> list[tuple[str, str]]:
    """Titles and URL names for this user, in the order of the loop: vote, campaigns, runs."""
    looks_behind = is_lead(user) or is_ml_engineer(user)
    wanted = [(_("Vote"), "annotation:home")] if is_annotator(user) or not looks_behind else []
    if looks_behind:
        wanted += [
            (_("Campaigns"), "annotation:campaigns"),
            (_("Runs"), "pipelines:runs"),
            (_("Loop"), "pipelines:loop"),
        ]
    if getattr(user, "is_staff", False):
        wanted.append((_("Admin"), "admin:index"))
    return wanted


@register.simple_tag(takes_context=True)
def nav_links(context: RequestContext) -> list[NavLink]:
    """The links of the top bar; nobody who is logged out sees any."""
    request = context.get("request")
    user = getattr(request, "user", None)
    if request is None or user is None or not user.is_authenticated:
        return []
    links = []
    for title, name in _wanted(user):
        url = reverse(name)
        here = request.path == url if url == "/" else request.path.startswith(url)
        links.append(NavLink(title, url, here))
    return links


@dataclass(frozen=True, slots=True)
class DemoAccount:
    username: str
    password: str
    does: str


@register.simple_tag
def demo_accounts() -> list[DemoAccount]:
    """The accounts of the demo, named on the log-in page of the demo and nowhere else."""
    if not settings.TIEBREAK_DEMO:
        return []
    password = "tiebreak-demo"  # noqa: S105 - public, and only for the demo on loopback
    return [
        DemoAccount("annotator", password, _("votes on pairs")),
        DemoAccount("annotator2", password, _("votes beside the first")),
        DemoAccount("lead", password, _("watches progress and agreement")),
        DemoAccount("engineer", password, _("starts and compares runs")),
    ]
