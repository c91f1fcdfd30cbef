"""Who may do what. Doors ask here; the functions behind them do not.

A superuser is an operator: sees what a lead and an ML engineer see, but votes only as a member of
the group `annotator`, because a vote is a person's opinion and not an administrative act.
"""

from typing import Final

from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db.models import Exists, Q

from annotation.models import Campaign, CampaignQuerySet, CampaignState

ANNOTATOR: Final = "annotator"
LEAD: Final = "lead"
ML_ENGINEER: Final = "ml_engineer"
ROLES: Final = (ANNOTATOR, LEAD, ML_ENGINEER)

Person = User | AnonymousUser


# What a role may do in the admin, beside reading all of annotation.
_CHANGES: Final = {
    LEAD: (
        "add_campaign",
        "change_campaign",
        "add_dimensionset",
        "change_dimensionset",
        "add_dimension",
        "change_dimension",
        "delete_dimension",
    ),
    ML_ENGINEER: (),
}


def ensure_groups() -> None:
    """Make the groups of the roles that are not there yet, with their rights in the admin."""
    for name in ROLES:
        Group.objects.get_or_create(name=name)
    of_ours = Permission.objects.filter(content_type__app_label="annotation")
    for name, changes in _CHANGES.items():
        rights = of_ours.filter(Q(codename__startswith="view_") | Q(codename__in=changes))
        Group.objects.get(name=name).permissions.add(*rights)


def roles_of(user: Person) -> frozenset[str]:
    """The names of the person's groups, read once per request."""
    if not user.is_authenticated or not user.is_active:
        return frozenset()
    known: frozenset[str] | None = getattr(user, "_roles", None)
    if known is None:
        known = frozenset(Group.objects.filter(user=user).values_list("name", flat=True))
        setattr(user, "_roles", known)  # noqa: B010  the class has no such attribute
    return known


def is_annotator(user: Person) -> bool:
    return ANNOTATOR in roles_of(user)


def is_lead(user: Person) -> bool:
    return _is_operator(user) or LEAD in roles_of(user)


def is_ml_engineer(user: Person) -> bool:
    return _is_operator(user) or ML_ENGINEER in roles_of(user)


def may_see_campaign(user: Person, campaign: Campaign) -> bool:
    """Leads and ML engineers see all; annotators what is open to them and not a draft."""
    if is_lead(user) or is_ml_engineer(user):
        return True
    if campaign.state == CampaignState.DRAFT or not is_annotator(user):
        return False
    return campaign.open_to_all or campaign.members.filter(pk=user.pk or 0).exists()


def votable_by(user: User) -> CampaignQuerySet:
    """The campaigns this person may vote in, asked in one query with the role."""
    role = Group.objects.filter(name=ANNOTATOR, user=user)
    return Campaign.objects.open_to(user).exclude(state=CampaignState.DRAFT).filter(Exists(role))


def _is_operator(user: Person) -> bool:
    return bool(user.is_active and user.is_superuser)


def is_staff_person(user: Person) -> bool:
    """Whoever can do more than annotate: their sessions are shorter, their log-ins stronger."""
    if user.is_staff or user.is_superuser:
        return True
    return bool(roles_of(user) & {LEAD, ML_ENGINEER})
