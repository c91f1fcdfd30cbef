"""The REST doors of people: own settings and consent; accounts, invitations and pay for leads."""

from datetime import date
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import languages
from annotation.accounts import bulk_accounts, consents, invitations, members, pay, people, profiles
from annotation.accounts.people import PasswordLink
from annotation.errors import NotFound, Unreadable
from annotation.models import Campaign, Invitation
from annotation.permissions import may_see_campaign
from annotation.views import shapes_people
from annotation.views.door import Door, body_of, person
from annotation.views.lead_door import lead, page_of, read_number, read_query

_PERIOD = [
    OpenApiParameter("from", OpenApiTypes.DATE, description="First day, included."),
    OpenApiParameter("to", OpenApiTypes.DATE, description="Last day, included."),
]
_WORD = {int: "a whole number", str: "text", bool: "true or false"}


def seen_campaign(request: Request, campaign_id: int) -> Campaign:
    """The campaign, or 404: nobody learns of a campaign that is not theirs to see."""
    campaign = Campaign.objects.filter(pk=campaign_id).first()
    if campaign is None or not may_see_campaign(person(request), campaign):
        raise NotFound("There is no such campaign.")
    return campaign


def field(body: dict[str, Any], name: str, default: Any) -> Any:
    """An entry of the type of its default; Unreadable otherwise."""
    value = body.get(name, default)
    kind = type(default)
    if type(value) is not kind:
        raise Unreadable(f"{name!r} must be {_WORD[kind]}, got {str(value)[:80]!r}.")
    return value


def _campaign_in(body: dict[str, Any]) -> Campaign | None:
    number = field(body, "campaign", 0) if body.get("campaign") is not None else 0
    campaign = Campaign.objects.filter(pk=number).first() if number else None
    if number and campaign is None:
        raise NotFound("There is no such campaign.")
    return campaign


class ProfileView(Door):
    @extend_schema(summary="My language and keys", responses={200: shapes_people.PROFILE})
    def get(self, request: Request) -> Response:
        return Response(_profile(profiles.settings_of(person(request))))

    @extend_schema(
        summary="Change my language or keys",
        request=shapes_people.PROFILE_BODY,
        responses={200: shapes_people.PROFILE},
    )
    def put(self, request: Request) -> Response:
        changed = profiles.change(person(request), body_of(request))
        if changed.language:
            # On the request of Django, because that is what the middleware sees.
            languages.choose(request._request, changed.language)
        return Response(_profile(changed))


def _profile(settings: profiles.Settings) -> dict[str, Any]:
    return {
        "language": settings.language,
        "keys": dict(settings.keys),
        "single_letters": settings.single_letters,
    }


class ConsentView(Door):
    @extend_schema(
        summary="What I agree to in this campaign", responses={200: shapes_people.CONSENT}
    )
    def get(self, request: Request, campaign_id: int) -> Response:
        asked = consents.asked(seen_campaign(request, campaign_id), person(request))
        return Response({"text": asked.text, "sha256": asked.sha256, "given": asked.given})

    @extend_schema(
        summary="Agree to the text that I read",
        request=shapes_people.CONSENT_BODY,
        responses={200: shapes_people.GIVEN},
    )
    def post(self, request: Request, campaign_id: int) -> Response:
        campaign = seen_campaign(request, campaign_id)
        consents.give(campaign, person(request), field(body_of(request, "sha256"), "sha256", ""))
        return Response({"given": True})


class InvitationsView(Door):
    @extend_schema(
        operation_id="invitations_list",
        summary="Invitations, page by page",
        responses={200: shapes_people.INVITATIONS},
    )
    def get(self, request: Request) -> Response:
        lead(request)
        rows = Invitation.objects.select_related("created_by")
        number = read_number(read_query(request, ["campaign"]), "campaign")
        return page_of(
            request, rows if number is None else rows.filter(campaign=number), _invitation
        )

    # Not repeatable: its stored answer would keep the token.
    @extend_schema(
        summary="Invite people: the link is told once",
        request=shapes_people.INVITATION_BODY,
        responses={201: shapes_people.INVITED},
    )
    def post(self, request: Request) -> Response:
        by = lead(request)
        body = body_of(request, "campaign", "role", "max_uses", "days", "note")
        made = invitations.invite(
            by,
            _campaign_in(body),
            role=field(body, "role", "annotator"),
            max_uses=field(body, "max_uses", 1),
            days=field(body, "days", 14),
            note=field(body, "note", ""),
        )
        link = request.build_absolute_uri(invitations.path_of(made.token))
        return Response({**_invitation(made.invitation), "link": link}, status=201)


class RevokeView(Door):
    @extend_schema(
        summary="Take an invitation back", request=None, responses={200: shapes_people.INVITATION}
    )
    def post(self, request: Request, invitation_id: int) -> Response:
        lead(request)
        return Response(_invitation(invitations.revoke(invitation_id)))


def _invitation(row: Invitation) -> dict[str, Any]:
    return {
        "id": row.pk,
        "campaign": row.campaign_id,
        "role": row.role,
        "note": row.note,
        "uses": row.uses,
        "max_uses": row.max_uses,
        "expires_at": row.expires_at.isoformat(),
        "revoked": row.revoked,
        "by": row.created_by.get_username(),
        "created_at": row.created_at.isoformat(),
    }


