"""What the doors of VBench take and send."""

from typing import Final

from annotation.views.shapes import (
    NUMBER,
    TEXT,
    WHOLE,
    body,
    by_key,
    maybe,
    one_of,
    record,
    rows,
    shape_of,
)
from formats.vbench import PROTOCOLS
from formats.vbench_official import SCALES
from formats.vbench_results import VBenchResult
from pipelines.models import RunState

IMPORT: Final = body(
    results=by_key(by_key({})), files=rows(TEXT), protocol=one_of(tuple(PROTOCOLS)),
    scale=one_of(SCALES), generator=TEXT, inputs=by_key(by_key(WHOLE)), name=TEXT, nonce=TEXT,
)  # fmt: skip
QUEUED: Final = record(run=WHOLE, state=one_of(RunState))
RESULTS: Final = record(results=rows(record(id=WHOLE, run=WHOLE, name=TEXT, meta=by_key({}))))
_TOTALS: Final = record(
    normalised=by_key(NUMBER), groups=by_key(NUMBER), total=maybe(NUMBER), missing=rows(TEXT),
    refusal=TEXT,
)  # fmt: skip
RESULT: Final = record(id=WHOLE, run=WHOLE, **shape_of(VBenchResult)["properties"], totals=_TOTALS)
