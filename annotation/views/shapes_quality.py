"""What the doors of quality get and send (`wire_quality`)."""

from typing import Final

from annotation.models import FlagKind, FlagState, ProbeKind, SplitReason
from annotation.quality.recollecting import Window
from annotation.quality.scorecards import Scorecard
from annotation.quality.standings import Standing
from annotation.views.shapes import (
    ID,
    MOMENT,
    NUMBER,
    TEXT,
    TRUTH,
    WHOLE,
    Shape,
    body,
    by_key,
    either,
    maybe,
    one_of,
    record,
    rows,
    shape_of,
)
from annotation.views.shapes_voting import DIMENSION, PROMPT, VIDEO

_CLIP: Final = record(id=ID, url=TEXT, generator=maybe(TEXT), withdrawn=TRUTH)
_PROMPT: Final = record(id=WHOLE, text=TEXT)
_KNOWN: Final = by_key(either(TEXT, NUMBER))
_NEXT: Final = maybe(WHOLE)

PROBE: Final = record(
    id=WHOLE, kind=one_of(ProbeKind), active=TRUTH, prompt=_PROMPT, video_a=_CLIP,
    video_b=maybe(_CLIP), triplet=maybe(WHOLE), expected=_KNOWN, explanation=by_key(TEXT),
    created_at=MOMENT,
)  # fmt: skip
PROBES: Final = record(gold=rows(PROBE), next=_NEXT)
PROBE_BODY: Final = body(
    kind=one_of(ProbeKind), triplet=WHOLE, video_a=ID, video_b=ID, expected=_KNOWN,
    explanation=by_key(TEXT),
)  # fmt: skip
PROBE_CHANGES: Final = body(expected=_KNOWN, explanation=by_key(TEXT), active=TRUTH)
PROMOTABLE: Final = record(
    triplets=rows(record(triplet=WHOLE, prompt=_PROMPT, video_a=_CLIP, video_b=maybe(_CLIP))),
    next=_NEXT,
)
PROMOTE_BODY: Final = body(triplets=rows(WHOLE))
PROMOTED: Final = record(gold=rows(WHOLE))

FLAG: Final = record(
    id=WHOLE, kind=one_of(FlagKind), state=one_of(FlagState), note=TEXT, annotator=TEXT,
    created_at=MOMENT, settled_by=maybe(TEXT), settled_at=maybe(MOMENT), triplet=maybe(WHOLE),
    probe=maybe(WHOLE), video=maybe(_CLIP), withdrawn=TRUTH, withdrew=WHOLE,
)  # fmt: skip
FLAGS: Final = record(flags=rows(FLAG), next=_NEXT)
SETTLE_BODY: Final = body(uphold=TRUTH)

CASE: Final = record(
    triplet=WHOLE, why=TEXT, waiting=WHOLE, prompt=PROMPT, left=VIDEO, right=maybe(VIDEO),
    dimensions=rows(DIMENSION), watch_gate=TRUTH,
)  # fmt: skip
NEXT_CASE: Final = either(CASE, record(empty=TRUTH, reason=TEXT))
RULING_BODY: Final = body(
    labels=by_key(TEXT), reason=one_of(SplitReason), note=TEXT, left_video=ID, right_video=ID
)
VERDICT: Final = record(
    adjudication=WHOLE, settled=rows(TEXT), spread=by_key(by_key(either(WHOLE, TEXT)))
)
RULINGS: Final = record(
    rulings=rows(
        record(
            adjudication=WHOLE, adjudicator=TEXT, labels=by_key(TEXT), reason=TEXT, note=TEXT,
            created_at=MOMENT,
        )
    )
)  # fmt: skip


def _with(shape: Shape, **more: Shape) -> Shape:
    return record(**{**shape["properties"], **more})


STANDINGS: Final = record(annotators=rows(_with(shape_of(Standing), straight=TRUTH)))
WINDOW: Final = shape_of(Window)
NOTE_BODY: Final = body(note=TEXT)
RESUMED: Final = record(stage=TEXT, attempt=WHOLE)
RECOLLECTED: Final = record(votes=WHOLE, since=maybe(MOMENT))
_DAY: Final = shape_of(Scorecard)["properties"]["days"]["items"]
SCORECARD: Final = _with(
    shape_of(Scorecard), campaign=WHOLE, seconds=maybe(NUMBER),
    days=rows(_with(_DAY, seconds=maybe(NUMBER), agreement=maybe(NUMBER))),
)  # fmt: skip