class AccountsView(Door):
    @extend_schema(
        operation_id="people_list",
        summary="Accounts, page by page",
        responses={200: shapes_people.ACCOUNTS},
    )
    def get(self, request: Request) -> Response:
        lead(request)
        search = read_query(request, ["search"]).get("search", "")
        return page_of(request, members.matching(search), _account)

    @extend_schema(
        summary="Make many accounts from a CSV, all or none",
        request=shapes_people.ACCOUNTS_BODY,
        responses={201: shapes_people.LINKS},
    )
    def post(self, request: Request) -> Response:
        lead(request)
        body = body_of(request, "csv", "campaign")
        links = bulk_accounts.make_accounts(field(body, "csv", ""), _campaign_in(body))
        return Response({"accounts": [_link(request, each) for each in links]}, status=201)


def _account(user: User) -> dict[str, Any]:
    return {
        "id": user.pk,
        "username": user.username,
        "name": user.first_name,
        "email": user.email,
        "active": user.is_active,
        "roles": sorted(group.name for group in user.groups.all()),
        "last_login": user.last_login.isoformat() if user.last_login else None,
    }


def _link(request: Request, link: PasswordLink) -> dict[str, Any]:
    return {
        "id": link.user.pk,
        "username": link.user.username,
        "password_link": request.build_absolute_uri(link.path),
    }


class PasswordLinkView(Door):
    @extend_schema(
        summary="A link to set a new password", request=None, responses={200: shapes_people.LINK}
    )
    def post(self, request: Request, user_id: int) -> Response:
        return Response(_link(request, people.password_link(lead(request), user_id)))


class ActiveView(Door):
    @extend_schema(
        summary="Deactivate an account, or activate it again",
        request=shapes_people.ACTIVE_BODY,
        responses={200: shapes_people.ACCOUNT},
    )
    def put(self, request: Request, user_id: int) -> Response:
        by, wanted = lead(request), body_of(request, "active").get("active")
        if not isinstance(wanted, bool):
            raise Unreadable("'active' must be true or false.")
        change = people.activate if wanted else people.deactivate
        return Response(_account(change(by, user_id)))


class MembersView(Door):
    @extend_schema(
        summary="Who takes part in a campaign, and how far", responses={200: shapes_people.MEMBERS}
    )
    def get(self, request: Request, campaign_id: int) -> Response:
        lead(request)
        campaign = seen_campaign(request, campaign_id)
        rows = [_member(each) for each in members.of_campaign(campaign)]
        return Response({"open_to_all": campaign.open_to_all, "members": rows})

    @extend_schema(
        summary="Add people by user name",
        request=shapes_people.MEMBERS_BODY,
        responses={200: shapes_people.ADDED},
    )
    def post(self, request: Request, campaign_id: int) -> Response:
        lead(request)
        names = body_of(request, "usernames").get("usernames")
        if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
            raise Unreadable("'usernames' must be a list of user names.")
        added = members.add(seen_campaign(request, campaign_id), names)
        return Response({"added": [user.username for user in added]})


class MemberView(Door):
    @extend_schema(summary="Take somebody out of a campaign", responses={204: None})
    def delete(self, request: Request, campaign_id: int, user_id: int) -> Response:
        lead(request)
        members.remove(seen_campaign(request, campaign_id), user_id)
        return Response(status=204)


def _member(row: members.Member) -> dict[str, Any]:
    return {
        **_account(row.user),
        "member": row.member,
        "stage": row.stage,
        "questions": row.questions,
        "consented": row.consented,
        "guideline": row.accepted,
        "active_ms_today": row.active_ms_today,
    }


class PayView(Door):
    @extend_schema(
        summary="Active time and pay by person and day",
        parameters=_PERIOD,
        responses={200: shapes_people.PAY},
    )
    def get(self, request: Request, campaign_id: int) -> Response:
        lead(request)
        days = pay.days_of(seen_campaign(request, campaign_id), period_of(request))
        return Response({"days": [_day(each) for each in days]})


class PayTableView(Door):
    @extend_schema(
        summary="The same as CSV", parameters=_PERIOD, responses={(200, "text/csv"): str}
    )
    def get(self, request: Request, campaign_id: int) -> HttpResponse:
        lead(request)
        campaign = seen_campaign(request, campaign_id)
        return table_of(campaign, pay.days_of(campaign, period_of(request)))


class HoursView(Door):
    @extend_schema(
        summary="My own hours and pay", parameters=_PERIOD, responses={200: shapes_people.PAY}
    )
    def get(self, request: Request) -> Response:
        days = pay.own_hours(person(request), period_of(request))
        return Response({"days": [_day(each) for each in days]})


def table_of(campaign: Campaign, days: list[pay.Day]) -> HttpResponse:
    answer = HttpResponse("".join(pay.to_csv(days)), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="pay-{campaign.pk}.csv"'
    return answer


def _day(day: pay.Day) -> dict[str, Any]:
    return {
        "campaign": day.campaign.pk,
        "day": day.day.isoformat(),
        "user": day.user.pk,
        "username": day.user.username,
        "reported_ms": day.reported_ms,
        "active_ms": day.active_ms,
        "questions": day.questions,
        "hourly_rate": str(day.campaign.hourly_rate),
        "amount": str(day.amount),
        "currency": day.campaign.currency,
    }


def period_of(request: Any) -> pay.Period:
    """`?from=` and `?to=` of a request of DRF or of Django."""
    since, until = (_date(request.GET.get(name, ""), name) for name in ("from", "to"))
    if since and until and since > until:
        raise Unreadable("The period ends before it begins.")
    return pay.Period(since, until)


def _date(text: str, name: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Unreadable(f"{name!r} must be a day such as 2026-01-31, got {text[:40]!r}.") from None
