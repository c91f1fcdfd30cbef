"""New triplets: pairs to vote on, each with its slots. Files come in through `imports`."""

import random
from collections.abc import Iterable, Sequence
from typing import Final

from django.db import transaction
from django.db.models import F

from annotation.errors import CampaignError
from annotation.models import Campaign, CampaignKind, Prompt, Slot, Triplet, TripletState, Video

Pair = tuple[Prompt, Video, Video | None]  # no second clip in a campaign of single clips
SHUFFLE: Final = 2**40
_BATCH: Final = 1000


def create_triplets(
    campaign: Campaign,
    pairs: Iterable[Pair],
    *,
    priority: int = 0,
    chance: random.Random | None = None,
) -> list[Triplet]:
    """Add pairs to vote on, with one slot per wanted vote; one triplet per pair, in order.

    A pair that the campaign has already, also as B/A, gives the triplet that is there, so that
    doing it twice adds nothing. Raises CampaignError if two clips are one or belong to another
    prompt.
    """
    pairs = list(pairs)
    for pair in pairs:
        _check_pair(campaign, pair)
    with transaction.atomic():
        # Serialises imports into one campaign, so that `known` stays true until the end.
        Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
        known = {_pair_key(each): each for each in campaign.triplets.all()}
        wanted = [
            Triplet(
                campaign=campaign,
                prompt=prompt,
                video_a=video_a,
                video_b=video_b,
                need=campaign.votes_wanted,
                priority=priority,
            )
            for prompt, video_a, video_b in pairs
        ]
        new = {_pair_key(each): each for each in reversed(wanted)}
        fresh = [new[key] for key in dict.fromkeys(map(_pair_key, wanted)) if key not in known]
        store_triplets(campaign, fresh, chance or random.SystemRandom())
        _store_slots(campaign, fresh)
    together = {**new, **known}
    return [together[key] for key in dict.fromkeys(map(_pair_key, wanted))]


def _check_pair(campaign: Campaign, pair: Pair) -> None:
    prompt, video_a, video_b = pair
    single = campaign.kind == CampaignKind.SINGLE
    if single != (video_b is None):
        expected = "one clip per question" if single else "two clips per question"
        raise CampaignError(f"the campaign {campaign.name!r} asks about {expected}")
    if video_b is not None and video_a.pk == video_b.pk:
        raise CampaignError(f"a pair needs two clips, but both are {video_a.pk}")
    for video in (video_a, video_b or video_a):
        if video.prompt_id != prompt.pk:
            raise CampaignError(f"the clip {video.pk} was not made for the prompt {prompt!s:.60}")


def _pair_key(triplet: Triplet) -> tuple[int, frozenset[object]]:
    return triplet.prompt_id, frozenset((triplet.video_a_id, triplet.video_b_id))


def store_triplets(campaign: Campaign, triplets: Sequence[Triplet], chance: random.Random) -> None:
    """Write triplets that are known to be new, and count them; those to vote on need slots too."""
    for triplet in triplets:
        triplet.shuffle = chance.randrange(SHUFFLE)
    Triplet.objects.bulk_create(triplets, batch_size=_BATCH)
    done = sum(triplet.state == TripletState.COMPLETE for triplet in triplets)
    Campaign.objects.filter(pk=campaign.pk).update(
        triplets_total=F("triplets_total") + len(triplets), triplets_done=F("triplets_done") + done
    )
    campaign.refresh_from_db(fields=["triplets_total", "triplets_done"])


def position_of(priority: int, shuffle: int) -> int:
    """The place in the queue: priority goes first, the shuffle decides within it."""
    return -priority * 2 * SHUFFLE + shuffle


def _store_slots(campaign: Campaign, triplets: Sequence[Triplet]) -> None:
    Slot.objects.bulk_create(
        (
            Slot(
                triplet=triplet,
                campaign=campaign,
                position=position_of(triplet.priority, triplet.shuffle),
                n=n,
            )
            for triplet in triplets
            for n in range(1, triplet.need + 1)
        ),
        batch_size=_BATCH,
    )
