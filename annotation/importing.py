"""New triplets: pairs to vote on, each with its slots. Files come in through `imports`."""

import random
import uuid
from collections.abc import Iterable, Sequence
from typing import Final

from django.db import connection, transaction
from django.db.models import F

from annotation.copying import copy_in
from annotation.errors import CampaignError
from annotation.held_clips import hold_clips
from annotation.models import Campaign, CampaignKind, Prompt, Triplet, TripletState, Video

Pair = tuple[Prompt, Video, Video | None]  # no second clip in a campaign of single clips
PairKey = tuple[int, frozenset[uuid.UUID | None]]
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
    by_key = {_pair_key(*pair): pair for pair in reversed(pairs)}
    wanted = list(dict.fromkeys(_pair_key(*pair) for pair in pairs))
    with transaction.atomic():
        _refuse_withdrawn(pairs)
        # Serialises imports into one campaign, so that `known` stays true until the end.
        locked = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
        campaign.votes_wanted = locked.votes_wanted  # may have risen since the caller read it
        known = _known_pairs(campaign)
        fresh = {
            key: _triplet(campaign, by_key[key], priority) for key in wanted if key not in known
        }
        store_triplets(campaign, list(fresh.values()), chance or random.SystemRandom())
        _store_slots(campaign, after=max(known.values(), default=0))
    there = campaign.triplets.in_bulk([known[key] for key in wanted if key in known])
    return [fresh[key] if key in fresh else there[known[key]] for key in wanted]


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


def _refuse_withdrawn(pairs: Sequence[Pair]) -> None:
    """As the clips are now, not as they were read: one may have been flagged since."""
    clips = [clip.pk for _prompt, *both in pairs for clip in both if clip]
    if withdrawn := hold_clips(clips):
        raise CampaignError(f"the clip {min(withdrawn)} is withdrawn; nobody is asked about it")


def _pair_key(prompt: Prompt, video_a: Video, video_b: Video | None) -> PairKey:
    return prompt.pk, frozenset((video_a.pk, video_b.pk if video_b else None))


def _known_pairs(campaign: Campaign) -> dict[PairKey, int]:
    """The triplets that the campaign has, without making an object of each."""
    rows = campaign.triplets.values_list("pk", "prompt_id", "video_a_id", "video_b_id")
    return {(prompt, frozenset((a, b))): pk for pk, prompt, a, b in rows.iterator()}


def _triplet(campaign: Campaign, pair: Pair, priority: int) -> Triplet:
    prompt, video_a, video_b = pair
    return Triplet(
        campaign=campaign,
        prompt=prompt,
        video_a=video_a,
        video_b=video_b,
        need=campaign.votes_wanted,
        priority=priority,
    )


def store_triplets(campaign: Campaign, triplets: Sequence[Triplet], chance: random.Random) -> None:
    """Write triplets that are known to be new, and count them; those to vote on need slots too."""
    _refuse_more(campaign, triplets)
    for triplet in triplets:
        triplet.shuffle = chance.randrange(SHUFFLE)
    if connection.vendor == "postgresql":
        copy_in(triplets)
    else:
        Triplet.objects.bulk_create(triplets, batch_size=_BATCH)
    done = sum(triplet.state == TripletState.COMPLETE for triplet in triplets)
    Campaign.objects.filter(pk=campaign.pk).update(
        triplets_total=F("triplets_total") + len(triplets), triplets_done=F("triplets_done") + done
    )
    campaign.refresh_from_db(fields=["triplets_total", "triplets_done"])


def _refuse_more(campaign: Campaign, triplets: Sequence[Triplet]) -> None:
    """A re-test knows the pairs that it was opened with; others would count for neither side."""
    if triplets and campaign.kind == CampaignKind.RETEST and campaign.triplets.exists():
        raise CampaignError(
            f"the pairs of the re-test {campaign.name!r} are fixed; start another re-test for more"
        )


def position_of(priority: int, shuffle: int) -> int:
    """The place in the queue: priority goes first, the shuffle decides within it."""
    return -priority * 2 * SHUFFLE + shuffle


# One slot per wanted vote, made where the triplets are: half a million rows need not travel.
_SLOTS: Final = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s)
INSERT INTO annotation_slot (triplet_id, campaign_id, position, n, state, epoch)
SELECT t.id, t.campaign_id, -t.priority * 2 * %s + t.shuffle, numbers.n, 'open', 0
FROM annotation_triplet t JOIN numbers ON numbers.n <= t.need
WHERE t.campaign_id = %s AND t.id > %s"""


def _store_slots(campaign: Campaign, *, after: int) -> None:
    """The slots of the triplets that have come after this one; the campaign is locked."""
    with connection.cursor() as cursor:
        cursor.execute(_SLOTS, [campaign.votes_wanted, SHUFFLE, campaign.pk, after])
