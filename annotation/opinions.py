"""The judgements of a campaign as arrays, which is how the statistics want them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotation.models import Campaign, Judgement, TripletState, VoteState
from formats.labels import Label

# Canonical values of one judgement, in the order of an ordinal scale; then `invalid`.
VALUES = (Label.B, Label.TIE, Label.A, Label.INVALID)
B, TIE, A, INVALID = range(4)

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Opinions:
    """One entry per judgement; all arrays are int64 of the same length."""

    triplet: Ints
    prompt: Ints
    annotator: Ints
    dimension: Ints
    value: Ints  # index into VALUES
    swap: Ints  # 1 where clip B stood on the left

    def of(self, dimension: int) -> "Opinions":
        return self.where(self.dimension == dimension)

    def valid(self) -> "Opinions":
        return self.where(self.value != INVALID)

    def where(self, mask: NDArray[np.bool_]) -> "Opinions":
        return Opinions(*(getattr(self, name)[mask] for name in self.__slots__))

    def classes(self) -> Ints:
        """The values of valid judgements in the order of formats.labels.CLASSES: A, tie, B."""
        return A - self.value

    def units(self) -> Ints:
        """A number for each (triplet, dimension), from 0."""
        pairs = np.stack([self.triplet, self.dimension])
        return np.unique(pairs, axis=1, return_inverse=True)[1].astype(np.int64).ravel()

    def counts(self) -> tuple[Ints, Ints]:
        """int [units, 4]: how often each value was given per triplet; and the units' prompts."""
        units, unit = np.unique(self.triplet, return_inverse=True)
        counts = np.zeros((len(units), len(VALUES)), dtype=np.int64)
        np.add.at(counts, (unit, self.value), 1)
        prompt = np.zeros(len(units), dtype=np.int64)
        prompt[unit] = self.prompt
        return counts, prompt

    def __len__(self) -> int:
        return len(self.triplet)


def opinions_of(campaign: Campaign, *, counted_only: bool = False) -> Opinions:
    """What stands in the campaign: the newest word of each annotator on each triplet.

    Surplus votes are opinions too; they are left out only where the wanted votes alone count.
    """
    states = [VoteState.COUNTED] if counted_only else [VoteState.COUNTED, VoteState.SURPLUS]
    rows = (
        Judgement.objects.filter(vote__triplet__campaign=campaign, vote__state__in=states)
        .exclude(vote__triplet__state=TripletState.WITHDRAWN)
        .values_list(
            "vote__triplet_id",
            "vote__triplet__prompt_id",
            "vote__annotator_id",
            "dimension_id",
            "label",
            "vote__swap",
        )
    )
    value = {label.value: index for index, label in enumerate(VALUES)}
    table = np.array(
        [(*row[:4], value[row[4]], int(row[5])) for row in rows], dtype=np.int64
    ).reshape(-1, 6)
    return Opinions(*table.T)
