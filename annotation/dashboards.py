"""What leads see: one function per panel, each giving frozen dataclasses from few queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from django.contrib.auth.models import User
from django.db.models import Count, Q
from django.utils import timezone
from scipy.stats import binomtest

from annotation.agreement import (
    alpha_interval,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    raw_agreement,
)
from annotation.carelessness import Carefulness, carefulness
from annotation.models import Campaign, Consensus, Dimension, Skip, Vote, VoteState
from annotation.opinions import INVALID, VALUES, A, B, Ints, Opinions, opinions_of
from formats.labels import Label

_RECENT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class ProgressPanel:
    campaign: int
    done: int  # triplets with all wanted votes
    total: int
    votes_wanted: int  # per triplet
    counted: int
    surplus: int
    skips: int
    annotators: int  # with at least one vote
    votes_last_day: int

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 0.0


def progress_panel(campaign: Campaign) -> ProgressPanel:
    votes = Vote.objects.filter(triplet__campaign=campaign).aggregate(
        counted=Count("pk", filter=Q(state=VoteState.COUNTED)),
        surplus=Count("pk", filter=Q(state=VoteState.SURPLUS)),
        annotators=Count("annotator", distinct=True),
        recent=Count("pk", filter=Q(revision=1, submitted_at__gt=timezone.now() - _RECENT)),
    )
    return ProgressPanel(
        campaign=campaign.pk,
        done=campaign.triplets_done,
        total=campaign.triplets_total,
        votes_wanted=campaign.votes_wanted,
        counted=votes["counted"],
        surplus=votes["surplus"],
        skips=Skip.objects.filter(triplet__campaign=campaign).count(),
        annotators=votes["annotators"],
        votes_last_day=votes["recent"],
    )


@dataclass(frozen=True, slots=True)
class DimensionAgreement:
    """Agreement beyond chance on one dimension; None where it is undefined (no variation).

    `invalid` is missing data for the preference; `alpha_invalid` asks whether annotators agree on
    what cannot be judged. Alpha collapses where one value prevails, AC1 is generous: read both.
    """

    key: str
    title: str
    units: int  # triplets with at least two judgements
    judgements: int
    raw: float | None  # share of pairs of judgements that are equal
    alpha_nominal: float | None
    alpha_low: float | None  # 95 % interval of alpha_nominal, prompts drawn anew
    alpha_high: float | None
    alpha_ordinal: float | None  # B < tie < A
    ac1: float | None
    fleiss: float | None  # over the triplets that have the usual number of judgements
    alpha_invalid: float | None


@dataclass(frozen=True, slots=True)
class AgreementPanel:
    campaign: int
    votes: int
    annotators: int
    dimensions: tuple[DimensionAgreement, ...]


def agreement_panel(campaign: Campaign) -> AgreementPanel:
    opinions = opinions_of(campaign)
    pairs = np.unique(np.stack([opinions.triplet, opinions.annotator]), axis=1)
    return AgreementPanel(
        campaign=campaign.pk,
        votes=pairs.shape[1],
        annotators=len(np.unique(opinions.annotator)),
        dimensions=tuple(_agreement(each, opinions.of(each.pk)) for each in _dimensions(campaign)),
    )


def _agreement(dimension: Dimension, opinions: Opinions) -> DimensionAgreement:
    counts, prompt = opinions.counts()
    preference = counts[:, :INVALID]
    shared = preference.sum(axis=1) >= 2
    interval = (
        alpha_interval(preference[shared], prompt[shared], "nominal") if shared.any() else None
    )
    validity = np.stack([preference.sum(axis=1), counts[:, INVALID]], axis=1)
    return DimensionAgreement(
        key=dimension.key,
        title=dimension.title,
        units=int((counts.sum(axis=1) >= 2).sum()),
        judgements=len(opinions),
        raw=raw_agreement(preference),
        alpha_nominal=krippendorff_alpha(preference, "nominal"),
        alpha_low=interval.low if interval else None,
        alpha_high=interval.high if interval else None,
        alpha_ordinal=krippendorff_alpha(preference, "ordinal"),
        ac1=gwet_ac1(preference),
        fleiss=fleiss_kappa(_usual_number(preference[shared])),
        alpha_invalid=krippendorff_alpha(validity, "nominal"),
    )


def _usual_number(counts: Ints) -> Ints:
    """Fleiss' kappa is defined for the same number of raters on each unit: take the commonest."""
    if not len(counts):
        return counts
    raters = counts.sum(axis=1)
    usual: Ints = counts[raters == np.bincount(raters).argmax()]
    return usual


@dataclass(frozen=True, slots=True)
class LabelShares:
    """How often each word was said on a dimension, by people and as consensus."""

    key: str
    title: str
    judgements: int
    shares: dict[str, float]  # of the judgements, by label
    settled: int
    consensus: dict[str, float]  # of the settled triplets, by label, and `none`


def label_shares(campaign: Campaign) -> tuple[LabelShares, ...]:
    opinions = opinions_of(campaign)
    settled = (
        Consensus.objects.filter(triplet__campaign=campaign)
        .values_list("dimension_id", "label")
        .annotate(count=Count("pk"))
        .order_by()
    )
    found: dict[int, dict[str, int]] = {}
    for dimension_id, label, count in settled:
        found.setdefault(dimension_id, {})[label or "none"] = count
    return tuple(
        _shares(each, opinions.of(each.pk), found.get(each.pk, {}))
        for each in _dimensions(campaign)
    )


