"""The read-only REST door to the preview of a set of pairs."""

from dataclasses import asdict
from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.errors import CampaignError, NotFound, Unreadable
from annotation.views.door import Door
from annotation.views.lead_door import read_number, read_query, read_word, viewer
from formats.errors import FormatError
from formats.outcome import OutputKind
from formats.records import PairRecord
from pipelines.models import Artifact
from pipelines.pairs import figures as pair_figures
from pipelines.pairs.preview import pair_json, refusal_json
from pipelines.pairs.rules import Refusal
from pipelines.pairs.sets import EVERYTHING, ORDERS, PARTS, PairSet, media_of, read_set
from pipelines.views.shapes_pairs import PAIR_SET

_LIMIT: Final = 100
_MOST: Final = 1000


def _parameter(name: str, what: str, words: tuple[str, ...] | None = None) -> OpenApiParameter:
    kind = OpenApiTypes.STR if words else OpenApiTypes.INT
    return OpenApiParameter(name, kind, description=what, enum=words)


class PairSetView(Door):
    @extend_schema(
        summary="A set of preference pairs: figures, map of rewards, what was refused, the pairs",
        description="The pairs come `limit` at a time behind `offset`, with addresses at which"
        " the one who asks can watch their clips. `refused` are examples of each reason; all are"
        " counted under `counts`. Leads and ML engineers.",
        operation_id="pairs_read",
        parameters=[
            _parameter("part", "Which pairs.", tuple(PARTS)),
            _parameter("order", "In which order.", tuple(ORDERS)),
            _parameter("offset", "How many pairs to leave out at the beginning."),
            _parameter("limit", f"At most so many pairs, up to {_MOST}; {_LIMIT} if not given."),
        ],
        responses={200: PAIR_SET},
    )
    def get(self, request: Request, artifact_id: int) -> Response:
        user = viewer(request)
        query = read_query(request, ("part", "order", "offset", "limit"))
        part = read_word(query, "part", PARTS) or EVERYTHING
        order = read_word(query, "order", ORDERS) or "stored"
        start, limit = read_number(query, "offset") or 0, read_number(query, "limit") or _LIMIT
        if limit > _MOST:
            raise Unreadable(f"limit must be at most {_MOST}, got {limit}.")
        artifact = Artifact.objects.filter(pk=artifact_id, kind=OutputKind.PAIRS).first()
        if artifact is None:
            raise NotFound("There is no such set of pairs.")
        try:
            found = read_set(artifact)
        except FormatError as error:
            raise CampaignError(str(error)) from error
        chosen = found.part(part, order)
        pairs = chosen[start : start + limit]
        everything: list[PairRecord | Refusal] = [*pairs, *found.refusals]
        media = media_of([(each.chosen, each.rejected, each.image) for each in everything], user)
        return Response(
            {
                **_whole(artifact, found),
                "pairs": [pair_json(each, media) for each in pairs],
                "next_offset": start + limit if start + limit < len(chosen) else None,
                "refused": [refusal_json(each, media) for each in found.refusals],
            }
        )


def _whole(artifact: Artifact, found: PairSet) -> dict[str, Any]:
    gaps = {}
    for source in sorted({pair.source for pair in found.pairs}):
        values = [pair.gap for pair in found.pairs if pair.source == source]
        counts, edges = pair_figures.histogram(values)
        gaps[source] = {"counts": counts, "edges": edges}
    return {
        "artifact": artifact.pk,
        "run": artifact.run_id,
        "sha256": artifact.sha256,
        "summary": artifact.meta,
        "parts": found.parts(),
        "gaps": gaps,
        "dimensions": [asdict(each) for each in pair_figures.dimensions_of(found.pairs)],
        "shares": [asdict(each) for each in pair_figures.shares_of(found.pairs)],
        "tilts": [asdict(each) for each in pair_figures.tilts_of(found.pairs)],
        "reward_map": found.reward_map.to_json() if found.reward_map is not None else None,
        "counts": [asdict(each) for each in pair_figures.counts_of(found, artifact.meta)],
    }
