"""Where people and a reward model disagree most: triplets by surprise, and what to choose among.

The surprise of a dimension is the Kullback-Leibler divergence, in nats, of what the model foresaw
(P(A), P(tie), P(B) of Bradley and Terry with ties, with the model's own uncertainty where it has
one) from what people say (their posterior, or the whole weight on a label that was imported or
ruled). A settled label that the model gave a chance of p costs -ln p; people who are themselves
undecided, as the model foresaw, cost nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from annotation.models import (
    Campaign,
    CampaignKind,
    Consensus,
    ConsensusSource,
    TripletState,
)
from annotation.opinions import Reading
from annotation.statistics.doubting import foreseen_all
from formats.labels import CLASSES, Label
from pipelines.disagreement.scored_clips import ScoredClips, scored_clips
from pipelines.errors import PipelineError
from pipelines.models import Artifact
from pipelines.splitting import SPLITS

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LEAST: Final = 1e-12
_A, _TIE, _B = range(3)


class Agreement(StrEnum):
    """How far the people of one triplet agree on a dimension."""

    UNANIMOUS = "unanimous"
    MAJORITY = "majority"
    SPLIT = "split"
    RULED = "ruled"  # by an adjudicator
    IMPORTED = "imported"


class Clash(StrEnum):
    """In which way the likeliest words of people and model differ."""

    OPPOSITE = "opposite"  # two winners
    MODEL_DECIDES = "model_decides"  # people say tie
    PEOPLE_DECIDE = "people_decide"  # the model says tie
    NONE = "none"  # the same word, less sure


_AGREEMENTS: Final = tuple(Agreement)
CLASHES: Final = tuple(Clash)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which entries (a triplet on a dimension) count; empty: all."""

    dimension: str = ""
    split: str = ""
    agreement: str = ""
    clash: str = ""

    def check(self, keys: Sequence[str]) -> None:
        known = {
            "dimension": tuple(keys),
            "split": SPLITS,
            "agreement": tuple(map(str, Agreement)),
            "clash": tuple(map(str, Clash)),
        }
        for name, words in known.items():
            value = getattr(self, name)
            if value and value not in words:
                raise PipelineError(f"{name} must be one of {', '.join(words)}, got {value[:80]!r}")


@dataclass(frozen=True, slots=True)
class Compared:
    """People beside a model: one row per complete triplet of scored clips, a column per dimension.

    Nothing was said where `surprise` is NaN.
    """

    keys: tuple[str, ...]
    triplet: NDArray[np.int64]  # primary keys
    split: NDArray[np.int64]  # place in SPLITS, -1 for any other word
    people: Floats  # [triplets, dimensions, 3]: A, tie, B
    model: Floats  # the same
    difference: Floats  # [triplets, dimensions], of the rewards, A minus B
    surprise: Floats  # [triplets, dimensions], nats
    agreement: NDArray[np.int64]  # place in Agreement
    clash: NDArray[np.int64]  # place in Clash
    uncertain: bool  # the model's own uncertainty is in its chances
    not_scored: int  # complete triplets with a clip that has no score

    def chosen(self, filters: Filters) -> Bools:  # [triplets, dimensions]
        """The entries that the filters leave."""
        filters.check(self.keys)
        kept: Bools = np.isfinite(self.surprise)
        if filters.dimension:
            kept &= np.array([key == filters.dimension for key in self.keys])
        if filters.split:
            kept &= (self.split == SPLITS.index(filters.split))[:, None]
        if filters.agreement:
            kept &= self.agreement == _AGREEMENTS.index(Agreement(filters.agreement))
        if filters.clash:
            kept &= self.clash == CLASHES.index(Clash(filters.clash))
        return kept

    def ranked(self, filters: Filters) -> tuple[NDArray[np.int64], Floats]:
        """Rows, the most surprising first, and their surprise over the entries that count."""
        kept = self.chosen(filters)
        total = np.where(kept, self.surprise, 0).sum(1)
        rows = np.flatnonzero(kept.any(1))
        order = rows[np.lexsort((self.triplet[rows], -total[rows]))]
        return order, total[order]


def compare(campaign: Campaign, scores: Artifact) -> Compared:
    """What people say of the complete triplets of a campaign beside what these scores foresaw.

    PipelineError where the campaign has no pairs, the scores judge none of its dimensions, or none
    of its complete triplets has both clips scored.
    """
    if campaign.kind == CampaignKind.SINGLE:
        raise PipelineError(f"the campaign {campaign.name!r} scores clips alone; it has no pairs")
    clips = scored_clips(scores, campaign.dimension_set.to_format().keys)
    triplets, sides, lost = _triplets(campaign, clips)
    if not len(triplets):
        raise PipelineError(
            f"no complete pair of the campaign {campaign.name!r} has both clips among scores"
            f" {scores.pk}; score the clips that people judged (runs judged_clips and scoring)"
        )
    people, agreement = _people(campaign, triplets, clips.keys)
    difference, model = _model(clips, sides)
    split = {word: place for place, word in enumerate(SPLITS)}
    return Compared(
        keys=clips.keys,
        triplet=triplets,
        split=np.array([split.get(clips.split[a], -1) for a in sides[:, 0].tolist()]),
        people=people,
        model=model,
        difference=difference,
        surprise=surprise_of(people, model),
        agreement=agreement,
        clash=_clash(people, model),
        uncertain=bool(clips.sure),
        not_scored=lost,
    )


