"""Runs that hang together as one graph: from the votes to the report, each with its state."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Q
from django.urls import reverse

from formats.outcome import OutputKind
from pipelines.graph_layout import laid_out, reduced
from pipelines.models import ACTIVE, Artifact, LoopGroup, Run, RunInput, RunState
from pipelines.registry import source_of
from pipelines.run_cards import badge_of, kind_title

_MOST: Final = 200  # runs on one picture
_ALIKE: Final = 4  # more runs than these that read and serve the same are drawn as one
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 168, 46, 36, 14, 8
_LETTERS: Final = 22  # of a title that fit into a box
# What a bundle shows: the first of these states that one of its runs has.
_LOUDEST: Final = (
    RunState.FAILED,
    RunState.CANCELLED,
    *ACTIVE,
    RunState.PAUSED,
    RunState.QUEUED,
    RunState.SUCCEEDED,
)


@dataclass(frozen=True, slots=True)
class Box:
    """One run, or several alike, as they are drawn."""

    runs: list[int]
    url: str
    title: str  # whole, for those who point at it
    short: str
    what: str
    state: str
    badge: str
    words: str  # how far
    x: int
    y: int
    done: int  # width of the bar, of _WIDTH
    here: bool

    @property
    def ids(self) -> str:
        return " ".join(map(str, self.runs))


@dataclass(frozen=True, slots=True)
class Graph:
    boxes: list[Box]
    lines: list[str]  # paths of SVG
    width: int
    height: int
    left_out: int
    box_width: int = _WIDTH
    box_height: int = _HEIGHT


# Which runs.


def of_group(group: LoopGroup) -> Graph:
    """The runs of a group, and those that they stand on."""
    return _drawn(_upstream(set(group.runs.values_list("pk", flat=True))))


def of_run(run: Run) -> Graph:
    """A run, all that it stands on, and all that goes on with what it leaves."""
    return _drawn(_upstream({run.pk}) | _downstream({run.pk}), here=run.pk)


def of_report(run: Run) -> Graph:
    """A report and all that it stands on, down to the votes of campaigns."""
    return _drawn(_upstream({run.pk}), here=run.pk, votes=True)


def _upstream(run_ids: set[int]) -> set[int]:
    seen, frontier = set(run_ids), set(run_ids)
    while frontier and len(seen) < _MOST:
        rows = _inputs(frontier)
        frontier = {source for row in rows if (source := source_of(row))} - seen
        seen |= frontier
    return seen


def _downstream(run_ids: set[int]) -> set[int]:
    seen, frontier = set(run_ids), set(run_ids)
    while frontier and len(seen) < _MOST:
        reads = (
            Q(producer__in=frontier)
            | Q(artifact__run__in=frontier)
            | Q(base_model__artifact__run__in=frontier)
        )
        frontier = set(RunInput.objects.filter(reads).values_list("run_id", flat=True)) - seen
        seen |= frontier
    return seen


def _inputs(run_ids: Iterable[int]) -> list[RunInput]:
    rows = RunInput.objects.filter(run__in=run_ids)
    return list(rows.select_related("artifact", "base_model__artifact"))


# Drawing.


def _drawn(run_ids: set[int], *, here: int | None = None, votes: bool = False) -> Graph:
    kept = {*sorted(run_ids)[-_MOST:], *([here] if here else [])}
    runs = {run.pk: run for run in Run.objects.filter(pk__in=kept)}
    edges = {
        (source, row.run_id)
        for row in _inputs(kept)
        if (source := source_of(row)) is not None and source in runs
    }
    bundles = _bundled(runs, edges)
    of = {run.pk: key for key, found in bundles.items() for run in found}
    read = _campaigns(runs.values()) if votes else {}
    between = {(of[a], of[b]) for a, b in edges} | {(read[pk].key, of[pk]) for pk in read}
    sources = {each.key: each for each in read.values()}
    layout = laid_out([*sources, *bundles], reduced(between))
    tallest = max((len(column) for column in layout.columns), default=0)
    boxes = [
        _votes_box(sources[key], _at(x, y, len(column), tallest))
        if key in sources
        else _box(bundles[key], _at(x, y, len(column), tallest), here)
        for x, column in enumerate(layout.columns)
        for y, key in enumerate(column)
        if key
    ]
    heights = [len(column) for column in layout.columns]
    lines = [
        _line([_at(x, y, heights[x], tallest) for x, y in way]) for way in layout.ways.values()
    ]
    return Graph(
        boxes=boxes,
        lines=lines,
        width=2 * _MARGIN + len(heights) * (_WIDTH + _GAP_X) - _GAP_X,
        height=2 * _MARGIN + tallest * (_HEIGHT + _GAP_Y) - _GAP_Y,
        left_out=len(run_ids) - len(kept),
    )


@dataclass(frozen=True, slots=True)
class _Votes:
    """The campaign whose votes a snapshot holds."""

    campaign: int
    name: str
    votes: int | None

    @property
    def key(self) -> str:
        return f"campaign {self.campaign}"


def _campaigns(runs: Iterable[Run]) -> dict[int, _Votes]:
    """By the run of a snapshot, where the votes come from; what it says of itself."""
    found = Artifact.objects.filter(run__in=[run.pk for run in runs], kind=OutputKind.SNAPSHOT)
    return {
        each.run_id: _Votes(
            each.meta["campaign"], each.meta.get("campaign_name", ""), each.meta.get("votes")
        )
        for each in found
        if "campaign" in each.meta
    }


def _votes_box(votes: _Votes, at: tuple[int, int]) -> Box:
    title = votes.name or f"Campaign {votes.campaign}"
    return Box(
        runs=[],
        url=reverse("annotation:dashboard", args=[votes.campaign]),
        title=title,
        short=_short(title),
        what="votes" if votes.votes is None else f"{votes.votes:,} votes",
        state="campaign",
        badge="",
        words="",
        x=at[0],
        y=at[1],
        done=0,
        here=False,
    )


def _short(title: str) -> str:
    return title if len(title) <= _LETTERS else title[: _LETTERS - 1] + "…"


def _bundled(runs: dict[int, Run], edges: set[tuple[int, int]]) -> dict[str, list[Run]]:
    """Runs of one kind that read the same and serve the same are one box, where they are many."""
    before: dict[int, set[int]] = defaultdict(set)
    behind: dict[int, set[int]] = defaultdict(set)
    for source, target in edges:
        before[target].add(source)
        behind[source].add(target)
    alike: dict[Any, list[Run]] = defaultdict(list)
    for pk in sorted(runs):
        key = (runs[pk].kind, frozenset(before[pk]), frozenset(behind[pk]))
        alike[key].append(runs[pk])
    return {
        str(found[0].pk): found
        for each in alike.values()
        for found in ([each] if len(each) > _ALIKE else [[run] for run in each])
    }


def _at(column: int, row: int, rows: int, tallest: int) -> tuple[int, int]:
    """The corner of a place; shorter columns stand in the middle."""
    above = (tallest - rows) * (_HEIGHT + _GAP_Y) // 2
    return _MARGIN + column * (_WIDTH + _GAP_X), _MARGIN + above + row * (_HEIGHT + _GAP_Y)


def _box(runs: list[Run], at: tuple[int, int], here: int | None) -> Box:
    first, many = runs[0], len(runs) > 1
    title = f"{len(runs)} runs: {kind_title(first.kind)}" if many else first.name
    title = title or kind_title(first.kind)
    state = state_of([run.state for run in runs])
    share = sum(_share(run) for run in runs) / len(runs)
    return Box(
        runs=[run.pk for run in runs],
        url=reverse("pipelines:run", args=[first.pk]),
        title=title,
        short=_short(title),
        what=first.kind.replace("_", " "),
        state=state,
        badge=badge_of(state),
        words=_words(runs, share),
        x=at[0],
        y=at[1],
        done=round(_WIDTH * share),
        here=here in {run.pk for run in runs},
    )


def state_of(states: Iterable[str]) -> str:
    found = set(states)
    return next(each for each in _LOUDEST if each in found)


def _share(run: Run) -> float:
    if run.state == RunState.SUCCEEDED:
        return 1.0
    return min(1.0, run.step / run.total) if run.total else 0.0


def _words(runs: list[Run], share: float) -> str:
    if len(runs) > 1:
        done = sum(run.state == RunState.SUCCEEDED for run in runs)
        return f"{done} of {len(runs)} done"
    return f"{share:.0%}" if 0 < share < 1 and runs[0].state in ACTIVE else ""


def _line(corners: list[tuple[int, int]]) -> str:
    """From the right side of a box to the left side of another, through the places between."""
    (x, y), *rest = corners
    x, y = x + _WIDTH, y + _HEIGHT // 2
    parts = [f"M{x} {y}"]
    for number, (left, top) in enumerate(rest, start=1):
        middle, level = left - _GAP_X // 2, top + _HEIGHT // 2
        parts.append(f"C{middle} {y} {middle} {level} {left} {level}")
        x, y = left, level
        if number < len(rest):
            parts.append(f"H{left + _WIDTH}")
    return "".join(parts)
