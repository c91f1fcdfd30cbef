"""Votes of another site beside the triplets that came with them: written once, never counted here.

They stand behind an imported label: snapshots and exports carry them on under new pseudonyms. They
take no slot, enter no agreement or pay of ours, and are never joined with a person (RELIABILITY
D1).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from annotation.imports.behind import Opinion
from annotation.models import Campaign, ForeignAnnotator, ForeignVote, Triplet
from formats.labels import Label

_BATCH = 1000


def store_foreign_votes(
    campaign: Campaign, origin: str, given: Sequence[tuple[Triplet, Sequence[Opinion]]]
) -> int:
    """Write the votes behind new triplets; how many. `origin` tells the strangers of one file from
    those of another."""
    names = {each.annotator for _, opinions in given for each in opinions}
    people = _strangers(campaign, origin, names)
    votes = [
        _vote(triplet, people[each.annotator], each) for triplet, opinions in given
        for each in opinions
    ]  # fmt: skip
    ForeignVote.objects.bulk_create(votes, batch_size=_BATCH)
    return len(votes)


def _strangers(
    campaign: Campaign, origin: str, names: Iterable[str]
) -> dict[str, ForeignAnnotator]:
    rows = ForeignAnnotator.objects.filter(campaign=campaign, origin=origin)
    there = {each.name: each for each in rows}
    new = [
        ForeignAnnotator(campaign=campaign, origin=origin, name=name)
        for name in sorted(set(names) - there.keys())
    ]
    made = ForeignAnnotator.objects.bulk_create(new, batch_size=_BATCH)
    return there | {each.name: each for each in made}


def _vote(triplet: Triplet, annotator: ForeignAnnotator, said: Opinion) -> ForeignVote:
    return ForeignVote(
        triplet=triplet,
        annotator=annotator,
        counted=said.counted,
        said={key: each.to_json() for key, each in said.said.items()},
        swap=said.swap,
        given_at=said.at,
        active_ms=said.active_ms,
        remark=said.remark,
    )


def foreign_judgements(campaign: Campaign) -> Iterator[tuple[int, int, str, Label]]:
    """(triplet, stranger, dimension, label) of the votes that counted there."""
    rows = ForeignVote.objects.filter(annotator__campaign=campaign, counted=True)
    columns: Any = rows.values_list("triplet_id", "annotator_id", "said").order_by("pk")
    for triplet, annotator, said in columns.iterator(chunk_size=2000):
        for key, each in said.items():
            if each["label"] is not None:
                yield triplet, annotator, key, Label(each["label"])
