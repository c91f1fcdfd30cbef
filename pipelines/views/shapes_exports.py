"""What the doors of exports take and send."""

from typing import Final

from annotation.views.shapes import (
    MOMENT,
    TEXT,
    TRUTH,
    WHOLE,
    body,
    by_key,
    maybe,
    one_of,
    record,
    rows,
)
from pipelines.exports.catalogue import FORMATS
from pipelines.exports.runs import MEDIA
from pipelines.models import RunState

START: Final = body(
    snapshot=WHOLE, format=one_of(tuple(FORMATS)), media=one_of(MEDIA), prefix=TEXT, nonce=TEXT
)
_FORMAT: Final = record(
    name=TEXT, title=TEXT, about=TEXT, folder=TRUTH, holds=rows(TEXT), beside=rows(TEXT),
    lost=rows(TEXT), remarks=rows(TEXT),
)  # fmt: skip
EXPORT: Final = record(
    run=WHOLE, state=one_of(RunState), format=TEXT, media=TEXT, snapshot=maybe(WHOLE),
    artifact=maybe(WHOLE), rows=maybe(WHOLE), left_out=by_key(by_key(WHOLE)), created_at=MOMENT,
)  # fmt: skip
EXPORTS: Final = record(exports=rows(EXPORT), formats=rows(_FORMAT))
