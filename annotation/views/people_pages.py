"""The pages on which leads look after people: accounts, invitations, pay, the guideline."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from annotation.accounts import bulk_accounts, invitations, members, pay
from annotation.accounts import people as accounts
from annotation.errors import AnnotationError, Unreadable
from annotation.guidance import examples as guideline_examples
from annotation.guidance import forms as guideline_forms
from annotation.guidance import guidelines
from annotation.guidance.bodies import in_language, note_in
from annotation.languages import is_known
from annotation.media.media_urls import poster_url, signed_url
from annotation.models import Campaign, Invitation, Language
from annotation.permissions import is_lead, may_see_campaign
from annotation.views.people_api import period_of, table_of


def _lead(request: HttpRequest) -> User:
    if not isinstance(request.user, User) or not is_lead(request.user):
        raise PermissionDenied("People and pay belong to leads.")
    return request.user


def _campaign(request: HttpRequest, campaign_id: int | None) -> Campaign | None:
    if campaign_id is None:
        return None
    found = Campaign.objects.select_related("dimension_set").filter(pk=campaign_id).first()
    if found is None or not may_see_campaign(request.user, found):
        raise Http404
    return found


# ---- accounts and invitations ----


@never_cache
@require_http_methods(["GET", "POST"])
def people(request: HttpRequest, campaign_id: int | None = None) -> HttpResponse:
    """Everybody, or who takes part in one campaign. A new link is shown once, on the answer."""
    by, campaign = _lead(request), _campaign(request, campaign_id)
    context: dict[str, Any] = {}
    status = 200
    if request.method == "POST":
        try:
            context = _act(request, by, campaign)
        except AnnotationError as error:
            context, status = {"fault": error.message, "details": error.details}, error.status
    context |= {
        "campaign": campaign,
        "invitations": _invitations(campaign),
        "members": members.of_campaign(campaign) if campaign else None,
        "everybody": _everybody(request) if campaign is None else None,
        "search": request.GET.get("search", ""),
        "typed": request.POST if status != 200 else {},
    }
    return render(request, "annotation/people.html", context, status=status)


def _everybody(request: HttpRequest) -> members.People:
    return members.everybody(
        search=request.GET.get("search", ""), after=request.GET.get("after", "")
    )


def _invitations(campaign: Campaign | None) -> list[Invitation]:
    rows = Invitation.objects.select_related("campaign", "created_by").order_by("-pk")
    return list((rows.filter(campaign=campaign) if campaign else rows)[:100])


def _act(request: HttpRequest, by: User, campaign: Campaign | None) -> dict[str, Any]:
    act = _ACTS.get(request.POST.get("act", ""))
    if act is None:
        raise Unreadable(_("The page sent something unknown; open it again."))
    return act(request, by, campaign)


def _invite(request: HttpRequest, by: User, campaign: Campaign | None) -> dict[str, Any]:
    made = invitations.invite(
        by,
        campaign,
        role=request.POST.get("role", "annotator"),
        max_uses=_whole(request, "max_uses"),
        days=_whole(request, "days"),
        note=request.POST.get("note", ""),
    )
    return {"invited": request.build_absolute_uri(invitations.path_of(made.token))}


def _revoke(request: HttpRequest, _by: User, _campaign: Campaign | None) -> dict[str, Any]:
    invitations.revoke(_whole(request, "invitation"))
    return {"done": _("The invitation is taken back.")}


def _bulk(request: HttpRequest, _by: User, campaign: Campaign | None) -> dict[str, Any]:
    upload = request.FILES.get("file")
    text = request.POST.get("csv", "")
    if upload is not None:
        try:
            text = upload.read().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Unreadable(_("The file is not UTF-8 text; save it as UTF-8.")) from None
    links = bulk_accounts.make_accounts(text, campaign)
    return {"links": _absolute(request, links)}


def _link(request: HttpRequest, by: User, _campaign: Campaign | None) -> dict[str, Any]:
    link = accounts.password_link(by, _whole(request, "user"))
    return {"links": _absolute(request, [link])}


def _absolute(request: HttpRequest, links: list[accounts.PasswordLink]) -> list[tuple[str, str]]:
    return [(link.user.username, request.build_absolute_uri(link.path)) for link in links]


def _deactivate(request: HttpRequest, by: User, _campaign: Campaign | None) -> dict[str, Any]:
    user = accounts.deactivate(by, _whole(request, "user"))
    return {"done": _("%(name)s cannot log in any more.") % {"name": user.username}}


def _activate(request: HttpRequest, by: User, _campaign: Campaign | None) -> dict[str, Any]:
    user = accounts.activate(by, _whole(request, "user"))
    return {"done": _("%(name)s can log in again.") % {"name": user.username}}


def _add(request: HttpRequest, _by: User, campaign: Campaign | None) -> dict[str, Any]:
    if campaign is None:
        raise Unreadable(_("The page sent something unknown; open it again."))
    added = members.add(campaign, request.POST.get("usernames", "").replace(",", " ").split())
    names = ", ".join(user.username for user in added)
    return {"done": _("Added: %(names)s") % {"names": names or "–"}}


def _remove(request: HttpRequest, _by: User, campaign: Campaign | None) -> dict[str, Any]:
    if campaign is None:
        raise Unreadable(_("The page sent something unknown; open it again."))
    members.remove(campaign, _whole(request, "user"))
    return {"done": _("Taken out of the campaign; the votes stay.")}


_ACTS: dict[str, Callable[[HttpRequest, User, Campaign | None], dict[str, Any]]] = {
    "invite": _invite,
    "revoke": _revoke,
    "bulk": _bulk,
    "link": _link,
    "deactivate": _deactivate,
    "activate": _activate,
    "add": _add,
    "remove": _remove,
}


def _whole(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Unreadable(_("“%(name)s” must be a whole number.") % {"name": name})
    return int(text)


# ---- pay ----


@require_GET
def pay_page(request: HttpRequest, campaign_id: int) -> HttpResponse:
    _lead(request)
    campaign = _campaign(request, campaign_id)
    assert campaign is not None
    fault, period = "", pay.Period()
    try:
        period = period_of(request)
    except AnnotationError as error:
        fault = error.message
    days = [] if fault else pay.days_of(campaign, period)
    context = {
        "campaign": campaign,
        "days": days,
        "totals": pay.totals(days),
        "sum": sum(day.amount for day in days),
        "period": period,
        "fault": fault,
        "query": request.GET.urlencode(),
    }
    return render(request, "annotation/pay.html", context, status=400 if fault else 200)


@require_GET
def pay_table(request: HttpRequest, campaign_id: int) -> HttpResponse:
    _lead(request)
    campaign = _campaign(request, campaign_id)
    assert campaign is not None
    try:
        return table_of(campaign, pay.days_of(campaign, period_of(request)))
    except AnnotationError as error:
        return HttpResponse(error.message, status=error.status, content_type="text/plain")


# ---- the guideline ----


@require_http_methods(["GET", "POST"])
def guideline(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Annotators read the newest version; leads write the next one."""
    campaign = _campaign(request, campaign_id)
    assert campaign is not None
    assert isinstance(request.user, User)
    if not is_lead(request.user):
        if request.method == "POST":
            raise PermissionDenied("Guidelines are written by leads.")
        return _read(request, campaign)
    return _write(request, campaign, request.user)


