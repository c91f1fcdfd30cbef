"""Clips whose being withdrawn nobody changes until a transaction ends.

A flag that takes a clip out and an act that asks people about it must not pass each other by. Both
hold the row of the clip first: locks are taken in the order cursor, clips, flags, triplets, slots,
campaign.
"""

import uuid
from collections.abc import Iterable
from typing import Final

from django.db.models import QuerySet

from annotation.models import Triplet, Video

_AT_ONCE: Final = 5000  # values in one SQL statement


def hold_clips(clips: Iterable[uuid.UUID | None]) -> set[uuid.UUID]:
    """Lock these clips until the transaction ends; those of them that are withdrawn.

    All that a transaction needs in one call: they are locked in one order, so that two that share
    clips wait for each other instead of crosswise.
    """
    wanted = sorted({each for each in clips if each is not None})
    withdrawn: set[uuid.UUID] = set()
    for start in range(0, len(wanted), _AT_ONCE):
        some = Video.objects.filter(pk__in=wanted[start : start + _AT_ONCE]).order_by("pk")
        rows = some.select_for_update(no_key=True).values_list("pk", "withdrawn")
        withdrawn |= {pk for pk, gone in rows if gone}
    return withdrawn


def hold_clips_of(triplets: QuerySet[Triplet]) -> set[uuid.UUID]:
    """The same for all clips that these triplets show."""
    pairs = triplets.order_by().values_list("video_a", "video_b")
    return hold_clips(clip for pair in pairs for clip in pair)
