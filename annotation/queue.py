"""The queue of a campaign in statements: where somebody stands, which slot is next, taking it.

`assigning` decides; this only asks and writes. Own expired leases and foreign ones are told apart
by the clock of the database alone.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final

from django.contrib.auth.models import Group, User
from django.db import models

from annotation.models import (
    Campaign,
    Cursor,
    Dimension,
    Guideline,
    Lease,
    Prompt,
    ReferenceImage,
    Skip,
    Slot,
    SlotState,
    Triplet,
    TripletState,
    Video,
    Vote,
)
from annotation.permissions import ANNOTATOR
from annotation.statements import (
    Columns,
    Row,
    Sql,
    change,
    clock,
    insertion,
    json_rows,
    locking,
    prepared,
    read,
    read_time,
    run,
)

OPEN_AGAIN: Final[dict[str, Any]] = {
    "state": SlotState.OPEN,
    "holder": None,
    "seat": None,
    "lease_token": None,
    "lease_expires": None,
}


@dataclass(frozen=True, slots=True)
class Held:
    """A slot that the annotator holds, in whichever campaign."""

    token: uuid.UUID
    tab: uuid.UUID
    issued_at: datetime
    slot_id: int
    campaign_id: int
    triplet_id: int
    seat: int
    swap: bool
    expires_at: datetime
    answerable: bool  # its triplet is still open


@dataclass(frozen=True, slots=True)
class Desk:
    """All that one annotator's claim depends on, read under the lock of their cursor."""

    cursor: Cursor
    campaign: Campaign
    dimensions: tuple[Dimension, ...]
    guideline: int  # the newest version; 0 for none
    may_vote: bool
    now: datetime
    held: tuple[Held, ...]  # oldest first; expired ones too


@dataclass(frozen=True, slots=True)
class Question:
    """A triplet with all that is shown of it."""

    triplet_id: int
    prompt: Prompt
    video_a: Video
    video_b: Video | None

    def sides(self, *, swap: bool) -> tuple[Video, Video | None]:
        """What stands on the left and on the right; a single clip always on the left."""
        if self.video_b is None or not swap:
            return self.video_a, self.video_b
        return self.video_b, self.video_a


@dataclass(frozen=True, slots=True)
class Place:
    """An open slot, or one whose lease ran out, with its question."""

    slot_id: int
    n: int
    position: int
    shuffle: int
    question: Question


# Where somebody stands.

_CURSOR: Final = Columns(Cursor, "c")
_CAMPAIGN: Final = Columns(Campaign, "k")
_SLOT: Final = Columns(Slot, "s", "id", "campaign_id", "triplet_id", "seat", "lease_expires")
_LEASE: Final = Columns(Lease, "l", "token", "tab", "swap", "issued_at")


@cache
def _desk_sql() -> str:
    members = Campaign.members.through._meta.db_table
    groups = User.groups.through._meta.db_table
    return f"""
SELECT {clock()},
  (SELECT MAX(g.version) FROM {_table(Guideline)} g WHERE g.campaign_id = k.id),
  {json_rows(Dimension, "d", "d.dimension_set_id = k.dimension_set_id")},
  k.state <> 'draft'
    AND EXISTS (SELECT 1 FROM {groups} u JOIN {_table(Group)} r ON r.id = u.group_id
                WHERE u.user_id = c.annotator_id AND r.name = '{ANNOTATOR}')
    AND (k.open_to_all OR EXISTS (SELECT 1 FROM {members} m
                WHERE m.campaign_id = k.id AND m.user_id = c.annotator_id)),
  t.state, {_CURSOR.sql}, {_CAMPAIGN.sql}, {_SLOT.sql}, {_LEASE.sql}
FROM {_table(Cursor)} c
JOIN {_table(Campaign)} k ON k.id = c.campaign_id
LEFT JOIN {_table(Slot)} s ON s.holder_id = c.annotator_id AND s.state = 'leased'
LEFT JOIN {_table(Lease)} l ON l.token = s.lease_token
LEFT JOIN {_table(Triplet)} t ON t.id = s.triplet_id
WHERE c.campaign_id = %s AND c.annotator_id = %s
ORDER BY l.issued_at, l.token {locking("FOR NO KEY UPDATE OF c SKIP LOCKED")}"""


@cache
def _wait_sql() -> str:
    return f"""SELECT 1 FROM {_table(Cursor)} WHERE campaign_id = %s AND annotator_id = %s
FOR NO KEY UPDATE"""


def read_desk(campaign_id: int, user_id: int) -> Desk | None:
    """The desk, with its cursor locked; None for somebody who has never been in this campaign.

    Who must wait for the lock, as two tabs do for each other, waits in a statement of its own: only
    the next one sees what was given in the meantime.
    """
    rows = read(_desk_sql(), campaign_id, user_id)
    if not rows and locking("needed") and read(_wait_sql(), campaign_id, user_id):
        rows = read(_desk_sql(), campaign_id, user_id)
    if not rows:
        return None
    first = rows[0]
    held_at = 5 + len(_CURSOR) + len(_CAMPAIGN)
    return Desk(
        now=read_time(first[0]),
        guideline=first[1] or 0,
        dimensions=read_dimensions(first[2]),
        may_vote=bool(first[3]),
        cursor=_CURSOR.read(first, 5),
        campaign=_CAMPAIGN.read(first, 5 + len(_CURSOR)),
        held=tuple(_held(row, held_at) for row in rows if row[held_at] is not None),
    )


