"""The votes of a campaign as arrays, which is how the statistics want them.

`Reading` reads each thing once and lets all panels of a page share it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from django.contrib.auth.models import User
from numpy.typing import NDArray

from annotation.columns import Column, read_columns
from annotation.models import Campaign, CampaignKind, Dimension, Generator
from annotation.shorthand import PAIR_LETTERS, REASON_OF_LETTER, SCORE_LETTERS
from annotation.statistics.clustered import grouped, numbered
from formats.labels import CLASSES, Label

# Canonical values of one judgement, in the order of an ordinal scale; then `invalid`.
VALUES = (Label.B, Label.TIE, Label.A, Label.INVALID)
B, TIE, A, INVALID = range(4)

REASONS: Final = tuple(REASON_OF_LETTER.values())
NOT_ASKED: Final = -1

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


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

    def where(self, mask: Bools) -> "Opinions":
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
    """What stands in a campaign of pairs: the newest word of each annotator on each triplet.

    Surplus votes are opinions too; they are left out only where the wanted votes alone count.
    """
    reading = Reading(campaign)
    votes, triplets = reading.votes, reading.triplets
    kept = votes.where(votes.counted) if counted_only else votes
    columns = []
    for number, dimension in enumerate(reading.dimensions):
        asked = kept.where(kept.value[:, number] != NOT_ASKED)
        columns.append(
            [
                triplets.id[asked.triplet],
                triplets.prompt_id[asked.triplet],
                reading.annotator_ids[asked.annotator],
                np.full(len(asked), dimension.pk),
                asked.value[:, number],
                asked.swap.astype(np.int64),
            ]
        )
    return Opinions(*(np.concatenate(each) for each in zip(*columns, strict=True)))


@dataclass(frozen=True, slots=True)
class Votes:
    """Standing votes, one entry per vote. Triplets and annotators are places, counted from 0."""

    triplet: Ints
    annotator: Ints
    value: Ints  # [votes, dimensions]: place in Reading.scale, then INVALID's place, or NOT_ASKED
    reason: Ints  # [votes, dimensions]: index into REASONS where invalid, else -1
    swap: Bools  # clip B stood on the left
    counted: Bools  # else surplus
    at: Ints  # microseconds since 1970
    active_ms: Ints  # -1 where it was not measured

    def where(self, mask: Bools) -> "Votes":
        return Votes(*(getattr(self, name)[mask] for name in self.__slots__))

    def __len__(self) -> int:
        return len(self.triplet)


@dataclass(frozen=True, slots=True)
class Triplets:
    """Triplets that are not withdrawn, by primary key; prompts are places, counted from 0."""

    id: Ints
    prompt_id: Ints
    prompt: Ints
    complete: Bools
    need: Ints

    def __len__(self) -> int:
        return len(self.id)


class Reading:
    """One look at a campaign; each property is read when it is first asked for, and once."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.single = campaign.kind == CampaignKind.SINGLE

    @property
    def scale(self) -> tuple[str, ...]:
        """Words of the valid values, in the order of the scale."""
        return SCORE_LETTERS if self.single else tuple(VALUES[value].value for value in range(3))

    @cached_property
    def dimensions(self) -> list[Dimension]:
        """In the order of the shorthand, which is that of the primary keys."""
        rows = Dimension.objects.filter(dimension_set=self.campaign.dimension_set_id)
        return list(rows.order_by("pk"))

    @cached_property
    def order(self) -> list[int]:
        """Places of the dimensions in the order in which people see them."""
        places = range(len(self.dimensions))
        return sorted(places, key=lambda place: self.dimensions[place].position)

    @cached_property
    def triplets(self) -> Triplets:
        columns = read_columns(
            [
                Column("id", "id"),
                Column("prompt", "prompt_id"),
                Column("need", "need", "small"),
                Column("complete", "state = 'complete'", "flag"),
            ],
            "FROM annotation_triplet WHERE campaign_id = %s AND state <> 'withdrawn'",
            [self.campaign.pk],
        )
        order = np.argsort(columns["id"], kind="stable")
        prompt = columns["prompt"][order]
        return Triplets(
            id=columns["id"][order],
            prompt_id=prompt,
            prompt=numbered(prompt)[1],
            complete=columns["complete"][order],
            need=columns["need"][order],
        )

    @cached_property
    def groups(self) -> Ints:
        """By triplet: the group of prompts that a bootstrap draws together."""
        return grouped(self.triplets.prompt)

    @cached_property
    def generators(self) -> tuple[list[str], Ints, Ints]:
        """Names, and the places of the generators of A and of B by triplet; -1 where unknown."""
        columns = read_columns(
            [Column("id", "t.id"), Column("a", "a.generator_id"), Column("b", "b.generator_id")],
            "FROM annotation_triplet t JOIN annotation_video a ON a.id = t.video_a_id"
            " LEFT JOIN annotation_video b ON b.id = t.video_b_id"
            " WHERE t.campaign_id = %s AND t.state <> 'withdrawn'",
            [self.campaign.pk],
        )
        order = np.argsort(columns["id"], kind="stable")
        a, b = columns["a"][order], columns["b"][order]
        ids = [each for each in np.union1d(a, b).tolist() if each >= 0]
        found = dict(Generator.objects.filter(pk__in=ids).values_list("pk", "name"))
        ids.sort(key=lambda each: found[each])
        place = np.full(max(ids, default=0) + 2, -1)
        place[ids] = np.arange(len(ids))  # the last entry stays -1: that of an unknown one
        return [found[each] for each in ids], place[a], place[b]

    @cached_property
    def votes(self) -> Votes:
        width = len(self.dimensions)
        columns = read_columns(
            [
                Column("triplet", "triplet_id"),
                Column("annotator", "annotator_id", "small"),
                Column("at", "submitted_at", "moment"),
                Column("active_ms", "active_ms", "small"),
                Column("said", "said", "letters", width),
                Column("swap", "swap", "flag"),
                Column("counted", "state = 'counted'", "flag"),
            ],
            "FROM annotation_vote WHERE campaign_id = %s AND state IN ('counted', 'surplus')",
            [self.campaign.pk],
        )
        triplet = places(self.triplets.id, columns["triplet"])
        value, reason = _decoder(self.scale)
        self._annotator_ids, annotator = numbered(columns["annotator"])
        votes = Votes(
            triplet=triplet,
            annotator=annotator,
            value=value[columns["said"]],
            reason=reason[columns["said"]],
            swap=columns["swap"],
            counted=columns["counted"],
            at=columns["at"],
            active_ms=columns["active_ms"],
        )
        return votes if (triplet >= 0).all() else votes.where(triplet >= 0)

    @cached_property
    def annotator_ids(self) -> Ints:
        _ = self.votes
        return self._annotator_ids

    @cached_property
    def names(self) -> list[str]:
        """Of the annotators, by place."""
        ids = self.annotator_ids.tolist()
        found = dict(User.objects.filter(pk__in=ids).values_list("pk", "username"))
        return [found[each] for each in ids]

    @cached_property
    def _counts(self) -> dict[int, Ints]:
        return {}

    def counts(self, dimension: int) -> Ints:
        """int [triplets, values + 1]: how often each value was given; the last one is `invalid`."""
        if dimension not in self._counts:
            self._counts[dimension] = self.counts_of(self.votes, dimension)
        return self._counts[dimension]

    def counts_of(self, votes: Votes, dimension: int) -> Ints:
        width = len(self.scale) + 1
        said = votes.value[:, dimension]
        cell = votes.triplet * width + said
        size = len(self.triplets) * width
        cell = cell if (said >= 0).all() else cell[said >= 0]
        return np.bincount(cell, minlength=size).reshape(-1, width)


