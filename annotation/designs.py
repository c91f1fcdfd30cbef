"""Which pairs a campaign asks about next: planned from its clips and votes, then written.

The strategies are pure and stand in `strategies`; what a vote is expected to tell, in `gaining`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from django.db import transaction
from django.db.models import Q, QuerySet

from annotation.errors import CampaignError
from annotation.extending import set_priorities
from annotation.importing import Pair, create_triplets
from annotation.models import Campaign, CampaignKind, TripletState, Video
from annotation.opinions import TIE, Reading
from annotation.ranking import fit_btt
from annotation.statistics.committee import Committee, most_telling
from annotation.statistics.doubting import ClipBeliefs, most_doubtful
from annotation.statistics.gaining import Belief, belief_of
from annotation.statistics.strategies import (
    Asked,
    Candidate,
    Pick,
    Plan,
    Strategy,
    plan_of,
    propose,
)

REFRESHED: Final = 100  # priorities up to here are ours to change; higher ones, a person's wish
_ROUNDS: Final = 100  # of the bootstrap: an interval, not a publication


@dataclass(frozen=True, slots=True)
class Wish:
    """What a lead asks for. Without prompts, generators or category: everything in the pool."""

    strategy: Strategy
    budget: int | None = None
    seed: int = 0
    prompts: tuple[int, ...] = ()
    generators: tuple[str, ...] = ()
    category: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Pairs that are not asked about yet, in the order in which they were drawn."""

    wish: Wish
    picks: tuple[Pick, ...]
    plan: Plan


def propose_pairs(campaign: Campaign, wish: Wish) -> Proposal:
    """What would be asked, and how much of it; nothing is written.

    Equal wishes give equal pairs as long as the clips, pairs and votes of the campaign are equal.
    """
    candidates = _candidates(campaign, wish)
    if not candidates:
        raise CampaignError(
            f"the campaign {campaign.name!r} has no clips that fit; import clips for its pool first"
        )
    picks = propose(
        candidates,
        wish.strategy,
        budget=wish.budget,
        seed=wish.seed,
        asked=_asked(campaign),
        beliefs=beliefs_of(campaign) if wish.strategy is Strategy.ACTIVE else (),
        single=campaign.kind == CampaignKind.SINGLE,
    )
    return Proposal(wish, tuple(picks), plan_of(picks, campaign.votes_wanted))


def propose_doubtful(campaign: Campaign, wish: Wish, beliefs: ClipBeliefs | Committee) -> Proposal:
    """Pairs that a reward model knows least about, or a committee of them; nothing is written.

    The clips are those of which the model thinks something, whether or not they are in the pool;
    generators, category and prompts of the wish choose among them.
    """
    if campaign.kind == CampaignKind.SINGLE:
        raise CampaignError(f"the campaign {campaign.name!r} scores clips alone; it has no pairs")
    if wish.budget is None:
        raise CampaignError("pairs of doubt are drawn until a budget; name one")
    candidates = _among(beliefs.place, wish)
    if not candidates:
        raise CampaignError("none of the scored clips fits; ask for more generators or prompts")
    limits: dict[str, Any] = {
        "budget": wish.budget, "votes": campaign.votes_wanted, "seed": wish.seed,
        "asked": _asked(campaign),
    }  # fmt: skip
    if isinstance(beliefs, Committee):
        picks = most_telling(candidates, beliefs, **limits)
    else:
        picks = most_doubtful(candidates, beliefs, **limits)
    return Proposal(wish, tuple(picks), plan_of(picks, campaign.votes_wanted))


def _among(clips: Iterable[str], wish: Wish) -> list[Candidate]:
    return [
        Candidate(video.prompt_id, video.generator.name if video.generator else "", str(video.pk))
        for video in _in_batches(clips)
        if not video.withdrawn
        and (not wish.prompts or video.prompt_id in wish.prompts)
        and (not wish.generators or (video.generator and video.generator.name in wish.generators))
        and (not wish.category or video.prompt.category == wish.category)
    ]


@transaction.atomic
def create_pairs(campaign: Campaign, proposal: Proposal, *, priority: int = 0) -> int:
    """Ask about what was proposed; how many triplets were added."""
    wanted = {each.clip for pick in proposal.picks for each in pick}
    videos = {str(video.pk): video for video in _in_batches(wanted) if not video.withdrawn}
    pairs = [
        _pair(videos, pick) for pick in proposal.picks if all(each.clip in videos for each in pick)
    ]
    before = campaign.triplets_total
    create_triplets(campaign, pairs, priority=priority)
    return campaign.triplets_total - before


def _pair(videos: dict[str, Video], pick: Pick) -> Pair:
    clips = [videos[each.clip] for each in pick]
    return clips[0].prompt, clips[0], clips[1] if len(clips) > 1 else None


def _in_batches(wanted: Iterable[str]) -> Iterable[Video]:
    ids = sorted(wanted)
    for start in range(0, len(ids), 500):
        rows = Video.objects.filter(pk__in=ids[start : start + 500])
        yield from rows.select_related("prompt", "generator")


