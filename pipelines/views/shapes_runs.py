"""What the doors of runs and artifacts send."""

from typing import Final

from annotation.views.shapes import (
    MOMENT,
    NUMBER,
    TEXT,
    WHOLE,
    Shape,
    body,
    by_key,
    maybe,
    one_of,
    record,
    rows,
    shape_of,
)
from formats.outcome import OutputKind
from pipelines.logs import Log
from pipelines.models import RunState
from pipelines.run_cards import RunCard

_CARD: Final[dict[str, Shape]] = {
    **shape_of(RunCard)["properties"],
    "state": one_of(RunState),
    "percent": WHOLE,
}
_LEFT: Final = record(id=WHOLE, kind=TEXT, sha256=TEXT)
_FACTS: Final[dict[str, Shape]] = {
    "id": WHOLE,
    "kind": one_of(list(OutputKind)),
    "run": WHOLE,
    "name": TEXT,
    "sha256": TEXT,
    "bytes": WHOLE,
    "created_at": MOMENT,
    "meta": by_key({}),
}
RUN: Final = record(**_CARD)
RUNS: Final = record(runs=rows(RUN))
WHOLE_RUN: Final = record(**_CARD, config=by_key({}), summary=by_key({}), artifacts=rows(_LEFT))
STEERED: Final = record(runs=rows(RUN))
_INPUT: Final = by_key(WHOLE)  # {"artifact": id}, {"base_model": id} or {"run": id}
START: Final = body(
    kind=TEXT, config=by_key({}), name=TEXT, nonce=TEXT, inputs=by_key(_INPUT), needs=by_key({}),
    preset=TEXT, prompts=by_key(TEXT), watch_prompts=by_key(TEXT),
)  # fmt: skip
START_CHAIN: Final = body(config=by_key({}), inputs=by_key(_INPUT), nonce=TEXT)
PRIORITY: Final = body(priority=WHOLE)
LOG: Final = shape_of(Log)
METRICS: Final = record(
    metrics=rows(record(name=TEXT, step=WHOLE, value=NUMBER)),
    since=WHOLE,
)
ARTIFACT: Final = record(**_FACTS)
ARTIFACTS: Final = record(next=maybe(TEXT), previous=maybe(TEXT), results=rows(ARTIFACT))
WHOLE_ARTIFACT: Final = record(**_FACTS, files=rows(record(name=TEXT, bytes=WHOLE, sha256=TEXT)))