def _read(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    standing = guidelines.newest(campaign)
    language = str(getattr(request, "LANGUAGE_CODE", Language.ENGLISH.value))
    context = {
        "campaign": campaign,
        "standing": standing,
        **_shown(request, standing.body, language),
    }
    return render(request, "annotation/guideline.html", context)


def _shown(request: HttpRequest, body: dict[str, Any], language: str) -> dict[str, Any]:
    assert isinstance(request.user, User)
    examples = {
        key: [
            {
                **each,
                "url": signed_url(each["video"], request.user),
                "said": note_in(each["note"], language),
            }
            for each in rows
        ]
        for key, rows in body.get("examples", {}).items()
    }
    said = in_language(body, language)
    dimensions = [
        {"key": key, "examples": examples.get(key, []), **texts}
        for key, texts in said["dimensions"].items()
    ]
    return {"said": said, "dimensions": dimensions, "language": language}


def _write(request: HttpRequest, campaign: Campaign, user: User) -> HttpResponse:
    language = request.GET.get("language", "")
    language = language if is_known(language) else Language.ENGLISH.value
    dimensions = list(campaign.dimension_set.dimensions.all())
    draft = guidelines.draft_of(campaign)
    body, fault, status = draft.body, "", 200
    if request.method == "POST":
        body = guideline_forms.merged(draft.body, dimensions, language, request.POST.dict())
        try:
            return _keep(request, campaign, user, body)
        except AnnotationError as error:
            fault, status = error.message, error.status
    context = {
        "campaign": campaign,
        "draft": draft,
        "revision": request.POST.get("revision", draft.revision),
        "standing": guidelines.newest(campaign),
        "languages": Language.choices,
        "rows": guideline_forms.rows_of(body, dimensions, language),
        "instructions": body.get("instructions", {}).get(language, ""),
        "english": body.get("instructions", {}).get(Language.ENGLISH.value, ""),
        "fault": fault,
        "clips": _example_clips(campaign, user),
        **_shown(request, draft.body, language),
    }
    return render(request, "annotation/guideline_edit.html", context, status=status)


def _example_clips(campaign: Campaign, user: User) -> list[dict[str, Any]]:
    return [
        {
            "clip": each,
            "url": signed_url(each.video.pk, user),
            "poster": poster_url(each.video.pk, user),
        }
        for each in guideline_examples.clear_clips(campaign)
    ]


def _keep(
    request: HttpRequest, campaign: Campaign, user: User, body: dict[str, Any]
) -> HttpResponse:
    """Save the draft; and publish it, if that button was pressed."""
    saved = guidelines.save_draft(campaign, body, _whole(request, "revision"), user)
    act = request.POST.get("act", "")
    if act in {"publish-major", "publish-minor"}:
        major = act == "publish-major"
        row = guidelines.publish(campaign, saved.body, major=major, user=user, draft=saved.revision)
        said = _("Version %(version)d is published.") % {"version": row.version}
        messages.success(request, said)
    else:
        messages.success(request, _("The draft is saved; annotators do not see it yet."))
    return redirect(request.get_full_path())
