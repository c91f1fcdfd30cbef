"""Soft labels: what the votes say when one knows how reliable each annotator is.

A run of `pipelines` calls this in the background; the label itself is the majority's and stays.
"""

import numpy as np
from django.db import transaction

from annotation.agreement import dawid_skene
from annotation.models import Campaign, Consensus, ConsensusSource
from annotation.opinions import Opinions, opinions_of
from formats.labels import CLASSES, Label

_BATCH = 500


def refresh_posteriors(campaign: Campaign) -> int:
    """Recompute the posterior of every settled dimension with Dawid and Skene (1979); how many.

    One model per dimension over all standing valid judgements, each annotator with a confusion of
    their own. A consensus of `invalid`, and an imported one, have no posterior.
    """
    opinions = opinions_of(campaign).valid()
    with transaction.atomic():
        settled = Consensus.objects.filter(
            triplet__campaign=campaign, source=ConsensusSource.VOTES
        ).exclude(label=Label.INVALID)
        rows = list(settled.select_for_update(no_key=True).order_by("pk"))
        for dimension in {row.dimension_id for row in rows}:
            posterior = _posteriors(opinions.of(dimension))
            for row in rows:
                if row.dimension_id == dimension and row.triplet_id in posterior:
                    row.posterior = posterior[row.triplet_id]
        Consensus.objects.bulk_update(rows, ["posterior"], batch_size=_BATCH)
    return len(rows)


def _posteriors(opinions: Opinions) -> dict[int, list[float]]:
    """[P(A), P(tie), P(B)] by triplet."""
    if not len(opinions):
        return {}
    triplets, unit = np.unique(opinions.triplet, return_inverse=True)
    _, annotator = np.unique(opinions.annotator, return_inverse=True)
    found = dawid_skene(unit, annotator, opinions.classes(), len(CLASSES))
    rows = np.asarray(found.posterior).round(6).tolist()
    return dict(zip(triplets.tolist(), rows, strict=True))