def _candidates(campaign: Campaign, wish: Wish) -> list[Candidate]:
    clips = clips_for(campaign, wish).values_list("prompt_id", "generator__name", "pk")
    return [Candidate(prompt, name or "", str(pk)) for prompt, name, pk in clips]


def clips_for(campaign: Campaign, wish: Wish) -> QuerySet[Video]:
    """Of the prompts that were named; else of the pool and of what is asked about already."""
    if wish.prompts:
        rows = Video.objects.filter(prompt__in=wish.prompts)
    else:
        asked = campaign.triplets.values("video_a"), campaign.triplets.values("video_b")
        rows = Video.objects.filter(
            Q(pk__in=campaign.pool.values("pk")) | Q(pk__in=asked[0]) | Q(pk__in=asked[1])
        )
    if wish.generators:
        rows = rows.filter(generator__name__in=wish.generators)
    if wish.category:
        rows = rows.filter(prompt__category=wish.category)
    return rows.filter(withdrawn=False)


def _asked(campaign: Campaign) -> Asked:
    asked = Asked()
    columns = ("prompt_id", "video_a__generator__name", "video_a_id")
    rows = campaign.triplets.exclude(state=TripletState.WITHDRAWN)
    for prompt, name_a, a, name_b, b in rows.values_list(
        *columns, "video_b__generator__name", "video_b_id"
    ).iterator(chunk_size=5000):
        first = Candidate(prompt, name_a or "", str(a))
        asked.note((first, Candidate(prompt, name_b or "", str(b))) if b else (first,))
    return asked


# What the votes say of the generators.


def beliefs_of(campaign: Campaign) -> list[Belief]:
    """One per dimension that has votes on pairs of known generators; without any, ignorance."""
    reading = Reading(campaign)
    found = [_belief(reading, place) for place in reading.order] if not reading.single else []
    return [each for each in found if each is not None] or [Belief()]


def _belief(reading: Reading, place: int) -> Belief | None:
    votes, (names, of_a, of_b) = reading.votes, reading.generators
    a, b = of_a[votes.triplet], of_b[votes.triplet]
    value = votes.value[:, place]
    kept = (a >= 0) & (b >= 0) & (a != b) & (value >= 0) & (value < len(reading.scale))
    if not kept.any():
        return None
    seen, models = np.unique(np.concatenate([a[kept], b[kept]]), return_inverse=True)
    first, second = models.reshape(2, -1)
    group = reading.groups[votes.triplet[kept]]
    ranking = fit_btt(first, second, value[kept] - TIE, group, len(seen), rounds=_ROUNDS)
    return belief_of(ranking, [names[each] for each in seen.tolist()])


# What is asked first.


class First(StrEnum):
    DISAGREEMENT = "disagreement"  # pairs on which the votes so far differ
    ACTIVE = "active"  # pairs whose generators the fit is least sure of


def refresh_priorities(campaign: Campaign, first: First) -> int:
    """Put the open pairs into a new order; how many moved.

    Priorities above 100 are a person's wish, or tie annotators together, and stay.
    """
    reading = Reading(campaign)
    scores = _split(reading) if first is First.DISAGREEMENT else _unsure(campaign, reading)
    top = max(scores.values(), default=0.0)
    scaled = {pk: round(REFRESHED * score / top) if top else 0 for pk, score in scores.items()}
    ours = campaign.triplets.filter(state=TripletState.OPEN, priority__lte=REFRESHED)
    wanted = {pk: scaled.get(pk, 0) for pk in ours.values_list("pk", flat=True)}
    return set_priorities(campaign, wanted, up_to=REFRESHED)


def _split(reading: Reading) -> dict[int, float]:
    """By open triplet: the share of its votes that are not the most frequent, over dimensions."""
    shares: Any = np.zeros(len(reading.triplets))
    for place in reading.order:
        counts = reading.counts(place)
        votes = counts.sum(1)
        shares += np.where(votes > 0, 1 - counts.max(1) / np.maximum(votes, 1), 0)
    still = ~reading.triplets.complete
    return dict(zip(reading.triplets.id[still].tolist(), shares[still].tolist(), strict=True))


def _unsure(campaign: Campaign, reading: Reading) -> dict[int, float]:
    """By open triplet: what a vote on it is expected to tell of its two generators."""
    names, of_a, of_b = reading.generators
    still = np.flatnonzero(~reading.triplets.complete)
    sides = np.sort(np.stack([of_a[still], of_b[still]]), axis=0)
    pairs, pair = np.unique(sides, axis=1, return_inverse=True)
    words = [[names[n] if n >= 0 else "" for n in each] for each in pairs.T.tolist()]
    if not words:
        return {}
    gains: Any = sum(belief.gains(words) for belief in beliefs_of(campaign))
    return dict(zip(reading.triplets.id[still].tolist(), gains[pair.ravel()].tolist(), strict=True))
