"""Campaigns and their dimension sets: making them, opening and closing them."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from annotation.errors import CampaignError
from annotation.models import Campaign, CampaignState, Dimension, DimensionSet
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
    **options: Any,
) -> Campaign:
    """Make a campaign; `options` are further fields, such as `instructions` or `watch_gate`."""
    dimension_set = DimensionSet.objects.filter(name=dimension_set_name).first()
    if dimension_set is None:
        known = ", ".join(DimensionSet.objects.values_list("name", flat=True))
        raise CampaignError(f"there is no dimension set {dimension_set_name!r}; there are {known}")
    if votes_wanted < 1:
        raise CampaignError(f"a triplet needs at least one vote, got {votes_wanted}")
    if Campaign.objects.filter(name=name).exists():
        raise CampaignError(f"there is a campaign {name!r} already")
    return Campaign.objects.create(
        name=name,
        dimension_set=dimension_set,
        votes_wanted=votes_wanted,
        state=state,
        created_by=created_by,
        **options,
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
