"""Campaigns and their dimension sets: making them, opening and closing them."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from annotation.campaign_options import OPTIONS, checked
from annotation.errors import CampaignError
from annotation.models import Campaign, CampaignKind, CampaignState, Dimension, DimensionSet
from formats import dimensions as dimension_formats

# From which states a campaign may come into each state.
_BEFORE = {
    CampaignState.OPEN: (CampaignState.DRAFT, CampaignState.PAUSED, CampaignState.CLOSED),
    CampaignState.PAUSED: (CampaignState.OPEN,),
    CampaignState.CLOSED: (CampaignState.OPEN, CampaignState.PAUSED, CampaignState.DRAFT),
}


def ensure_built_in_sets() -> None:
    """Store the built-in dimension sets that are not there yet; never change one that is."""
    for built_in in dimension_formats.BUILT_IN.values():
        store_dimension_set(built_in)


@transaction.atomic
def store_dimension_set(wanted: dimension_formats.DimensionSet) -> DimensionSet:
    """The row of this set, made if missing; a set of that name with other keys is an error."""
    row, made = DimensionSet.objects.get_or_create(
        name=wanted.name, defaults={"title": wanted.title}
    )
    if not made:
        found = tuple(row.dimensions.values_list("key", flat=True))
        if found != wanted.keys:
            raise CampaignError(
                f"the dimension set {wanted.name!r} has the dimensions {', '.join(found)}; "
                f"expected {', '.join(wanted.keys)}"
            )
        return row
    Dimension.objects.bulk_create(
        Dimension(
            dimension_set=row,
            key=each.key,
            title=each.title,
            question=each.question,
            sees_prompt=each.sees_prompt,
            guideline=list(each.guideline),
            group=each.group,
            position=position,
        )
        for position, each in enumerate(wanted.dimensions)
    )
    return row


def create_campaign(
    name: str,
    dimension_set_name: str,
    *,
    votes_wanted: int = 3,
    state: CampaignState = CampaignState.DRAFT,
    created_by: User | None = None,
    made_by: str = "",
    **options: Any,
) -> Campaign:
    """Make a campaign; `options` are the further ones of `campaign_options.OPTIONS`.

    `made_by`: the run that makes it; a re-test is made by one alone (`retests`).
    """
    dimension_set = named_set(dimension_set_name)
    check_name(name)
    wanted = checked({"votes_wanted": votes_wanted, **options})
    if not made_by:
        check_kind(wanted.get("kind", ""))
    try:
        with transaction.atomic():
            return Campaign.objects.create(
                name=name,
                dimension_set=dimension_set,
                state=state,
                created_by=created_by,
                made_by=made_by,
                **wanted,
            )
    except IntegrityError:  # somebody was quicker
        check_name(name)
        raise


def update_campaign(campaign: Campaign, changes: Mapping[str, Any]) -> Campaign:
    """Change options of a campaign. What was asked, and how often, stays once there are triplets:
    more votes come by extending it."""
    with transaction.atomic():
        row = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
        check_asked(row, changes)
        named = {key: changes[key] for key in ("name", "dimension_set") if key in changes}
        rest = {key: value for key, value in changes.items() if key not in named}
        before = {key: getattr(row, key) for key in OPTIONS}
        wanted = checked({**before, **rest})
        if named.get("name", row.name) != row.name:
            check_name(named["name"])
            wanted["name"] = named["name"]
        if "dimension_set" in named:
            wanted["dimension_set"] = named_set(named["dimension_set"])
        Campaign.objects.filter(pk=row.pk).update(**wanted)
    campaign.refresh_from_db()
    return campaign


def delete_campaign(campaign: Campaign) -> None:
    """A campaign can go as long as nothing hangs on it."""
    if campaign.state != CampaignState.DRAFT or campaign.triplets.exists():
        raise CampaignError(
            f"the campaign {campaign.name!r} has triplets or was opened; close it instead"
        )
    campaign.delete()


def named_set(name: str) -> DimensionSet:
    dimension_set = DimensionSet.objects.filter(name=name).first()
    if dimension_set is None:
        known = ", ".join(DimensionSet.objects.values_list("name", flat=True))
        raise CampaignError(f"there is no dimension set {name!r}; there are {known}")
    return dimension_set


def check_name(name: str) -> None:
    """A name that a new campaign may have."""
    if not name.strip() or len(name) > 200 or any(ord(letter) < 32 for letter in name):
        raise CampaignError("a campaign needs a name of 1 to 200 characters in one line")
    if Campaign.objects.filter(name=name).exists():
        raise CampaignError(f"there is a campaign {name!r} already")


def check_kind(kind: str) -> None:
    """A type of campaign that a person may choose."""
    if kind == CampaignKind.RETEST:
        raise CampaignError(
            "a re-test is opened by a run, which knows the clips of base and candidate; "
            "start one from an adapter or an evaluation"
        )


def check_asked(campaign: Campaign, changes: Mapping[str, Any]) -> None:
    """What people were asked is not changed, and no campaign becomes a re-test or was one."""
    if (kind := changes.get("kind", campaign.kind)) != campaign.kind:
        check_kind(kind)
        check_kind(campaign.kind)
    if not campaign.triplets_total:
        return
    now = {**{key: getattr(campaign, key) for key in ("kind", "votes_wanted")},
           "dimension_set": campaign.dimension_set.name}  # fmt: skip
    for key, value in now.items():
        if changes.get(key, value) != value:
            how = "extend the campaign" if key == "votes_wanted" else "clone the campaign"
            raise CampaignError(
                f"{key} is part of what people were asked and stays {value!r}; {how} instead"
            )


def open_campaign(campaign: Campaign) -> None:
    """Let annotators in; a campaign without triplets would only send them away."""
    if not campaign.triplets.exists():
        raise CampaignError(
            f"the campaign {campaign.name!r} has no triplets yet; import some first"
        )
    _move(campaign, CampaignState.OPEN)


def pause_campaign(campaign: Campaign) -> None:
    """No new pairs are given out; votes on pairs already given still count."""
    _move(campaign, CampaignState.PAUSED)


def close_campaign(campaign: Campaign) -> None:
    _move(campaign, CampaignState.CLOSED)


def _move(campaign: Campaign, to: CampaignState) -> None:
    """One conditional UPDATE: of two people who press at once, one moves it."""
    moved = Campaign.objects.filter(pk=campaign.pk, state__in=_BEFORE[to]).update(state=to)
    campaign.refresh_from_db(fields=["state"])
    if not moved and campaign.state != to:
        raise CampaignError(
            f"the campaign {campaign.name!r} is {campaign.state} and cannot become {to.value}"
        )
