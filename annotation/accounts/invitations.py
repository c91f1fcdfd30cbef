"""Links that make accounts. The token is told once and kept as its hash; the only writer here.

Whoever holds the token may use it, so it is long, it ends, and it can be taken back. A token that
never was, has ended, is used up or was taken back gets the same answer.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.accounts.people import give_role, join_campaign
from annotation.errors import BadAccount, NotFound
from annotation.models import Campaign, Invitation, InvitedRole

MAX_DAYS: Final = 365
MAX_USES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Invited:
    """A new invitation and its token, which nobody can read again."""

    invitation: Invitation
    token: str


def invite(
    by: User,
    campaign: Campaign | None = None,
    *,
    role: str = InvitedRole.ANNOTATOR,
    max_uses: int = 1,
    days: int = 14,
    note: str = "",
) -> Invited:
    if role not in InvitedRole.values:
        raise BadAccount(_("People are invited as annotators or as leads."))
    if not 1 <= max_uses <= MAX_USES:
        raise BadAccount(_("An invitation serves from 1 to %(most)d people.") % {"most": MAX_USES})
    if not 1 <= days <= MAX_DAYS:
        raise BadAccount(_("An invitation lasts from 1 to %(most)d days.") % {"most": MAX_DAYS})
    token = secrets.token_urlsafe(32)
    row = Invitation.objects.create(
        campaign=campaign,
        role=role,
        token_sha256=digest(token),
        note=note[:200],
        max_uses=max_uses,
        expires_at=timezone.now() + timedelta(days=days),
        created_by=by,
    )
    return Invited(row, token)


def path_of(token: str) -> str:
    return reverse("annotation:join", args=[token])


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def read(token: str) -> Invitation:
    """The invitation behind a token that can be used now."""
    usable = Invitation.objects.filter(
        token_sha256=digest(token), revoked=False, expires_at__gt=Now(), uses__lt=F("max_uses")
    )
    found = usable.select_related("campaign").first()
    if found is None:
        raise NotFound(_("This invitation does not hold any more. Ask for a new one."))
    return found


@transaction.atomic
def make_account(token: str, username: str, password: str, email: str = "") -> User:
    """A new account with the role of the invitation, in its campaign."""
    invitation = read(token)
    user = User(
        username=User.normalize_username(username), email=User.objects.normalize_email(email)
    )
    _check(user, password)
    _use(invitation)
    user.set_password(password)
    user.save()
    _admit(user, invitation)
    return user


@transaction.atomic
def accept(token: str, user: User) -> Campaign | None:
    """Somebody who has an account takes part. A use is only counted if it changed something."""
    invitation = read(token)
    campaign = invitation.campaign
    member = campaign is None or campaign.members.filter(pk=user.pk).exists()
    if member and invitation.role in set(user.groups.values_list("name", flat=True)):
        return campaign
    _use(invitation)
    _admit(user, invitation)
    return campaign


def revoke(invitation_id: int) -> Invitation:
    """The link is dead from now on; accounts that it made stay."""
    if not Invitation.objects.filter(pk=invitation_id).update(revoked=True):
        raise NotFound(_("There is no such invitation."))
    return Invitation.objects.select_related("campaign", "created_by").get(pk=invitation_id)


def forget_texts(user: User) -> None:
    """What a person wrote in own words, of somebody who is forgotten (`erasing`)."""
    Invitation.objects.filter(created_by=user).exclude(note="").update(note="")


def _use(invitation: Invitation) -> None:
    """One conditional UPDATE: of two people with the last use, one gets it."""
    usable = Invitation.objects.filter(
        pk=invitation.pk, revoked=False, expires_at__gt=Now(), uses__lt=F("max_uses")
    )
    if usable.update(uses=F("uses") + 1) != 1:
        raise NotFound(_("This invitation does not hold any more. Ask for a new one."))


def _admit(user: User, invitation: Invitation) -> None:
    give_role(user, invitation.role)
    join_campaign(user, invitation.campaign)


def _check(user: User, password: str) -> None:
    """BadAccount with the fault of each field, in words for the person who types."""
    faults = {"username": _name_faults(user.username), "password": []}
    try:
        validate_password(password, user)
    except ValidationError as error:
        faults["password"] = list(error.messages)
    if user.email:
        try:
            User._meta.get_field("email").run_validators(user.email)
        except ValidationError as error:
            faults["email"] = list(error.messages)
    found = {field: texts for field, texts in faults.items() if texts}
    if found:
        raise BadAccount(next(iter(found.values()))[0], fields=found)


def _name_faults(username: str) -> list[str]:
    try:
        UnicodeUsernameValidator()(username)
    except ValidationError:
        return [_("A user name has letters, digits and @ . + - _ only.")]
    if len(username) > 150:
        return [_("A user name has at most 150 characters.")]
    if User.objects.filter(username__iexact=username).exists():
        return [_("This user name cannot be had; choose another one.")]
    return []