def _held(row: Row, at: int) -> Held:
    slot, lease = _SLOT.read(row, at), _LEASE.read(row, at + len(_SLOT))
    if slot.lease_expires is None or slot.seat is None:
        raise RuntimeError(f"slot {slot.pk} is leased without a lease, in spite of its constraint")
    return Held(
        token=lease.token,
        tab=lease.tab,
        issued_at=lease.issued_at,
        slot_id=slot.pk,
        campaign_id=slot.campaign_id,
        triplet_id=slot.triplet_id,
        seat=slot.seat,
        swap=lease.swap,
        expires_at=slot.lease_expires,
        answerable=row[4] == TripletState.OPEN,
    )


@lru_cache(maxsize=256)
def read_dimensions(text: str | None) -> tuple[Dimension, ...]:
    """The dimensions of a set from `json_rows`, in order. Kept by their text, so never stale.

    The rows are shared by all who ask: nobody changes them.
    """
    fields = Dimension._meta.concrete_fields
    names = [field.attname for field in fields]
    flags = {at for at, each in enumerate(fields) if isinstance(each, models.BooleanField)}
    found = [
        Dimension.from_db(
            "default",
            names,
            [bool(value) if at in flags else value for at, value in enumerate(values)],
        )
        for values in json.loads(text or "[]")
    ]
    return tuple(sorted(found, key=lambda each: each.position))


# The next slot.

_PROMPT: Final = Columns(Prompt, "p", "id", "text", "translations", "image_id")
_IMAGE: Final = Columns(ReferenceImage, "i")
_VIDEO_A: Final = Columns(Video, "va")
_VIDEO_B: Final = Columns(Video, "vb")
_QUESTION: Final = f"{_PROMPT.sql}, {_IMAGE.sql}, {_VIDEO_A.sql}, {_VIDEO_B.sql}"

_FREE: Final = "s.state = 'open' AND s.position >= %s"
_FREE_BEFORE: Final = "s.state = 'open' AND s.position < %s"
_EXPIRED: Final = "s.state = 'leased' AND s.lease_expires <= %s"


def _clips_of(alias: str) -> str:
    return f"""JOIN {_table(Prompt)} p ON p.id = {alias}.prompt_id
JOIN {_table(Video)} va ON va.id = {alias}.video_a_id
LEFT JOIN {_table(Video)} vb ON vb.id = {alias}.video_b_id
LEFT JOIN {_table(ReferenceImage)} i ON i.id = p.image_id"""


@cache
def _place_sql(which: str) -> str:
    """The first slot in the queue on whose triplet this person has no word and no hand yet."""
    mine = "\n    ".join(
        f"AND NOT EXISTS (SELECT 1 FROM {_table(model)} x"
        f" WHERE x.triplet_id = s.triplet_id AND x.{who} = %s)"
        for model, who in ((Vote, "annotator_id"), (Slot, "holder_id"), (Skip, "annotator_id"))
    )
    return f"""
WITH found AS (
  SELECT s.id, s.n, s.position, t.id AS triplet_id, t.shuffle,
    t.prompt_id, t.video_a_id, t.video_b_id
  FROM {_table(Slot)} s JOIN {_table(Triplet)} t ON t.id = s.triplet_id
  WHERE s.campaign_id = %s AND {which} AND t.state = 'open'
    {mine}
  ORDER BY s.position, s.id LIMIT 1 {locking("FOR NO KEY UPDATE OF s SKIP LOCKED")})
SELECT f.id, f.n, f.position, f.shuffle, f.triplet_id, {_QUESTION}
FROM found f {_clips_of("f")}"""


def next_place(desk: Desk) -> Place | None:
    """From the cursor to the end; then once from the start; open slots before expired ones.

    Open and expired are separate statements because one OR could not use both partial indexes.
    """
    user, position = desk.cursor.annotator_id, desk.cursor.position
    now = prepared(Slot, "lease_expires", desk.now)
    for which, value in ((_FREE, position), (_FREE_BEFORE, position), (_EXPIRED, now)):
        rows = read(_place_sql(which), desk.campaign.pk, value, user, user, user)
        if rows:
            slot_id, n, at, shuffle = rows[0][:4]
            return Place(slot_id, n, at, shuffle, _question(rows[0][4:]))
    return None


def question_of(triplet_id: int) -> Question:
    """What is shown of a triplet that somebody holds already."""
    sql = f"SELECT t.id, {_QUESTION} FROM {_table(Triplet)} t {_clips_of('t')} WHERE t.id = %s"
    return _question(read(sql, triplet_id)[0])


def _question(row: Row) -> Question:
    prompt = _PROMPT.read(row, 1)
    at = 1 + len(_PROMPT)
    prompt.image = None if row[at] is None else _IMAGE.read(row, at)
    at += len(_IMAGE)
    after = at + len(_VIDEO_A)
    video_b = None if row[after] is None else _VIDEO_B.read(row, after)
    return Question(row[0], prompt, _VIDEO_A.read(row, at), video_b)


# Taking it.


def lease_slot(
    place: Place, lease: Lease, *, seat: int, expires_at: datetime, cursor: Cursor
) -> None:
    """The slot, the record of what was shown, and the annotator's new place, at once."""
    run(
        change(
            Slot,
            {
                "state": SlotState.LEASED,
                "holder": cursor.annotator_id,
                "seat": seat,
                "lease_token": lease.token,
                "lease_expires": expires_at,
                "epoch": Sql("epoch + 1"),
            },
            {"id": place.slot_id},
        ),
        insertion([lease]),
        change(Cursor, {"position": place.position}, {"id": cursor.pk}),
    )


def open_again(slots: Sequence[Held]) -> None:
    """Put these slots back, unless somebody else has them by now."""
    run(
        *(
            change(Slot, OPEN_AGAIN, {"id": each.slot_id, "lease_token": each.token})
            for each in slots
        )
    )


def _table(model: type[models.Model]) -> str:
    return model._meta.db_table