def surprise_of(people: Floats, model: Floats) -> Floats:
    """KL(people || model) over the last axis, in nats; NaN where people say nothing."""
    sure = np.clip(people, LEAST, 1)
    found: Floats = (people * (np.log(sure) - np.log(np.clip(model, LEAST, 1)))).sum(-1)
    return np.where(found < 0, 0.0, found)  # rounding; NaN stays


def _triplets(
    campaign: Campaign, clips: ScoredClips
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Complete triplets with both clips scored, the places of A and B, and how many have not."""
    rows = (
        campaign.triplets.filter(
            state=TripletState.COMPLETE, video_a__withdrawn=False, video_b__withdrawn=False
        )
        .order_by("pk")
        .values_list("pk", "video_a_id", "video_b_id")
    )
    found, lost = [], 0
    for pk, a, b in rows.iterator(chunk_size=5000):
        one, other = clips.place.get(str(a)), clips.place.get(str(b))
        if one is None or other is None:
            lost += 1
        else:
            found.append((pk, one, other))
    columns = np.array(found, dtype=np.int64).reshape(-1, 3)
    return columns[:, 0], columns[:, 1:], lost


def _model(clips: ScoredClips, sides: NDArray[np.int64]) -> tuple[Floats, Floats]:
    a, b = sides.T
    difference: Floats = clips.mean[a] - clips.mean[b]
    variance = np.nan_to_num(clips.deviation**2)  # a model that does not say is taken at its word
    return difference, foreseen_all(difference, variance[a] + variance[b], clips.theta)


def _people(
    campaign: Campaign, triplets: NDArray[np.int64], keys: Sequence[str]
) -> tuple[Floats, NDArray[np.int64]]:
    """What people say, [triplets, dimensions, 3], and how far they agree."""
    row = {pk: n for n, pk in enumerate(triplets.tolist())}
    place = {key: n for n, key in enumerate(keys)}
    people = np.full((len(triplets), len(keys), 3), np.nan)
    agreement = np.full((len(triplets), len(keys)), _AGREEMENTS.index(Agreement.SPLIT))
    unanimous = _unanimous(campaign, triplets, keys)
    found = Consensus.objects.filter(
        triplet__campaign=campaign, triplet__state=TripletState.COMPLETE, dimension__key__in=keys
    ).values_list("triplet_id", "dimension__key", "label", "source", "posterior")
    for pk, key, label, source, posterior in found.iterator(chunk_size=5000):
        if pk not in row or label == Label.INVALID:
            continue
        at = row[pk], place[key]
        said = _said(label, source, posterior)
        if said is not None:
            people[at] = said
        agreement[at] = _AGREEMENTS.index(_agreement(label, source, unanimous=bool(unanimous[at])))
    return people, agreement


def _said(label: str | None, source: str, posterior: Any) -> Any:
    """The posterior of votes; the label alone where there are none, or where a lead has ruled."""
    if source == ConsensusSource.VOTES and posterior is not None:
        return posterior
    return None if label is None else [float(label == each) for each in CLASSES]


def _agreement(label: str | None, source: str, *, unanimous: bool) -> Agreement:
    if source == ConsensusSource.IMPORT:
        return Agreement.IMPORTED
    if source == ConsensusSource.ADJUDICATION:
        return Agreement.RULED
    if label is None:
        return Agreement.SPLIT
    return Agreement.UNANIMOUS if unanimous else Agreement.MAJORITY


def _unanimous(campaign: Campaign, triplets: NDArray[np.int64], keys: Sequence[str]) -> Bools:
    """Whether all standing votes of a triplet say one word on a dimension."""
    reading = Reading(campaign)
    rows = np.searchsorted(reading.triplets.id, triplets)
    found = np.zeros((len(triplets), len(keys)), dtype=np.bool_)
    for number, dimension in enumerate(reading.dimensions):
        if dimension.key in keys:
            counts = reading.counts(number)[rows]
            found[:, keys.index(dimension.key)] = (counts > 0).sum(1) == 1
    return found


def _clash(people: Floats, model: Floats) -> NDArray[np.int64]:
    """By the likeliest words; people who give two words the same weight say neither: a tie."""
    said, foreseen = _word(people), _word(model)
    clash = np.full(said.shape, CLASHES.index(Clash.OPPOSITE))
    clash[said == _TIE] = CLASHES.index(Clash.MODEL_DECIDES)
    clash[foreseen == _TIE] = CLASHES.index(Clash.PEOPLE_DECIDE)
    clash[said == foreseen] = CLASHES.index(Clash.NONE)
    return clash


def _word(chances: Floats) -> NDArray[np.int64]:
    known = np.nan_to_num(chances)
    best = known.argmax(-1)
    undecided = np.isclose(known[..., _A], known[..., _B]) & (best != _TIE)
    return np.where(undecided, _TIE, best)
