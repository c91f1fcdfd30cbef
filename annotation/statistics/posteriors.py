"""Soft labels: what the votes say when one knows how reliable each annotator is.

A run of `pipelines` calls this in the background; the label itself is the majority's and stays.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from django.db import transaction

from annotation.agreement import POOLED, dawid_skene
from annotation.models import Campaign, Consensus, ConsensusSource, ProbeAnswer
from annotation.models.quality import ProbeKind
from annotation.opinions import Opinions, opinions_of
from formats.labels import CLASSES, Label

_BATCH = 500


def refresh_posteriors(campaign: Campaign) -> int:
    """Recompute the posterior of every settled dimension with Dawid and Skene (1979); how many.

    One model per dimension over all standing valid judgements, each annotator with a confusion of
    their own, partly pooled with that of the others. Answers on gold count with what is known to be
    right. A consensus of `invalid`, and an imported one, have no posterior.
    """
    opinions = opinions_of(campaign).valid()
    gold = _gold(campaign)
    with transaction.atomic():
        settled = Consensus.objects.filter(
            triplet__campaign=campaign, source=ConsensusSource.VOTES
        ).exclude(label=Label.INVALID)
        rows = list(settled.select_for_update(no_key=True).order_by("pk"))
        for dimension in {row.dimension_id for row in rows}:
            posterior = _posteriors(opinions.of(dimension), gold.get(dimension, []))
            for row in rows:
                if row.dimension_id == dimension and row.triplet_id in posterior:
                    row.posterior = posterior[row.triplet_id]
        Consensus.objects.bulk_update(rows, ["posterior"], batch_size=_BATCH)
    return len(rows)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an annotator said on a question whose answer is known; labels as places in CLASSES."""

    probe: int
    annotator: int
    said: int
    known: int


def _gold(campaign: Campaign) -> dict[int, list[_Answer]]:
    """The standing answers on gold, by dimension; who could not judge said nothing."""
    places = {label.value: place for place, label in enumerate(CLASSES)}
    found: dict[int, list[_Answer]] = defaultdict(list)
    keys = dict(campaign.dimension_set.dimensions.values_list("key", "pk"))
    given = ProbeAnswer.objects.filter(campaign=campaign, kind=ProbeKind.GOLD, superseded=False)
    columns = given.values_list("lease__probe", "annotator", "lease__probe__expected", "answers")
    for probe, annotator, expected, answers in columns.order_by("pk"):
        for key, dimension in keys.items():
            known = places.get(expected.get(key))
            said = places.get(answers.get(key, {}).get("label"))
            if known is not None and said is not None:
                found[dimension].append(_Answer(probe, annotator, said, known))
    return found


def _posteriors(opinions: Opinions, gold: list[_Answer]) -> dict[int, list[float]]:
    """[P(A), P(tie), P(B)] by triplet."""
    if not len(opinions):
        return {}
    triplets, unit = np.unique(opinions.triplet, return_inverse=True)
    probes, probe = np.unique([each.probe for each in gold], return_inverse=True)
    known = np.full(len(triplets) + len(probes), -1)
    known[len(triplets) + probe] = [each.known for each in gold]
    everybody = np.concatenate([opinions.annotator, [each.annotator for each in gold]])
    found = dawid_skene(
        np.concatenate([unit, len(triplets) + probe]),
        np.unique(everybody, return_inverse=True)[1],
        np.concatenate([opinions.classes(), [each.said for each in gold]]).astype(np.int64),
        len(CLASSES),
        pooled=POOLED,
        known=known,
    )
    rows = np.asarray(found.posterior).round(6).tolist()
    return dict(zip(triplets.tolist(), rows, strict=False))
