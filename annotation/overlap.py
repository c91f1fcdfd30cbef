"""Who judged the same: annotators can be compared only where they share triplets.

Two groups that share few triplets give two agreements and two consensuses that nobody can set
against each other. A bridge asks for further votes on triplets of one group, first of all.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from django.contrib.auth.models import User
from django.db.models import QuerySet
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from annotation.extending import Extension, want_votes
from annotation.models import Campaign, Slot, SlotState, Triplet, TripletState, Vote, VoteQuerySet

Ints = NDArray[np.int64]

WANTED: Final = 30  # shared triplets that hold two groups together (ANNOTATION A3)
PRIORITY: Final = 1000  # of a bridge: before everything else


@dataclass(frozen=True, slots=True)
class Share:
    """Two annotators and the number of triplets that both judged."""

    a: int
    b: int
    triplets: int


@dataclass(frozen=True, slots=True)
class Overlap:
    """`groups`: annotators that enough shared triplets, or a chain of such pairs, hold together;
    the largest first. One group is what one wants. `loose`: how much each further group shares
    with the largest. Who has judged fewer triplets than that is a beginner and in no group."""

    names: dict[int, str]
    triplets: dict[int, int]  # by annotator: triplets judged
    shares: tuple[Share, ...]
    groups: tuple[tuple[int, ...], ...]
    loose: tuple[int, ...]
    beginners: tuple[int, ...]
    waiting: int  # slots of a bridge that nobody has filled yet

    @property
    def connected(self) -> bool:
        return len(self.groups) < 2


def overlap_of(campaign: Campaign, *, wanted: int = WANTED) -> Overlap:
    """The graph of annotators over shared triplets, and the groups that it falls into."""
    rows = np.array(list(_votes(campaign)), dtype=np.int64).reshape(-1, 2)
    people, person = np.unique(rows[:, 1], return_inverse=True)
    _, triplet = np.unique(rows[:, 0], return_inverse=True)
    shared = _shared(person.ravel(), triplet.ravel(), len(people))
    settled = shared.diagonal() >= wanted
    groups = _groups(shared, people, settled, wanted)
    place = {int(pk): n for n, pk in enumerate(people)}
    return Overlap(
        names=dict(User.objects.filter(pk__in=people.tolist()).values_list("pk", "username")),
        triplets={int(pk): int(shared[n, n]) for n, pk in enumerate(people)},
        shares=tuple(_shares(shared, people)),
        groups=groups,
        beginners=tuple(people[~settled].tolist()),
        loose=tuple(_between(shared, place, groups[0], group) for group in groups[1:]),
        waiting=_waiting(campaign).count(),
    )


def _votes(campaign: Campaign) -> Iterator[tuple[int, int]]:
    live = Vote.objects.live().filter(campaign=campaign)
    kept = live.exclude(triplet__state=TripletState.WITHDRAWN)
    return kept.values_list("triplet_id", "annotator_id").iterator(chunk_size=10_000)


def _shared(person: Ints, triplet: Ints, people: int) -> Ints:
    """int [people, people]: triplets that both judged; on the diagonal, that one judged."""
    if not people:
        return np.zeros((0, 0), dtype=np.int64)
    size = (people, int(triplet.max()) + 1)
    judged = coo_array((np.ones(len(person), dtype=np.int64), (person, triplet)), shape=size)
    found: Ints = (judged @ judged.T).toarray()
    return found


def _groups(
    shared: Ints, people: Ints, settled: NDArray[np.bool_], wanted: int
) -> tuple[tuple[int, ...], ...]:
    if not settled.any():
        return ()
    tied = shared[np.ix_(settled, settled)] >= wanted
    count, label = connected_components(tied, directed=False)
    groups = [tuple(people[settled][label == n].tolist()) for n in range(count)]
    return tuple(sorted(groups, key=lambda group: (-len(group), group)))


def _shares(shared: Ints, people: Ints) -> Iterator[Share]:
    for a, b in zip(*np.triu_indices(len(people), 1), strict=True):
        if shared[a, b]:
            yield Share(int(people[a]), int(people[b]), int(shared[a, b]))


def _between(shared: Ints, place: dict[int, int], one: Sequence[int], other: Sequence[int]) -> int:
    """The most that a pair of annotators shares, one of each group."""
    rows, columns = ([place[pk] for pk in group] for group in (one, other))
    return int(shared[np.ix_(rows, columns)].max())


def _waiting(campaign: Campaign) -> QuerySet[Slot]:
    return Slot.objects.filter(
        campaign=campaign, triplet__priority=PRIORITY, triplet__state=TripletState.OPEN
    ).exclude(state=SlotState.VOTED)


def bridge(campaign: Campaign, *, wanted: int = WANTED) -> Extension:
    """One more vote on triplets that tie loose groups to the largest, before everything else.

    A slot belongs to nobody, so members of the same group may take it; whoever has judged the
    triplet cannot. What is still waiting from the last bridge counts, so pressing twice asks once.
    """
    found = overlap_of(campaign, wanted=wanted)
    needs: dict[int, int] = {}
    left = found.waiting
    for group, shared in zip(found.groups[1:], found.loose, strict=True):
        missing = wanted - shared
        ahead = min(left, missing)
        left -= ahead
        needs |= _to_share(campaign, group, found.groups[0], missing - ahead)
    return want_votes(campaign, needs, priority=PRIORITY)


def _to_share(
    campaign: Campaign, group: Sequence[int], largest: Sequence[int], missing: int
) -> dict[int, int]:
    """Triplets (with the votes that they shall want) that one person of the group has judged and
    the largest group has not: those that are open anyway first."""
    if missing <= 0:
        return {}
    person = _busiest(campaign, group)
    judged = Triplet.objects.filter(campaign=campaign, need__gte=1)
    judged = judged.filter(votes__in=_live(campaign).filter(annotator=person))
    theirs = _live(campaign).filter(annotator__in=largest).values("triplet")
    apart = judged.exclude(state=TripletState.WITHDRAWN).exclude(pk__in=theirs)
    # "open" sorts behind "complete".
    rows = apart.order_by("-state", "shuffle").values_list("pk", "need")[:missing]
    return {pk: need + 1 for pk, need in rows}


def _live(campaign: Campaign) -> VoteQuerySet:
    return Vote.objects.live().filter(campaign=campaign)


def _busiest(campaign: Campaign, group: Sequence[int]) -> int:
    """One person of the group, so that what is shared is shared with one and the same."""
    votes = _live(campaign).filter(annotator__in=group).values_list("annotator_id", flat=True)
    return Counter(votes).most_common(1)[0][0]
