"""The single votes behind a snapshot: who said what, under pseudonyms, and how reliable they are.

Pure functions of the votes: equal votes give equal names and figures in any database. A pseudonym
depends on all votes of its snapshot, so that it cannot be followed from one snapshot to the next.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotation.agreement import POOLED, DawidSkene, dawid_skene
from annotation.imports.foreign_votes import foreign_judgements
from annotation.models import Campaign, CampaignKind
from annotation.opinions import VALUES, opinions_of
from formats.labels import CLASSES, Label
from formats.records import Opinion, PreferenceRecord

_VARIED: Final = 0.01  # below this chance that two true labels differ, there is one label alone
DIGITS: Final = 6  # floats of two machines agree so far; beyond, hashes would differ

Reliability = dict[str, dict[str, float]]  # pseudonym, dimension
By = dict[int, list[tuple[int, str, Label]]]  # triplet -> annotator, dimension, label


@dataclass(frozen=True, slots=True)
class Judged:
    """Records with their judgements under pseudonyms, and what these people are worth."""

    records: list[PreferenceRecord]
    annotators: Reliability


def judgements_of(campaign: Campaign) -> By:
    """What the counted votes say, by triplet; nothing where clips are scored alone."""
    if campaign.kind == CampaignKind.SINGLE:
        return {}
    keys = dict(campaign.dimension_set.dimensions.values_list("pk", "key"))
    found = opinions_of(campaign, counted_only=True)
    by: By = defaultdict(list)
    columns = (found.triplet, found.annotator, found.dimension, found.value)
    for triplet, annotator, dimension, value in zip(
        *(each.tolist() for each in columns), strict=True
    ):
        by[triplet].append((annotator, keys[dimension], VALUES[value]))
    for triplet, stranger, key, label in foreign_judgements(campaign):
        by[triplet].append((-stranger, key, label))  # below zero: never one of our people
    return by


def attach(
    records: Sequence[PreferenceRecord],
    said: Sequence[Iterable[tuple[int, str, Label]]],
    keys: Sequence[str],
) -> Judged:
    """Give each record what was said on it, here or where it was imported from.

    `said` runs beside `records`; its numbers of annotators end here.
    """
    names = pseudonyms(
        [
            (annotator, record.pair_id, key, label)
            for record, opinions in zip(records, said, strict=True)
            for annotator, key, label in opinions
        ]
    )
    place = {key: n for n, key in enumerate(keys)}
    judged = [
        replace(
            record,
            judgements=sorted(
                (Opinion(names[annotator], key, label) for annotator, key, label in opinions),
                key=lambda opinion: (opinion.annotator, place[opinion.dimension]),
            ),
        )
        for record, opinions in zip(records, said, strict=True)
    ]
    return Judged(judged, reliabilities(judged, keys))


def pseudonyms(said: Iterable[tuple[int, str, str, Label]]) -> dict[int, str]:
    """Annotator -> name, from (annotator, pair, dimension, label) of everybody.

    A name is a hash of what the person said and of what all said: one vote more, anywhere, deals
    new names, and none of them is in another snapshot (RELIABILITY D1). Who said the very same
    cannot be told apart, under any name.
    """
    of: dict[int, list[str]] = defaultdict(list)
    for annotator, pair, key, label in said:
        of[annotator].append(f"{pair} {key} {label.value}")
    texts = {annotator: "\n".join(sorted(lines)) for annotator, lines in of.items()}
    everything = "\n\n".join(sorted(texts.values()))
    alike: dict[str, int] = defaultdict(int)
    names = {}
    for annotator, text in texts.items():
        digest = _hash(everything, text)[:12]
        alike[digest] += 1
        again = f"-{alike[digest]}" if alike[digest] > 1 else ""
        names[annotator] = f"annotator-{digest}{again}"
    return names


def _hash(*texts: str) -> str:
    return hashlib.sha256("\n\n\n".join(texts).encode()).hexdigest()


def reliabilities(records: Iterable[PreferenceRecord], keys: Sequence[str]) -> Reliability:
    """Per annotator and dimension: `kappa_of` in Dawid and Skene's model of all valid votes.

    The votes go in by the order of pairs and names, so that equal votes give equal figures.
    """
    ordered = sorted(records, key=lambda record: record.pair_id)
    result: Reliability = {}
    for key in keys:
        rows = [
            (record.pair_id, opinion.annotator, CLASSES.index(opinion.label))
            for record in ordered
            for opinion in record.judgements
            if opinion.dimension == key and opinion.label in CLASSES
        ]
        if not rows:
            continue
        pairs, names, labels = zip(*rows, strict=True)
        people, annotator = np.unique(names, return_inverse=True)
        unit = np.unique(pairs, return_inverse=True)[1]
        model = dawid_skene(unit, annotator, np.array(labels), len(CLASSES), pooled=POOLED)
        found = kappa_of(model)
        for name, value in zip(people.tolist(), found.tolist(), strict=True):
            result.setdefault(name, {})[key] = round(value, DIGITS)
    return result


def kappa_of(found: DawidSkene) -> NDArray[np.float64]:  # [annotators]
    """Cohen's kappa of each annotator with the true label, in the model: from 0 to 1.

    0 for who guesses and for who always says the same, 1 for who is always right. Where only one
    label is true there is nothing to be right about, and everybody counts fully.
    """
    varied = 1 - float((found.prior**2).sum())
    if varied < _VARIED:
        return np.ones(len(found.confusion))
    right = np.einsum("k,akk->a", found.prior, found.confusion)
    said = np.einsum("k,akl->al", found.prior, found.confusion)
    by_chance = said @ found.prior
    kappa: NDArray[np.float64] = (right - by_chance) / np.maximum(1 - by_chance, 1e-9)
    return kappa.clip(0, 1)
