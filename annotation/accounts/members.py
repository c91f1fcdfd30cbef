"""Who is here, and who takes part in a campaign."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from annotation.accounts.consents import digest
from annotation.errors import BadAccount, NotFound
from annotation.models import Campaign, Cursor

PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class People:
    """A page of accounts by name; `next_after` names the last, where there are more."""

    users: Sequence[User]
    next_after: str


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who is in a campaign, or works in it because it is open to all."""

    user: User
    member: bool
    stage: str  # empty before the first question
    questions: int
    consented: bool
    accepted: int  # version of the guideline
    active_ms_today: int


def matching(search: str) -> QuerySet[User]:
    """Accounts with this in their name or address; all, for no text."""
    users = User.objects.prefetch_related("groups")
    if not search:
        return users
    return users.filter(
        Q(username__icontains=search) | Q(first_name__icontains=search) | Q(email__icontains=search)
    )


def everybody(*, search: str = "", after: str = "") -> People:
    """A page of the list for the eye."""
    found = list(matching(search).order_by("username").filter(username__gt=after)[: PAGE + 1])
    more = len(found) > PAGE
    return People(found[:PAGE], found[PAGE - 1].username if more else "")


def of_campaign(campaign: Campaign) -> list[Member]:
    cursors = {each.annotator_id: each for each in Cursor.objects.filter(campaign=campaign)}
    members = set(campaign.members.values_list("pk", flat=True))
    users = User.objects.filter(pk__in=members | set(cursors)).prefetch_related("groups")
    wanted = digest(campaign.consent)
    return [
        _member(user, cursors.get(user.pk), wanted, member=user.pk in members)
        for user in users.order_by("username")
    ]


def _member(user: User, cursor: Cursor | None, wanted: str, *, member: bool) -> Member:
    if cursor is None:
        return Member(user, member, "", 0, not wanted, 0, 0)
    return Member(
        user=user,
        member=member,
        stage=cursor.stage,
        questions=cursor.questions,
        consented=not wanted or cursor.consented == wanted,
        accepted=cursor.accepted,
        active_ms_today=cursor.active_ms_today,
    )


def add(campaign: Campaign, usernames: Sequence[str]) -> list[User]:
    """All of them, or nobody and the names that are not known."""
    users = list(User.objects.filter(username__in=usernames).order_by("username"))
    unknown = sorted(set(usernames) - {user.username for user in users})
    if unknown:
        raise BadAccount(f"There is no account {unknown[0]!r}; nobody was added.", unknown=unknown)
    campaign.members.add(*users)
    return users


def remove(campaign: Campaign, user_id: int) -> None:
    """Their votes stay. Where the campaign is open to all, they may still vote."""
    user = campaign.members.filter(pk=user_id).first()
    if user is None:
        raise NotFound("This person is not a member of the campaign.")
    campaign.members.remove(user)
