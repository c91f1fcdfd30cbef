"""People: who may manage whom, links to set a password, taking part and leaving.

A lead manages annotators. An account that can do more (lead, ML engineer, staff, operator) is
managed by an operator alone: a link to set the password of an account is that account.
"""

from dataclasses import dataclass

from django.contrib.auth.models import Group, User
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext as _

from annotation import assigning
from annotation.accounts import sessions
from annotation.errors import BadAccount, NotAllowed, NotFound
from annotation.models import Campaign, ProbeLease, ProbeLeaseState, Slot, SlotState
from annotation.permissions import ANNOTATOR, LEAD, is_lead


@dataclass(frozen=True, slots=True)
class PasswordLink:
    """Sets the password of one account, once. Dead after PASSWORD_RESET_TIMEOUT."""

    user: User
    path: str


def may_manage(by: User, user: User) -> bool:
    if by.pk == user.pk:
        return False
    if by.is_superuser and by.is_active:
        return True
    roles = set(user.groups.values_list("name", flat=True))
    return is_lead(by) and not (user.is_staff or user.is_superuser) and roles <= {ANNOTATOR}


def managed(by: User, user_id: int) -> User:
    """The account, if this person may manage it."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFound(_("There is no such account."))
    if not may_manage(by, user):
        raise NotAllowed(_("Only an operator changes this account."))
    return user


def password_link(by: User, user_id: int) -> PasswordLink:
    """For whoever cannot get one by e-mail. Using it ends it, and so does logging in."""
    user = managed(by, user_id)
    if not user.is_active:
        raise BadAccount(_("This account is not active; activate it first."))
    return link_for(user)


def link_for(user: User) -> PasswordLink:
    arguments = {
        "uidb64": urlsafe_base64_encode(force_bytes(user.pk)),
        "token": default_token_generator.make_token(user),
    }
    return PasswordLink(user, reverse("password_reset_confirm", kwargs=arguments))


@transaction.atomic
def deactivate(by: User, user_id: int) -> User:
    """No log-in and no session of theirs goes on; the pairs that they hold go back at once."""
    user = managed(by, user_id)
    User.objects.filter(pk=user.pk).update(is_active=False)
    sessions.end_all(user)
    give_back(user)
    user.refresh_from_db()
    return user


def give_back(user: User) -> None:
    """The pairs and probes that somebody holds go back to the others at once."""
    held = Slot.objects.filter(holder=user, state=SlotState.LEASED).values_list("lease_token")
    for (token,) in list(held):
        if token is not None:
            assigning.release(token, user)
    probes = ProbeLease.objects.filter(annotator=user, state=ProbeLeaseState.OPEN)
    for token in list(probes.values_list("token", flat=True)):
        assigning.release(token, user)


def activate(by: User, user_id: int) -> User:
    user = managed(by, user_id)
    User.objects.filter(pk=user.pk).update(is_active=True)
    user.refresh_from_db()
    return user


def give_role(user: User, role: str) -> None:
    """Leads also open the admin, where campaigns are made."""
    user.groups.add(Group.objects.get(name=role))
    if role == LEAD:
        User.objects.filter(pk=user.pk).update(is_staff=True)


def join_campaign(user: User, campaign: Campaign | None) -> None:
    if campaign is not None:
        campaign.members.add(user)
