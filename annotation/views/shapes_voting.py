"""What annotators get and send (`wire`)."""

from typing import Final

from annotation.models import CampaignKind, Showing, Stage
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
    sent,
)
from formats.labels import InvalidReason

_LABELS: Final = ("left", "right", "tie", "invalid")

VIDEO: Final = record(
    id=ID, url=TEXT, poster=TEXT, fps=NUMBER, num_frames=WHOLE, width=WHOLE, height=WHOLE,
    duration=NUMBER, flash_warning=TRUTH,
)  # fmt: skip
IMAGE: Final = record(id=ID, url=TEXT, width=WHOLE, height=WHOLE)
PROMPT: Final = record(text=TEXT, translations=by_key(TEXT), image=maybe(IMAGE))
DIMENSION: Final = record(
    key=TEXT, title=TEXT, question=TEXT, guideline=rows(TEXT), group=TEXT, allow_tie=TRUTH,
    min_width=WHOLE,
)  # fmt: skip
_COUNT: Final = record(done=WHOLE, of=WHOLE)
_REST: Final = record(
    suggest_after_ms=WHOLE, require_after_ms=WHOLE, active_ms_today=WHOLE, daily_ms=WHOLE
)

ASSIGNMENT: Final = record(
    lease=ID, expires_at=MOMENT, campaign=WHOLE, kind=one_of(CampaignKind), stage=one_of(Stage),
    stage_progress=maybe(_COUNT), prompt=PROMPT, left=VIDEO, right=maybe(VIDEO),
    dimensions=rows(DIMENSION), guideline=WHOLE, per_video_scores=TRUTH, watch_gate=TRUTH,
    showing=one_of(Showing), rest=_REST, progress=record(mine=WHOLE, done=WHOLE, total=WHOLE),
)  # fmt: skip
EMPTY: Final = record(empty=TRUTH, gate=TEXT, reason=TEXT, retry_after=WHOLE)
NEXT: Final = either(ASSIGNMENT, EMPTY)
WISH: Final = body(tab=ID, prefetch=TRUTH, screen_width=NUMBER)

SCORE: Final[Shape] = {"type": ["integer", "null"], "minimum": 1, "maximum": 5}
JUDGEMENT: Final = sent(
    label=one_of(_LABELS), reason=one_of(["", *InvalidReason]), score_left=SCORE, score_right=SCORE
)
BALLOT: Final = body(
    lease=ID, left_video=ID, right_video=maybe(ID), judgements=by_key(JUDGEMENT),
    timing={"type": "object", "additionalProperties": True}, remark=TEXT, guideline=WHOLE,
)  # fmt: skip
_TOLD: Final = record(said=either(TEXT, NUMBER), expected=either(TEXT, NUMBER), right=TRUTH)
RECEIPT: Final = record(
    vote=ID, state=TEXT, revision=WHOLE, replay=TRUTH, feedback=maybe(by_key(_TOLD)),
    explanation=TEXT, note=TEXT,
)  # fmt: skip
_SAID: Final = record(label=maybe(TEXT), reason=TEXT, score_left=SCORE, score_right=SCORE)
OWN_VOTE: Final = record(
    vote=ID, lease=ID, revision=WHOLE, state=TEXT, submitted_at=MOMENT, prompt=PROMPT,
    left=maybe(VIDEO), right=maybe(VIDEO), judgements=by_key(_SAID), remark=TEXT,
)  # fmt: skip
OWN_VOTES: Final = record(votes=rows(OWN_VOTE), dimensions=rows(DIMENSION))
RENEWED: Final = record(expires_at=MOMENT)
RELEASED: Final = record(released=TRUTH)
SKIPPED: Final = record(skipped=TRUTH)
SKIP: Final = body(reason=TEXT)
FLAG: Final = body(kind=TEXT, side=TEXT, note=TEXT)
FLAGGED: Final = record(flagged=TRUTH, withdrawn=TRUTH)
