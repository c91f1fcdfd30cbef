"""What a lead does with triplets of disagreement: they go back to people, or call for new pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.models import User

from annotation.designs import Wish, create_pairs
from annotation.errors import AnnotationError
from annotation.models import Campaign, CampaignState, Triplet
from annotation.relabelling import MOST, Sending, Way, outlook, send_back
from annotation.statistics.strategies import Strategy
from pipelines.disagreement.doubts import propose_from_scores
from pipelines.disagreement.ranking import Compared, Filters, compare
from pipelines.errors import PipelineError
from pipelines.models import Artifact

NEW_PAIRS: Final = "new_pairs"
WAYS: Final = (*(way.value for way in Way), NEW_PAIRS)
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to become of chosen triplets of a campaign.

    `votes`: of each pair, for a relabelling and for more votes. `budget`: how many new pairs on the
    prompts of the chosen ones; 0 for as many as were chosen. `name`: of a relabelling's campaign.
    """

    way: str
    triplets: tuple[int, ...]
    votes: int = 3
    name: str = ""
    budget: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Planned:
    """What would be asked. `left_out`: pairs that cannot go, by the reason."""

    way: str
    chosen: int
    pairs: int
    votes: int
    left_out: Mapping[str, int]
    short_of_people: int


@dataclass(frozen=True, slots=True)
class Done:
    campaign: Campaign
    pairs: int


def first_triplets(
    campaign: Campaign, scores: Artifact, filters: Filters, count: int
) -> tuple[int, ...]:
    """The first of the ranking that the filters leave."""
    if not 1 <= count <= MOST:
        raise PipelineError(f"first must be from 1 to {MOST}, got {count}")
    compared: Compared = compare(campaign, scores)
    rows, _ = compared.ranked(filters)
    return tuple(compared.triplet[rows[:count]].tolist())


def plan(campaign: Campaign, scores: Artifact, errand: Errand) -> Planned:
    """What the errand would ask; nothing is written."""
    try:
        if errand.way == NEW_PAIRS:
            found = propose_from_scores(campaign, scores, _wish(campaign, errand)).plan
            return Planned(errand.way, len(errand.triplets), found.pairs, found.votes, {}, 0)
        seen = outlook(campaign, errand.triplets, _sending(errand))
    except AnnotationError as error:
        raise PipelineError(error.message) from error
    return Planned(
        errand.way, len(errand.triplets), seen.pairs, seen.votes,
        seen.left_out, seen.short_of_people,
    )  # fmt: skip


def carry_out(campaign: Campaign, scores: Artifact, errand: Errand, lead: User) -> Done:
    """Do it. PipelineError where nothing can be done; then nothing has changed."""
    try:
        if errand.way == NEW_PAIRS:
            proposal = propose_from_scores(campaign, scores, _wish(campaign, errand))
            if not proposal.picks:
                raise PipelineError(
                    "nothing is left to ask on these prompts: the model is sure enough of every"
                    " pair, or people were asked already"
                )
            return Done(campaign, create_pairs(campaign, proposal))
        sent = send_back(campaign, errand.triplets, _sending(errand), lead)
    except AnnotationError as error:
        raise PipelineError(error.message) from error
    return Done(sent.campaign, sent.pairs)


def _sending(errand: Errand) -> Sending:
    if errand.way not in WAYS:
        raise PipelineError(f"the way must be one of {', '.join(WAYS)}, got {errand.way[:80]!r}")
    way = Way(errand.way)
    return Sending(way, 0 if way is Way.ADJUDICATE else errand.votes, errand.name.strip())


def _wish(campaign: Campaign, errand: Errand) -> Wish:
    if campaign.state == CampaignState.CLOSED:
        raise PipelineError(
            f"the campaign {campaign.name!r} is closed and takes no pairs; open it again first"
        )
    prompts = _prompts(campaign, errand.triplets)
    if not prompts:
        raise PipelineError(f"none of these pairs is of the campaign {campaign.name!r}")
    budget = errand.budget or len(set(errand.triplets))
    return Wish(Strategy.ACTIVE, budget=budget, seed=errand.seed, prompts=prompts)


def _prompts(campaign: Campaign, triplets: Sequence[int]) -> tuple[int, ...]:
    found: set[int] = set()
    wanted = sorted(set(triplets))
    for start in range(0, len(wanted), _AT_ONCE):
        rows = Triplet.objects.filter(campaign=campaign, pk__in=wanted[start : start + _AT_ONCE])
        found |= set(rows.values_list("prompt_id", flat=True))
    return tuple(sorted(found))
