"""What the door of pairs sends."""

from typing import Final

from annotation.views.shapes import (
    NUMBER,
    TEXT,
    TRUTH,
    WHOLE,
    by_key,
    maybe,
    record,
    rows,
    shape_of,
)
from formats.records import ImageRef, VideoRef
from pipelines.pairs.figures import Count, Dimension, Tilt
from pipelines.pairs.sets import PARTS

_REWARDS: Final = by_key(NUMBER)
_HISTOGRAM: Final = record(counts=rows(WHOLE), edges=rows(NUMBER))
_CLIP: Final = shape_of(VideoRef)

PAIR: Final = record(
    ("image",), pair_id=TEXT, prompt_id=TEXT, prompt=TEXT, split=TEXT, chosen=_CLIP, rejected=_CLIP,
    gap=NUMBER, reward_w=NUMBER, reward_l=NUMBER, source=TEXT, image=shape_of(ImageRef),
    rewards_w=_REWARDS, rewards_l=_REWARDS, shares_w=_REWARDS, chosen_url=TEXT, rejected_url=TEXT,
    image_url=TEXT,
)  # fmt: skip
REFUSAL: Final = record(
    reason=TEXT, detail=TEXT, replaced=TRUTH, source=TEXT, prompt=TEXT, chosen=maybe(TEXT),
    rejected=maybe(TEXT), chosen_url=TEXT, rejected_url=TEXT,
)  # fmt: skip
REWARD_MAP: Final = record(
    mapping=TEXT, knots=rows(rows(NUMBER)), tail=NUMBER, fitted_on=TEXT, clips=WHOLE,
    weights=_REWARDS, reward_model=TEXT,
)  # fmt: skip
PAIR_SET: Final = record(
    artifact=WHOLE, run=WHOLE, sha256=TEXT, summary=by_key({}),
    parts=record(**dict.fromkeys(PARTS, WHOLE)), gaps=by_key(_HISTOGRAM),
    dimensions=rows(shape_of(Dimension)), shares=rows(shape_of(Dimension)),
    tilts=rows(shape_of(Tilt)), reward_map=maybe(REWARD_MAP), counts=rows(shape_of(Count)),
    pairs=rows(PAIR), next_offset=maybe(WHOLE), refused=rows(REFUSAL),
)  # fmt: skip
