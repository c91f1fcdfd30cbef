"""What pages show of a grid of reward guidance: the table, and the same prompts in every cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from django.contrib.auth.models import User

from annotation.models import Video
from formats.errors import FormatError
from formats.files import read_json
from formats.outcome import OutputKind
from pipelines.changes import Change
from pipelines.comparisons.guidance_tables import GRID
from pipelines.comparisons.members import Rate, winner
from pipelines.comparisons.page import RateCell, motion_words, rate_cell
from pipelines.comparisons.samples import SampleRow
from pipelines.comparisons.table import MOTION
from pipelines.evaluation import OVERALL
from pipelines.models import Artifact
from pipelines.registry import path_of
from pipelines.reports.evidence import TRUTH
from pipelines.run_pages import playable

_PROMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class GridRow:
    """One cell of the grid. `kind` says whether it is plain, guided, or a control."""

    name: str
    kind: str
    both: list[tuple[RateCell | None, str]]  # the win rate, and by how much the score changes
    motion: str
    motion_note: str


@dataclass(frozen=True, slots=True)
class JudgeGrid:
    judge: str
    note: str
    columns: list[str]
    rows: list[GridRow]


@dataclass(frozen=True, slots=True)
class GridPage:
    """`fault`: why there is nothing else."""

    judges: list[JudgeGrid]
    motion: list[tuple[str, str, str]]  # cell, change, amounts; where nobody judged
    samples: list[SampleRow]
    fault: str = ""


def page_of(artifacts: Sequence[Artifact], user: User) -> GridPage | None:
    """Of the first guidance grid among these; None where there is none."""
    artifact = next((each for each in artifacts if each.kind == OutputKind.GUIDANCE_GRID), None)
    if artifact is None:
        return None
    try:
        body = read_json(path_of(artifact), GRID)
    except FormatError as error:
        return GridPage([], [], [], fault=str(error))
    order = sorted(body["judges"], key=lambda name: (name != TRUTH, body["judges"][name], name))
    return GridPage(
        judges=[_judge(name, body) for name in order],
        motion=[] if order else [(each["name"], *_motion(each)) for each in body["cells"]],
        samples=_samples(body, user),
    )


def _judge(judge: str, body: Mapping[str, Any]) -> JudgeGrid:
    cells = body["cells"]
    rates = {each["name"]: _rates(each, judge) for each in cells}
    names = {name for of_cell in rates.values() for name in of_cell}
    places = {name: place for place, name in enumerate([OVERALL, *body.get("dimensions", [])])}
    columns = sorted(names, key=lambda name: (places.get(name, len(places)), name))
    best = {name: _best(rates, name) for name in columns}
    return JudgeGrid(
        judge=judge,
        note="the guide learned from it" if body["judges"][judge] else "",
        columns=columns,
        rows=[
            GridRow(each["name"], _kind(each), _both(each, judge, best), *_motion(each))
            for each in cells
        ],
    )


def _both(
    told: Mapping[str, Any], judge: str, best: Mapping[str, str | None]
) -> list[tuple[RateCell | None, str]]:
    rates = _rates(told, judge)
    marked = {name: replace(rate, best=best[name] == told["name"]) for name, rate in rates.items()}
    return [(rate_cell(marked.get(name)), _change(told, judge, name)) for name in best]


def _rates(told: Mapping[str, Any], judge: str) -> dict[str, Rate]:
    found = told["judged"].get(judge, {}).get("dimensions", {})
    return {key: Rate(row["rate"], row["low"], row["high"]) for key, row in found.items()}


def _best(rates: Mapping[str, Mapping[str, Rate]], name: str) -> str | None:
    return winner({cell: of_cell[name] for cell, of_cell in rates.items() if name in of_cell})


def _kind(told: Mapping[str, Any]) -> str:
    if told["untrained"]:
        return "control: directions of random weights, as long as the guide's"
    return "" if told["strength"] else "no guidance; what all others are held against"


def _motion(told: Mapping[str, Any]) -> tuple[str, str]:
    row = told["measures"].get(MOTION)
    return motion_words(Change(**row) if row else None)


def _change(told: Mapping[str, Any], judge: str, name: str) -> str:
    row = told["judged"].get(judge, {}).get("changes", {}).get(name)
    return "" if row is None else f"{row['change']:+.3f}"


def _samples(body: Mapping[str, Any], user: User) -> list[SampleRow]:
    shown = body["samples"][:_PROMPTS]
    wanted = {sha256 for row in shown for sha256 in row["clips"].values()}
    found = Video.objects.filter(sha256__in=wanted, withdrawn=False)
    videos = {(video.sha256, video.seed): video for video in found}
    return [
        SampleRow(
            row["prompt"],
            row["seed"],
            [
                (name, playable(video, user, f"{name}: {row['prompt']}"))
                for name in (each["name"] for each in body["cells"])
                if (video := videos.get((row["clips"][name], row["seed"]))) is not None
            ],
        )
        for row in shown
    ]