def _decoder(scale: tuple[str, ...]) -> tuple[Ints, Ints]:
    """Value and reason by the letter of the shorthand."""
    letters = PAIR_LETTERS if len(scale) == len(PAIR_LETTERS) else SCORE_LETTERS
    value, reason = np.full(256, NOT_ASKED), np.full(256, -1)
    for place, letter in enumerate(letters):
        value[ord(letter)] = place
    for place, letter in enumerate(REASON_OF_LETTER):
        value[ord(letter)], reason[ord(letter)] = len(letters), place
    return value, reason


def places(sorted_keys: Ints, wanted: Ints) -> Ints:
    """Where each wanted key stands in `sorted_keys`; -1 where it does not."""
    if not len(sorted_keys):
        return np.full(len(wanted), -1)
    low, high = int(sorted_keys[0]), int(sorted_keys[-1])
    if high - low <= 8 * len(sorted_keys) + 1000:
        table = np.full(high - low + 2, -1)
        table[sorted_keys - low] = np.arange(len(sorted_keys))
        outside = (wanted < low) | (wanted > high)
        return table[np.where(outside, high - low + 1, wanted - low)]
    found = np.minimum(np.searchsorted(sorted_keys, wanted), len(sorted_keys) - 1)
    return np.where(sorted_keys[found] == wanted, found, -1)


__all__ = ["CLASSES", "Opinions", "Reading", "Triplets", "Votes", "opinions_of"]