def _shares(dimension: Dimension, opinions: Opinions, settled: dict[str, int]) -> LabelShares:
    given = np.bincount(opinions.value, minlength=len(VALUES))
    by_label = {label.value: int(given[index]) for index, label in enumerate(VALUES)}
    words = [label.value for label in Label]
    return LabelShares(
        key=dimension.key,
        title=dimension.title,
        judgements=len(opinions),
        shares=_of_total({word: by_label[word] for word in words}),
        settled=sum(settled.values()),
        consensus=_of_total({word: settled.get(word, 0) for word in [*words, "none"]}),
    )


def _of_total(counts: dict[str, int]) -> dict[str, float]:
    total = sum(counts.values())
    return {word: count / total if total else 0.0 for word, count in counts.items()}


@dataclass(frozen=True, slots=True)
class AnnotatorRow:
    """One annotator's work. Sides are random, so the share of left answers should be one half."""

    id: int
    name: str
    votes: int
    surplus: int
    skips: int
    with_consensus: float | None  # share of judgements equal to the settled label
    compared: int  # judgements that could be compared
    left_share: float | None  # of the answers for one side
    left_p: float | None  # two-sided binomial test against one half
    tie_share: float | None
    median_seconds: float | None  # of active time per vote
    random_share: float | None  # estimated share of random answers; None: too little to compare
    careless: bool  # by the rule of `carelessness`, fixed beforehand


def annotators_panel(campaign: Campaign) -> tuple[AnnotatorRow, ...]:
    """All who voted, most votes first."""
    opinions = opinions_of(campaign)
    ids, person = np.unique(opinions.annotator, return_inverse=True)
    names = dict(User.objects.filter(pk__in=ids.tolist()).values_list("pk", "username"))
    votes = _votes_by_annotator(campaign)
    skips = dict(
        Skip.objects.filter(triplet__campaign=campaign)
        .values_list("annotator_id")
        .annotate(count=Count("pk"))
        .order_by()
    )
    settled = _settled(campaign)
    valid = opinions.value != INVALID
    judged = opinions.where(valid)
    care = carefulness(judged.units(), person[valid], judged.classes(), len(ids))
    rows = [
        _annotator_row(
            names[each],
            opinions.where(opinions.annotator == each),
            votes.get(each, []),
            skips.get(each, 0),
            settled,
            care[index],
        )
        for index, each in enumerate(ids.tolist())
    ]
    return tuple(sorted(rows, key=lambda row: (-row.votes, row.name)))


def _votes_by_annotator(campaign: Campaign) -> dict[int, list[tuple[str, int | None]]]:
    """(state, active_ms) of each standing vote."""
    found: dict[int, list[tuple[str, int | None]]] = {}
    votes = Vote.objects.live().filter(triplet__campaign=campaign)
    for annotator, state, active in votes.values_list("annotator_id", "state", "active_ms"):
        found.setdefault(annotator, []).append((state, active))
    return found


def _settled(campaign: Campaign) -> dict[tuple[int, int], int]:
    """The settled value by (triplet, dimension), where there is one that is not `invalid`."""
    value = {label.value: index for index, label in enumerate(VALUES)}
    rows = Consensus.objects.filter(triplet__campaign=campaign).exclude(label=Label.INVALID)
    return {
        (triplet, dimension): value[label]
        for triplet, dimension, label in rows.values_list("triplet_id", "dimension_id", "label")
        if label is not None
    }


def _annotator_row(
    name: str,
    opinions: Opinions,
    votes: Sequence[tuple[str, int | None]],
    skips: int,
    settled: dict[tuple[int, int], int],
    care: Carefulness,
) -> AnnotatorRow:
    valid = opinions.valid()
    keys = zip(valid.triplet.tolist(), valid.dimension.tolist(), strict=True)
    known = np.array([settled.get(key, -1) for key in keys], dtype=np.int64)
    compared = int((known >= 0).sum())
    sided = valid.where((valid.value == A) | (valid.value == B))
    # A stands on the left unless the sides were swapped.
    left = int(((sided.value == A) != (sided.swap == 1)).sum())
    active = [ms for _, ms in votes if ms is not None]
    return AnnotatorRow(
        id=int(opinions.annotator[0]),
        name=name,
        votes=len(votes),
        surplus=sum(state == VoteState.SURPLUS for state, _ in votes),
        skips=skips,
        with_consensus=float((known == valid.value).sum() / compared) if compared else None,
        compared=compared,
        left_share=left / len(sided) if len(sided) else None,
        left_p=float(binomtest(left, len(sided)).pvalue) if len(sided) else None,
        tie_share=float(1 - len(sided) / len(valid)) if len(valid) else None,
        median_seconds=float(np.median(active)) / 1000 if active else None,
        random_share=care.random_share,
        careless=care.careless,
    )


def _dimensions(campaign: Campaign) -> list[Dimension]:
    return list(Dimension.objects.filter(dimension_set=campaign.dimension_set_id))
