"""What the doors of lineage and disk use send."""

from typing import Final

from annotation.views.shapes import TEXT, WHOLE, by_key, maybe, record, rows, shape_of
from pipelines.store.usage import DiskUse
from pipelines.tracing import Found, Votes

_BASE: Final = record(id=WHOLE, name=TEXT, source=TEXT, revision=TEXT)
_INPUT: Final = record(
    role=TEXT, sha256=TEXT, artifact=maybe(WHOLE), run=maybe(WHOLE), file=TEXT,
    base_model=maybe(_BASE),
)  # fmt: skip
_OUTPUT: Final = record(artifact=WHOLE, kind=TEXT, path=TEXT, sha256=TEXT, code=TEXT)
_STEP: Final = record(
    run=WHOLE, kind=TEXT, name=TEXT, state=TEXT, config=by_key({}), config_sha256=TEXT, fence=WHOLE,
    inputs=rows(_INPUT), outputs=rows(_OUTPUT),
)  # fmt: skip
LINEAGE: Final = record(
    found=rows(shape_of(Found)), steps=rows(_STEP), votes=rows(shape_of(Votes)), gaps=rows(TEXT)
)
DISK_USE: Final = shape_of(DiskUse)
