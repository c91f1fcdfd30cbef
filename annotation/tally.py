"""What a vote meets: the lease it was given under, its triplet, the slots, what others said.

Read in one statement, after the locks, in the order cursor, triplet, slots (RELIABILITY 3a).
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Final

from django.db import models

from annotation.models import (
    Campaign,
    Cursor,
    Dimension,
    Guideline,
    Judgement,
    Lease,
    Slot,
    SlotState,
    Triplet,
    TripletState,
    Vote,
)
from annotation.queue import read_dimensions
from annotation.statements import (
    Columns,
    Row,
    clock,
    json_rows,
    locking,
    prepared,
    read,
    read_time,
)


@dataclass(frozen=True, slots=True)
class Tally:
    lease: Lease
    triplet: Triplet
    campaign: Campaign  # what settling needs of it, and no more
    cursor: Cursor
    dimensions: tuple[Dimension, ...]
    guideline_id: int | None
    now: datetime
    said_before: bool  # this annotator has a vote on the triplet
    slots: tuple[Slot, ...]  # in the order of n
    counted: dict[int, list[Judgement]] = field(default_factory=dict)  # by slot

    def shown(self) -> tuple[uuid.UUID | None, uuid.UUID | None]:
        """The clips that stood on the left and on the right."""
        a, b = self.triplet.video_a_id, self.triplet.video_b_id
        return (b, a) if self.lease.swap else (a, b)

    def slot_for_vote(self) -> Slot | None:
        """The slot that the vote takes: its own, expired or not; else a free one; else none."""
        return next(self._slots_in_order(), None)

    def _slots_in_order(self) -> Iterator[Slot]:
        if self.triplet.state != TripletState.OPEN:
            return
        yield from (each for each in self.slots if each.lease_token == self.lease.token)
        yield from (each for each in self.slots if each.holder_id == self.lease.annotator_id)
        yield from (each for each in self.slots if each.state == SlotState.OPEN)
        for each in self.slots:
            if each.lease_expires is not None and each.lease_expires <= self.now:
                yield each

    def is_last(self, slot: Slot) -> bool:
        """Whether a vote in this slot is the last one wanted."""
        return all(each.state == SlotState.VOTED for each in self.slots if each is not slot)


_LEASE: Final = Columns(Lease, "l")
_TRIPLET: Final = Columns(
    *(Triplet, "t", "id", "campaign_id", "prompt_id", "video_a_id", "video_b_id"),
    *("need", "state", "priority"),
)
_CAMPAIGN: Final = Columns(Campaign, "k", "id", "name", "kind", "votes_wanted", "extra_votes")
_CURSOR: Final = Columns(Cursor, "c")
_SLOT: Final = Columns(
    *(Slot, "s", "id", "triplet_id", "campaign_id", "position", "n", "state", "holder_id"),
    *("lease_token", "lease_expires"),
)
_JUDGEMENT: Final = Columns(
    Judgement, "j", "id", "vote_id", "dimension_id", "label", "reason", "score_a", "score_b"
)
_FIXED: Final = 4  # columns before those of the tables


@cache
def _lock_sql() -> str:
    """Cursor, triplet, slots: for each row in the order in which they are named."""
    return f"""SELECT 1 FROM {_table(Lease)} l
JOIN {_table(Triplet)} t ON t.id = l.triplet_id
JOIN {_table(Cursor)} c ON c.campaign_id = t.campaign_id AND c.annotator_id = l.annotator_id
JOIN {_table(Slot)} s ON s.triplet_id = t.id
WHERE l.token = %s AND l.annotator_id = %s
ORDER BY s.id FOR NO KEY UPDATE OF c,t,s"""


@cache
def _tally_sql() -> str:
    return f"""
SELECT {clock()},
  (SELECT g.id FROM {_table(Guideline)} g WHERE g.campaign_id = k.id AND g.version = %s),
  {json_rows(Dimension, "d", "d.dimension_set_id = k.dimension_set_id")},
  EXISTS (SELECT 1 FROM {_table(Vote)} m
          WHERE m.triplet_id = t.id AND m.annotator_id = l.annotator_id),
  {_LEASE.sql}, {_TRIPLET.sql}, {_CAMPAIGN.sql}, {_CURSOR.sql}, {_SLOT.sql}, {_JUDGEMENT.sql}
FROM {_table(Lease)} l
JOIN {_table(Triplet)} t ON t.id = l.triplet_id
JOIN {_table(Campaign)} k ON k.id = t.campaign_id
JOIN {_table(Cursor)} c ON c.campaign_id = t.campaign_id AND c.annotator_id = l.annotator_id
JOIN {_table(Slot)} s ON s.triplet_id = t.id
LEFT JOIN {_table(Vote)} v ON v.slot_id = s.id
LEFT JOIN {_table(Judgement)} j ON j.vote_id = v.id
WHERE l.token = %s AND l.annotator_id = %s
ORDER BY s.n"""


def read_tally(token: uuid.UUID, user_id: int, guideline: int = 0) -> Tally | None:
    """Lock and read; None where the token is of no lease of this person."""
    own = (prepared(Lease, "token", token), user_id)
    if locking("needed"):
        # A statement of its own: the next one sees what those did who were waited for.
        read(_lock_sql(), *own)
    rows = read(_tally_sql(), guideline, *own)
    return _tally(rows) if rows else None


def _tally(rows: Sequence[Row]) -> Tally:
    first = rows[0]
    triplet_at = _FIXED + len(_LEASE)
    campaign_at = triplet_at + len(_TRIPLET)
    cursor_at = campaign_at + len(_CAMPAIGN)
    slots, counted = _slots(rows, cursor_at + len(_CURSOR))
    return Tally(
        lease=_LEASE.read(first, _FIXED),
        triplet=_TRIPLET.read(first, triplet_at),
        campaign=_CAMPAIGN.read(first, campaign_at),
        cursor=_CURSOR.read(first, cursor_at),
        dimensions=read_dimensions(first[2]),
        guideline_id=first[1],
        now=read_time(first[0]),
        said_before=bool(first[3]),
        slots=slots,
        counted=counted,
    )


def _slots(rows: Sequence[Row], at: int) -> tuple[tuple[Slot, ...], dict[int, list[Judgement]]]:
    """The slots, and the judgements of the votes that fill them."""
    slots: dict[int, Slot] = {}
    counted: dict[int, list[Judgement]] = {}
    for row in rows:
        slot_id = row[at]
        if slot_id not in slots:
            slots[slot_id] = _SLOT.read(row, at)
        if row[at + len(_SLOT)] is not None:
            counted.setdefault(slot_id, []).append(_JUDGEMENT.read(row, at + len(_SLOT)))
    return tuple(slots.values()), counted


def _table(model: type[models.Model]) -> str:
    return model._meta.db_table
