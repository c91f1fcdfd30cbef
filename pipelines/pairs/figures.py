"""What a set of pairs looks like as a whole: gaps, differences per dimension, what was refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from annotation import charts
from formats.records import PairRecord
from pipelines.pairs.sets import PairSet
from pipelines.rewards.maps import RewardMap
from pipelines.run_pages import cell

_BINS: Final = 24
_MAP_POINTS: Final = 33
GAP_TITLES: Final = {
    "rewards": "How far apart by rewards: difference of the totals",
    "votes": "How far apart by people: votes for it minus against it",
}


@dataclass(frozen=True, slots=True)
class Dimension:
    """The rewards of the chosen clips minus those of the rejected, on one dimension."""

    key: str
    pairs: int
    mean: float
    low: float  # quartiles
    median: float
    high: float
    better: float  # share of pairs on which the chosen clip has more; equal ones count half


@dataclass(frozen=True, slots=True)
class Count:
    """A reason why there is no pair: how often, how often a narrower one was made instead."""

    reason: str
    refused: int
    replaced: int
    examples: int


def dimensions_of(pairs: Sequence[PairRecord]) -> list[Dimension]:
    """Of pairs whose clips a reward model judged; by name."""
    judged = [pair for pair in pairs if pair.rewards_w]
    keys = sorted({key for pair in judged for key in pair.rewards_w})
    return [
        _dimension(
            key,
            [
                pair.rewards_w[key] - pair.rewards_l[key]
                for pair in judged
                if key in pair.rewards_w and key in pair.rewards_l
            ],
        )
        for key in keys
    ]


def shares_of(pairs: Sequence[PairRecord]) -> list[Dimension]:
    """Of pairs that people judged: share of votes for the chosen clip minus one half."""
    keys = sorted({key for pair in pairs for key in pair.shares_w})
    return [
        _dimension(key, [p.shares_w[key] - 0.5 for p in pairs if key in p.shares_w]) for key in keys
    ]


def _dimension(key: str, differences: Sequence[float]) -> Dimension:
    values = np.array(differences, dtype=float)
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    better = float(((values > 0) + 0.5 * (values == 0)).mean())
    return Dimension(key, len(values), float(values.mean()), low, median, high, better)


@dataclass(frozen=True, slots=True)
class Tilt:
    """Of the pairs whose sides differ in something, how often the side with it was chosen."""

    what: str
    pairs: int
    chosen: int

    @property
    def share(self) -> float:
        return self.chosen / self.pairs


def tilts_of(pairs: Sequence[PairRecord]) -> list[Tilt]:
    """What a generator could learn instead of quality, where a guard was allowed to pass it."""
    counts: dict[str, list[bool]] = {}
    for pair in pairs:
        one, other = pair.chosen, pair.rejected
        if one.generator != other.generator:
            counts.setdefault(f"made by {one.generator or 'unknown'}", []).append(True)
            counts.setdefault(f"made by {other.generator or 'unknown'}", []).append(False)
        for what, mine, theirs in (
            ("the longer one", one.num_frames / one.fps, other.num_frames / other.fps),
            ("the higher frame rate", one.fps, other.fps),
        ):
            if mine != theirs:
                counts.setdefault(what, []).append(mine > theirs)
    found = [Tilt(what, len(won), sum(won)) for what, won in counts.items()]
    return sorted(found, key=lambda each: (-each.pairs, each.what))


def histogram(values: Sequence[float]) -> tuple[list[int], list[float]]:
    """Counts of equal bins, and their edges; one bin where all values are equal."""
    spread = max(values) > min(values)
    counts, edges = np.histogram(values, bins=_BINS if spread else 1)
    return counts.tolist(), edges.tolist()


def gap_charts(pairs: Sequence[PairRecord]) -> list[charts.Bars]:
    """One of each source: their gaps are on scales of their own."""
    found = []
    for source in sorted({pair.source for pair in pairs}):
        counts, edges = histogram([pair.gap for pair in pairs if pair.source == source])
        names = [f"{low:.2g}" for low in edges[:-1]]
        tips = [
            f"{count} pair{'' if count == 1 else 's'}: {low:.3g} to {high:.3g}"
            for count, low, high in zip(counts, edges, edges[1:], strict=False)
        ]
        title = GAP_TITLES.get(source, source)
        found.append(charts.bars_chart(title, [float(each) for each in counts], names, tips))
    return found


def difference_chart(title: str, rows: Sequence[Dimension]) -> charts.Rows | None:
    """Medians with their quartiles, zero where nothing is preferred."""
    if not rows:
        return None
    ends = [0.0, *(each.low for each in rows), *(each.high for each in rows)]
    margin = 0.05 * (max(ends) - min(ends) or 1)
    scale = charts.Scale(min(ends) - margin, max(ends) + margin)
    return charts.rows_chart(title, scale, [_row(each) for each in rows], line=0.0)


def _row(each: Dimension) -> charts.Row:
    tip = (
        f"{each.key}: median {each.median:.3g}, quartiles {each.low:.3g} and {each.high:.3g}, "
        f"{each.pairs} pairs; better in {100 * each.better:.0f} %"
    )
    span = charts.Span("value", tip, each.median, each.low, each.high)
    return charts.Row(each.key, (span,), after=f"{100 * each.better:.0f}\N{NO-BREAK SPACE}%")


def map_chart(found: RewardMap | None) -> charts.Lines | None:
    """The map from totals to [0, 1], from a little below its first knot to above its last."""
    if found is None or len(found.knots) < 2:
        return None
    low, high = found.knots[0][0], found.knots[-1][0]
    places = np.linspace(low - 0.1 * (high - low), high + 0.1 * (high - low), _MAP_POINTS)
    values = [found(float(each)) for each in places]
    names = [f"{each:.2g}" for each in places]
    tips = [f"{at:.3g} becomes {to:.3g}" for at, to in zip(places, values, strict=True)]
    series = [charts.Series("map", tuple((each, None, None) for each in values))]
    return charts.lines_chart(
        "How totals become values in [0, 1]", names, series, tips, bounds=(0.0, 1.0)
    )


def counts_of(found: PairSet, meta: dict[str, Any]) -> list[Count]:
    """Most frequent first."""
    refused, replaced = meta.get("refused", {}), meta.get("replaced", {})
    rows = [
        Count(
            reason,
            refused.get(reason, 0),
            replaced.get(reason, 0),
            len(found.refused(reason)),
        )
        for reason in {*refused, *replaced}
    ]
    return sorted(rows, key=lambda each: (-each.refused - each.replaced, each.reason))


@dataclass(frozen=True, slots=True)
class Stat:
    label: str
    value: str
    note: str = ""


def stats_of(found: PairSet, meta: dict[str, Any]) -> list[Stat]:
    """The numbers that stand first."""
    parts = found.parts()
    prompts = len({(pair.prompt, pair.image) for pair in found.pairs})
    sources = [f"{parts[name]} by {name}" for name in ("people", "rewards") if parts[name]]
    stats = [
        Stat("Pairs", cell(len(found.pairs)), ", ".join(sources)),
        Stat("Prompts", cell(prompts), f"made for {meta['method']}" if "method" in meta else ""),
    ]
    if parts["contradicted"]:
        note = "people prefer the clip with the lower reward; GAPO refuses them"
        stats.append(Stat("Contradicted", cell(parts["contradicted"]), note))
    if "watermark_not_visible" in meta:
        note = "pairs in which too little moves to tell a watermark from scenery"
        stats.append(Stat("Watermark unknown", cell(meta["watermark_not_visible"]), note))
    return stats
